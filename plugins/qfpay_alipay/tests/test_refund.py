"""The refund flow. Source: G5 "Refund API Guide", 91APP's notes (SOURCES.md §5.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from paycore.plugin import (
    Done,
    Money,
    NotNow,
    RefundObservation,
    RefundReply,
    RefundStatus,
    Rejected,
    Secret,
    Unknown,
)
from plugins.qfpay_alipay.tests.support import (
    BEGUN_AT,
    KEY,
    SYSSN,
    Gateway,
    Recorder,
    always,
    answer,
    attempt_at,
    fields_in,
    make_provider,
    make_ref,
    make_refund,
    run,
)
from qfpay_alipay.signing import sign_request

HONG_KONG = timezone(timedelta(hours=8))
REFUNDED = {
    "respcd": "0000",
    "resperr": "success",
    "syssn": "20260101000300020012345699",
    "orig_syssn": SYSSN,
    "out_trade_no": "01JGFJJZ00QFPAYREFUND00001",
    "txamt": "200",
    "txcurrcd": "HKD",
    "sysdtm": "2026-01-01 12:10:01",
    "paydtm": "2026-01-01 12:10:02",
}


def refund(gateway: Gateway, **fields: Any) -> RefundReply:
    """Run the refund flow against `gateway`."""
    return run(make_provider(udid="shop").refund(make_refund(**fields)), gateway)


def test_refund_request_names_both_and_has_no_currency() -> None:
    """The payment by syssn, the refund by its own number, txamt always, txdtm of the refund."""
    request = next(make_provider(mchid="M1").refund(make_refund()))
    assert (request.method, request.path) == ("POST", "/trade/v1/refund")
    sent = fields_in(request)
    assert sent == {
        "syssn": SYSSN,
        "out_trade_no": "01JGFJJZ00QFPAYREFUND00001",
        "txamt": "200",
        "txdtm": "2026-01-01 12:10:00",
        "mchid": "M1",
    }
    assert request.headers["X-QF-SIGN"] == sign_request(sent, key=Secret(KEY))


def test_refund_accepted_has_succeeded() -> None:
    """0000: the refund succeeded; it has its own syssn."""
    outcome = refund(always(REFUNDED))
    assert outcome == Done(
        RefundObservation(
            number="01JGFJJZ00QFPAYREFUND00001",
            status=RefundStatus.SUCCEEDED,
            provider_id="20260101000300020012345699",
            amount=Money("2.00", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 10, 2, tzinfo=UTC),
            words={"respcd": "0000", "resperr": "success"},
        )
    )


@pytest.mark.parametrize("respcd", ["1143", "1145", "2999"])
def test_refund_in_progress_is_pending(respcd: str) -> None:
    """The record appears later as 0000."""
    outcome = refund(always({**REFUNDED, "respcd": respcd, "paydtm": ""}))
    assert isinstance(outcome, Done)
    assert outcome.value.status is RefundStatus.PENDING
    assert outcome.value.occurred_at == datetime(2026, 1, 1, 4, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reply", "who_acts"),
    [
        ({"respcd": "1270"}, "caller"),
        ({"respcd": "1271"}, "caller"),
        ({"respcd": "1272"}, "caller"),
        ({"respcd": "1264", "respmsg": "wrong cancel"}, "caller"),
        ({"respcd": "1124"}, "caller"),
        ({"respcd": "1125"}, "caller"),
        ({"respcd": "1268"}, "caller"),
        ({"respcd": "1155"}, "caller"),
        ({"respcd": "1250"}, "caller"),
        ({"respcd": "1251", "respmsg": "store misconfigured"}, "operator"),
        ({"respcd": "1265", "resperr": "over the refundable time limit"}, "caller"),
        ({"respcd": "1108"}, "operator"),
    ],
)
def test_refund_refused_moved_nothing(reply: dict[str, str], *, who_acts: str) -> None:
    """A refused refund has no syssn, and says who must act."""
    outcome = refund(always({**reply, "orig_syssn": SYSSN, "out_trade_no": "01JGFJJZ00QFPAYREFUND00001"}))
    assert isinstance(outcome, Rejected)
    assert not outcome.is_duplicate
    assert outcome.failure.who_acts == who_acts


def sent_at(hour: int, minute: int, second: int = 0, *, day: int = 1) -> datetime:
    """A time of day in Hong Kong, which QFPay's rules for refunds are about."""
    return datetime(2026, 1, day, hour, minute, second, tzinfo=HONG_KONG)


@pytest.mark.parametrize(
    ("respcd", "at", "retry_after_s"),
    [
        # "Please retry after 11 AM": at 11:00, and hourly later in the day, as the takings grow.
        ("1269", sent_at(0, 0), 11 * 3600),
        ("1269", sent_at(10, 59, 30), 30),
        ("1269", sent_at(11, 0), 3600),
        ("1269", sent_at(23, 59, 59), 3600),
        # Barred 23:30 to 00:30; in promotions at other times.
        ("1265", sent_at(23, 29, 59), 3600),
        ("1265", sent_at(23, 30), 3600),
        ("1265", sent_at(23, 45), 2700),
        ("1265", sent_at(23, 45) + timedelta(milliseconds=250), 2699.75),
        ("1265", sent_at(0, 0), 1800),
        ("1265", sent_at(0, 29, 59), 1),
        ("1265", sent_at(0, 30), 3600),
        ("1120", sent_at(12, 0), 600),
    ],
)
def test_refund_refused_for_a_time_is_asked_for_again_when_it_has_passed(
    respcd: str, at: datetime, retry_after_s: float
) -> None:
    """Nothing moved, and the same request is sent again, not before the hours that QFPay names are over."""
    outcome = refund(always({"respcd": respcd, "resperr": "said"}), begun_at=at, attempt=attempt_at(at))
    assert isinstance(outcome, NotNow)
    assert outcome.retry_after_s == retry_after_s
    assert not outcome.is_session_refused
    assert outcome.problem.startswith(f"respcd {respcd}: said. ")


@pytest.mark.parametrize("respcd", ["1120", "1265", "1269"])
@pytest.mark.parametrize(("later_s", "is_final"), [(0, False), (1, True)])
def test_refund_refused_for_three_days_has_failed(respcd: str, later_s: int, *, is_final: bool) -> None:
    """It is not put off for ever: the last refusal is final, and the caller decides anew."""
    begun_at = sent_at(12, 0)
    attempt = attempt_at(begun_at + timedelta(days=3, seconds=later_s))
    outcome = refund(always({"respcd": respcd}), begun_at=begun_at, attempt=attempt)
    assert isinstance(outcome, Rejected if is_final else NotNow)
    if isinstance(outcome, Rejected):
        assert (outcome.failure.code, outcome.failure.who_acts) == (respcd, "caller")


def test_refund_barred_for_a_payment_older_than_the_window_is_final() -> None:
    """1265 for a payment of more than 365 days: its time has passed, whatever the hour."""
    order = make_ref(provider_id=SYSSN, begun_at=BEGUN_AT - timedelta(days=366))
    assert isinstance(refund(always({"respcd": "1265"}), order=order, begun_at=BEGUN_AT), Rejected)


def test_refund_number_in_use_is_a_duplicate() -> None:
    """Seen live as 1251, even while the earlier one is 1143: an earlier send may have arrived."""
    outcome = refund(always({"respcd": "1251", "respmsg": "out_trade_no is used"}))
    assert isinstance(outcome, Rejected)
    assert outcome.is_duplicate


@pytest.mark.parametrize(("days", "is_known"), [(365, False), (366, True)])
def test_refund_bank_busy_is_the_window_for_an_old_payment(days: int, *, is_known: bool) -> None:
    """1297 for an old payment means that its refund window is over; earlier the bank may be busy."""
    order = make_ref(provider_id=SYSSN, begun_at=BEGUN_AT - timedelta(days=days))
    outcome = refund(always({"respcd": "1297"}), order=order, begun_at=BEGUN_AT)
    assert isinstance(outcome, Rejected if is_known else Unknown)


@pytest.mark.parametrize(
    "reply",
    [
        {**REFUNDED, "out_trade_no": "ANOTHER"},
        {**REFUNDED, "orig_syssn": "ANOTHER"},
        {**REFUNDED, "txamt": "-200"},
        {"respcd": "1295"},
        {"respcd": "7777"},
        [],
    ],
)
def test_refund_unusable_answer_is_unknown(reply: object) -> None:
    """Another order's, unreadable, transient or unlisted: query the same number."""
    assert isinstance(refund(always(reply)), Unknown)


@pytest.mark.parametrize("field", ["out_trade_no", "orig_syssn"])
def test_refund_reply_about_another_order_names_the_field(field: str) -> None:
    """A reply may leave a field out; another value is another order's."""
    outcome = refund(always({**REFUNDED, field: "ANOTHER"}))
    assert outcome == Unknown(problem=f"the reply's {field} is not that of the request")
    assert isinstance(refund(always({**REFUNDED, field: None})), Done)


def test_refund_reply_signed_wrong_is_kept_and_proves_nothing() -> None:
    """Neither succeeded nor refused: what it says is evidence only."""
    outcome = refund(always(REFUNDED, headers={"x-qf-sign": "0" * 32}))
    assert outcome == Unknown(
        problem="the reply's signature is wrong",
        observation=RefundObservation(
            number="01JGFJJZ00QFPAYREFUND00001",
            status=RefundStatus.PENDING,
            provider_id="20260101000300020012345699",
            amount=Money("2.00", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 10, 2, tzinfo=UTC),
            words={"respcd": "0000", "resperr": "success"},
            is_signed_wrong=True,
        ),
    )


def test_refund_without_status_200_is_unknown() -> None:
    """No undocumented HTTP status proves that no money moved."""
    assert refund(lambda request: answer(REFUNDED, status=502)) == Unknown(problem="HTTP status 502")


def test_refund_with_too_many_requests_is_not_now() -> None:
    """429 is documented: over the limit nothing is done, and the same request is sent later."""
    outcome = refund(lambda request: answer(b"Too Many Requests", status=429))
    assert outcome == NotNow(problem="HTTP status 429, too many requests", retry_after_s=5.0)


def test_refund_without_the_payments_syssn_sends_nothing() -> None:
    """QFPay refunds by its own id only."""
    gateway = Recorder([])
    outcome = refund(gateway, order=make_ref())
    assert isinstance(outcome, Rejected)
    assert (outcome.failure.code, outcome.failure.who_acts) == ("no_syssn", "caller")
    assert gateway.requests == []
