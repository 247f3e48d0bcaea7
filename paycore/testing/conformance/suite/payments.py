"""A payment from its order to its money, through both clients."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from paycore.domain.payment import Status
from paycore.domain.provider import Done, Product, Rejected
from paycore.sandbox.api import NotPossible
from paycore.testing.conformance.caller import settled_paid
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.claims import observed_in
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.paid_once import require_paid_once
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig

OUTCOMES = "what-an-outcome-says-about-the-money"
_LONG = re.compile(r"[A-Za-z0-9_-]{8,}")
"""Numbers and ids in a path, which differ from one order to the next."""


@check(read=OUTCOMES)
def paid_order_is_paid_once(rig: Rig) -> None:
    """
    An order that its payer pays becomes a paid payment of exactly its amount, with one charge.

    Made and queried through the sync and the async client, once for every product.
    """
    for kind in ("sync", "async"):
        for product in rig.products:
            client = rig.client(kind)
            payment = client.create(**rig.arguments(product))
            require_paid_once(rig, client, payment)


@check(read=OUTCOMES)
def declined_order_has_failed(rig: Rig) -> None:
    """
    An order whose payer declines is failed or closed, and nothing was taken.

    Of each product whose payer still acts. Where the instrument is declined only as the money is taken, `capture` is
    `Rejected` with `who_acts="payer"`, or tells the failed order.
    """
    ended = 0
    for product, placed in _ended(rig, rig.controls.decline):
        ended += 1
        seen, at = rig.look(placed), f"{product.method}/{product.channel}: after its payer declined"
        if seen.status is Status.AUTHORIZED:
            outcome = rig.capture(placed, placed.order.amount.minor)
            is_over = any(one.status in (Status.FAILED, Status.CLOSED) for one in observed_in(outcome))
            require(
                is_over or (isinstance(outcome, Rejected) and outcome.failure.who_acts == "payer"),
                f"{at}, capture returned {said(outcome)}",
                'return Rejected(failure=Failure(..., who_acts="payer")) where the instrument is declined',
            )
        else:
            _require_over(at, seen.status)
        _require_nothing_taken(rig, at, placed)
    if not ended:
        raise NotApplicable("no order of this account can be declined")


@check(read=OUTCOMES)
def expired_order_is_over(rig: Rig) -> None:
    """
    An order that has expired at the gateway is closed or failed, of each product whose payer still acts.

    Where the company forgets it, the number is undecided, or absent.
    """
    ended = 0
    for product, placed in _ended(rig, rig.controls.expire):
        ended += 1
        ref = placed.ref(rig.attempt())
        outcome = rig.converse(lambda: rig.provider.query([ref]))  # noqa: B023 - called at once
        at = f"{product.method}/{product.channel}: after it expired"
        for seen in observed_in(outcome):
            _require_over(at, seen.status)
        require(
            isinstance(outcome, Done),
            f"{at} query returned {said(outcome)}",
            "return Done(Found(...)) with the number in observations, undecided or absent",
        )
        _require_nothing_taken(rig, at, placed)
    if not ended:
        raise NotApplicable("no order of this account can expire")


@check(read="flows")
def sync_and_async_are_the_same(rig: Rig) -> None:
    """
    The sync and the async client send the same requests, in the same order, and come to the same payment.

    Of an order that is made, asked about, paid, asked about again, and refunded. A flow can't know who runs it.
    """
    product = rig.waiting_product()
    told = {kind: _told_by(rig, kind, product) for kind in ("sync", "async")}
    for one, other in zip(told["sync"], told["async"], strict=False):
        require(
            one == other,
            f"the sync client: {one}; the async client: {other}",
            "let a flow depend on nothing but its input: no event loop, thread or global state",
        )
    require(
        len(told["sync"]) == len(told["async"]),
        f"the sync client sent {len(told['sync'])} requests, and the async one {len(told['async'])}",
        "let a flow depend on nothing but its input: no event loop, thread or global state",
    )


# --- inside ------------------------------------------------------------------------------------------


def _ended(rig: Rig, end: Callable[[str], Any]) -> Iterator[tuple[Product, PlacedOrder]]:
    """Orders of each product that this control ends unpaid."""
    for product in rig.products:
        placed = rig.place(product)
        if placed.seen.status is not Status.PENDING:
            continue
        try:
            end(placed.order.number)
        except NotPossible:
            continue
        yield product, placed


def _require_over(at: str, status: object) -> None:
    require(
        status in (Status.FAILED, Status.CLOSED),
        f"{at} the order is {status}",
        "map the company's words for an order that can't be paid any more to Status.FAILED or Status.CLOSED",
    )


def _require_nothing_taken(rig: Rig, at: str, placed: PlacedOrder) -> None:
    taken = rig.controls.show_order(placed.order.number)["paid_minor"]
    require(
        taken == 0,
        f"{at} the gateway took {taken} minor units",
        "let the sandbox take no money for an order that was declined or has expired",
    )


def _told_by(rig: Rig, kind: str, product: Product) -> list[str]:
    """What one client sent and learned, without what differs from one payment to the next."""
    client = rig.client(kind, ledger=f"alone-{kind}.db")
    arguments = rig.arguments(product)
    rig.proxy.clear()
    payment = client.create(**arguments)
    learned = [payment.status]
    if payment.status is Status.PENDING:
        client.query(payment.id)
        rig.controls.pay(payment.order_number)
    payment = settled_paid(rig, client, payment)
    learned.append(payment.status)
    if product.refund != "none" and payment.status is Status.PAID:
        payment = client.refund(payment.id, amount=payment.amount, reference="kit-refund")
        learned += [refund.status for refund in payment.refunds]
    sent = [f"{exchange.method} {_LONG.sub('*', exchange.path)}" for exchange in rig.proxy.exchanges]
    return [*sent, f"learned {', '.join(map(str, learned))}"]
