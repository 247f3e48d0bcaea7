"""After a fork the child neither uses nor harms its parent's open ledger."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from paycore import Payment
from paycore.domain.events import Change, Source
from paycore.errors import LedgerUnavailable
from paycore.ledger.base import SqlLedger
from paycore.ledger.sqlite.ledger import SqliteLedger
from tests.ledger.workload import begun, paid_payment, refunding
from tests.support.forked import in_child

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def test_child_is_told_to_open_a_ledger_of_its_own(ledger: SqlLedger) -> None:
    """Reads and writes in the child raise at once, with advice, and do not use the parent's connections."""
    payment = paid_payment(ledger, "order-1")

    def use() -> None:
        for future in (
            ledger.begin(*begun("order-2")),
            ledger.change(payment.id, refunding("back-1"), Source.CALLER),
            ledger.get(payment.id),
        ):
            with pytest.raises(LedgerUnavailable, match="open a client of its own in each process"):
                future.result(5)

    assert in_child(use) == 0
    assert ledger.begin(*begun("order-3")).result().events
    assert ledger.get(payment.id).result() == payment


def test_child_that_closes_leaves_the_parent_its_ledger(ledger: SqlLedger) -> None:
    """Leaving a client's block in the child does not affect the parent."""
    paid_payment(ledger, "order-1")
    assert in_child(ledger.close) == 0
    assert ledger.begin(*begun("order-2")).result().events


def test_child_does_not_keep_the_lock_of_a_killed_parent(tmp_path: Path) -> None:
    """The lock of a process killed inside a transaction is released, though its child lives on."""
    path = tmp_path / "ledger.db"
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        ledger, inside = SqliteLedger(path), threading.Event()
        payment = ledger.begin(*begun("order-1")).result().payment
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            time.sleep(60)

        def hold(_payment: Payment, _now: datetime) -> Sequence[Change]:
            inside.set()
            time.sleep(60)
            return []

        ledger.change(payment.id, hold, Source.CALLER)
        inside.wait(10)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    orphan = int(os.read(reading, 32))
    try:
        with closing(SqliteLedger(path, wait_max_s=2.0)) as ledger:
            assert ledger.begin(*begun("order-2")).result(10).events
    finally:
        os.kill(orphan, signal.SIGKILL)
