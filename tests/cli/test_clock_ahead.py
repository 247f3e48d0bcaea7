"""The command line on a ledger whose clock was once ahead: new orders keep their full time."""

from contextlib import closing
from datetime import datetime, timedelta

import pytest

from paycore.ledger.clock import utc_now
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli
from tests.ledger.workload import begun


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(minutes=31)])
def test_order_after_a_payment_from_the_future_is_awaited(
    cli: Cli, shop: SandboxServer, ahead: timedelta
) -> None:
    """The order keeps its thirty minutes, and `await` does not close it early."""
    with closing(SqliteLedger("paycore.db", clock=lambda: utc_now() + ahead)) as ledger:
        ledger.begin(*begun("from-the-future", account="shop")).result()
    payment = cli.create()
    made, ends = (datetime.fromisoformat(payment[name]) for name in ("created_at", "expires_at"))
    assert made > utc_now() + ahead / 2
    assert ends - made >= timedelta(minutes=30)
    waited = cli("await", payment["id"], "--timeout", 3, "--json")
    assert (waited.code, waited.json["status"]) == (4, "pending"), waited
