"""The sandbox's API as the documentation has it: what the library does not show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from paycore.sandbox.server import SandboxServer
from plugins.stripe_checkout.tests import vectors
from plugins.stripe_checkout.tests.conftest import OpenSandbox
from stripe_checkout.sandbox import StripeSandbox
from stripe_checkout.sandbox.controls import StripeControls

FORM = vectors.CREATE_FORM.replace("&expires_at=1795086500", "")
PRICE = "line_items[0][price_data]"
Send = Callable[..., httpx2.Response]


@pytest.fixture
def sandbox(open_sandbox: OpenSandbox) -> SandboxServer:
    return open_sandbox()


@pytest.fixture
def send(sandbox: SandboxServer) -> Iterator[Send]:
    """`send(path, form, key=...)`: a POST where there is a form, else a GET; any other header by its name."""
    with httpx2.Client(timeout=5) as http:

        def send(path: str, form: str | None = None, *, key: str = "", **headers: str) -> httpx2.Response:
            given = {"authorization": f"Bearer {sandbox.settings['api_key']}"}
            given |= {name.replace("_", "-"): value for name, value in headers.items()}
            given |= {"idempotency-key": key} if key else {}
            if form is None:
                return http.get(sandbox.url + path, headers=given)
            given |= {"content-type": "application/x-www-form-urlencoded"}
            return http.post(sandbox.url + path, headers=given, content=form.encode())

        yield send


def error_of(response: httpx2.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    return error


def refused(response: httpx2.Response) -> tuple[int, str | None, str | None]:
    error = error_of(response)
    return response.status_code, error.get("code"), error.get("param")


def make(send: Send, form: str = FORM) -> dict[str, Any]:
    session: dict[str, Any] = send("/v1/checkout/sessions", form).json()
    return session


def test_keys_are_taken_as_bearer_and_as_user(send: Send, sandbox: SandboxServer) -> None:
    """With an empty password; nothing, a wrong one and a publishable one are refused with 401."""
    import base64

    user = base64.b64encode(f"{sandbox.settings['api_key']}:".encode()).decode()
    assert send("/v1/checkout/sessions", authorization=f"Basic {user}").status_code == 200
    for wrong in ("", "Bearer", "Bearer sk_test_other", "Basic !"):
        assert send("/v1/checkout/sessions", authorization=wrong).status_code == 401
    answer = send("/v1/checkout/sessions", authorization="Bearer pk_test_1")
    assert refused(answer) == (401, "secret_key_required", None)


def test_replies_name_their_request_and_version(send: Send) -> None:
    """`Request-Id`, and the version asked for; another release is refused."""
    answer = send("/v1/checkout/sessions", stripe_version="2026-11-18.endive")
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["stripe-version"] == "2026-11-18.endive"
    assert send("/v1/checkout/sessions", stripe_version="2022-08-01").status_code == 400


def test_arrays_and_brackets_are_read_in_every_form(send: Send) -> None:
    """`a[0]`, `a[]`, and brackets that are escaped."""
    escaped = FORM.replace("[", "%5B").replace("]", "%5D").replace("=%5B", "=[")
    unnumbered = FORM + "&expand[]=payment_intent"
    for form in (FORM, escaped, unnumbered):
        assert send("/v1/checkout/sessions", form).json()["amount_total"] == 2599


@pytest.mark.parametrize(
    ("old", "new", "code", "param"),
    [
        ("mode=payment&", "", "parameter_missing", "mode"),
        ("adaptive_pricing[enabled]=false", "tips=1", "parameter_unknown", "tips"),
        ("[unit_amount]=2599", "[unit_amount]=25.99", "parameter_invalid_integer", f"{PRICE}[unit_amount]"),
        ("[unit_amount]=2599", "[unit_amount]=49", "amount_too_small", None),
        ("[currency]=eur", "[currency]=EUR", None, f"{PRICE}[currency]"),
        ("client_reference_id=ref-1001", "client_reference_id=", "parameter_invalid_empty", "client_reference_id"),
        ("success_url=https", "success_url=shop", "url_invalid", "success_url"),
        ("[name]=Order+ref-1001+%26+more", "[description]=x", "parameter_missing", f"{PRICE}[product_data][name]"),
        ("metadata[order]=ref-1001&", f"metadata[order]={'x' * 501}&", None, "metadata[order]"),
        ("locale=auto", "expires_at=1", None, "expires_at"),
        ("locale=auto", "payment_method_types[0]=card", "parameter_unknown", "payment_method_types"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(
    send: Send, old: str, new: str, code: str | None, param: str | None
) -> None:
    """With the code and the parameter that the documentation has for it; nothing is made, and the key is free."""
    assert old in FORM
    answer = send("/v1/checkout/sessions", FORM.replace(old, new, 1), key="k")
    assert refused(answer) == (400, code, param)
    assert send("/v1/checkout/sessions", FORM, key="k").status_code == 200


@pytest.mark.parametrize(("currency", "amount"), [("isk", 501), ("ugx", 120050), ("kwd", 1234)])
def test_special_currencies_are_whole(send: Send, currency: str, amount: int) -> None:
    """ISK and UGX end with 00, three decimals with 0."""
    form = FORM.replace("[currency]=eur", f"[currency]={currency}")
    wrong = form.replace("[unit_amount]=2599", f"[unit_amount]={amount}")
    assert send("/v1/checkout/sessions", wrong).status_code == 400
    right = form.replace("[unit_amount]=2599", f"[unit_amount]={amount // 100 * 100}")
    assert send("/v1/checkout/sessions", right).status_code == 200


def test_a_key_is_kept_for_a_day(send: Send, sandbox: SandboxServer) -> None:
    """The same body again; after that it is another request, and makes another session."""
    first = send("/v1/checkout/sessions", FORM, key="k")
    again = send("/v1/checkout/sessions", FORM, key="k")
    assert (again.content, again.headers.get("idempotent-replayed")) == (first.content, "true")
    sandbox.gateway.clock.advance(24 * 3600 - 5)
    assert send("/v1/checkout/sessions", FORM, key="k").json()["id"] == first.json()["id"]
    sandbox.gateway.clock.advance(10)
    assert send("/v1/checkout/sessions", FORM, key="k").json()["id"] != first.json()["id"]


def test_a_key_belongs_to_its_parameters_and_endpoint(send: Send) -> None:
    """Another use is an idempotency error without a code."""
    session = send("/v1/checkout/sessions", FORM, key="k").json()
    for path, form in (
        ("/v1/checkout/sessions", FORM + "&submit_type=pay"),
        (f"/v1/checkout/sessions/{session['id']}/expire", ""),
    ):
        answer = send(path, form, key="k")
        assert (answer.status_code, error_of(answer)["type"]) == (400, "idempotency_error")
        assert "code" not in error_of(answer)


def test_what_execution_refused_is_kept(send: Send, sandbox: SandboxServer) -> None:
    """A refund of too much stays refused under its key, even once it would be possible."""
    make(send, FORM.replace("&payment_intent_data[capture_method]=manual", ""))
    sandbox.gateway.controls.pay("ref-1001")
    intent = sandbox.gateway.controls.show_order("ref-1001")["payment_intent"]
    too_much = f"payment_intent={intent}&amount=2600"
    answer = send("/v1/refunds", too_much, key="r")
    assert refused(answer) == (400, None, "amount")
    assert send("/v1/refunds", too_much, key="r").headers["idempotent-replayed"] == "true"
    assert send("/v1/refunds", f"payment_intent={intent}").json()["amount"] == 2599
    assert refused(send("/v1/refunds", f"payment_intent={intent}")) == (400, "charge_already_refunded", None)


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ("payment_intent={intent}&amount=0", "parameter_invalid_integer", "amount"),
        ("amount=5", None, None),
        ("payment_intent={intent}&reason=regret", None, "reason"),
    ],
)
def test_wrong_refunds_are_refused(
    send: Send, sandbox: SandboxServer, form: str, code: str | None, param: str | None
) -> None:
    """As recorded from Stripe's test mode."""
    make(send, FORM.replace("&payment_intent_data[capture_method]=manual", ""))
    intent = sandbox.gateway.controls.pay("ref-1001")["payment_intent"]
    assert refused(send("/v1/refunds", form.format(intent=intent))) == (400, code, param)


def test_what_is_not_paid_is_not_refunded(send: Send, sandbox: SandboxServer) -> None:
    """An unknown intent, one that is only held, and one in dispute."""
    assert refused(send("/v1/refunds", "payment_intent=pi_x")) == (404, "resource_missing", "payment_intent")
    make(send)
    held = sandbox.gateway.controls.pay("ref-1001")["payment_intent"]
    assert send("/v1/refunds", f"payment_intent={held}").status_code == 400
    assert send(f"/v1/payment_intents/{held}/capture", "").json()["amount_received"] == 2599
    controls = sandbox.gateway.controls
    assert isinstance(controls, StripeControls)
    controls.charge_back("ref-1001", None)
    assert refused(send("/v1/refunds", f"payment_intent={held}")) == (400, "charge_disputed", None)
    controls.win_charge_back("ref-1001", None)
    assert send("/v1/refunds", f"payment_intent={held}").json()["status"] == "succeeded"


def test_lists_are_filtered_by_time_and_state(send: Send, sandbox: SandboxServer) -> None:
    """`created` with its four bounds, `status`, and both directions of pages."""
    made = []
    for _ in range(3):
        made.append(make(send))
        sandbox.gateway.clock.advance(10)
    between = f"created[gt]={made[0]['created']}&created[lte]={made[2]['created']}"
    listed = send(f"/v1/checkout/sessions?{between}").json()
    assert [one["id"] for one in listed["data"]] == [made[2]["id"], made[1]["id"]]
    before = send(f"/v1/checkout/sessions?limit=1&ending_before={made[0]['id']}").json()
    assert ([one["id"] for one in before["data"]], before["has_more"]) == ([made[1]["id"]], True)
    send(f"/v1/checkout/sessions/{made[1]['id']}/expire", "")
    for status, count in (("expired", 1), ("open", 2), ("complete", 0)):
        assert len(send(f"/v1/checkout/sessions?status={status}").json()["data"]) == count
    assert refused(send("/v1/checkout/sessions?limit=101"))[:2] == (400, "parameter_invalid_integer")


def test_sessions_expire_by_the_clock(send: Send, sandbox: SandboxServer) -> None:
    """After a day, with an event; and not once they are paid."""
    make(send)
    make(send, FORM.replace("ref-1001", "ref-1002"))
    sandbox.gateway.controls.pay("ref-1002")
    sandbox.gateway.clock.advance(24 * 3600 + 1)
    assert sandbox.gateway.controls.show_order("ref-1001")["state"] == "expired"
    assert sandbox.gateway.controls.show_order("ref-1002")["state"] == "authorized"
    events = send("/v1/events?type=checkout.session.expired").json()["data"]
    assert [one["data"]["object"]["client_reference_id"] for one in events] == ["ref-1001"]


def test_more_than_25_requests_a_second_are_limited(open_sandbox: OpenSandbox) -> None:
    """Of a sandbox as it is by default: 429 with the reason, and no Retry-After."""
    slowly = SandboxServer(
        StripeSandbox(), speed=0.01
    )  # a second of its clock is long enough for 40 requests
    with slowly as server, httpx2.Client(timeout=5) as http:
        head = {"authorization": f"Bearer {server.settings['api_key']}"}
        answers = [http.get(f"{server.url}/v1/events", headers=head) for _ in range(40)]
    limited = [one for one in answers if one.status_code == 429]
    assert len(limited) == 40 - 25
    assert limited[0].headers["stripe-rate-limited-reason"] == "global-rate"
    assert (error_of(limited[0])["code"], "retry-after" in limited[0].headers) == ("rate_limit", False)


@pytest.mark.parametrize(
    ("fault", "options", "status", "code"),
    [
        ("key_in_use", {}, 409, "idempotency_key_in_use"),
        ("lock_timeout", {}, 429, "lock_timeout"),
        ("rate_limited", {}, 429, "rate_limit"),
        ("unauthorized", {}, 401, "api_key_expired"),
        ("stored_500", {}, 500, None),
        ("refuse", {"status": 424, "code": "new"}, 424, "new"),
    ],
)
def test_faults_are_answered(
    send: Send, sandbox: SandboxServer, fault: str, options: dict[str, Any], status: int, code: str | None
) -> None:
    """Once, on the next request."""
    sandbox.gateway.faults.add(fault, **options)
    assert refused(send("/v1/checkout/sessions", FORM, key="k"))[:2] == (status, code)
    again = send("/v1/checkout/sessions", FORM, key="k")
    assert again.status_code == (500 if fault == "stored_500" else 200)
    is_replay = fault in ("key_in_use", "stored_500")
    assert (again.headers.get("idempotent-replayed") == "true") is is_replay


def test_unknown_settings_are_refused() -> None:
    """With the nearest name."""
    for settings in ({"api_keys": "x"}, {"rate_per_s": "many"}, {"api_key": "sk_live_1"}):
        with (
            pytest.raises(ValueError, match=r"api_key|rate_per_s"),
            SandboxServer(StripeSandbox(), settings=settings),
        ):
            pass


def test_an_unknown_path_is_answered_as_stripe_does(send: Send) -> None:
    """404 without a code."""
    assert refused(send("/v1/nothing")) == (404, None, None)
