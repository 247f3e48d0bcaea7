"""PayPal's own list, for reconciling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from paycore import Money
from paycore.domain.payment import RefundStatus, Status
from paycore.plugin import Done, Page, PaymentObservation, RefundObservation, Unknown
from paycore.sandbox.server import SandboxServer
from plugins.paypal_orders.tests.support import CAPTURE_ID, Script, make_attempt, make_provider, run
from plugins.paypal_orders.tests.test_life import ORDER

SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def row(**changes: Any) -> dict[str, Any]:
    told = {
        "transaction_id": CAPTURE_ID,
        "transaction_event_code": "T0006",
        "transaction_status": "S",
        "transaction_initiation_date": "2026-03-02T10:15:27+0000",
        "transaction_amount": {"currency_code": "EUR", "value": "12.34"},
        "custom_field": "pay_0001.order.1",
    }
    return {"transaction_info": told | changes}


def report(*rows: dict[str, Any], pages: int = 1) -> dict[str, Any]:
    return {"transaction_details": list(rows), "total_pages": pages}


def listed(script: Script, *, days: int = 1, cursor: str | None = None) -> Page:
    outcome = run(make_provider().list(SINCE, SINCE + timedelta(days=days), cursor, make_attempt()), script)
    assert isinstance(outcome, Done)
    return outcome.value


def asked(script: Script) -> dict[str, str]:
    query = parse_qs(script.requests[-1].path.partition("?")[2])
    return {name: value for name, (value,) in query.items()}


def test_a_capture_has_our_number_and_the_reference() -> None:
    """As far as `custom_id` carried them."""
    (item,) = listed(Script(report(row()))).items
    assert isinstance(item.observation, PaymentObservation)
    seen = item.observation
    assert (seen.number, item.reference, seen.status) == ("pay_0001", "order.1", Status.PAID)
    assert (seen.amount, seen.ids) == (Money("12.34", "EUR"), {"capture": CAPTURE_ID})


@pytest.mark.parametrize(
    ("letter", "status"), [("S", "paid"), ("V", "paid"), ("P", "pending"), ("D", "failed"), ("X", "pending")]
)
def test_a_capture_is_as_its_letter_says(letter: str, status: str) -> None:
    """One that is not documented says nothing."""
    (item,) = listed(Script(report(row(transaction_status=letter)))).items
    assert item.observation.status == status


@pytest.mark.parametrize(
    ("letter", "status"),
    [("S", RefundStatus.SUCCEEDED), ("P", RefundStatus.PENDING), ("D", RefundStatus.FAILED)],
)
def test_a_refund_has_a_positive_amount(letter: str, status: RefundStatus) -> None:
    """PayPal tells what went out as a negative number."""
    given = {"currency_code": "EUR", "value": "-2.34"}
    told = row(transaction_event_code="T1107", transaction_status=letter, transaction_amount=given)
    (item,) = listed(Script(report(told))).items
    assert isinstance(item.observation, RefundObservation)
    assert (item.observation.status, item.observation.amount) == (status, Money("2.34", "EUR"))


def test_what_is_neither_is_left_out() -> None:
    """Currency conversions, withdrawals, fees."""
    rows = [row(transaction_event_code=code) for code in ("T0200", "T0400", "T1503")]
    rows += [row(transaction_event_code=code) for code in ("T1300", "T1301", "T1302")]
    assert listed(Script(report(*rows))).items == ()


def test_money_that_went_the_other_way_is_left_out() -> None:
    """What the merchant paid to others, and a refund that came to them."""
    paid_out = row(transaction_amount={"currency_code": "EUR", "value": "-12.34"})
    assert listed(Script(report(paid_out, row(transaction_event_code="T1107")))).items == ()


def test_pages_follow_each_other() -> None:
    """By number within a range of 31 days, then the next range."""
    script = Script(report(row(), pages=2))
    first = listed(script, days=40)
    assert asked(script) | {"fields": ""} == {
        "start_date": "2026-03-01T00:00:00Z",
        "end_date": "2026-03-31T23:59:59Z",
        "fields": "",
        "page_size": "500",
        "page": "1",
    }
    second = listed(script, days=40, cursor=first.cursor)
    assert asked(script)["page"] == "2"
    third = listed(Script(report(pages=0)), days=40, cursor=second.cursor)
    assert second.cursor == "2026-04-01T00:00:00+00:00|1"
    assert third.cursor is None


def test_a_report_that_is_none_is_unknown() -> None:
    """An empty document is no empty list."""
    outcome = run(make_provider().list(SINCE, SINCE + timedelta(days=1), None, make_attempt()), Script({}))
    assert isinstance(outcome, Unknown)


def test_what_was_paid_and_refunded_is_listed(sandbox: SandboxServer, shop: Any) -> None:
    """Through a client, against the sandbox."""
    payment = shop.create(**ORDER)
    sandbox.gateway.controls.pay(payment.order_number)
    payment = shop.query(payment.id)
    shop.refund(payment.id, reference="back-1", amount=Money("2.34", "EUR"))
    now = datetime.now(UTC)
    items = list(shop.provider_list(since=now - timedelta(hours=1), until=now + timedelta(hours=1)))
    told = {item.observation.number: (item.observation.status, item.reference) for item in items}
    assert told[payment.order_number] == (Status.PAID, "order-1")
    assert (RefundStatus.SUCCEEDED, "back-1") in told.values()
    assert [item.payment_id for item in items if item.reference == "back-1"] == [payment.ids["capture"]]
    assert len(items) == 2
