"""Each documented refusal has the outcome that says the truth about the money; an undocumented one claims nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paycore.plugin import (
    Created,
    Done,
    Found,
    Money,
    NotNow,
    PaymentObservation,
    RefundStatus,
    Rejected,
    Response,
    Status,
    Unknown,
)
from plugins.paypal_orders.tests.support import (
    AMOUNT,
    CAPTURE_ID,
    ORDER_ID,
    REFUND_ID,
    Script,
    issue,
    make_capture,
    make_order,
    make_provider,
    make_ref,
    make_refund,
    run,
)
from plugins.paypal_orders.tests.vectors import VECTORS

APPROVED = json.loads(VECTORS["APPROVED"])
CAPTURED = json.loads(VECTORS["CAPTURED"])

AGAIN = (
    "INSTRUMENT_DECLINED",
    "PAYER_ACTION_REQUIRED",
    "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
    "ORDER_NOT_APPROVED",
)
FINAL = """
    PAYER_CANNOT_PAY PAYER_ACCOUNT_RESTRICTED PAYER_ACCOUNT_LOCKED_OR_CLOSED TRANSACTION_REFUSED COMPLIANCE_VIOLATION
    PAYEE_BLOCKED_TRANSACTION TRANSACTION_BLOCKED_BY_PAYEE TRANSACTION_LIMIT_EXCEEDED
    TRANSACTION_RECEIVING_LIMIT_EXCEEDED DOMESTIC_TRANSACTION_REQUIRED CARD_EXPIRED
    MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED AUTHORIZATION_VOIDED AUTHORIZATION_EXPIRED AUTHORIZATION_DENIED
""".split()
HAPPENED = (
    "ORDER_ALREADY_CAPTURED",
    "ORDER_ALREADY_AUTHORIZED",
    "ORDER_COMPLETED_OR_VOIDED",
    "PREVIOUSLY_CAPTURED",
)
OPERATOR = (
    "ACTION_DOES_NOT_MATCH_INTENT",
    "AUTH_CAPTURE_NOT_ENABLED",
    "PAYEE_ACCOUNT_RESTRICTED",
    "CONSENT_NEEDED",
)
NO_REFUND = """
    CAPTURE_FULLY_REFUNDED REFUND_AMOUNT_EXCEEDED REFUND_TIME_LIMIT_EXCEEDED MAX_NUMBER_OF_REFUNDS_EXCEEDED
    PARTIAL_REFUND_NOT_ALLOWED REFUND_NOT_ALLOWED REFUND_CAPTURE_CURRENCY_MISMATCH REFUND_AMOUNT_TOO_LOW
    REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK TRANSACTION_DISPUTED REFUND_IS_RESTRICTED
""".split()
NO_ORDER = """
    AMOUNT_MISMATCH DECIMAL_PRECISION DECIMALS_NOT_SUPPORTED CANNOT_BE_ZERO_OR_NEGATIVE CANNOT_BE_NEGATIVE
    INVALID_CURRENCY_CODE MULTI_CURRENCY_ORDER MAX_VALUE_EXCEEDED
""".split()
RUNNING = (
    (409, "PREVIOUS_REQUEST_IN_PROGRESS", "RESOURCE_CONFLICT"),
    (422, "ORDER_COMPLETION_IN_PROGRESS", "UNPROCESSABLE_ENTITY"),
    (400, "PREVIOUS_REQUEST_IN_PROGRESS", "INVALID_REQUEST"),
)


def captured(*answers: Any, **changes: Any) -> Any:
    return run(make_provider().capture(make_capture(**changes)), Script(*answers))


def queried(*answers: Any, settings: dict[str, Any] | None = None, **changes: Any) -> Any:
    return run(make_provider(**(settings or {})).query([make_ref(**changes)]), Script(*answers))


def only(outcome: Any) -> PaymentObservation:
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Found)
    (seen,) = outcome.value.observations
    assert isinstance(seen, PaymentObservation)
    return seen


# --- captures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", AGAIN)
def test_the_payer_agrees_again(code: str) -> None:
    """Nothing was taken, and the same order can be agreed to again."""
    outcome = captured((422, issue(code)), APPROVED)
    assert isinstance(outcome, Rejected)
    assert (outcome.failure.code, outcome.failure.who_acts, outcome.is_duplicate) == (code, "payer", False)


@pytest.mark.parametrize("code", FINAL)
def test_an_order_that_cannot_be_paid_any_more_failed(code: str) -> None:
    """Nothing was taken, as a look at the order shows, and nothing can be."""
    outcome = captured((422, issue(code)), APPROVED)
    assert isinstance(outcome, Done)
    assert (outcome.value.status, outcome.value.failure.code) == (Status.FAILED, code)


@pytest.mark.parametrize("code", [*AGAIN, *FINAL, *HAPPENED, *OPERATOR])
def test_a_refusal_of_what_was_taken_is_no_failure(code: str) -> None:
    """Whatever the refusal, an order that shows its capture is paid."""
    outcome = captured((422, issue(code)), CAPTURED)
    assert isinstance(outcome, Done)
    assert (outcome.value.status, outcome.value.paid_minor) == (Status.PAID, 1234)


@pytest.mark.parametrize("code", [*AGAIN, *FINAL, *HAPPENED, *OPERATOR])
def test_a_refusal_whose_order_cannot_be_read_is_unknown(code: str) -> None:
    """An earlier request of the same number may have taken the money."""
    assert isinstance(captured((422, issue(code)), (500, b"")), Unknown)


@pytest.mark.parametrize("code", HAPPENED)
def test_what_happened_without_a_trace_is_unknown(code: str) -> None:
    """PayPal says it was done, the order does not show it."""
    assert isinstance(captured((422, issue(code)), APPROVED), Unknown)
    assert isinstance(captured((422, issue(code)), APPROVED | {"status": "COMPLETED"}), Unknown)


@pytest.mark.parametrize("code", OPERATOR)
def test_a_wrong_account_is_the_operators_to_mend(code: str) -> None:
    """Nothing was taken; the capture goes on once the account is mended."""
    outcome = captured((422, issue(code)), APPROVED)
    assert isinstance(outcome, Rejected)
    assert outcome.failure.who_acts == "operator"


@pytest.mark.parametrize(("status", "code", "name"), RUNNING)
def test_an_earlier_request_that_runs_is_unknown(status: int, code: str, name: str) -> None:
    """It may still take the money, whatever the status and the name beside its issue."""
    assert isinstance(captured((status, issue(code, name))), Unknown)
    refund = run(make_provider().refund(make_refund()), Script((status, issue(code, name))))
    assert isinstance(refund, Unknown)


@pytest.mark.parametrize("code", [*AGAIN, *FINAL, *OPERATOR])
def test_a_refusal_of_a_completed_order_is_unknown(code: str) -> None:
    """What became of it is not shown, so neither failure nor another try."""
    bare = {"id": ORDER_ID, "status": "COMPLETED", "intent": "CAPTURE"}
    assert isinstance(captured((422, issue(code)), bare), Unknown)


@pytest.mark.parametrize("code", [*AGAIN, *FINAL, *HAPPENED, *OPERATOR])
def test_a_refusal_of_an_order_that_is_not_found_is_unknown(code: str) -> None:
    """It was there a moment ago: nothing is concluded."""
    assert isinstance(captured((422, issue(code)), (404, VECTORS["GONE"])), Unknown)


def test_a_capture_with_decimals_paypal_does_not_take_is_refused() -> None:
    """Nothing is sent, and nothing rounded."""
    script = Script((500, b""))
    order = make_ref(amount=Money.from_minor(150000, "HUF"), ids={"authorization": "3XY45678ZA901234B"})
    asked = make_capture(amount=Money.from_minor(50050, "HUF"), order=order)
    assert isinstance(run(make_provider().capture(asked), script), Rejected)
    assert script.requests == []


def test_a_capture_of_an_order_that_is_gone_closes_it() -> None:
    """It expired before it was captured."""
    outcome = captured((404, VECTORS["GONE"]))
    assert isinstance(outcome, Done)
    assert outcome.value.status is Status.CLOSED


@pytest.mark.parametrize(
    "answer",
    [
        (422, issue("SOMETHING_NEW")),
        (418, issue("INSTRUMENT_DECLINED")),
        (500, {"name": "INTERNAL_SERVER_ERROR"}),
        (503, b"<html>busy</html>"),
        (302, b""),
        (202, APPROVED),
        (200, b"<html>hello</html>"),
        (201, b'{"id":"X"'),
        (201, b"{}"),
        (200, {"id": "", "status": "COMPLETED"}),
    ],
)
def test_what_is_not_documented_is_unknown(answer: Any) -> None:
    """Neither a failure nor a success, for creations, captures and refunds."""
    provider = make_provider()
    assert isinstance(run(provider.create(make_order()), Script(answer)), Unknown)
    assert isinstance(run(provider.capture(make_capture()), Script(answer)), Unknown)
    assert isinstance(run(provider.refund(make_refund()), Script(answer)), Unknown)
    assert isinstance(run(provider.query([make_ref()]), Script(answer)), Unknown)


def test_a_status_nobody_documents_changes_nothing() -> None:
    """Of an order, a capture and a refund."""
    assert only(queried(APPROVED | {"status": "ON_HOLIDAY"})).status is Status.PENDING
    capture = json.dumps(CAPTURED).replace(
        '"status": "COMPLETED", "amount"', '"status": "ON_HOLIDAY", "amount"'
    )
    assert capture != json.dumps(CAPTURED)
    assert only(queried(capture.encode())).status is Status.PENDING
    refund = json.loads(VECTORS["REFUNDED"]) | {"status": "ON_HOLIDAY"}
    outcome = run(make_provider().refund(make_refund()), Script((201, refund)))
    assert isinstance(outcome, Done)
    assert outcome.value.status is RefundStatus.PENDING


def test_the_answer_about_another_order_counts_for_nothing() -> None:
    """Our number is in the order: a foreign one is no answer."""
    foreign = json.loads(VECTORS["CREATED"])
    foreign["purchase_units"][0]["custom_id"] = "pay_0002"
    assert isinstance(run(make_provider().create(make_order()), Script((201, foreign))), Unknown)
    assert isinstance(captured((201, foreign)), Unknown)
    assert isinstance(queried(foreign), Unknown)


def test_a_capture_in_another_currency_is_seen() -> None:
    """What was captured is told, for the core to compare."""
    seen = only(queried(json.dumps(CAPTURED).replace("EUR", "USD").encode()))
    assert seen.amount == Money("12.34", "USD")


def test_a_capture_of_less_is_seen_without_a_currency() -> None:
    """What was paid is told all the same."""
    text = json.dumps(CAPTURED).replace('"currency_code": "EUR", "value": "12.34"', '"value": "12.33"')
    assert only(queried(text.encode())).paid_minor == 1233


def test_an_amount_that_is_none_is_seen() -> None:
    """`12.345` is not rounded."""
    seen = only(queried(json.dumps(CAPTURED).replace('"12.34"', '"12.345"').encode()))
    assert seen.partial_amount is not None
    assert seen.partial_amount.unreadable == "12.345"


# --- creations and refunds ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", NO_ORDER)
def test_an_order_that_is_refused_is_definite(code: str) -> None:
    """The caller's values are at fault."""
    outcome = run(make_provider().create(make_order()), Script((422, issue(code))))
    assert isinstance(outcome, Rejected)
    assert (outcome.failure.code, outcome.failure.who_acts) == (code, "caller")


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (400, "INVALID_REQUEST", "MISSING_REQUIRED_PARAMETER"),
        (400, "INVALID_REQUEST", "A_NEW_ONE"),
        (403, "NOT_AUTHORIZED", "PERMISSION_DENIED"),
        (415, "UNSUPPORTED_MEDIA_TYPE", ""),
        (422, "UNPROCESSABLE_ENTITY", "PAYEE_ACCOUNT_INVALID"),
    ],
)
def test_a_request_or_account_at_fault_is_the_operators_to_mend(status: int, name: str, code: str) -> None:
    """Nothing was made, and the payment may still be."""
    outcome = run(make_provider().create(make_order()), Script((status, issue(code, name))))
    assert isinstance(outcome, Rejected)
    assert outcome.failure.who_acts == "operator"


@pytest.mark.parametrize("call", ["create", "refund"])
def test_a_used_request_id_is_unknown(call: str) -> None:
    """An earlier request with it did something."""
    answer = Script((400, issue("DUPLICATE_REQUEST_ID", "INVALID_REQUEST")))
    provider = make_provider()
    outcome = run(
        provider.create(make_order()) if call == "create" else provider.refund(make_refund()), answer
    )
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize("code", NO_REFUND)
def test_a_refund_that_is_refused_is_definite(code: str) -> None:
    """Nothing went back."""
    outcome = run(make_provider().refund(make_refund()), Script((422, issue(code)), CAPTURED))
    assert isinstance(outcome, Rejected)
    assert outcome.failure.code == code


def test_what_is_refunded_already_may_be_by_us() -> None:
    """A refund in the order with our number is ours; of an order that can't be read nothing is known."""
    refused, ours = (422, issue("CAPTURE_FULLY_REFUNDED")), json.loads(VECTORS["REFUNDED"])
    for number, expected in (("ref_0001", Done), ("ref_0002", Rejected)):
        order = with_payments(refunds=[ours | {"custom_id": number}])
        assert isinstance(run(make_provider().refund(make_refund()), Script(refused, order)), expected)
    assert isinstance(run(make_provider().refund(make_refund()), Script(refused, (500, b""))), Unknown)


def test_a_refund_of_what_is_pending_is_not_now() -> None:
    """The same refund may be made once the capture is completed."""
    outcome = run(make_provider().refund(make_refund()), Script((422, issue("PENDING_CAPTURE"))))
    assert isinstance(outcome, NotNow)
    assert outcome.retry_after_s == 3600


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7), ("²", 30), ("soon", 30), ("-1", 30), ("9" * 20, 30), ("", 30)]
)
def test_retry_after_is_kept(told: str, seconds: float) -> None:
    """429 with a header, whatever the body; what is no number of seconds is none."""
    answer = Response(status=429, headers={"retry-after": told}, body=b"<html>")
    outcome = run(make_provider().create(make_order()), Script(answer))
    assert isinstance(outcome, NotNow)
    assert outcome.retry_after_s == seconds


def test_an_order_to_be_authorized_is_authorized_once_it_has_an_authorization() -> None:
    """An approval alone could be captured by nobody: the answer to a repeated create says pending."""
    approved = APPROVED | {"intent": "AUTHORIZE"}
    outcome = run(make_provider().create(make_order(capture="manual")), Script((200, approved)))
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Created)
    assert outcome.value.observation.status is Status.PENDING


def test_a_refund_with_decimals_paypal_does_not_take_is_refused() -> None:
    """Nothing is sent, and nothing rounded."""
    script = Script((500, b""))
    order = make_ref(amount=Money.from_minor(150000, "HUF"), ids={"capture": CAPTURE_ID})
    refund = make_refund(amount=Money.from_minor(50050, "HUF"), order=order)
    outcome = run(make_provider().refund(refund), script)
    assert isinstance(outcome, Rejected)
    assert script.requests == []


def test_a_refund_finds_its_capture() -> None:
    """By the order, where the capture's id was never told."""
    script = Script(CAPTURED, (201, VECTORS["REFUNDED"]))
    outcome = run(make_provider().refund(make_refund(order=make_ref())), script)
    assert isinstance(outcome, Done)
    assert script.paths == [
        f"GET /v2/checkout/orders/{ORDER_ID}",
        f"POST /v2/payments/captures/{CAPTURE_ID}/refund",
    ]


# --- queries ------------------------------------------------------------------------------------------


def test_an_order_that_is_not_readable_yet_is_undecided() -> None:
    """A new order may not be found at once; nothing is concluded from that."""
    outcome = queried((404, VECTORS["GONE"]), after_s=10)
    assert isinstance(outcome, Done)
    assert outcome.value == Found(undecided=frozenset({"pay_0001"}))


def test_a_new_order_that_is_not_readable_yet_is_not_over() -> None:
    """A close would leave it to be authorized by a later query, a capture would end it."""
    young = make_ref(after_s=10)
    gone = (404, VECTORS["GONE"])
    assert isinstance(run(make_provider().close(young), Script(gone)), Unknown)
    assert isinstance(captured(gone, order=young), Unknown)


@pytest.mark.parametrize("status", [400, 403, 422])
def test_an_order_is_gone_only_by_http_404(status: int) -> None:
    """With another status its code is not documented."""
    for code in ("INVALID_RESOURCE_ID", "RESOURCE_NOT_FOUND"):
        assert isinstance(queried((status, issue(code))), Unknown)


def test_a_captured_order_that_is_gone_is_asked_for_by_its_capture() -> None:
    """How long completed orders can be read is not documented: the capture's id is."""
    capture = CAPTURED["purchase_units"][0]["payments"]["captures"][0]
    script = Script((404, VECTORS["GONE"]), capture)
    outcome = run(make_provider().query([make_ref(ids={"capture": CAPTURE_ID})]), script)
    assert (only(outcome).status, only(outcome).provider_id) == (Status.PAID, ORDER_ID)
    assert script.paths[1] == f"GET /v2/payments/captures/{CAPTURE_ID}"


def test_a_captured_order_without_its_payments_is_asked_for_by_its_capture() -> None:
    """One account of PayPal's GET says that it leaves them out."""
    capture = CAPTURED["purchase_units"][0]["payments"]["captures"][0]
    bare = {"id": ORDER_ID, "status": "COMPLETED", "intent": "CAPTURE"}
    assert only(queried(bare, capture, ids={"capture": CAPTURE_ID})).status is Status.PAID
    assert only(queried(bare)).status is Status.PENDING


def test_a_captured_order_whose_capture_is_gone_too_is_unknown() -> None:
    """Money was taken of it: it is not closed."""
    assert isinstance(queried((404, VECTORS["GONE"]), ids={"capture": CAPTURE_ID}), Unknown)


def test_a_refund_that_is_not_found_is_undecided() -> None:
    """No refund is declared absent."""
    ref = make_ref(kind="refund", number="ref_0001", provider_id=REFUND_ID, amount=Money("2.34", "EUR"))
    outcome = run(make_provider().query([ref]), Script((404, VECTORS["GONE"])))
    assert isinstance(outcome, Done)
    assert outcome.value.undecided == {"ref_0001"}


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("COMPLETED", RefundStatus.SUCCEEDED),
        ("PENDING", RefundStatus.PENDING),
        ("FAILED", RefundStatus.FAILED),
        ("CANCELLED", RefundStatus.FAILED),
    ],
)
def test_a_refund_is_as_its_status_says(status: str, seen: RefundStatus) -> None:
    """Each documented status."""
    ref = make_ref(kind="refund", number="ref_0001", provider_id=REFUND_ID, amount=Money("2.34", "EUR"))
    refund = json.loads(VECTORS["REFUNDED"]) | {"status": status}
    outcome = run(make_provider().query([ref]), Script(refund))
    assert isinstance(outcome, Done)
    assert outcome.value.observations[0].status is seen


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("PARTIALLY_REFUNDED", Status.PAID),
        ("REFUNDED", Status.PAID),
        ("DECLINED", Status.FAILED),
        ("FAILED", Status.FAILED),
        ("PENDING", Status.PENDING),
    ],
)
def test_a_capture_is_as_its_status_says(status: str, seen: Status) -> None:
    """Each documented status; what went back is read of the refunds alone."""
    order = json.loads(VECTORS["CAPTURED"])
    order["purchase_units"][0]["payments"]["captures"][0]["status"] = status
    found = only(queried(order))
    assert (found.status, found.refunded_minor) == (seen, 0 if seen is Status.PAID else None)


def test_a_voided_order_is_closed() -> None:
    """Final, without a payment."""
    assert only(queried(APPROVED | {"status": "VOIDED"})).status is Status.CLOSED


def test_an_app_without_the_permission_for_disputes_sees_the_payment() -> None:
    """403: what was taken back is not told, and the payment is."""
    seen = only(
        queried(CAPTURED, (403, issue("PERMISSION_DENIED", "NOT_AUTHORIZED")), settings={"disputes": True})
    )
    assert (seen.status, seen.charged_back_minor) == (Status.PAID, None)


def test_a_dispute_without_movements_took_what_was_refunded() -> None:
    """One that the payer won, as the vector has it."""
    dispute = json.loads(VECTORS["DISPUTE_LOST"])["resource"]
    listed = {"items": [{"dispute_id": dispute["dispute_id"]}]}
    seen = only(queried(CAPTURED, listed, dispute, settings={"disputes": True}))
    assert (seen.charged_back_minor, seen.charge_back_won_minor) == (1234, 0)


@pytest.mark.parametrize(
    "code", ["RESOLVED_SELLER_FAVOUR", "RESOLVED_WITH_PAYOUT", "CANCELED_BY_BUYER", "NONE"]
)
def test_a_dispute_the_payer_did_not_win_took_nothing(code: str) -> None:
    """Nor does an open one."""
    dispute = json.loads(VECTORS["DISPUTE_LOST"])["resource"]
    dispute["dispute_outcome"]["outcome_code"] = code
    listed = {"items": [{"dispute_id": dispute["dispute_id"]}]}
    assert only(queried(CAPTURED, listed, dispute, settings={"disputes": True})).charged_back_minor == 0


def test_an_authorization_refused_for_the_payer_waits_for_them() -> None:
    """The order is pending; one refused for good failed."""
    approved = APPROVED | {"intent": "AUTHORIZE"}
    assert only(queried(approved, (422, issue("INSTRUMENT_DECLINED")))).status is Status.PENDING
    assert only(queried(approved, (500, b""))).status is Status.PENDING
    assert only(queried(approved, (422, issue("PAYER_CANNOT_PAY")))).status is Status.FAILED
    assert isinstance(queried(approved, (403, issue("PERMISSION_DENIED", "NOT_AUTHORIZED"))), Rejected)


def test_each_agreement_has_a_request_id_of_its_own() -> None:
    """After a refusal and a new agreement the refusal must not be repeated; a re-send has the same."""
    keys = []
    for update_time in ("2026-03-02T10:15:00Z", "2026-03-02T10:15:00Z", "2026-03-02T10:20:00Z"):
        approved = APPROVED | {"intent": "AUTHORIZE", "update_time": update_time}
        script = Script(approved, (422, issue("INSTRUMENT_DECLINED")))
        run(make_provider().query([make_ref()]), script)
        keys.append(script.requests[1].headers["paypal-request-id"])
    assert keys[0] == keys[1] != keys[2]
    assert all(len(key) <= 38 for key in keys)


# --- closing ------------------------------------------------------------------------------------------


def closed(*answers: Any) -> tuple[Any, list[str]]:
    script = Script(*answers)
    return run(make_provider().close(make_ref()), script), script.paths


@pytest.mark.parametrize("order", [APPROVED, json.loads(VECTORS["CREATED"])])
def test_an_order_is_closed_by_not_capturing_it(order: Any) -> None:
    """PayPal has no cancelling, and only a capture takes money."""
    outcome, paths = closed(order)
    assert isinstance(outcome, Done)
    assert (outcome.value.status, outcome.value.action) == (Status.CLOSED, None)
    assert paths == [f"GET /v2/checkout/orders/{ORDER_ID}"]


def test_an_order_in_a_status_nobody_documents_is_not_closed() -> None:
    """Money may have been taken of it."""
    outcome, _ = closed(APPROVED | {"status": "ON_HOLIDAY"})
    assert isinstance(outcome, Unknown)


def test_a_paid_order_is_not_closed() -> None:
    """Closing tells what the order is."""
    outcome, _ = closed(CAPTURED)
    assert outcome.value.status is Status.PAID


def test_an_order_with_a_capture_under_way_is_not_closed() -> None:
    """It may still be paid."""
    outcome, _ = closed(VECTORS["PENDING"])
    assert outcome.value.status is Status.PENDING


def test_an_order_to_be_authorized_is_made_one_that_is_not() -> None:
    """So that no later query reserves the payer's money; where PayPal refuses, the order is open."""
    approved = APPROVED | {"intent": "AUTHORIZE"}
    outcome, paths = closed(approved, (204, b""))
    assert outcome.value.status is Status.CLOSED
    assert paths[1] == f"PATCH /v2/checkout/orders/{ORDER_ID}"
    outcome, _ = closed(approved, (422, issue("NOT_PATCHABLE")))
    assert isinstance(outcome, Rejected)
    assert outcome.failure.who_acts == "provider"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((204, b""), Done),
        ((200, {"id": "3XY45678ZA901234B", "status": "VOIDED"}), Done),
        ((422, issue("PREVIOUSLY_VOIDED")), Done),
        ((422, issue("PREVIOUSLY_CAPTURED")), Unknown),
        ((422, issue("CANNOT_BE_VOIDED")), Rejected),
        ((500, b""), Unknown),
        ((200, {"id": "3XY45678ZA901234B", "status": "CREATED"}), Unknown),
        ((200, {}), Unknown),
    ],
)
def test_an_authorization_is_voided(answer: Any, outcome: type) -> None:
    """Closed once PayPal says so."""
    authorized = json.loads(VECTORS["AUTHORIZED"])
    result, paths = closed(authorized, answer)
    assert isinstance(result, outcome)
    assert paths[1] == "POST /v2/payments/authorizations/3XY45678ZA901234B/void"


def test_each_request_has_a_key_of_its_own() -> None:
    """Ids are unique per call: a void has another than the create; a refund carries its own number."""
    script = Script(json.loads(VECTORS["AUTHORIZED"]), (204, b""))
    run(make_provider().close(make_ref()), script)
    assert script.requests[1].headers["paypal-request-id"] == "pay_0001-V"
    script = Script((201, VECTORS["REFUNDED"]))
    run(make_provider().refund(make_refund()), script)
    assert script.requests[0].headers["paypal-request-id"] == "ref_0001"
    assert json.loads(script.requests[0].body)["custom_id"] == "ref_0001"


def test_an_approval_without_a_time_is_as_old_as_the_question() -> None:
    """So that an agreement after a refusal is a later one; a time that is told counts."""
    assert only(queried(APPROVED)).occurred_at == make_ref().attempt.sent_at
    at = only(queried(APPROVED | {"update_time": "2026-03-02T10:15:00Z"})).occurred_at
    assert at is not None
    assert at.isoformat() == "2026-03-02T10:15:00+00:00"


def with_payments(**payments: Any) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(VECTORS["CAPTURED"])
    order["purchase_units"][0]["payments"] |= payments
    return order


def test_only_what_took_or_returned_money_is_counted() -> None:
    """Not a capture that was declined, nor a refund that is pending or failed."""
    (good,) = with_payments()["purchase_units"][0]["payments"]["captures"]
    declined = good | {"id": "OTHER", "status": "DECLINED"}
    refund = json.loads(VECTORS["REFUNDED"])
    refunds = [refund, refund | {"status": "PENDING"}, refund | {"status": "FAILED"}]
    seen = only(queried(with_payments(captures=[declined, good], refunds=refunds)))
    assert (seen.status, seen.paid_minor, seen.refunded_minor) == (Status.PAID, 1234, 234)


def dispute(**changes: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(VECTORS["DISPUTE_LOST"])["resource"]
    return told | changes


def disputed(*disputes: dict[str, Any]) -> tuple[int | None, int | None]:
    listed = {"items": [{"dispute_id": one["dispute_id"]} for one in disputes]}
    seen = only(queried(CAPTURED, listed, *disputes, settings={"disputes": True}))
    return seen.charged_back_minor, seen.charge_back_won_minor


def moved(party: str, kind: str, value: str) -> dict[str, Any]:
    return {"affected_party": party, "type": kind, "amount": {"currency_code": "EUR", "value": value}}


def test_movements_of_the_merchants_money_count() -> None:
    """Those of the payer's do not; no more comes back than was taken; several disputes add up."""
    moves = [
        moved("SELLER", "DEBIT", "5.00"),
        moved("BUYER", "CREDIT", "5.00"),
        moved("SELLER", "CREDIT", "2.00"),
    ]
    assert disputed(dispute(money_movements=moves)) == (500, 200)
    assert disputed(dispute(money_movements=moves), dispute(money_movements=moves)) == (1000, 400)
    assert disputed(dispute(money_movements=[moved("SELLER", "CREDIT", "2.00")])) == (0, 0)
    accepted = {"outcome_code": "ACCEPTED", "amount_refunded": {"currency_code": "EUR", "value": "1.00"}}
    assert disputed(dispute(dispute_outcome=accepted)) == (100, 0)


def test_disputes_are_asked_about_by_their_capture_only() -> None:
    """Without its id PayPal would list all disputes of the account."""
    (good,) = with_payments()["purchase_units"][0]["payments"]["captures"]
    twice = with_payments(captures=[good, good | {"id": "OTHER"}])
    script = Script(twice, {"items": [{"dispute_id": "PP-1"}]}, dispute())
    seen = only(run(make_provider(disputes=True).query([make_ref()]), script))
    assert (seen.paid_minor, seen.charged_back_minor) == (2468, None)


def test_captures_that_cannot_be_added_up_are_not_what_was_ordered() -> None:
    """A person looks: the core takes what is not told for the whole."""
    (good,) = with_payments()["purchase_units"][0]["payments"]["captures"]
    for amount in ({"currency_code": "USD", "value": "12.34"}, {"currency_code": "EUR", "value": "1.234"}):
        seen = only(queried(with_payments(captures=[good, good | {"id": "OTHER", "amount": amount}])))
        assert (seen.status, seen.paid_minor) == (Status.PAID, 0)


def test_what_a_dispute_took_in_another_currency_is_not_told() -> None:
    """Nor what can't be read, nor what is beyond every amount."""
    for amount in (
        {"currency_code": "JPY", "value": "500"},
        {"currency_code": "EUR", "value": "1.234"},
        None,
    ):
        moves = [{"affected_party": "SELLER", "type": "DEBIT", "amount": amount}]
        assert disputed(dispute(money_movements=moves)) == (None, None)
    assert disputed(dispute(money_movements=[moved("SELLER", "DEBIT", "9000000000000.00")] * 2)) == (
        None,
        None,
    )


def test_too_many_requests_for_disputes_are_not_now() -> None:
    """For the list, and for each."""
    listed = {"items": [{"dispute_id": "PP-1"}]}
    settings = {"disputes": True}
    assert isinstance(queried(CAPTURED, (429, b""), settings=settings), NotNow)
    assert isinstance(queried(CAPTURED, listed, (429, b""), settings=settings), NotNow)
    assert only(queried(CAPTURED, listed, (500, b""), settings=settings)).charged_back_minor is None


def test_a_part_of_an_order_that_is_not_authorized_is_not_taken() -> None:
    """Nothing is sent."""
    outcome = captured((500, b""), amount=Money("1.00", "EUR"))
    assert isinstance(outcome, Rejected)


def test_an_authorization_is_captured_once_and_the_rest_released() -> None:
    """The final capture, of the amount asked for."""
    capture = CAPTURED["purchase_units"][0]["payments"]["captures"][0]
    script = Script((201, capture | {"amount": {"currency_code": "EUR", "value": "10.00"}}))
    order = make_ref(ids={"authorization": "3XY45678ZA901234B"})
    asked = make_capture(amount=Money("10.00", "EUR"), order=order)
    outcome = run(make_provider().capture(asked), script)
    assert isinstance(outcome, Done)
    assert (outcome.value.paid_minor, outcome.value.provider_id) == (1000, ORDER_ID)
    body = json.loads(script.requests[0].body)
    assert body == {"amount": {"currency_code": "EUR", "value": "10.00"}, "final_capture": True}


def test_an_order_says_how_long_the_payer_has() -> None:
    """Six hours, as PayPal's newest pages say."""
    outcome = run(make_provider().create(make_order()), Script((201, VECTORS["CREATED"])))
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Created)
    assert outcome.value.expires_in_s == 6 * 3600
    assert outcome.value.observation.amount == AMOUNT
