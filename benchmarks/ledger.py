"""Ledger throughput: group commit with many callers, against one commit each of the same work."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.table import Row
from paycore.domain.decisions import Numbering, end_attempt, new_operation
from paycore.domain.events import PaymentBegun, Source
from paycore.domain.money import Money
from paycore.domain.payment import OperationKind, Order, Payment, PaymentObservation, Redirect, Status
from paycore.domain.provider import Created, Done
from paycore.engine.ids import new_id
from paycore.ledger.sqlite import SqliteLedger

CALLERS = 64
EACH = 60
AMOUNT = Money("88.00", "HKD")


def _begun(reference: str) -> Callable[[datetime], PaymentBegun]:
    numbering, payment_id = Numbering(operation_id=new_id(), number=new_id()), new_id()

    def begun(now: datetime) -> PaymentBegun:
        return PaymentBegun(
            payment_id=payment_id,
            account="hk",
            provider="bench",
            order=Order(reference=reference, amount=AMOUNT, method="alipay", channel="web"),
            operation=new_operation(
                OperationKind.CREATE, numbering, now, timedelta(seconds=10), needs_action=True
            ),
        )

    return begun


def _one_payment(ledger: SqliteLedger, reference: str) -> None:
    """Two transactions, as `create()` makes them."""
    payment: Payment = ledger.begin(_begun(reference)).result().payment
    seen = PaymentObservation(number=payment.order_number, status=Status.PENDING, amount=AMOUNT)
    outcome = Done(Created(observation=seen, action=Redirect(url="https://wallet.example/pay")))
    sent = payment.creation
    ledger.change(payment.id, lambda p, now: end_attempt(p, sent, outcome, now), Source.REPLY).result()


def _run(path: Path, *, callers: int, each: int) -> float:
    """Ledger transactions per second."""
    ledger = SqliteLedger(path)

    def call(caller: int) -> None:
        for turn in range(each):
            _one_payment(ledger, f"{caller}-{turn}")

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken_s = time.perf_counter() - started
    ledger.close()
    return 2 * callers * each / taken_s


def measure() -> list[Row]:
    """SQLite FULL: 64 callers sharing commits, and one caller, so that each commit stands alone."""
    with tempfile.TemporaryDirectory() as folder:
        alone = max(_run(Path(folder) / f"alone{n}.db", callers=1, each=300) for n in range(3))
        together = max(_run(Path(folder) / f"group{n}.db", callers=CALLERS, each=EACH) for n in range(3))
    return [
        Row(
            what="ledger transactions, SQLite FULL, 64 callers",
            figure=f"{together:,.0f}/s",
            baseline=f"{alone:,.0f}/s one commit each",
            ratio=f"{together / alone:.1f}x",
            bar=">= 10,000/s, >= 10x",
            holds=together >= 10_000 and together >= 10 * alone,
        )
    ]
