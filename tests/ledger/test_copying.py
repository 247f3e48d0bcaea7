"""A whole ledger is copied between the databases, either way: the same rows, verified, or nothing at all."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from paycore.domain.events import Source
from paycore.domain.payment import Status
from paycore.errors import InvalidField, LedgerCorrupt, LedgerUnavailable
from paycore.ledger import copying
from paycore.ledger.api import FeedEntry, FeedPlace, Filter
from paycore.ledger.audit import make_anchor, verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.copying import Table, copy_ledger, tables
from paycore.ledger.migrations import load_migrations
from paycore.ledger.opening import open_read_only
from tests.ledger.conftest import Database
from tests.ledger.test_saved import SAVED, lay
from tests.ledger.workload import ACCOUNT, begun, notice, paid_payment, pending_payment, refunding, seen
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["to sqlite", "to postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Another empty database of each kind."""
    if request.param == "to sqlite":
        dsn = f"sqlite:///{tmp_path}/target.db"
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        dsn = server.create_database()
    with ExitStack() as stack:
        yield Database(dsn, stack)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table has several pages."""
    monkeypatch.setattr(copying, "PAGE", 7)
    monkeypatch.setattr(copying, "PAGE_OF_LONG_ROWS", 2)


def rows(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with closing(open_read_only(dsn)) as ledger:
        return {
            table.name: ledger.read(
                lambda tx, table=table: tx.execute(  # type: ignore[misc]
                    f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {', '.join(table.key)}"
                ).fetchall()
            ).result()
            for table in tables()
        }


def since(dsn: str) -> list[tuple[Any, ...]]:
    """When each schema was applied."""
    with closing(open_read_only(dsn)) as ledger:
        return ledger.read(
            lambda tx: tx.execute("SELECT schema, at FROM meta ORDER BY 1").fetchall()
        ).result()


def filled(database: Database, folder: Path) -> SqlLedger:
    """An older ledger with notifications, a consumer and a budget; on PostgreSQL with gaps in the positions."""
    lay(SAVED[-1], database, folder)
    ledger = database.open()
    payments = [pending_payment(ledger, f"copied-{n}") for n in range(20)]
    if not database.is_sqlite:
        database.run("SELECT setval(pg_get_serial_sequence('events', 'position'), 2000)")
    paid = paid_payment(ledger, "copied-paid")
    ledger.change(paid.id, refunding("copied-back"), Source.CALLER).result()
    for n, payment in enumerate(payments[:3]):
        told = [seen(payment.order_number, Status.PAID)]
        body = b"paid %d \x00\xff" % n
        ledger.record_notification(ACCOUNT, notice(body, ledger.now()), told, is_evidence=True).result()
    database.run(
        "INSERT INTO consumers (name, position, taken, created_at) VALUES ('fulfilment', 17, 1, 5)",
        "INSERT INTO budgets (account, body) VALUES ('hk', '{}')",
    )
    return ledger


def empty(database: Database) -> bool:
    """Whether no table has a row."""
    return not any(rows(database.dsn).values())


def test_copy_has_every_row_and_goes_on(database: Database, target: Database, tmp_path: Path) -> None:
    """Events, hashes, positions, notifications, consumers and budgets; an anchor of the source holds for the copy."""
    source = filled(database, tmp_path)
    anchor = make_anchor(source)
    copied = copy_ledger(database.dsn, target.dsn)
    before, after = rows(database.dsn), rows(target.dsn)
    origin = after.pop("origin")
    assert before.pop("origin") == []
    assert after == before
    assert len(origin) == (target.is_sqlite and not database.is_sqlite)
    assert since(target.dsn) == since(database.dsn), "from when on `verify` judges the order of times"
    assert (copied.payments, copied.events) == (len(after["payments"]), len(after["events"]))
    assert (copied.notifications, copied.missed) == (len(after["inbox"]), 0)
    ledger = target.open()
    paid_payment(ledger, "made in the copy")
    newest = max(row[0] for row in after["events"])
    assert [row[0] for row in rows(target.dsn)["events"]][-3:] == [newest + n for n in (1, 2, 3)]
    assert [verdict for verdict in verify(ledger, anchor) if verdict.difference] == []


def test_consumers_of_the_copy_go_on_where_they_were(
    database: Database, target: Database, tmp_path: Path
) -> None:
    """The change feed after a consumer's place is the same in both ledgers, gaps in the positions or not."""
    source = filled(database, tmp_path)
    copy_ledger(database.dsn, target.dsn)
    copy = target.open()
    ((consumer,), (same,)) = (ledger.consumers("fulfilment").result() for ledger in (source, copy))
    assert same == consumer
    for place in (FeedPlace(0, 0), consumer.place):
        assert fed(copy, place) == fed(source, place)
    assert len(fed(copy, consumer.place)) > 20


def fed(ledger: SqlLedger, place: FeedPlace) -> list[FeedEntry]:
    """Everything that the change feed has after a place."""
    entries: list[FeedEntry] = []
    unsettled = None
    while True:
        page = ledger.read_feed(place, unsettled).result()
        entries += page.entries
        place, unsettled = page.end, page.unsettled
        if page.is_last:
            return entries


def test_copy_of_a_copy_is_the_same(database: Database, target: Database, tmp_path: Path) -> None:
    """Back again, and once more: nothing is lost on the way, and `verify` knows which positions have gaps."""
    filled(database, tmp_path)
    dsns = [database.dsn, target.dsn, f"sqlite:///{tmp_path}/third.db"]
    for source, into in pairwise(dsns):
        copy_ledger(source, into)
    first, *copies = [rows(dsn) for dsn in dsns]
    for copy in copies:
        assert {**copy, "origin": []} == {**first, "origin": []}
    with closing(open_read_only(dsns[-1])) as ledger:
        assert [verdict for verdict in verify(ledger) if verdict.difference] == []


def test_tables_are_those_of_both_databases(postgres_dsn: str) -> None:
    """A table or column that a later schema adds to one database only would not be copied."""
    with ExitStack() as stack:
        database = Database(postgres_dsn, stack)
        found = (
            database.open()
            .read(
                lambda tx: tx.execute(
                    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
                ).fetchall()
            )
            .result()
        )
    wanted = {(table.name, column) for table in tables() for column in table.columns}
    assert {name for name in found if name[0] not in ("meta", "workers", "writers")} == wanted
    assert all(table.key for table in tables())
    assert len(load_migrations("sqlite")) == len(load_migrations("postgres"))


def test_target_that_is_not_empty_stays_as_it_is(
    database: Database, target: Database, tmp_path: Path
) -> None:
    """Two ledgers are never mixed."""
    filled(database, tmp_path)
    pending_payment(target.open(), "already there")
    before = rows(target.dsn)
    with pytest.raises(InvalidField, match="must be an empty ledger") as refused:
        copy_ledger(database.dsn, target.dsn)
    assert refused.value.money_moved == "no"
    assert rows(target.dsn) == before
    with pytest.raises(InvalidField, match="must be an empty ledger"):
        copy_ledger(database.dsn, database.dsn)


def test_source_that_contradicts_itself_is_not_copied(
    database: Database, target: Database, tmp_path: Path
) -> None:
    """The copy would be damaged too, and its owner would believe it verified."""
    filled(database, tmp_path)
    database.tamper("UPDATE payments SET paid_minor = 1 WHERE reference = 'copied-paid'")
    with pytest.raises(LedgerCorrupt, match=r"nothing was copied, for .*paid_minor"):
        copy_ledger(database.dsn, target.dsn)
    assert empty(target)


def test_row_that_is_not_kept_as_it_was_ends_the_copy(
    database: Database, target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is read back: also what does not follow from the events."""
    filled(database, tmp_path)
    insert = Table.insert

    def mistaken(table: Table, dialect: str) -> str:
        return insert(table, dialect) if table.name != "consumers" else (
            "INSERT INTO consumers (name, position, taken, holder, leased_until, created_at, acknowledged_at)"
            " VALUES (?, ? + 1, ?, ?, ?, ?, ?)"
        )  # fmt: skip

    monkeypatch.setattr(copying.Table, "insert", mistaken)
    with pytest.raises(LedgerCorrupt, match="did not keep the rows of consumers"):
        copy_ledger(database.dsn, target.dsn)
    assert empty(target)


def test_copy_is_of_one_moment(database: Database, target: Database, tmp_path: Path) -> None:
    """What is written meanwhile is left out whole, and counted."""
    source = filled(database, tmp_path)
    before = rows(database.dsn)
    is_over = threading.Event()

    def write_on() -> None:
        for n in range(10_000):
            if is_over.is_set():
                return
            paid_payment(source, f"meanwhile-{n}")

    writer = threading.Thread(target=write_on)
    progress: list[str] = []

    def note(what: str, count: int) -> None:
        if not progress:
            writer.start()
            time.sleep(0.3)
        progress.append(what)

    try:
        copied = copy_ledger(database.dsn, target.dsn, progress=note)
    finally:
        is_over.set()
        writer.join()
    assert copied.missed > 0
    assert {**rows(target.dsn), "origin": []} == before
    assert {"copying events", "reading back events", "verifying payments"} <= set(progress)


def test_interrupted_copy_leaves_nothing(
    database: Database, target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends it at the next page."""
    filled(database, tmp_path)

    told: list[str] = []
    is_given_up, give_up = threading.Event(), copying._Copying.give_up

    def notice(self: copying._Copying) -> None:
        give_up(self)
        is_given_up.set()

    monkeypatch.setattr(copying._Copying, "give_up", notice)

    def interrupt(what: str, count: int) -> None:
        told.append(what)
        if what == "reading back payments" and told.count(what) == 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            assert is_given_up.wait(30), "the main thread was not interrupted"

    with pytest.raises(KeyboardInterrupt):
        copy_ledger(database.dsn, target.dsn, progress=interrupt)
    assert empty(target)


COPY = """
import sys
from paycore.ledger.copying import copy_ledger

def tell(what, count):
    print(what, count, flush=True)

print("begun", flush=True)
copy_ledger(*sys.argv[1:3], progress=tell)
print("done", flush=True)
"""


@pytest.mark.parametrize(
    "killed_at", ["begun", "copying events", "reading back payments", "verifying payments"]
)
def test_killed_copy_leaves_nothing(
    database: Database, target: Database, tmp_path: Path, killed_at: str
) -> None:
    """The target is empty, whenever the process was killed, and the copy can be made anew."""
    filled(database, tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", COPY, database.dsn, target.dsn], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(killed_at):
                break
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    copied = _copied_soon(database, target)
    assert copied.payments == len(rows(database.dsn)["payments"])


def _copied_soon(database: Database, target: Database) -> copying.Copied:
    """Copy once PostgreSQL has seen that the other client is gone, and rolled back."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return copy_ledger(database.dsn, target.dsn)
        except LedgerUnavailable:
            assert time.monotonic() < deadline


def test_nobody_writes_to_the_target_meanwhile(
    database: Database, target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has the target open waits, and then finds it filled: its payments are no part of the copy."""
    filled(database, tmp_path)
    other = target.open()
    waiting: list[Any] = []

    def note(what: str, count: int) -> None:
        if not waiting:
            waiting.append(other.begin(*begun("from elsewhere")))

    copied = copy_ledger(database.dsn, target.dsn, progress=note)
    assert waiting[0].result(30).payment.reference == "from elsewhere"
    assert copied.payments + 1 == len(other.list(Filter(limit=1000)).result())
    assert [verdict for verdict in verify(other) if verdict.difference] == []


def test_verify_knows_how_many_events_were_copied(postgres_dsn: str, tmp_path: Path) -> None:
    """Gaps among the copied positions are no difference; a payment that was removed is."""
    with ExitStack() as stack:
        source = Database(postgres_dsn, stack)
        filled(source, tmp_path)
        target = Database(f"sqlite:///{tmp_path}/target.db", stack)
        copy_ledger(source.dsn, target.dsn)
        (payment_id,) = next(iter(rows(target.dsn)["payments"]))[:1]
        target.tamper(
            *(
                f"DELETE FROM {table.name} WHERE payment_id = '{payment_id}'"
                for table in tables()
                if "payment_id" in table.columns
            ),
            f"DELETE FROM payments WHERE id = '{payment_id}'",
        )
        differences = [verdict.difference for verdict in verify(target.open()) if verdict.difference]
        assert [difference.where.split(",")[0] for difference in differences] == ["origin"]
