"""The query flow: what a record says, and what is absent. Source: reference section 4."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from paycore.plugin import (
    Done,
    Found,
    Money,
    Observation,
    PaymentObservation,
    RefundObservation,
    RefundStatus,
    Rejected,
    Response,
    Secret,
    Status,
    Unknown,
)
from plugins.qfpay_alipay.tests.bank import EMPTY, found, page, query, record, refs
from plugins.qfpay_alipay.tests.support import (
    KEY,
    NUMBER,
    SYSSN,
    Recorder,
    always,
    answer,
    make_provider,
    make_ref,
    run,
)
from qfpay_alipay.signing import sign_body


def seen(*records: object, **ref: Any) -> tuple[Observation, ...]:
    """The observations of one order with these records; it is never absent then."""
    value = found(query(always(page(*records)), make_ref(**ref)))
    assert value.absent == frozenset()
    return value.observations


# --- what a record says --------------------------------------------------------------------------------


def test_query_paid_record_is_paid_with_its_time() -> None:
    """payment + 0000: paid, at paydtm, UTC+8."""
    assert seen(record()) == (
        PaymentObservation(
            number=NUMBER,
            status=Status.PAID,
            provider_id=SYSSN,
            amount=Money("10.99", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
            words={"respcd": "0000", "errmsg": "success", "cancel": "0", "pay_type": "801514"},
        ),
    )


@pytest.mark.parametrize("respcd", ["1143", "1145"])
def test_query_unpaid_record_is_pending(respcd: str) -> None:
    """Unpaid: 1143 or 1145, with an empty paydtm; its time is that of creation."""
    (observation,) = seen(record(respcd=respcd, paydtm=""))
    assert observation.status is Status.PENDING
    assert observation.occurred_at == datetime(2026, 1, 1, 4, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("respcd", ["1142", "1181"])
def test_query_ended_record_is_closed(respcd: str) -> None:
    """Closed or expired: final, and at a time nobody tells."""
    (observation,) = seen(record(respcd=respcd, cancel="2", errmsg="closed"))
    assert observation.status is Status.CLOSED
    assert observation.occurred_at is None
    assert observation.failure is not None
    assert (observation.failure.code, observation.failure.message) == (respcd, "closed")


def test_query_failed_record_is_failed_with_its_reason() -> None:
    """Anything else definite: failed."""
    (observation,) = seen(record(respcd="1201", errmsg="balance too low"))
    assert observation.status is Status.FAILED
    assert observation.failure is not None
    assert observation.failure.who_acts == "payer"


@pytest.mark.parametrize(
    ("cancel", "refunded_minor"),
    [
        ("0", None),
        (0, None),
        ("1", 1099),
        ("2", 1099),
        ("3", 1099),
        (3, 1099),
        ("4", None),
        ("5", None),
        (None, None),
    ],
)
def test_query_cancel_of_a_paid_record_is_what_went_back(cancel: object, refunded_minor: int | None) -> None:
    """A refunded payment keeps 0000: look at cancel. 5 is partly refunded, by an amount not told."""
    (observation,) = seen(record(cancel=cancel))
    assert isinstance(observation, PaymentObservation)
    assert observation.status is Status.PAID
    assert observation.refunded_minor == refunded_minor


def test_query_old_record_decodes() -> None:
    """Numbers for amounts, an empty currency, a 24-digit syssn, no order_type, null fields."""
    old = record(syssn="2" * 24, txamt=1099, txcurrcd="", order_type=None, errmsg=None, cancel=3)
    (observation,) = seen(old)
    assert isinstance(observation, PaymentObservation)
    assert (observation.status, observation.provider_id) == (Status.PAID, "2" * 24)
    assert (observation.amount, observation.refunded_minor) == (None, 1099)


def test_query_official_sample_with_unquoted_zeros_is_malformed() -> None:
    """The printed samples have `"respcd": 0000`, which is no JSON."""
    outcome = query(always(b'{"respcd": 0000, "data": []}'))
    assert outcome == Unknown(problem="not a QueryReply in JSON")


def test_query_several_records_the_payment_counts() -> None:
    """Tabs and retries: any payment + 0000 decides."""
    (observation,) = seen(record(respcd="1201"), record(), record(respcd="1143", syssn="X"), record())
    assert observation.status is Status.PAID


def test_query_paid_twice_is_told_twice() -> None:
    """Several 0000 with different syssn: the payer paid twice."""
    observations = seen(record(), record(syssn="OTHER"))
    assert [observation.provider_id for observation in observations] == [SYSSN, "OTHER"]
    assert {observation.status for observation in observations} == {Status.PAID}


@pytest.mark.parametrize(
    ("respcds", "status"),
    [
        (["1201", "1143", "1142"], Status.PENDING),
        (["1201", "1142"], Status.CLOSED),
        (["1201", "1205"], Status.FAILED),
        (["9999", "1142"], Status.CLOSED),
    ],
)
def test_query_several_unpaid_records_the_open_one_counts(respcds: list[str], status: Status) -> None:
    """As long as one can still be paid, the order waits."""
    (observation,) = seen(*(record(respcd=respcd, syssn=respcd) for respcd in respcds))
    assert observation.status is status


def test_query_refund_is_told_by_its_own_number() -> None:
    """order_type refund, with origssn: a refund's state, never a payment's."""
    refunded = record(order_type="refund", origssn="ORIGINAL", txamt=200)
    assert seen(refunded, kind="refund") == (
        RefundObservation(
            number=NUMBER,
            status=RefundStatus.SUCCEEDED,
            provider_id=SYSSN,
            amount=Money("2.00", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
            words={"respcd": "0000", "errmsg": "success", "cancel": "0", "pay_type": "801514"},
        ),
    )
    assert seen(refunded) == ()
    assert seen(record(), kind="refund") == ()
    assert seen(record(order_type="close")) == ()


def test_query_failed_refund_has_its_reason() -> None:
    """A refused refund found by query."""
    (observation,) = seen(record(order_type="refund", respcd="1269"), kind="refund")
    assert observation.status is RefundStatus.FAILED
    assert observation.failure is not None
    assert observation.failure.retryable


@pytest.mark.parametrize("broken", [{"txamt": "10.99"}, {"txcurrcd": "XXX"}, {"syssn": ""}])
def test_query_record_that_can_not_be_read_says_nothing(broken: dict[str, Any]) -> None:
    """Neither found nor absent, even beside a good one: it might be the one that counts."""
    assert seen(record(**broken)) == ()
    assert seen(record(), record(**broken)) == ()


def test_query_words_note_a_signature_that_does_not_hold() -> None:
    """Accepted by default, and kept with the evidence."""
    (observation,) = found(query(always(page(record()), headers={"x-qf-sign": "0" * 32}))).observations
    assert observation.words["signature"] == "mismatch"
    reply = answer(page(record()))
    signed = Response(
        status=200, body=reply.body, headers={"x-qf-sign": sign_body(reply.body, key=Secret(KEY))}
    )
    (observation,) = found(query(lambda request: signed, require_signed_replies=True)).observations
    assert "signature" not in observation.words
    assert isinstance(query(always(page(record())), require_signed_replies=True), Unknown)


# --- absent or unanswered ------------------------------------------------------------------------------


def test_query_empty_data_is_absent() -> None:
    """An unknown order is 0000 with an empty list; that is "not found", not failed."""
    assert found(query(always(EMPTY))) == Found(absent=frozenset({NUMBER}))


def test_query_record_of_another_number_is_ignored() -> None:
    """Only what was asked for counts, whatever the filter did."""
    assert found(query(always(page(record(out_trade_no="ANOTHER"))))) == Found(absent=frozenset({NUMBER}))


def test_query_unreadable_record_leaves_absence_open() -> None:
    """It might be the one that was asked for."""
    assert found(query(always(page({"respcd": None})))) == Found()


def test_query_full_page_leaves_absence_open() -> None:
    """A hundred records of others: the one asked for may be on the next page."""
    assert found(query(always(page(*[record(out_trade_no="ANOTHER")] * 100)))) == Found()


@pytest.mark.parametrize(
    "reply",
    [
        answer({"respcd": "0000"}),
        answer({"respcd": "0000", "data": None}),
        answer({"respcd": "0000", "data": {}}),
        answer({"respcd": "1136"}),
        answer({"respcd": "1268"}),
        answer({"respcd": "1143"}),
        answer(EMPTY, status=429),
        answer(EMPTY, status=500),
        answer(b"<html>"),
    ],
)
def test_query_without_an_answer_is_unknown(reply: Response) -> None:
    """Nothing is absent because a query failed."""
    assert isinstance(query(lambda request: reply), Unknown)


def test_query_refused_account_is_rejected() -> None:
    """1108: a wrong key is the operator's, not the order's."""
    outcome = query(always({"respcd": "1108", "resperr": "signature error"}))
    assert isinstance(outcome, Rejected)
    assert outcome.failure.who_acts == "operator"


def test_query_that_breaks_off_tells_what_it_had() -> None:
    """Two requests by number; the second gets no answer."""
    orders = refs(8)
    gateway = Recorder([page(record(out_trade_no=orders[0].number)), answer(b"")])
    value = found(query(gateway, *orders))
    assert [observation.number for observation in value.observations] == [orders[0].number]
    assert value.absent == {order.number for order in orders[1:4]}


def test_query_of_nothing_asks_nothing() -> None:
    """No orders, no request."""
    assert run(make_provider().query([]), always(EMPTY)) == Done(Found())
