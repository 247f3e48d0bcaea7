"""`verify` finds what does not follow from the history, and `export` writes everything."""

import base64
import hashlib
import json

import pytest

from paycore import Status
from paycore.domain.events import GENESIS, Source
from paycore.errors import NotFound
from paycore.ledger.audit import Verdict, export, verify, verify_payment
from paycore.ledger.base import SqlLedger
from paycore.ledger.history import PAGE
from tests.ledger.conftest import Database
from tests.ledger.workload import (
    begun,
    notice,
    observe,
    paid_payment,
    pending_payment,
    refund_seen,
    refunding,
    seen,
)
from tests.support.due import claim_due


def whole_life(ledger: SqlLedger, reference: str) -> str:
    payment = paid_payment(ledger, reference)
    refunded = ledger.change(payment.id, refunding(f"refund of {reference}"), Source.CALLER).result().payment
    observe(ledger, refund_seen(refunded.refunds[0].number))
    return payment.id


def _wrong(ledger: SqlLedger) -> list[Verdict]:
    """Payments with a difference."""
    found = [verdict for verdict in verify(ledger) if verdict.difference is not None]
    return [verdict for verdict in found if verdict.payment_id is not None]


def test_verify_untouched_ledger_holds(ledger: SqlLedger) -> None:
    """Every payment in every state follows from its events; one verdict for each."""
    ids = [whole_life(ledger, f"order-{n}") for n in range(3)]
    ids += [pending_payment(ledger, "pending").id, ledger.begin(*begun("begun")).result().payment.id]
    contradicted = paid_payment(ledger, "contradicted")
    observe(ledger, seen(contradicted.order_number, Status.PAID, charge="C2"))
    verdicts = list(verify(ledger))
    assert [verdict.payment_id for verdict in verdicts] == sorted([*ids, contradicted.id])
    assert [verdict for verdict in verdicts if verdict.difference] == []
    assert {verdict.events for verdict in verdicts} == {1, 2, 4, 5}


def test_verify_goes_page_by_page(ledger: SqlLedger) -> None:
    """More payments than a page are all checked, once."""
    count = PAGE * 2 + 1
    for future in [ledger.begin(*begun(f"order-{n}")) for n in range(count)]:
        future.result()
    assert len({verdict.payment_id for verdict in verify(ledger)}) == count


@pytest.mark.parametrize(
    ("tampering", "where"),
    [
        ("UPDATE payments SET status = 'failed' WHERE id = '{id}'", "status"),
        ("UPDATE payments SET paid_minor = 1 WHERE id = '{id}'", "paid_minor"),
        ("UPDATE payments SET amount_minor = 1 WHERE id = '{id}'", "amount_minor"),
        ("UPDATE payments SET head = prev_hash FROM events WHERE id = payment_id AND id = '{id}'", "head"),
        ("UPDATE payments SET body = replace(body, 'HKD', 'JPY') WHERE id = '{id}'", "body order"),
        ("UPDATE payments SET body = replace(body, '\"C1-', '\"C2-') WHERE id = '{id}'", "body charges"),
        ("UPDATE payments SET body = 'nonsense' WHERE id = '{id}'", "body"),
        ("UPDATE payments SET body = replace(body, '8800,', '-8800,') WHERE id = '{id}'", "body"),
        ("UPDATE events SET kind = 'observed' WHERE seq = 2 AND payment_id = '{id}'", "event 2 kind"),
        ("UPDATE events SET at = at + 1 WHERE seq = 2 AND payment_id = '{id}'", "event 2 hash"),
        ("UPDATE events SET source = 'operator' WHERE seq = 3 AND payment_id = '{id}'", "event 3 hash"),
        (
            "UPDATE events SET change = replace(change, 'C1', 'C9') WHERE seq > 1 AND payment_id = '{id}'",
            "event 2 hash",
        ),
        ("UPDATE events SET status_to = 'failed' WHERE seq = 2 AND payment_id = '{id}'", "event 2 status_to"),
        ("UPDATE events SET prev_hash = hash WHERE seq = 3 AND payment_id = '{id}'", "event 3 prev_hash"),
        ("DELETE FROM events WHERE seq = 2 AND payment_id = '{id}'", "event 2"),
        ("DELETE FROM events WHERE seq = 5 AND payment_id = '{id}'", "head"),
        ("DELETE FROM operations WHERE kind = 'refund' AND payment_id = '{id}'", "operations"),
        ("UPDATE operations SET account = 'till' WHERE payment_id = '{id}'", "operations account"),
        ("UPDATE operations SET number = 'N' || id WHERE payment_id = '{id}'", "operations number"),
        ("UPDATE refunds SET payment_id = '{other}' WHERE payment_id = '{id}'", "refunds payment_id"),
        ("DELETE FROM refunds WHERE payment_id = '{id}'", "refunds"),
    ],
)
def test_verify_tampered_reports_the_first_difference(database: Database, tampering: str, where: str) -> None:
    """Each change of a row outside paycore is reported with the payment and the place."""
    ledger = database.open()
    ids = [whole_life(ledger, f"order-{n}") for n in range(3)]
    database.tamper(tampering.format(id=ids[1], other=ids[0]))
    (verdict,) = _wrong(ledger)
    assert verdict.payment_id == ids[1]
    assert verdict.difference is not None
    assert verdict.difference.where == where
    assert verdict.difference.stored != verdict.difference.derived


def test_verify_pending_payment_that_is_never_looked_at(database: Database) -> None:
    """A pending payment must have a due time, whatever it is."""
    ledger = database.open()
    payment = pending_payment(ledger, "order-1")
    claim_due(ledger, limit=1, lease_s=3600.0)
    database.run("UPDATE payments SET due_at = due_at + 1000")
    assert _wrong(ledger) == []
    database.run("UPDATE payments SET due_at = NULL")
    (verdict,) = _wrong(ledger)
    assert (verdict.payment_id, verdict.difference and verdict.difference.where) == (payment.id, "due_at")


NAMING = ("events", "operations", "refunds", "charges", "provider_ids", "inbox")
"""The tables that name payments."""


@pytest.mark.parametrize("kept", NAMING)
def test_verify_payment_removed_is_missed_by_what_names_it(database: Database, kept: str) -> None:
    """A payment without a row is reported while anything in the ledger names it."""
    ledger = database.open()
    ids = [whole_life(ledger, f"order-{n}") for n in range(3)]
    payment = ledger.get(ids[1]).result()
    notification = notice(b"paid", ledger.now())
    observation = seen(payment.order_number, Status.PAID)
    ledger.record_notification("hk", notification, [observation], is_evidence=True).result()
    gone = [table for table in NAMING if table != kept]
    database.tamper(
        *(f"DELETE FROM {table} WHERE payment_id = '{ids[1]}'" for table in gone),
        f"DELETE FROM payments WHERE id = '{ids[1]}'",
    )
    (verdict,) = _wrong(ledger)
    assert verdict == verify_payment(ledger, ids[1])
    assert verdict.payment_id == ids[1]
    assert verdict.difference is not None
    assert verdict.difference.where == "payments"
    assert kept in verdict.difference.derived


def test_verify_one_payment_leaves_the_others_alone(database: Database) -> None:
    """One payment is checked by itself; an unknown one is not found."""
    ledger = database.open()
    ids = [whole_life(ledger, f"order-{n}") for n in range(2)]
    database.run(f"UPDATE payments SET paid_minor = 1 WHERE id = '{ids[0]}'")
    assert verify_payment(ledger, ids[0]).difference is not None
    assert verify_payment(ledger, ids[1]) == Verdict(payment_id=ids[1], events=5, difference=None)
    with pytest.raises(NotFound, match="nobody"):
        verify_payment(ledger, "nobody")


def test_verify_history_rewritten_with_fitting_hashes_contradicts_the_row(database: Database) -> None:
    """A forged last event with a valid hash still differs from the payment's head and row."""
    ledger = database.open()
    payment = paid_payment(ledger, "order-1")
    last = ledger.events(payment.id).result()[-1]
    body = json.dumps({"type": "observed"})
    forged = hashlib.sha256(last.prev_hash + body.encode()).hexdigest()
    quote = f"x'{forged}'" if database.is_sqlite else f"'\\x{forged}'::bytea"
    database.tamper(
        f"UPDATE events SET change = '{body}', hash = {quote} WHERE seq = {last.seq} AND payment_id = '{payment.id}'",
    )
    (verdict,) = _wrong(ledger)
    assert verdict.difference is not None
    assert verdict.difference.where == "event 3 hash"


def test_export_is_the_whole_ledger_and_its_hashes_hold(ledger: SqlLedger) -> None:
    """One JSON object a line: each payment, then its events; the lines suffice to check the chain."""
    ids = sorted(whole_life(ledger, f"order-{n}") for n in range(2))
    lines = list(export(ledger))
    records = [json.loads(line) for line in lines]
    assert [r["id"] for r in records if r["type"] == "payment"] == ids
    assert not any("\n" in line for line in lines)
    for payment_id in ids:
        head = GENESIS.hex()
        events = [r for r in records if r["type"] == "event" and r["payment_id"] == payment_id]
        assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
        for event in events:
            assert event["prev_hash"] == head
            head = event["hash"]
    assert records[0]["payment"]["order"]["amount"] == [8800, "HKD", 2]


def test_export_masks_credentials_of_notifications(database: Database) -> None:
    """Each notification with its bytes in base64; credentials kept by version 0.1.0 are masked."""
    ledger = database.open()
    body = b'{"status": "\xff"}'
    ledger.record_notification("hk", notice(body, ledger.now()), [], is_evidence=False).result()
    headers = {"x-toy-signature": "s", "authorization": "CANARY", "cookie": "CANARY"}
    database.run(f"UPDATE inbox SET headers = '{json.dumps(headers)}'")
    (line,) = export(ledger)
    record = json.loads(line)
    assert list(record)[:4] == ["type", "account", "digest", "received_at"]
    assert (record["type"], base64.b64decode(record["body"])) == ("notification", body)
    assert record["headers"]["x-toy-signature"] == "s"
    assert "CANARY" not in line


def test_export_of_what_is_no_json_keeps_one_object_a_line(database: Database) -> None:
    """An overwritten body is exported as text, and the rest is still exported."""
    ledger = database.open()
    ids = [whole_life(ledger, f"order-{n}") for n in range(2)]
    database.run(f"UPDATE payments SET body = '{{\n' WHERE id = '{ids[0]}'")
    records = [json.loads(line) for line in export(ledger)]
    assert [r["payment"] for r in records if r["type"] == "payment" and r["id"] == ids[0]] == ["{\n"]
    assert len(records) == 12
