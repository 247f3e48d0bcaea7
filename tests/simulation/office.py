"""The operator: looks into the provider's portal for what no query tells, and acknowledges reviews."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paycore.domain.findings import Found as FoundByOperator
from paycore.domain.payment import Operation, OperationKind, Payment, ReviewReason
from paycore.errors import AccountRefused, LedgerError, ProviderError, WrongState

if TYPE_CHECKING:
    from tests.simulation.processes import Process

LOOKS_EVERY_S = 300.0
BY, NOTE = "operator", "seen in the portal"


async def work(process: Process) -> None:
    """Go through all reviews now and then."""
    while True:
        await asyncio.sleep(process.rng.uniform(0.5, 1.5) * LOOKS_EVERY_S)
        try:
            for payment in await process.client.list(review=True, limit=1000):
                await _review(process, payment)
            for payment_id in sorted(process.world.to_query):
                await process.client.query(payment_id)
                process.world.to_query.discard(payment_id)
        except (LedgerError, WrongState, ProviderError, AccountRefused) as error:
            process.world.scheduler.log("office", f"{type(error).__name__}: {error}")


async def _review(process: Process, payment: Payment) -> None:
    for operation in payment.operations:
        if operation.is_unresolvable and operation.is_uncertain:
            await _record(process, payment, operation)
            # What came of it since then was told while nobody knew its id.
            process.world.to_query.add(payment.id)
            return
    for reason in payment.review_reasons:
        if reason is not ReviewReason.UNRESOLVABLE and process.rng.random() < 0.3:
            await process.client.acknowledge(payment.id, reason, by=BY, note=NOTE)


async def _record(process: Process, payment: Payment, lost: Operation) -> None:
    """What the portal shows of a number; an order that nobody got a link to is cancelled there."""
    client, gateway = process.client, process.world.gateway
    found = gateway.with_number(lost.number)
    order = found[0] if found else None
    process.world.scheduler.log("office", f"{lost.kind} {lost.number}: {order and order.status}")
    if lost.kind is OperationKind.REFUND:
        if order is None or order.status == "failed":
            await client.record(payment.id, "absent", by=BY, note=NOTE, refund=lost.refund_reference)
        elif order.status != "pending":
            await client.record(
                payment.id, "refunded", by=BY, note=NOTE, refund=lost.refund_reference, provider_id=order.id
            )
        return
    if order is None:
        await client.record(payment.id, "absent", by=BY, note=NOTE)
        return
    if order.status in ("pending", "authorized"):
        gateway.cancel_by_hand(order)
    said: FoundByOperator = "paid" if order.status == "paid" else "closed"
    await client.record(payment.id, said, by=BY, note=NOTE, provider_id=order.id)
