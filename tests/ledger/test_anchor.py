"""An anchor shows what was changed outside paycore since it was made, even with valid hashes."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from paycore import Status
from paycore.domain.codec import encode
from paycore.domain.events import Event, Observed, chain_hash
from paycore.domain.lifecycle import evolve
from paycore.errors import InvalidField, LedgerUnavailable
from paycore.ledger import open_ledger
from paycore.ledger.audit import Anchor, anchors, export, make_anchor, read_anchor, render_anchor, verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import to_ms
from paycore.ledger.rows import COLUMNS
from tests.ledger.conftest import Database
from tests.ledger.test_audit import NAMING, whole_life
from tests.ledger.test_audit_ledger import swap
from tests.ledger.workload import notice, observe, paid_payment, pending_payment, seen


def places(ledger: SqlLedger, anchor: Anchor | None = None) -> list[str]:
    """Where differences are reported."""
    return [verdict.difference.where for verdict in verify(ledger, anchor) if verdict.difference]


@pytest.fixture
def lived(database: Database) -> SqlLedger:
    """A ledger with some payments, and a notification that arrived the day before yesterday."""
    ledger = database.open()
    for n in range(3):
        whole_life(ledger, f"order-{n}")
    arrived = notice(b"paid", ledger.now() - timedelta(days=2))
    ledger.record_notification("hk", arrived, [], is_evidence=False).result()
    return ledger


def test_anchor_holds_while_the_ledger_grows(lived: SqlLedger) -> None:
    """Additions do not break an anchor; it is unchanged by writing and reading its file."""
    anchor = read_anchor(render_anchor(make_anchor(lived)))
    assert (anchor.events, anchor.notifications, anchor.position) == (15, 1, 15)
    whole_life(lived, "later")
    now = notice(b"later", lived.now())
    lived.record_notification("hk", now, [], is_evidence=False).result()
    assert places(lived, anchor) == []
    assert make_anchor(lived).digest != anchor.digest


def test_digest_can_be_made_of_an_export(lived: SqlLedger) -> None:
    """As docs/ledger.md describes it, without paycore's code."""
    events = [record for record in map(json.loads, export(lived)) if record["type"] == "event"]
    digest = hashlib.sha256()
    for event in sorted(events, key=lambda event: event["position"]):
        line = [str(event["position"]), event["payment_id"], str(event["seq"]), event["hash"]]
        digest.update(("\t".join(line) + "\n").encode())
    assert digest.hexdigest() == make_anchor(lived).digest


def _forget(database: Database, payment_id: str) -> None:
    for table in NAMING:
        database.tamper(f"DELETE FROM {table} WHERE payment_id = '{payment_id}'")
    database.tamper(f"DELETE FROM payments WHERE id = '{payment_id}'")


def test_newest_payment_deleted_without_a_trace(lived: SqlLedger, database: Database) -> None:
    """The ledger shows nothing of it any more; the anchor does."""
    payment_id = whole_life(lived, "newest")
    anchor = make_anchor(lived)
    _forget(database, payment_id)
    assert places(lived) == []
    assert places(lived, anchor) == [f"anchor, events up to position {anchor.position}"]


def test_tail_cut_together_with_its_row(lived: SqlLedger, database: Database) -> None:
    """A paid payment made pending again, row and history alike."""
    payment = pending_payment(lived, "newest")
    names = [*COLUMNS, "head", "body"]
    database.run(
        f"CREATE TABLE kept AS SELECT id, {', '.join(names)} FROM payments WHERE id = '{payment.id}'"
    )
    observe(lived, seen(payment.order_number, Status.PAID))
    anchor = make_anchor(lived)
    database.tamper(
        f"DELETE FROM events WHERE payment_id = '{payment.id}' AND seq > 2",
        f"DELETE FROM charges WHERE payment_id = '{payment.id}'",
        *(
            f"UPDATE payments SET {name} = (SELECT {name} FROM kept) WHERE id = '{payment.id}'"
            for name in names
        ),
        "DROP TABLE kept",
    )
    assert lived.get(payment.id).result().status is Status.PENDING
    assert places(lived) == []
    assert places(lived, anchor) == [f"anchor, events up to position {anchor.position}"]


def _forged(event: Event, change: Observed) -> tuple[bytes, str]:
    own = chain_hash(
        event.prev_hash, event.payment_id, event.seq, to_ms(event.at), event.source, encode(change)
    )
    return own, encode(change).decode()


def test_event_changed_with_everything_that_follows_from_it(lived: SqlLedger, database: Database) -> None:
    """A charge with another id, with hash, head and row adapted."""
    payment = paid_payment(lived, "newest")
    anchor = make_anchor(lived)
    last = lived.events(payment.id).result()[-1]
    change = Observed(observation=seen(payment.order_number, Status.PAID, charge="C9"))
    own, body = _forged(last, change)
    before = None
    for event in lived.events(payment.id).result()[:-1]:
        before = evolve(before, event.change, event.at)
    whole = encode(evolve(before, change, last.at)).decode()
    quote = f"x'{own.hex()}'" if database.is_sqlite else f"'\\x{own.hex()}'::bytea"
    database.tamper(
        f"UPDATE events SET change = '{body}', hash = {quote} WHERE payment_id = '{payment.id}' AND seq = 3",
        f"UPDATE charges SET provider_id = 'C9' WHERE payment_id = '{payment.id}'",
        f"INSERT INTO provider_ids VALUES ('{payment.account}', 'C9', '{payment.id}')",
        f"UPDATE payments SET head = {quote}, body = '{whole}' WHERE id = '{payment.id}'",
    )
    assert lived.get(payment.id).result().charges[0].provider_id == "C9"
    assert places(lived) == []
    assert places(lived, anchor) == [f"anchor, events up to position {anchor.position}"]


def test_paid_payment_put_before_the_anchor(lived: SqlLedger, database: Database) -> None:
    """A payment inserted later with an old position."""
    anchor = make_anchor(lived)
    payment = paid_payment(lived, "forged")
    if not database.is_sqlite:
        database.run("ALTER TABLE events ALTER position SET GENERATED BY DEFAULT")
    database.tamper(f"UPDATE events SET position = position - 1000 WHERE payment_id = '{payment.id}'")
    assert f"anchor, events up to position {anchor.position}" in places(lived, anchor)


def test_events_of_one_time_in_another_order(lived: SqlLedger, database: Database) -> None:
    """Two payments' events with swapped positions and equal times."""
    anchor = make_anchor(lived)
    swap(database, "5", "6")
    assert f"anchor, events up to position {anchor.position}" in places(lived, anchor)


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM inbox",
        "UPDATE inbox SET headers = '{{}}'",
        "UPDATE inbox SET body = {body}, digest = '{digest}'",
        "UPDATE inbox SET received_at = received_at + 1",
        "UPDATE inbox SET account = 'till'",
    ],
)
def test_notification_lost_or_changed(lived: SqlLedger, database: Database, tampering: str) -> None:
    """A forged or deleted notification; notifications are anchored when a day old."""
    anchor = make_anchor(lived)
    body = "x'00'" if database.is_sqlite else "'\\x00'"
    database.run(tampering.format(body=body, digest=hashlib.sha256(b"\0").hexdigest()))
    assert places(lived) == []
    assert places(lived, anchor) == ["anchor, notifications"]


def test_another_ledgers_anchor_does_not_hold(lived: SqlLedger) -> None:
    """Nor does one of more events than the ledger has."""
    anchor = make_anchor(lived)
    for change in ({"events": 16}, {"digest": "0" * 64}, {"position": 14}, {"position": 10**6, "events": 20}):
        other = Anchor(**{name: getattr(anchor, name) for name in anchor.__struct_fields__} | change)
        assert len(places(lived, other)) == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"type":"ledger_anchor"}', "\xff"])
def test_file_that_is_no_anchor(text: str) -> None:
    """The error says that it is no anchor."""
    with pytest.raises(InvalidField, match="ledger anchor"):
        read_anchor(text)


def test_empty_ledger_is_anchored(ledger: SqlLedger) -> None:
    """An empty ledger's anchor holds after payments are added."""
    anchor = make_anchor(ledger)
    assert (anchor.position, anchor.events) == (0, 0)
    whole_life(ledger, "order-1")
    assert places(ledger, anchor) == []


# --- transactions that overlap -----------------------------------------------------------------------


def _while_open(ledger: SqlLedger, dsn: str, work: Callable[[psycopg.Connection], None]) -> None:
    """Run `work` while an open transaction has taken a position and a later one is committed."""
    payment = pending_payment(ledger, "slow")
    with psycopg.connect(dsn) as slow:
        slow.execute("UPDATE writers SET seen_at = seen_at")
        slow.execute(
            "INSERT INTO events (payment_id, seq, at, source, kind, status_to, change, prev_hash, hash)"
            f" SELECT payment_id, 99, at, source, kind, status_to, change, prev_hash, hash FROM events"
            f" WHERE payment_id = '{payment.id}' AND seq = 1"
        )
        with psycopg.connect(dsn, autocommit=True) as quick:
            quick.execute(
                "INSERT INTO events (payment_id, seq, at, source, kind, status_to, change, prev_hash, hash)"
                f" SELECT payment_id, 98, at, source, kind, status_to, change, prev_hash, hash FROM events"
                f" WHERE payment_id = '{payment.id}' AND seq = 1"
            )
        work(slow)


@pytest.fixture
def on_postgres(postgres_dsn: str) -> Iterator[SqlLedger]:
    """A ledger on PostgreSQL."""
    with closing(open_ledger(postgres_dsn)) as opened:
        yield opened


def test_anchor_waits_for_positions_that_are_not_committed_yet(
    on_postgres: SqlLedger, postgres_dsn: str
) -> None:
    """PostgreSQL may commit a smaller position after a greater one: the anchor waits for it and includes it."""
    made: list[Anchor] = []

    def work(slow: psycopg.Connection) -> None:
        thread = threading.Thread(target=lambda: made.append(make_anchor(on_postgres)))
        thread.start()
        time.sleep(0.3)
        assert made == []
        slow.commit()
        thread.join(10)

    _while_open(on_postgres, postgres_dsn, work)
    assert made[0].events == 4
    assert made[0].digest == make_anchor(on_postgres).digest


def test_anchor_does_not_wait_for_ever(
    on_postgres: SqlLedger, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that never ends is an error."""
    monkeypatch.setattr(anchors, "OPEN_MAX_S", 0.2)

    def work(slow: psycopg.Connection) -> None:
        with pytest.raises(LedgerUnavailable, match="pg_stat_activity"):
            make_anchor(on_postgres)

    _while_open(on_postgres, postgres_dsn, work)
