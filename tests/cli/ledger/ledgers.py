"""What the tests of `paycore ledger` share: a configuration, a paid and refunded payment, and checks of the output."""

import json
from pathlib import Path
from typing import Any

from paycore.domain.events import Source
from paycore.ledger.base import SqlLedger
from tests.cli.conftest import Ran
from tests.ledger.workload import observe, paid_payment, refund_seen, refunding

CANARY = "c4n4ry-p4ssw0rd"


def configure(ledger: str, path: str = "paycore.toml") -> None:
    Path(path).write_text(f'ledger = "{ledger}"\n', encoding="utf-8")


def whole_life(ledger: SqlLedger, reference: str, *, account: str = "hk") -> str:
    """A payment that was paid and refunded: five events, two numbers, one refund."""
    payment = paid_payment(ledger, reference, account=account)
    refund = refunding(f"refund of {reference}")
    refunded = ledger.change(payment.id, refund, Source.CALLER).result().payment
    observe(ledger, refund_seen(refunded.refunds[0].number), account=account)
    return payment.id


def lines(ran: Ran) -> list[Any]:
    return [json.loads(line) for line in ran.out.splitlines()]


def one_line(ran: Ran, *words: str, code: int = 6) -> None:
    """Check for this exit code and a single error line that has these words and no traceback."""
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran
    assert ran.err.startswith("error: "), ran
    for word in words:
        assert word in ran.err, ran


def files() -> set[str]:
    return {file.name for file in Path().iterdir()}
