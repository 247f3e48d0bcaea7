"""The close flow: cancel, then query the order. Source: SOURCES.md §5.2."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from paycore.plugin import (
    CloseReply,
    Done,
    Money,
    NotNow,
    PartialAmount,
    PaymentObservation,
    Rejected,
    Status,
    Unknown,
)
from plugins.qfpay_alipay.tests.support import (
    BEGUN_AT,
    NUMBER,
    SYSSN,
    Recorder,
    answer,
    make_provider,
    make_ref,
    run,
)


def found(respcd: str, **fields: str) -> dict[str, Any]:
    """A query's reply with one record of the order."""
    record = {"respcd": respcd, "out_trade_no": NUMBER, "syssn": SYSSN, "order_type": "payment", **fields}
    return {"respcd": "0000", "data": [record]}


def close(*replies: object, **fields: Any) -> tuple[CloseReply, Recorder]:
    """Run the close flow against prepared replies."""
    gateway = Recorder(replies)
    return run(make_provider(udid="shop").close(make_ref(**fields)), gateway), gateway


def test_close_request_names_the_order_with_its_own_amount_and_time() -> None:
    """By syssn where known, else by number; txamt required, txdtm of the original."""
    _, gateway = close({"respcd": "1104"})
    assert gateway.requests[0].path == "/trade/v1/close"
    expected = {"txamt": "1099", "txdtm": "2026-01-01 12:00:00", "udid": "shop"}
    assert gateway.forms[0] == {"out_trade_no": NUMBER, **expected}
    _, gateway = close({"respcd": "1104"}, provider_id=SYSSN)
    assert gateway.forms[0] == {"syssn": SYSSN, **expected}


@pytest.mark.parametrize("respcd", ["0000", "1143", "1145", "1142", "1263", "1260", "1297", "9999"])
@pytest.mark.parametrize(
    ("record", "status"),
    [
        (found("1142", cancel="2"), Status.CLOSED),
        (found("1181"), Status.CLOSED),
        (found("0000"), Status.PAID),
        (found("1201"), Status.FAILED),
    ],
)
def test_close_tells_what_the_order_is_now(respcd: str, record: dict[str, Any], status: Status) -> None:
    """The query decides, whatever the cancel answered: closed, or paid in between."""
    outcome, gateway = close({"respcd": respcd}, record)
    assert isinstance(outcome, Done)
    assert outcome.value.status is status
    assert [request.path for request in gateway.requests] == ["/trade/v1/close", "/trade/v1/query"]


@pytest.mark.parametrize("respcd", ["0000", "1143", "1145"])
def test_close_accepted_and_not_done_yet_is_pending(respcd: str) -> None:
    """While the record waits the order is not closed."""
    outcome, _ = close({"respcd": respcd}, found("1143"))
    assert isinstance(outcome, Done)
    assert outcome.value.status is Status.PENDING


@pytest.mark.parametrize("respcd", ["1261", "1297", "1101", "9999"])
def test_close_refused_and_still_waiting_is_rejected(respcd: str) -> None:
    """With the reason of the cancel (1297: closing unsupported, in G2)."""
    outcome, _ = close({"respcd": respcd, "resperr": "said"}, found("1143"))
    assert isinstance(outcome, Rejected)
    assert (outcome.failure.code, outcome.failure.message) == (respcd, "said")


@pytest.mark.parametrize("respcd", ["1108", "1150", "1294", "1104"])
def test_close_refused_outright_needs_no_query(respcd: str) -> None:
    """For credentials, or a rule that forbids it."""
    outcome, gateway = close({"respcd": respcd})
    assert isinstance(outcome, Rejected)
    assert outcome.failure.code == respcd
    assert len(gateway.requests) == 1


@pytest.mark.parametrize(
    ("replies", "problem"),
    [
        ([answer(b"<html>")], "not a CancelReply in JSON"),
        ([answer({"respcd": "0000"}, status=500)], "HTTP status 500"),
        ([{"respcd": "0000"}, answer(b"<html>")], "closing: respcd 0000"),
        ([{"respcd": "0000"}, answer(b"", status=429)], "closing: respcd 0000"),
        ([{"respcd": "0000"}, {"respcd": "1108"}], "closing: respcd 0000"),
        ([{"respcd": "1297"}, {"respcd": "1108"}], "closing: respcd 1297"),
        ([{"respcd": "0000"}, {"respcd": "0000", "data": []}], "closing: respcd 0000"),
        ([{"respcd": "0000"}, found("9999")], "closing: respcd 0000"),
    ],
)
def test_close_without_a_definite_end_is_unknown(replies: list[object], problem: str) -> None:
    """No usable answer, or the order is not found."""
    outcome, _ = close(*replies)
    assert isinstance(outcome, Unknown)
    assert outcome.problem.startswith(problem)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ({"respcd": "1108"}, "respcd 1108"),
        (answer(b"", status=429), "HTTP status 429, too many requests"),
        (answer(b"", status=503), "HTTP status 503"),
    ],
)
def test_close_that_may_have_taken_effect_is_not_refused_by_its_query(reply: object, why: str) -> None:
    """A query that is refused or put off says nothing of the order: it may be closed."""
    outcome, _ = close({"respcd": "0000"}, reply)
    assert isinstance(outcome, Unknown)
    assert outcome.problem.endswith(f"The query after it was not answered: {why}")


@pytest.mark.parametrize(
    ("reply", "problem", "retry_after_s"),
    [
        (answer(b"", status=429), "HTTP status 429, too many requests", 5),
        ({"respcd": "1120", "resperr": "said"}, "respcd 1120: said. ", 600),
    ],
)
def test_close_refused_for_a_time_is_not_now(reply: object, problem: str, retry_after_s: float) -> None:
    """Nothing was closed, and nothing is queried."""
    outcome, gateway = close(reply)
    assert isinstance(outcome, NotNow)
    assert (outcome.problem.startswith(problem), outcome.retry_after_s) == (True, retry_after_s)
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("how", ["POST close", "GET close", "POST reversal", "GET reversal"])
def test_close_is_never_safe_to_lose(how: str) -> None:
    """Only the query after it is: an order may be closed by a GET as well."""
    gateway = Recorder([{"respcd": "0000"}, found("1142")])
    run(make_provider(close_requests={"801514": how}).close(make_ref()), gateway)
    assert [request.is_safe for request in gateway.requests] == [False, True]
    assert f"{gateway.requests[0].method} {gateway.requests[0].path}".startswith(
        how.split(maxsplit=1)[0] + " /trade"
    )


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ({"out_trade_no": "ANOTHER"}, "the reply's out_trade_no is not that of the request"),
        ({"orig_syssn": "ANOTHER"}, "the reply's orig_syssn is not that of the request"),
        ({"txamt": "10.99"}, "the reply tells an amount that can't be read"),
    ],
)
def test_close_reply_about_something_else_is_unknown(reply: dict[str, str], problem: str) -> None:
    """Another order may have been closed, and a query would not tell."""
    outcome, gateway = close({"respcd": "0000", **reply}, provider_id=SYSSN)
    assert isinstance(outcome, Unknown)
    assert outcome.problem.startswith(problem)
    assert len(gateway.requests) == 1


def test_close_reply_signed_wrong_is_kept_and_proves_nothing() -> None:
    """It neither closes nor refuses."""
    outcome, gateway = close(answer({"respcd": "0000", "syssn": "S2"}, headers={"x-qf-sign": "0" * 32}))
    assert outcome == Unknown(
        problem="the reply's signature is wrong",
        observation=PaymentObservation(
            number=NUMBER,
            status=Status.PENDING,
            provider_id="S2",
            words={"respcd": "0000"},
            is_signed_wrong=True,
        ),
    )
    assert len(gateway.requests) == 1


OTHER_AMOUNTS: list[tuple[dict[str, str], Money | None, PartialAmount | None]] = [
    ({"txamt": "1099", "txcurrcd": "HKD"}, Money("5.00", "HKD"), None),
    ({"txamt": "1099"}, Money("5.00", "HKD"), None),
    ({}, Money("5.00", "HKD"), None),
    ({"txamt": "1100", "txcurrcd": "HKD"}, Money("11.00", "HKD"), None),
    ({"txamt": "1100"}, None, PartialAmount(minor=1100)),
    ({"txcurrcd": "USD"}, None, PartialAmount(currency="USD")),
]


@pytest.mark.parametrize(("reply", "amount", "partial"), OTHER_AMOUNTS)
def test_close_reply_with_another_amount_is_told(
    reply: dict[str, str], amount: Money | None, partial: PartialAmount | None
) -> None:
    """Another order may have been closed: that amount counts, and not the record's."""
    outcome, _ = close({"respcd": "0000", **reply}, found("1142", txamt="500", txcurrcd="HKD"))
    assert isinstance(outcome, Done)
    assert (outcome.value.amount, outcome.value.partial_amount) == (amount, partial)


@pytest.mark.parametrize(
    ("respcds", "status"),
    [
        (["1142", "0000"], Status.PAID),
        (["1143", "0000"], Status.PAID),
        (["0000", "1143"], Status.PAID),
        (["1201", "1142"], Status.CLOSED),
        (["1142", "1201"], Status.CLOSED),
        (["1143", "1142"], Status.PENDING),
    ],
)
def test_close_of_an_order_with_several_records_has_the_weightiest(
    respcds: list[str], status: Status
) -> None:
    """Paid before pending, and closed before failed."""
    records = [found(respcd)["data"][0] | {"syssn": f"S{respcd}"} for respcd in respcds]
    outcome, _ = close({"respcd": "0000"}, {"respcd": "0000", "data": records})
    assert isinstance(outcome, Done)
    assert outcome.value.status is status


def test_close_of_a_very_old_order_stays_within_ten_requests() -> None:
    """One to cancel, and at most nine months to query."""
    empty = {"respcd": "0000", "data": []}
    outcome, gateway = close({"respcd": "0000"}, *[empty] * 9, begun_at=BEGUN_AT - timedelta(days=500))
    assert isinstance(outcome, Unknown)
    assert len(gateway.requests) == 10
