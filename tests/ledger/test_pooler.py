"""A connection pooler before PostgreSQL: one that keeps a client's connection works, one that shares it is refused."""

import time
from contextlib import closing

import psycopg
import pytest

from paycore.errors import ConfigError
from paycore.ledger import open_ledger
from paycore.ledger.opening import open_read_only
from tests.ledger.workload import paid_payment, pending_payment
from tests.support.pooler import pooler


@pytest.mark.parametrize("way", [open_ledger, open_read_only], ids=["to write", "to read"])
def test_pooler_that_shares_connections_is_refused(postgres_dsn: str, way: object) -> None:
    """Before anything is set or written through it: another client would get the connection with these settings."""
    with pooler(postgres_dsn, shares=True) as dsn:
        with pytest.raises(ConfigError, match="set pool_mode = session there, or name the database itself"):
            way(dsn)  # type: ignore[operator]
        with psycopg.connect(dsn, autocommit=True) as other:
            for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
                assert other.execute(f"SHOW {name}".encode()).fetchall() == [("0",)], name
            assert other.execute("SELECT to_regclass('payments')").fetchall() == [(None,)]


def test_pooler_that_keeps_connections_works(postgres_dsn: str) -> None:
    """It writes, reads and hears of what other processes change, as without the pooler."""
    heard: list[str] = []
    with (
        pooler(postgres_dsn, shares=False) as dsn,
        closing(open_ledger(dsn)) as ledger,
        closing(open_ledger(postgres_dsn)) as other,
    ):
        ledger.watch(heard.extend)
        mine = [pending_payment(ledger, f"order-{n}") for n in range(10)]
        theirs = paid_payment(other, "elsewhere")
        deadline = time.monotonic() + 10
        while theirs.id not in heard and time.monotonic() < deadline:
            time.sleep(0.01)
        assert theirs.id in heard
        assert ledger.get(theirs.id).result() == theirs
        assert other.get(mine[0].id).result() == mine[0]
        assert ledger._server._keeps_sessions  # type: ignore[attr-defined]  # through a pooler, and seen to be one
