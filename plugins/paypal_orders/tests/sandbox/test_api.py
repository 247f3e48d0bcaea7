"""The sandbox answers as PayPal's documentation says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from paycore.sandbox.server import SandboxServer
from plugins.paypal_orders.tests.sandbox.merchant import HTTP, Merchant


@pytest.fixture
def merchant(sandbox: SandboxServer) -> Merchant:
    return Merchant(sandbox)


def issue_of(answer: httpx2.Response) -> str:
    issue: str = answer.json()["details"][0]["issue"]
    return issue


def capture_of(order: dict[str, Any]) -> dict[str, Any]:
    capture: dict[str, Any] = order["purchase_units"][0]["payments"]["captures"][0]
    return capture


# --- tokens and headers -------------------------------------------------------------------------------


def test_a_token_is_given_again_with_what_is_left_of_it(merchant: Merchant) -> None:
    """Until it ends; an old one is refused, and so is none."""
    first = merchant.token().json()
    merchant.gateway.clock.advance(1000)
    second = merchant.token().json()
    assert first["access_token"] == second["access_token"]
    assert second["expires_in"] <= first["expires_in"] - 1000
    merchant.gateway.clock.advance(32400)
    answer = merchant.get("/v2/checkout/orders/X")
    assert (answer.status_code, answer.json()["name"]) == (401, "AUTHENTICATION_FAILURE")
    assert HTTP.get(f"{merchant.url}/v2/checkout/orders/X").status_code == 401


def test_a_wrong_client_and_another_grant_get_no_token(merchant: Merchant) -> None:
    """As OAuth has it."""
    url = f"{merchant.url}/v1/oauth2/token"
    form = {"grant_type": "client_credentials"}
    wrong = HTTP.post(url, data=form, auth=("a", "b"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert HTTP.post(url, data={"grant_type": "password"}, auth=merchant.pair).status_code == 400


def test_errors_have_a_debug_id_and_a_link(merchant: Merchant) -> None:
    """The header repeats the body's."""
    answer = merchant.get("/v2/checkout/orders/X")
    error = answer.json()
    assert (answer.status_code, error["name"], issue_of(answer)) == (
        404,
        "RESOURCE_NOT_FOUND",
        "INVALID_RESOURCE_ID",
    )
    assert answer.headers["paypal-debug-id"] == error["debug_id"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"{", "application/json", 400), (b"[]", "application/json", 400), (b"{}", "text/plain", 415)],
)
def test_a_body_that_is_no_json_object_is_refused(
    merchant: Merchant, body: bytes, kind: str, status: int
) -> None:
    """400, and 415 for another media type."""
    assert merchant.post("/v2/checkout/orders", body, **{"content-type": kind}).status_code == status


def test_a_minimal_answer_leaves_out_what_it_likes(merchant: Merchant) -> None:
    """Id, status and links; payments are still there."""
    answer = merchant.post("/v2/checkout/orders", merchant.order(), prefer="return=minimal")
    assert set(answer.json()) == {"id", "status", "links"}
    order = merchant.approved()
    done = merchant.post(f"/v2/checkout/orders/{order['id']}/capture", prefer="return=minimal").json()
    assert set(done) == {"id", "status", "links", "purchase_units"}


def test_request_limits_are_answered(open_sandbox: Callable[..., SandboxServer]) -> None:
    """429, where there is a limit."""
    merchant = Merchant(open_sandbox(settings={"rate_per_min": "2"}))
    answers = [merchant.get("/v2/checkout/orders/X").status_code for _ in range(3)]
    assert answers == [404, 404, 429]
    assert merchant.controls.stats()["limited"] == 1


# --- orders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "currency", "status", "issue"),
    [
        ("12.345", "EUR", 422, "DECIMAL_PRECISION"),
        ("12.00", "JPY", 422, "DECIMALS_NOT_SUPPORTED"),
        ("12.50", "HUF", 422, "DECIMALS_NOT_SUPPORTED"),
        ("0.00", "EUR", 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("-1.00", "EUR", 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("1.00", "KWD", 422, "CURRENCY_NOT_SUPPORTED"),
        ("1,00", "EUR", 400, "INVALID_PARAMETER_SYNTAX"),
        ("", "EUR", 400, "INVALID_PARAMETER_SYNTAX"),
        ("1.00", "EURO", 400, "INVALID_STRING_LENGTH"),
        ("1000000000000000.00", "EUR", 422, "MAX_VALUE_EXCEEDED"),
    ],
)
def test_amounts_that_paypal_refuses(
    merchant: Merchant, value: str, currency: str, status: int, issue: str
) -> None:
    """Each with its issue."""
    answer = merchant.post("/v2/checkout/orders", merchant.order(value, currency))
    assert (answer.status_code, issue_of(answer)) == (status, issue)


@pytest.mark.parametrize(("value", "shown"), [("12", "12.00"), (".5", "0.50"), ("12.3", "12.30")])
def test_amounts_are_written_with_their_decimals(merchant: Merchant, value: str, shown: str) -> None:
    """However they came."""
    assert merchant.created(value=value)["purchase_units"][0]["amount"]["value"] == shown


@pytest.mark.parametrize(
    ("changes", "status", "issue"),
    [
        ({"intent": "SALE"}, 400, "INVALID_PARAMETER_VALUE"),
        ({"intent": None}, 400, "MISSING_REQUIRED_PARAMETER"),
        ({"purchase_units": []}, 400, "MISSING_REQUIRED_PARAMETER"),
        ({"purchase_units": [{"amount": {"currency_code": "EUR"}}]}, 400, "MISSING_REQUIRED_PARAMETER"),
    ],
)
def test_orders_that_paypal_refuses(
    merchant: Merchant, changes: dict[str, Any], status: int, issue: str
) -> None:
    """Each with its issue."""
    answer = merchant.post("/v2/checkout/orders", merchant.order(**changes))
    assert (answer.status_code, issue_of(answer)) == (status, issue)


def test_a_breakdown_and_items_must_add_up(merchant: Merchant) -> None:
    """To the order's amount."""
    order = merchant.order()
    unit = order["purchase_units"][0]
    euros = {"currency_code": "EUR", "value": "10.00"}
    unit["amount"]["breakdown"] = {"item_total": euros}
    assert issue_of(merchant.post("/v2/checkout/orders", order)) == "AMOUNT_MISMATCH"
    unit["amount"]["breakdown"]["tax_total"] = {"currency_code": "EUR", "value": "2.34"}
    unit["items"] = [{"name": "a", "quantity": "2", "unit_amount": euros}]
    assert issue_of(merchant.post("/v2/checkout/orders", order)) == "ITEM_TOTAL_MISMATCH"
    unit["items"][0]["quantity"] = "1"
    assert merchant.post("/v2/checkout/orders", order).status_code == 201


def test_an_older_order_is_created_and_approved(merchant: Merchant) -> None:
    """Without a payment source the status is CREATED, and the link `approve`."""
    order = merchant.created(payment_source={}, application_context={"return_url": "https://shop.example/ok"})
    assert order["status"] == "CREATED"
    assert "approve" in {link["rel"] for link in order["links"]}


def test_an_order_is_gone_when_its_time_is_up(merchant: Merchant) -> None:
    """Not voided: not there. An approval begins the time anew."""
    order, approved = merchant.created(), merchant.created()
    merchant.gateway.clock.advance(2 * 3600)
    merchant.controls.pay(approved["id"])
    merchant.gateway.clock.advance(2 * 3600)
    assert merchant.get(f"/v2/checkout/orders/{order['id']}").status_code == 404
    assert merchant.post(f"/v2/checkout/orders/{order['id']}/capture").status_code == 404
    assert merchant.post(f"/v2/checkout/orders/{approved['id']}/capture").status_code == 201


def test_the_intent_decides_what_is_done(merchant: Merchant) -> None:
    """One to be captured is not authorized, and the other way round."""
    capture, authorize = merchant.approved(), merchant.approved(intent="AUTHORIZE")
    for order, verb in ((capture, "authorize"), (authorize, "capture")):
        answer = merchant.post(f"/v2/checkout/orders/{order['id']}/{verb}")
        assert issue_of(answer) == "ACTION_DOES_NOT_MATCH_INTENT"


def test_an_order_that_waits_for_its_payer_is_not_patched(merchant: Merchant) -> None:
    """CREATED and APPROVED ones are."""
    patch = [{"op": "replace", "path": "/intent", "value": "AUTHORIZE"}]
    waiting, approved = merchant.created(), merchant.approved()
    assert merchant.post(f"/v2/checkout/orders/{waiting['id']}", patch, method="PATCH").status_code == 422
    assert merchant.post(f"/v2/checkout/orders/{approved['id']}", patch, method="PATCH").status_code == 204
    assert merchant.shown(approved["id"])["intent"] == "AUTHORIZE"


# --- request ids --------------------------------------------------------------------------------------


def test_a_request_id_shows_what_was_made_as_it_is_now(merchant: Merchant) -> None:
    """201 first, 200 later, with the latest state."""
    body = merchant.order()
    first = merchant.post("/v2/checkout/orders", body, request_id="k1")
    merchant.controls.pay(first.json()["id"])
    second = merchant.post("/v2/checkout/orders", body, request_id="k1")
    assert (first.status_code, second.status_code) == (201, 200)
    assert (second.json()["id"], second.json()["status"]) == (first.json()["id"], "APPROVED")


def test_a_request_id_is_of_one_call_and_content(merchant: Merchant) -> None:
    """Another one is refused, loudly."""
    first = merchant.post("/v2/checkout/orders", merchant.order(), request_id="k1").json()
    other = merchant.post("/v2/checkout/orders", merchant.order("5.00"), request_id="k1")
    assert (other.status_code, issue_of(other)) == (400, "DUPLICATE_REQUEST_ID")
    merchant.controls.pay(first["id"])
    capture = merchant.post(f"/v2/checkout/orders/{first['id']}/capture", request_id="k1")
    assert capture.status_code == 400


def test_a_refusal_is_not_remembered(merchant: Merchant) -> None:
    """The same id may succeed later."""
    order = merchant.created()
    path = f"/v2/checkout/orders/{order['id']}/capture"
    assert merchant.post(path, request_id="k1").status_code == 422
    merchant.controls.pay(order["id"])
    assert merchant.post(path, request_id="k1").status_code == 201


def test_refunds_are_remembered_for_longer(merchant: Merchant) -> None:
    """45 days, after which a refund is made again."""
    capture = capture_of(merchant.paid())
    first = merchant.refund(capture["id"], "1.00", request_id="r1").json()
    merchant.gateway.clock.advance(44 * 24 * 3600)
    merchant.renew()
    assert merchant.refund(capture["id"], "1.00", request_id="r1").json()["id"] == first["id"]
    merchant.gateway.clock.advance(2 * 24 * 3600)
    merchant.renew()
    assert merchant.refund(capture["id"], "1.00", request_id="r1").json()["id"] != first["id"]


def test_without_a_request_id_a_refund_is_made_twice(merchant: Merchant) -> None:
    """The order protects its capture; nothing protects a refund."""
    order = merchant.paid()
    assert issue_of(merchant.post(f"/v2/checkout/orders/{order['id']}/capture")) == "ORDER_ALREADY_CAPTURED"
    capture = capture_of(order)
    assert (
        merchant.refund(capture["id"], "1.00").json()["id"]
        != merchant.refund(capture["id"], "1.00").json()["id"]
    )
    assert merchant.controls.show_order(order["id"])["refunded_minor"] == 200


# --- refunds ------------------------------------------------------------------------------------------


def test_refunds_add_up_to_their_capture(merchant: Merchant) -> None:
    """In part, over the rest, all that is left, and nothing more."""
    capture = capture_of(merchant.paid())
    part = merchant.refund(capture["id"], "2.34").json()
    assert part["seller_payable_breakdown"]["total_refunded_amount"]["value"] == "2.34"
    assert part["create_time"].endswith("-07:00")
    assert merchant.get(f"/v2/payments/captures/{capture['id']}").json()["status"] == "PARTIALLY_REFUNDED"
    assert issue_of(merchant.refund(capture["id"], "10.01")) == "REFUND_AMOUNT_EXCEEDED"
    assert merchant.refund(capture["id"]).json()["amount"]["value"] == "10.00"
    assert issue_of(merchant.refund(capture["id"])) == "CAPTURE_FULLY_REFUNDED"
    assert merchant.get(f"/v2/payments/captures/{capture['id']}").json()["status"] == "REFUNDED"


def test_a_pending_refund_is_completed_or_fails(merchant: Merchant) -> None:
    """One that failed can be made again."""
    capture = capture_of(merchant.paid())
    merchant.gateway.faults.add("pending_refund", times=2)
    ids = [merchant.refund(capture["id"], "1.00").json()["id"] for _ in range(2)]
    merchant.controls.settle_refund(ids[0])
    merchant.controls.fail_refund(ids[1])
    statuses = [merchant.get(f"/v2/payments/refunds/{one}").json()["status"] for one in ids]
    assert statuses == ["COMPLETED", "FAILED"]
    assert merchant.controls.show_order(capture["id"])["refunded_minor"] == 100


def test_a_pending_capture_is_not_refunded(merchant: Merchant) -> None:
    """Nor one that was declined."""
    order = merchant.created()
    merchant.controls.agree(order["id"], "echeck")
    capture = capture_of(merchant.post(f"/v2/checkout/orders/{order['id']}/capture").json())
    assert capture["status_details"] == {"reason": "ECHECK"}
    assert issue_of(merchant.refund(capture["id"])) == "PENDING_CAPTURE"
    merchant.controls.settle(order["id"], is_good=False)
    assert issue_of(merchant.refund(capture["id"])) == "REFUND_NOT_ALLOWED"


# --- controls -----------------------------------------------------------------------------------------


def test_any_number_finds_an_order(merchant: Merchant) -> None:
    """The merchant's own, the order's, its capture's and its refund's."""
    order = merchant.paid()
    capture = capture_of(order)
    refund = merchant.refund(capture["id"], "1.00").json()
    number = merchant.shown(order["id"])["purchase_units"][0]["custom_id"]
    shown = [
        merchant.controls.show_order(one)["id"] for one in (number, order["id"], capture["id"], refund["id"])
    ]
    assert shown == [order["id"]] * 4


def test_amounts_of_controls_are_those_of_iso(merchant: Merchant) -> None:
    """HUF has two decimals there."""
    order = merchant.paid(value="1500", currency="HUF")
    assert merchant.controls.show_order(order["id"])["paid_minor"] == 150000


def test_controls_refuse_what_is_not_possible(merchant: Merchant) -> None:
    """Over HTTP as well: 404 for an unknown order, 409 for what its state does not allow."""
    order = merchant.approved()
    url = f"{merchant.url}/_sandbox/orders"
    assert HTTP.post(f"{url}/{order['id']}/pay").status_code == 409
    assert HTTP.post(f"{url}/NONE/pay").status_code == 404
    assert HTTP.get(f"{url}?limit=5").json()["orders"][0]["id"] == order["id"]
    assert HTTP.get(f"{merchant.url}/_sandbox/stats").json()["orders"] == 1


@pytest.mark.parametrize(
    "settings", [{"nope": "1"}, {"order_life_s": "x"}, {"disputes": "maybe"}, {"client_id": ""}]
)
def test_wrong_settings_are_refused(
    open_sandbox: Callable[..., SandboxServer], settings: dict[str, str]
) -> None:
    """With the setting's name."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        open_sandbox(settings=settings)


def test_auto_pay_agrees_by_itself(open_sandbox: Callable[..., SandboxServer]) -> None:
    """After so many seconds of the sandbox's clock."""
    merchant = Merchant(open_sandbox(auto_pay_s=60))
    order = merchant.created()
    assert merchant.shown(order["id"])["status"] == "PAYER_ACTION_REQUIRED"
    merchant.gateway.clock.advance(61)
    assert merchant.shown(order["id"])["status"] == "APPROVED"
