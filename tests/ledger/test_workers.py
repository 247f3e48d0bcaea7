"""The workers that run, on both databases: a row each, which a clean end removes and a killed one leaves."""

from datetime import timedelta

from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import to_ms
from paycore.ledger.overdue import overdue
from paycore.ledger.workers import FORGOTTEN_S, MOVED_S, STALE_S
from tests.ledger.conftest import Database
from tests.ledger.workload import pending_payment

ACCOUNTS = ("shop", "branch")


def note(ledger: SqlLedger, name: str, *, host: str = "here", accounts: tuple[str, ...] = ACCOUNTS) -> None:
    ledger.note_worker(name, host=host, pid=7, accounts=accounts).result()


def known(ledger: SqlLedger) -> list[str]:
    return sorted(one.id for one in ledger.workers().result())


def unseen(database: Database, name: str, seconds: float) -> None:
    """The worker started and was seen last so long ago."""
    ms = round(seconds * 1000)
    database.run(
        f"UPDATE workers SET seen_at = seen_at - {ms}, started_at = started_at - {ms} WHERE id = '{name}'"
    )


def test_worker_is_seen_until_it_ends(database: Database) -> None:
    """Others see its host, process and accounts, since when it runs, and that it was seen anew; then no more."""
    ledger, other = database.open(), database.open()
    note(ledger, "a")
    (first,) = other.workers().result()
    assert (first.host, first.pid, first.accounts) == ("here", 7, ("branch", "shop"))
    assert first.started_at == first.seen_at
    unseen(database, "a", 5)
    note(ledger, "a")
    (again,) = other.workers().result()
    assert again.started_at == first.started_at - timedelta(seconds=5)
    assert again.seen_at >= first.seen_at
    ledger.forget_worker("a").result()
    ledger.forget_worker("a").result()
    assert other.workers().result() == ()


def test_worker_takes_the_place_of_one_that_was_killed(database: Database) -> None:
    """Of the same accounts: on its own host as soon as that is stale, on another one after an hour."""
    ledger = database.open()
    rows = (
        ("stale", "here", ACCOUNTS, STALE_S + 1),
        ("fresh", "here", ACCOUNTS, STALE_S - 10),
        ("of others", "here", ("shop",), MOVED_S + 60),
        ("elsewhere", "there", ACCOUNTS, STALE_S + 1),
        ("moved", "there", ACCOUNTS, MOVED_S + 1),
        ("long gone", "there", ("shop",), FORGOTTEN_S + 1),
    )
    for name, host, accounts, _ in rows:
        note(ledger, name, host=host, accounts=accounts)
    for name, _, _, seconds in rows:
        unseen(database, name, seconds)
    note(ledger, "new")
    assert known(ledger) == ["elsewhere", "fresh", "new", "of others"]
    unseen(database, "elsewhere", MOVED_S)
    unseen(database, "new", 1)
    note(ledger, "new")  # it goes on: nothing is removed
    assert "elsewhere" in known(ledger)


def test_overdue_payments_are_counted_by_account(database: Database) -> None:
    """Those that were due before a time and still are; since when the first of them has been."""
    ledger = database.open()
    payments = [
        pending_payment(ledger, f"order-{n}", account=account) for n, account in enumerate(("hk", "hk", "uk"))
    ]
    now = ledger.now()
    for payment, seconds in zip(payments, (60, 90, 10), strict=True):
        database.run(
            f"UPDATE payments SET due_at = {to_ms(now - timedelta(seconds=seconds))} WHERE id = '{payment.id}'"
        )
    late = ledger.read(lambda tx: overdue(tx, now - timedelta(seconds=30))).result()
    assert {name: (one.total, one.since) for name, one in late.items()} == {
        "hk": (2, now - timedelta(seconds=90))
    }
