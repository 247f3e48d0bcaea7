"""
PayPal's own Python library (`paypal-server-sdk`) against the sandbox, with nothing replaced but the host.

It has no way to set a host: its configuration's `get_base_uri` is overridden. It verifies no webhooks; those are held
against `cryptography` in `test_webhooks.py`.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from paycore.sandbox.server import SandboxServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from paypalserversdk.configuration import Configuration
    from paypalserversdk.exceptions.error_exception import ErrorException
    from paypalserversdk.exceptions.o_auth_provider_exception import OAuthProviderException
    from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
    from paypalserversdk.models.amount_with_breakdown import AmountWithBreakdown
    from paypalserversdk.models.capture_request import CaptureRequest
    from paypalserversdk.models.money import Money
    from paypalserversdk.models.order_request import OrderRequest
    from paypalserversdk.models.patch import Patch
    from paypalserversdk.models.payment_source import PaymentSource
    from paypalserversdk.models.paypal_wallet import PaypalWallet
    from paypalserversdk.models.paypal_wallet_experience_context import PaypalWalletExperienceContext
    from paypalserversdk.models.purchase_unit_request import PurchaseUnitRequest
    from paypalserversdk.models.refund_request import RefundRequest
    from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient

pytestmark = pytest.mark.filterwarnings("ignore")

WHOLE = "return=representation"


def open_library(url: str, settings: Any, **changes: str) -> Any:
    """The library, pointed at this host."""

    class Here(Configuration):  # type: ignore[misc]
        def get_base_uri(self, server: Any = None) -> str:
            return url

    pair = {**settings, **changes}
    credentials = ClientCredentialsAuthCredentials(
        o_auth_client_id=pair["client_id"], o_auth_client_secret=pair["client_secret"]
    )
    return PaypalServersdkClient(config=Here(client_credentials_auth_credentials=credentials))


@pytest.fixture
def library(sandbox: SandboxServer) -> Any:
    return open_library(sandbox.url, sandbox.settings)


def created(library: Any, *, intent: str = "CAPTURE", request_id: str = "create-1") -> Any:
    page = PaypalWalletExperienceContext(
        return_url="https://shop.example/ok", cancel_url="https://shop.example/no", user_action="PAY_NOW"
    )
    unit = PurchaseUnitRequest(
        amount=AmountWithBreakdown(currency_code="EUR", value="12.34"),
        custom_id="N1",
        description="Two tickets",
    )
    source = PaymentSource(paypal=PaypalWallet(experience_context=page))
    body = OrderRequest(intent=intent, purchase_units=[unit], payment_source=source)
    asked = {"body": body, "prefer": WHOLE, "paypal_request_id": request_id}
    return library.orders.create_order(asked).body


def payments_of(order: Any) -> Any:
    return order.purchase_units[0].payments


def test_an_order_is_made_captured_and_refunded(sandbox: SandboxServer, library: Any) -> None:
    """The whole way: create, read, agree, capture, refund in part, and the rest."""
    order = created(library)
    assert (order.status, order.intent, order.purchase_units[0].custom_id) == (
        "PAYER_ACTION_REQUIRED",
        "CAPTURE",
        "N1",
    )
    (link,) = [link.href for link in order.links if link.rel == "payer-action"]
    assert link == f"{sandbox.url}/checkoutnow?token={order.id}"
    sandbox.gateway.controls.pay(order.id)
    assert library.orders.get_order({"id": order.id}).body.status == "APPROVED"
    done = library.orders.capture_order(
        {"id": order.id, "prefer": WHOLE, "paypal_request_id": "capture-1"}
    ).body
    (capture,) = payments_of(done).captures
    assert (done.status, capture.status, capture.amount.value) == ("COMPLETED", "COMPLETED", "12.34")
    part = RefundRequest(amount=Money(currency_code="EUR", value="2.34"), custom_id="R1")
    asked = {"capture_id": capture.id, "body": part, "prefer": WHOLE, "paypal_request_id": "refund-1"}
    refund = library.payments.refund_captured_payment(asked).body
    assert (refund.status, refund.amount.value) == ("COMPLETED", "2.34")
    assert library.payments.refund_captured_payment(asked).body.id == refund.id
    assert library.payments.get_refund({"refund_id": refund.id}).body.custom_id == "R1"
    library.payments.refund_captured_payment({"capture_id": capture.id, "paypal_request_id": "refund-2"})
    assert library.payments.get_captured_payment({"capture_id": capture.id}).body.status == "REFUNDED"
    assert len(payments_of(library.orders.get_order({"id": order.id}).body).refunds) == 2


def test_an_order_is_authorized_captured_in_part_and_voided(sandbox: SandboxServer, library: Any) -> None:
    """Two authorizations: a part of one is taken, the other given free."""
    ids = []
    for request_id in ("create-1", "create-2"):
        order = created(library, intent="AUTHORIZE", request_id=request_id)
        sandbox.gateway.controls.pay(order.id)
        done = library.orders.authorize_order({"id": order.id, "prefer": WHOLE}).body
        (authorization,) = payments_of(done).authorizations
        assert (done.status, authorization.status) == ("COMPLETED", "CREATED")
        ids.append(authorization.id)
    part = CaptureRequest(amount=Money(currency_code="EUR", value="10.00"), final_capture=True)
    asked = {"authorization_id": ids[0], "body": part, "prefer": WHOLE, "paypal_request_id": "capture-1"}
    capture = library.payments.capture_authorized_payment(asked).body
    assert (capture.status, capture.amount.value) == ("COMPLETED", "10.00")
    assert (
        library.payments.void_payment({"authorization_id": ids[1], "prefer": WHOLE}).body.status == "VOIDED"
    )
    shown = library.payments.get_authorized_payment({"authorization_id": ids[0]}).body
    assert shown.status == "CAPTURED"


def test_a_request_id_makes_one_order(sandbox: SandboxServer, library: Any) -> None:
    """The same one is answered with what the first made, for as long as it is kept."""
    first, second = created(library), created(library)
    assert first.id == second.id
    sandbox.gateway.clock.advance(6 * 3600 + 1)
    assert created(library).id != first.id


def test_an_expired_order_is_not_found(sandbox: SandboxServer, library: Any) -> None:
    """The library raises its error, with the issue."""
    order = created(library)
    sandbox.gateway.controls.expire(order.id)
    with pytest.raises(ErrorException) as error:
        library.orders.get_order({"id": order.id})
    assert error.value.response_code == 404
    assert (error.value.name, error.value.details[0].issue) == ("RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")


def test_refusals_have_their_issues(sandbox: SandboxServer, library: Any) -> None:
    """Not approved, declined with a link back to the payer, captured already."""
    order = created(library)
    controls: Any = sandbox.gateway.controls
    seen = []
    for act in (lambda: None, lambda: controls.agree(order.id, "declined")):
        act()
        with pytest.raises(ErrorException) as error:
            library.orders.capture_order({"id": order.id})
        seen.append(error.value)
    assert [one.details[0].issue for one in seen] == ["ORDER_NOT_APPROVED", "INSTRUMENT_DECLINED"]
    assert [link.rel for link in seen[1].links] == ["information_link", "redirect"]
    sandbox.gateway.controls.pay(order.id)
    library.orders.capture_order({"id": order.id})
    with pytest.raises(ErrorException) as again:
        library.orders.capture_order({"id": order.id})
    assert again.value.details[0].issue == "ORDER_ALREADY_CAPTURED"


def test_negative_testing_is_honoured(sandbox: SandboxServer, library: Any) -> None:
    """The header of PayPal's own sandbox chooses the error, and nothing is done."""
    order = created(library)
    sandbox.gateway.controls.pay(order.id)
    mock = '{"mock_application_codes":"TRANSACTION_REFUSED"}'
    with pytest.raises(ErrorException) as error:
        library.orders.capture_order({"id": order.id, "paypal_mock_response": mock})
    assert error.value.details[0].issue == "TRANSACTION_REFUSED"
    assert sandbox.gateway.controls.show_order(order.id)["charges"] == 0


def test_an_order_is_patched_while_it_is_approved(sandbox: SandboxServer, library: Any) -> None:
    """Its intent, and its number."""
    order = created(library)
    sandbox.gateway.controls.pay(order.id)
    number = Patch(op="replace", path="/purchase_units/@reference_id=='default'/custom_id", value="N2")
    intent = Patch(op="replace", path="/intent", value="AUTHORIZE")
    library.orders.patch_order({"id": order.id, "body": [number, intent]})
    shown = library.orders.get_order({"id": order.id}).body
    assert (shown.purchase_units[0].custom_id, shown.intent) == ("N2", "AUTHORIZE")


def test_a_wrong_secret_gets_no_token(sandbox: SandboxServer) -> None:
    """The library's own error of its token call."""
    library = open_library(sandbox.url, sandbox.settings, client_secret="wrong")
    with pytest.raises(OAuthProviderException) as error:
        library.oauth_2.fetch_token()
    assert error.value.error == "invalid_client"


def test_transactions_are_listed(sandbox: SandboxServer, library: Any) -> None:
    """A capture of today, with our number."""
    order = created(library)
    sandbox.gateway.controls.pay(order.id)
    library.orders.capture_order({"id": order.id})
    asked = {"start_date": "2000-01-01T00:00:00Z", "end_date": "2000-01-31T00:00:00Z"}
    assert library.transaction_search.search_transactions(asked).body.transaction_details == []
    now = sandbox.gateway.controls.show_order(order.id)["created"]
    asked = {"start_date": now, "end_date": now.replace("Z", "+00:00"), "fields": "transaction_info"}
    (row,) = library.transaction_search.search_transactions(asked).body.transaction_details
    assert (row.transaction_info.custom_field, row.transaction_info.transaction_status) == ("N1", "S")
