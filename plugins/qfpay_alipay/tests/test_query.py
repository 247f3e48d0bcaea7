"""The query flow: the meaning of a record, and of its absence. Source: SOURCES.md §4."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paycore.plugin import (
    Done,
    Found,
    Money,
    NotNow,
    Observation,
    PartialAmount,
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
    BEGUN_AT,
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
    """Closed or expired: final, without a known time."""
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
    """A refunded payment keeps 0000; `cancel` tells. 5 is partly refunded, by an unknown amount."""
    (observation,) = seen(record(cancel=cancel))
    assert isinstance(observation, PaymentObservation)
    assert observation.status is Status.PAID
    assert observation.refunded_minor == refunded_minor


def test_query_old_record_decodes() -> None:
    """Amounts as numbers, an empty currency, a 24-digit syssn, no order_type, null fields."""
    old = record(syssn="2" * 24, txamt=1099, txcurrcd="", order_type=None, errmsg=None, cancel=3)
    (observation,) = seen(old)
    assert isinstance(observation, PaymentObservation)
    assert (observation.status, observation.provider_id) == (Status.PAID, "2" * 24)
    assert (observation.amount, observation.partial_amount) == (None, PartialAmount(minor=1099))
    assert observation.refunded_minor == 1099


def test_query_record_without_any_amount_went_back_as_it_was_asked_for() -> None:
    """A full refund without an amount is the order's amount."""
    (observation,) = seen(record(txamt=None, txcurrcd="", cancel="3"))
    assert isinstance(observation, PaymentObservation)
    assert (observation.amount, observation.partial_amount, observation.refunded_minor) == (None, None, 1099)


def test_query_official_sample_with_unquoted_zeros_is_malformed() -> None:
    """The printed samples have `"respcd": 0000`, which is invalid JSON."""
    outcome = query(always(b'{"respcd": 0000, "data": []}'))
    assert outcome == Unknown(problem="not a QueryReply in JSON")


def test_query_several_records_the_payment_counts() -> None:
    """After retries any payment record with 0000 decides."""
    told = seen(record(respcd="1201"), record(), record(respcd="1143", syssn="X"), record())
    assert [observation.status for observation in told] == [Status.PAID, Status.PENDING]


def test_query_paid_twice_is_reported_twice() -> None:
    """Several 0000 with different syssn: the payer paid twice."""
    observations = seen(record(), record(syssn="OTHER"))
    assert [observation.provider_id for observation in observations] == [SYSSN, "OTHER"]
    assert {observation.status for observation in observations} == {Status.PAID}


@pytest.mark.parametrize(
    ("respcds", "statuses"),
    [
        (["1201", "1143", "1142"], [Status.PENDING]),
        (["1201", "1142"], [Status.FAILED, Status.CLOSED]),
        (["1201", "1205"], [Status.FAILED, Status.FAILED]),
        (["9999", "1142"], []),
        (["1205", "9999"], []),
        (["9999", "1142", "1143"], [Status.PENDING]),
    ],
)
def test_query_several_unpaid_records_the_open_one_counts(respcds: list[str], statuses: list[Status]) -> None:
    """While one record is open or unknown the order is pending."""
    told = seen(*(record(respcd=respcd, syssn=respcd) for respcd in respcds))
    assert [observation.status for observation in told] == statuses


def test_query_refund_is_told_by_its_own_number() -> None:
    """order_type refund with origssn is a refund's state, never a payment's."""
    refunded = record(order_type="refund", origssn="ORIGINAL", txamt=200)
    assert seen(refunded, kind="refund") == (
        RefundObservation(
            number=NUMBER,
            status=RefundStatus.SUCCEEDED,
            provider_id=SYSSN,
            amount=Money("2.00", "HKD"),
            occurred_at=datetime(2026, 1, 1, 4, 0, 20, tzinfo=UTC),
            words={
                "respcd": "0000",
                "errmsg": "success",
                "cancel": "0",
                "pay_type": "801514",
                "origssn": "ORIGINAL",
            },
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


UNREADABLE = [{"syssn": ""}, {"syssn": False}, {"cancel": False}, {"respcd": None}, {"order_type": "shop"}]


@pytest.mark.parametrize("broken", UNREADABLE)
@pytest.mark.parametrize("respcd", ["1205", "1142", "1181"])
def test_query_record_that_can_not_be_read_leaves_the_number_open(
    broken: dict[str, Any], respcd: str
) -> None:
    """Beside it the number is neither failed nor closed nor absent."""
    for records in ([record(**broken)], [record(respcd=respcd), record(**broken)]):
        told = found(query(always(page(*records))))
        assert told == Found(undecided=frozenset({NUMBER}))


def test_query_paid_record_counts_beside_one_that_can_not_be_read() -> None:
    """A paid record always counts."""
    assert [one.status for one in seen(record(), record(cancel=False))] == [Status.PAID]


@pytest.mark.parametrize(
    "fields", [{"txamt": 8800.0}, {"txamt": "abc"}, {"txcurrcd": "XXX"}, {"txcurrcd": 1}]
)
def test_query_amount_that_can_not_be_read_is_told(fields: dict[str, Any]) -> None:
    """It is part of the observation; the core decides that it pays nothing."""
    told = seen(record(respcd="1205", syssn="X"), record(**fields))
    assert [one.status for one in told] == [Status.PAID]
    assert isinstance(told[0], PaymentObservation)
    assert told[0].partial_amount is not None
    assert told[0].partial_amount.unreadable


def test_query_record_without_a_number_leaves_every_number_open() -> None:
    """It could be any number's, so nothing is final."""
    numberless = record(out_trade_no=None)
    assert found(query(always(page(record(respcd="1205"), numberless)))).observations == ()
    assert found(query(always(page(numberless)))) == Found()
    unreadable = record(out_trade_no={}, txamt=[])
    assert found(query(always(page(record(respcd="1142"), unreadable)))).observations == ()


def test_query_full_page_leaves_an_unpaid_number_open() -> None:
    """With a hundred records the deciding one may be on the next page."""
    others = [record(out_trade_no="ANOTHER")] * 99
    assert found(query(always(page(record(respcd="1205"), *others)))).observations == ()


def test_query_unpaid_order_is_looked_for_in_the_months_it_may_have_been_tried_in() -> None:
    """A later record may be paid; after a year there is none, and unpaid is final."""
    old = make_ref(begun_at=BEGUN_AT - timedelta(days=500))
    gateway = Recorder([page(record(respcd="1205")), page(record(respcd="1142"))] + [page()] * 8)
    told = found(query(gateway, old)).observations
    assert [one.status for one in told] == [Status.FAILED, Status.CLOSED]
    assert len(gateway.forms) <= 3
    paid_later = Recorder([page(record(respcd="1205")), page(record())])
    assert [one.status for one in found(query(paid_later, old)).observations] == [Status.PAID]


def test_query_failed_refund_beside_another_record_is_not_failed() -> None:
    """A failed refund releases its amount, so it must be certain."""
    failed, other = record(order_type="refund", respcd="1269"), record(order_type="refund", syssn="X")
    assert [one.status for one in seen(failed, other, kind="refund")] == [RefundStatus.SUCCEEDED]
    assert seen(failed, record(order_type="refund", respcd="9999"), kind="refund") == ()


def test_query_signed_wrong_is_told_and_proves_nothing() -> None:
    """Neither paid nor absent; without records there is no answer."""
    wrong = {"x-qf-sign": "0" * 32}
    (observation,) = found(query(always(page(record()), headers=wrong))).observations
    assert observation.is_signed_wrong
    assert query(always(EMPTY, headers=wrong)) == Unknown(problem="the reply's signature is wrong")
    assert isinstance(query(always({"respcd": "1104"}, headers=wrong)), Unknown)
    reply = answer(page(record()))
    signed = Response(
        status=200, body=reply.body, headers={"x-qf-sign": sign_body(reply.body, key=Secret(KEY))}
    )
    (observation,) = found(query(lambda request: signed, require_signed_replies=True)).observations
    assert not observation.is_signed_wrong
    assert isinstance(query(always(page(record())), require_signed_replies=True), Unknown)


# --- absent or unanswered ------------------------------------------------------------------------------


def test_query_empty_data_is_absent() -> None:
    """An unknown order is 0000 with an empty list: "not found", not failed."""
    assert found(query(always(EMPTY))) == Found(absent=frozenset({NUMBER}))


def test_query_record_of_another_number_is_ignored() -> None:
    """Only queried numbers count, whatever QFPay's filter returned."""
    assert found(query(always(page(record(out_trade_no="ANOTHER"))))) == Found(absent=frozenset({NUMBER}))


def test_query_unreadable_record_leaves_absence_open() -> None:
    """It might be the queried one."""
    assert found(query(always(page({"respcd": None})))) == Found()


def test_query_full_page_leaves_absence_open() -> None:
    """With a hundred records of others the queried one may be on the next page."""
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
        answer(EMPTY, status=500),
        answer(b"<html>"),
    ],
)
def test_query_without_an_answer_is_unknown(reply: Response) -> None:
    """A failed query makes nothing absent."""
    assert isinstance(query(lambda request: reply), Unknown)


def test_query_with_too_many_requests_is_not_now() -> None:
    """429: the query is for later, and says nothing of any order."""
    assert isinstance(query(always(EMPTY, status=429)), NotNow)


def test_query_is_safe() -> None:
    """A lost query has moved nothing."""
    gateway = Recorder([EMPTY])
    query(gateway)
    assert [(request.method, request.is_safe) for request in gateway.requests] == [("POST", True)]


def test_query_refused_account_is_rejected() -> None:
    """1108: a wrong key is an account error, not the order's."""
    outcome = query(always({"respcd": "1108", "resperr": "signature error"}))
    assert isinstance(outcome, Rejected)
    assert outcome.failure.who_acts == "operator"


def test_query_that_breaks_off_keeps_its_results() -> None:
    """Of two requests by number the second gets no answer: the first's results are kept."""
    orders = refs(8)
    gateway = Recorder([page(record(out_trade_no=orders[0].number)), answer(b"")])
    value = found(query(gateway, *orders))
    assert [observation.number for observation in value.observations] == [orders[0].number]
    assert value.absent == {order.number for order in orders[1:4]}


def test_query_of_nothing_asks_nothing() -> None:
    """No orders, no request."""
    assert run(make_provider().query([]), always(EMPTY)) == Done(Found())
