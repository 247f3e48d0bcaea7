"""Notifications: verified first, then read. Source: "Asynchronous Notifications" (SOURCES.md §2.3, 7)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore.plugin import (
    MalformedNotification,
    Mention,
    Money,
    NotAuthentic,
    Notice,
    Notification,
    PaymentObservation,
    RefundObservation,
    RefundStatus,
    Reply,
    Secret,
    Status,
)
from plugins.qfpay_alipay.tests.support import KEY, SYSSN, make_provider
from plugins.qfpay_alipay.tests.test_signing import V10
from qfpay_alipay.signing import sign_body

NOTICE = {
    "status": "1", "notify_type": "payment", "pay_type": "801514", "syssn": SYSSN, "out_trade_no": "A1",
    "txamt": "1099", "txcurrcd": "HKD", "txdtm": "2026-01-01 12:00:00", "sysdtm": "2026-01-01 12:00:01",
    "paydtm": "2026-01-01 12:00:20", "cancel": "0", "respcd": "0000",
}  # fmt: skip


def arrived(body: bytes, **headers: str) -> Notification:
    """A notification with these headers."""
    return Notification(body=body, headers=headers, received_at=datetime(2026, 1, 1, 4, 1, tzinfo=UTC))


def verify(body: object, *, settings: dict[str, Any] | None = None) -> list[Notice]:
    """Verify a notification that is signed with K."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = sign_body(content, key=Secret(KEY))
    return list(make_provider(**(settings or {})).verify(arrived(content, **{"x-qf-sign": signature})))


@pytest.mark.parametrize("sign_type", ["MD5", "SHA256"])
def test_verify_vector_10_is_a_payment(sign_type: str) -> None:
    """V10: MD5 over the raw body, even for an account whose requests use SHA256."""
    assert verify(V10, settings={"sign_type": sign_type}) == [
        PaymentObservation(
            number="ORD-20260101-0002",
            status=Status.PAID,
            provider_id="20260101000300020012345680",
            amount=Money("10.99", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
            words={"respcd": "0000", "cancel": "0", "pay_type": "800101"},
        )
    ]


@pytest.mark.parametrize("header", ["5BE5F26AF4231825063E13B2FB90C3D3", "5be5f26af4231825063e13b2fb90c3d3"])
def test_verify_signature_in_either_case_and_under_any_key_holds(header: str) -> None:
    """During a rotation every key verifies."""
    provider = make_provider(client_key=(Secret("new"), Secret(KEY)))
    assert provider.verify(arrived(V10, **{"x-qf-sign": header}))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (V10, {}),
        (V10, {"x-qf-sign": ""}),
        (V10, {"x-qf-sign": "0" * 32}),
        (V10, {"x-qf-sign": " 5BE5F26AF4231825063E13B2FB90C3D3"}),
        (V10 + b"\n", {"x-qf-sign": "5BE5F26AF4231825063E13B2FB90C3D3"}),
        (V10.replace(b"1099", b"9999"), {"x-qf-sign": "5BE5F26AF4231825063E13B2FB90C3D3"}),
        (V10, {"x-qf-sign": sign_body(V10, key=Secret("another"))}),
        (V10, {"x-qf-sign": sign_body(V10, key=Secret(KEY), sign_type="SHA256"), "x-qf-signtype": "SHA256"}),
        (b"not json", {"x-qf-sign": "0" * 32}),
    ],
)
def test_verify_without_a_valid_signature_is_not_authentic(body: bytes, headers: dict[str, str]) -> None:
    """Missing, wrong, of another key, over other bytes, by another hash: nothing is read."""
    with pytest.raises(NotAuthentic) as refused:
        make_provider().verify(arrived(body, **headers))
    assert KEY not in str(refused.value)


def test_verify_refund_is_a_refund_by_its_own_number() -> None:
    """A refund's notice has the refund's own syssn and out_trade_no (G5-zh-live)."""
    assert verify({**NOTICE, "notify_type": "refund", "txamt": "200"}) == [
        RefundObservation(
            number="A1",
            status=RefundStatus.SUCCEEDED,
            provider_id=SYSSN,
            amount=Money("2.00", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
            words={"respcd": "0000", "cancel": "0", "pay_type": "801514"},
        )
    ]


@pytest.mark.parametrize(
    "body",
    [
        {**NOTICE, "notify_type": "close"},
        {**NOTICE, "notify_type": "unfreeze"},
        {"notify_type": "subscription_payment", "state": "FAILED"},
        {"notify_type": "payment_token"},
        {**NOTICE, "notify_type": None},
        {name: value for name, value in NOTICE.items() if name != "notify_type"},
        {**NOTICE, "notify_type": "PAYMENT"},
        {**NOTICE, "status": "0"},
        {**NOTICE, "respcd": "9999"},
        {**NOTICE, "respcd": "9999", "notify_type": "refund"},
        {},
    ],
)
def test_verify_other_kind_is_at_most_a_mention(body: dict[str, Any]) -> None:
    """Unknown kinds are acknowledged and kept; only their number is read."""
    assert verify(body) == ([Mention(number="A1")] if "out_trade_no" in body else [])


@pytest.mark.parametrize("number", [[], {}, 1.5, True, None, ""])
def test_verify_other_kind_with_no_number_says_nothing(number: object) -> None:
    """The field of an unknown kind need not be an order's number."""
    assert verify({"notify_type": "unfreeze", "out_trade_no": number}) == []


@pytest.mark.parametrize("status", ["1", 1, "", None])
def test_verify_status_one_or_left_out_is_a_success(status: object) -> None:
    """Documented as always "1"."""
    assert len(verify({**NOTICE, "status": status})) == 1


def test_verify_unsuccessful_code_is_never_paid() -> None:
    """Notices are sent for successes only; another code is read as what it means."""
    (observation,) = verify({**NOTICE, "respcd": "1143"})
    assert isinstance(observation, PaymentObservation)
    assert observation.status is Status.PENDING


@pytest.mark.parametrize(
    ("told", "own", "is_ours"),
    [("M1", "M1", True), ("M2", "M1", False), ("", "M1", True), (None, "M1", True), ("M2", None, True)],
)
def test_verify_for_another_merchant_is_only_a_mention(
    told: str | None, own: str | None, *, is_ours: bool
) -> None:
    """Agents have one key and one URL: a notice for another merchant may be of another account's order."""
    (item,) = verify({**NOTICE, "mchid": told}, settings={"mchid": own})
    assert isinstance(item, PaymentObservation if is_ours else Mention)
    assert item.number == "A1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'{"notify_type": "payment"}',
        {**NOTICE, "out_trade_no": ""},
        {**NOTICE, "syssn": ""},
        {**NOTICE, "notify_type": {}},
    ],
)
def test_verify_authentic_but_unreadable_is_malformed(body: object) -> None:
    """Signed, but not as QFPay documents."""
    with pytest.raises(MalformedNotification):
        verify(body)


@pytest.mark.parametrize("respcd", ["1142", "1181", "1201"])
@pytest.mark.parametrize("kind", ["payment", "refund"])
def test_verify_unpaid_is_for_a_query_to_say(respcd: str, kind: str) -> None:
    """A notification may not know of an order's other records, so an unpaid one only causes a query."""
    told = verify({**NOTICE, "respcd": respcd, "notify_type": kind})
    assert list(told) == [Mention(number=NOTICE["out_trade_no"])]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"txcurrcd": ""}, "1099 minor units without a currency"),
        ({"txamt": None}, "HKD without an amount"),
        ({"txamt": 8800.0}, "HKD without an amount, an amount that can't be read: txamt 8800.0"),
    ],
)
def test_verify_tells_what_is_told_of_the_amount(fields: dict[str, Any], told: str) -> None:
    """A single part, and an unreadable amount."""
    (seen,) = verify({**NOTICE, **fields})
    assert isinstance(seen, PaymentObservation)
    assert str(seen.partial_amount) == told


@given(st.binary(max_size=200))
def test_verify_any_signed_bytes_raise_nothing_else(body: bytes) -> None:
    """Any bytes signed with our own key."""
    try:
        verify(body)
    except (MalformedNotification, NotAuthentic):
        return


def test_acknowledge_is_exactly_success() -> None:
    """HTTP 200 with body SUCCESS; after anything else QFPay sends it again."""
    assert make_provider().acknowledge() == Reply(status=200, content_type="text/plain", body=b"SUCCESS")
