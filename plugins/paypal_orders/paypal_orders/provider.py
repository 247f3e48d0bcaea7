"""
PayPal Orders v2: the provider.

Can: a payment by redirect to PayPal, captured as soon as the payer agreed, or authorized and captured later, whole or
in part; refunds, whole and in part; voiding; disputes; webhooks as mentions; PayPal's own list of transactions. Cannot:
cards entered in the shop's page, saved wallets, subscriptions, several captures, cancelling an order at PayPal: one
that is not captured takes no money, and lapses.

The source of each fact is named beside it, see SOURCES.md.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlencode

from msgspec.structs import replace

from paycore.plugin import (
    Attempt,
    Capabilities,
    CaptureOrder,
    CaptureReply,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    InvalidField,
    ListReply,
    Lookup,
    Notice,
    Notification,
    NotNow,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    RefundOrder,
    RefundReply,
    Rejected,
    Reply,
    Request,
    RequestBudget,
    Resend,
    Secret,
    Session,
    SessionReply,
    Status,
    Unknown,
)
from paypal_orders import messages
from paypal_orders.listing import list_transactions
from paypal_orders.looking import GONE, NEW, is_gone, is_of_another, look, look_for_refund, observe
from paypal_orders.mentions import mentions
from paypal_orders.messages import Nothing, PayPalOrder, PayPalPayment, Voided
from paypal_orders.observations import of_order, of_payment, of_refund
from paypal_orders.requests import answer, get, quoted, send
from paypal_orders.settings import PayPalSettings

HOUR_S, DAY_S = 3600, 24 * 3600
KEY_OF_ORDER_S, KEY_OF_REFUND_S = 5 * HOUR_S, 44 * DAY_S
"""How long a `PayPal-Request-Id` is counted on: an hour and a day less than PayPal's 6 hours and 45 days. §3."""

LIFETIME_S = 6 * HOUR_S
"""How long the payer has to agree; PayPal's pages say 3 and 6 hours. Source: SOURCES.md §5."""

TOKEN_MARGIN_S = 60.0


class PayPalOrders:
    """The provider, for one account."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="paypal-orders",
        title="PayPal Orders",
        settings=PayPalSettings,
        base_urls={"test": "https://api-m.sandbox.paypal.com", "live": "https://api-m.paypal.com"},
        live_hosts=frozenset({"api-m.paypal.com", "api.paypal.com"}),
        sample={"client_id": "client", "client_secret": "secret"},
    )

    def __init__(self, settings: PayPalSettings) -> None:
        self._settings = settings
        products = [
            Product(
                method="paypal",
                channel=channel,
                currencies=settings.currencies,
                required=frozenset({"return_url"}),
                optional=frozenset({"subject"}),
                capture="partial",
            )
            for channel in ("web", "wap")  # one page, which fits any screen
        ]
        self._capabilities = Capabilities(
            products=tuple(products),
            number=NumberFormat(length_max=36),
            budget=RequestBudget(per_second=10, per_minute=300),
            lookup=Lookup.BY_PROVIDER_ID,
            create_resend=Resend("same_result", window_s=KEY_OF_ORDER_S),
            capture_resend=Resend("same_result", window_s=KEY_OF_ORDER_S),
            refund_resend=Resend("same_result", window_s=KEY_OF_REFUND_S),
        )

    @property
    def capabilities(self) -> Capabilities:
        """What the account can do. PayPal publishes no limits of requests. Source: SOURCES.md §3, §13, §14."""
        return self._capabilities

    def check(self, order: CreateOrder) -> None:
        """Raise `InvalidField` for an amount that PayPal can't be told."""
        if not messages.is_writable(order.amount):
            raise InvalidField(
                "amount", f"{order.amount} has decimals; PayPal takes {order.amount.currency} without"
            )

    def open_session(self, attempt: Attempt) -> Flow[SessionReply]:  # noqa: ARG002 - a token has no time of ours
        """Get an access token. Source: SOURCES.md §2."""
        pair = f"{self._settings.client_id}:{self._settings.client_secret.reveal()}"
        head = {
            "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        body = urlencode({"grant_type": "client_credentials"}).encode()
        response = yield Request(method="POST", path="/v1/oauth2/token", headers=head, body=body, safe=True)
        token = answer(response, messages.Token)
        if isinstance(token, NotNow) and token.is_session_refused:
            return Rejected(
                failure=Failure(code="invalid_client", message=token.problem, who_acts="operator")
            )
        if not isinstance(token, messages.Token):
            return token
        lasts_s = max(1.0, token.expires_in - TOKEN_MARGIN_S)
        return Done(Session(value=Secret(token.access_token), lasts_s=lasts_s))

    # --- create ---------------------------------------------------------------------------------------

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """Make the order; the payer agrees to it on PayPal's page. Source: SOURCES.md §4."""
        unit = messages.OrderedUnit(
            amount=messages.written(order.amount),
            custom_id=messages.custom_id(order.number, order.reference),
            description=order.subject[: messages.TEXT_MAX] if order.subject else None,
        )
        page = messages.Experience(
            return_url=order.return_url or "",
            cancel_url=order.return_url or "",
            user_action="PAY_NOW",
            shipping_preference="NO_SHIPPING",
            payment_method_preference="IMMEDIATE_PAYMENT_REQUIRED" if self._settings.immediate_only else None,
            brand_name=self._settings.brand_name,
            locale=self._settings.locale,
        )
        wanted = messages.OrderRequest(
            intent="CAPTURE" if order.capture == "automatic" else "AUTHORIZE",
            purchase_units=(unit,),
            payment_source=messages.PaymentSource(messages.Wallet(page)),
        )
        made = yield from send("/v2/checkout/orders", wanted, order.number, order.attempt, PayPalOrder)
        if not isinstance(made, PayPalOrder):
            return _unless_duplicate(made)
        if is_of_another(made, order.number):
            return Unknown(problem="the answer is about another order")
        seen = of_order(order.number, order.amount, made, order.attempt.sent_at)
        return Done(Created(observation=seen, action=seen.action, expires_in_s=LIFETIME_S))

    # --- query ----------------------------------------------------------------------------------------

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """
        Ask about one order or refund. An order to be captured later is authorized once its payer agreed.

        An order that PayPal does not know any more, and of which no capture is known, has expired: it is captured by
        this account only, and never after it was closed. Source: SOURCES.md §5.
        """
        (ref,) = orders
        undecided = Done(Found(undecided=frozenset({ref.number})))
        if ref.provider_id is None:
            return undecided
        if ref.kind == "refund":
            refund = yield from get(
                f"/v2/payments/refunds/{quoted(ref.provider_id)}", ref.attempt, PayPalPayment
            )
            if isinstance(refund, PayPalPayment):
                return Done(Found(observations=(of_refund(ref.number, ref.amount, refund),)))
            return undecided if is_gone(refund) else refund
        seen = yield from observe(ref, disputes=self._settings.disputes)
        if not isinstance(seen, PaymentObservation):
            return undecided if seen is NEW else seen
        return Done(Found(observations=(seen,)))

    # --- capture, refund, close -----------------------------------------------------------------------

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """
        Take the money of an order its payer agreed to, or of its authorization.

        A refusal is looked after: an earlier request may have taken the money. Source: SOURCES.md §6, §7.
        """
        if not messages.is_writable(capture.amount):
            return Rejected(failure=_NO_DECIMALS)
        ref, authorization = capture.order, capture.order.ids.get("authorization")
        made: PayPalOrder | PayPalPayment | Rejected | NotNow | Unknown
        if authorization is not None:
            wanted = messages.CaptureRequest(messages.written(capture.amount), final_capture=True)
            path = f"/v2/payments/authorizations/{quoted(authorization)}/capture"
            made = yield from send(path, wanted, capture.number, capture.attempt, PayPalPayment)
        elif capture.amount == ref.amount:
            path = f"/v2/checkout/orders/{quoted(ref.provider_id)}/capture"
            made = yield from send(path, Nothing(), capture.number, capture.attempt, PayPalOrder)
        else:
            return Rejected(failure=_NOT_AUTHORIZED)
        if isinstance(made, PayPalPayment):
            return Done(of_payment(ref, made, "capture"))
        if isinstance(made, PayPalOrder):
            if is_of_another(made, ref.number):
                return Unknown(problem="the answer is about another order")
            return Done(of_order(ref.number, ref.amount, made, ref.attempt.sent_at))
        return (yield from self._look_after(ref, made)) if isinstance(made, Rejected) else made

    def _look_after(self, ref: OrderRef, refused: Rejected) -> Flow[CaptureReply]:
        seen = yield from look(ref)
        if not isinstance(seen, PaymentObservation):
            return Unknown(problem=f"{refused.failure.code}, and the order can't be read")
        if seen.words == GONE and not is_gone(refused):
            return Unknown(problem=f"{refused.failure.code}, and the order is not found")
        if seen.status in _SETTLED or "capture" in seen.ids:
            return Done(seen)
        if refused.is_duplicate or seen.words.get("order") == "COMPLETED":
            return Unknown(problem=f"{refused.failure.code}, and no capture is shown")
        if refused.failure.code in messages.FINAL:
            return Done(replace(seen, status=Status.FAILED, failure=refused.failure, action=None))
        return refused

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Return money of the order's capture. Source: SOURCES.md §9."""
        if not messages.is_writable(refund.amount):
            return Rejected(failure=_NO_DECIMALS)
        ref, capture = refund.order, refund.order.ids.get("capture")
        if capture is None:
            seen = yield from look(ref)
            if not isinstance(seen, PaymentObservation):
                return seen
            capture = seen.ids.get("capture")
        if capture is None:
            return Rejected(failure=_NO_CAPTURE)
        wanted = messages.RefundRequest(
            messages.written(refund.amount), custom_id=messages.custom_id(refund.number, refund.reference)
        )
        path = f"/v2/payments/captures/{quoted(capture)}/refund"
        made = yield from send(path, wanted, refund.number, refund.attempt, PayPalPayment)
        if isinstance(made, Rejected) and made.failure.code == "CAPTURE_FULLY_REFUNDED":
            made = (yield from look_for_refund(ref, refund.number)) or made  # perhaps by us
        return (
            Done(of_refund(refund.number, refund.amount, made))
            if isinstance(made, PayPalPayment)
            else _unless_duplicate(made)
        )

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """
        Void an authorization; an order that is not captured takes no money, and is closed by not capturing it.

        PayPal has no cancelling. One that is to be authorized is turned into one to be captured, so that no query
        reserves money any more; where PayPal refuses that, it is open until it lapses. Source: SOURCES.md §5, §7.
        """
        seen = yield from look(order)
        if not isinstance(seen, PaymentObservation):
            return seen
        if seen.status in _SETTLED or "capture" in seen.ids:
            return Done(seen)
        if "authorization" not in seen.ids and seen.words.get("order") not in messages.OPEN:
            return Unknown(problem="it is not told whether the order can still be paid", observation=seen)
        outcome = yield from self._release(order, seen)
        return Done(replace(seen, status=Status.CLOSED, action=None)) if outcome is None else outcome

    def _release(self, order: OrderRef, seen: PaymentObservation) -> Flow[Rejected | NotNow | Unknown | None]:
        """See to it that no money of the order is reserved, now or later; None once that is so."""
        if "authorization" in seen.ids:
            path = f"/v2/payments/authorizations/{quoted(seen.ids['authorization'])}/void"
            void = yield from send(path, Nothing(), f"{order.number}-V", order.attempt, Voided)
            is_void = isinstance(void, Rejected) and void.failure.code == "PREVIOUSLY_VOIDED"
            return None if is_void or isinstance(void, Voided) else _unless_duplicate(void)
        if seen.words.get("intent") != "AUTHORIZE":
            return None
        patch = [messages.Patch(op="replace", path="/intent", value="CAPTURE")]
        path = f"/v2/checkout/orders/{quoted(order.provider_id)}"
        changed = yield from send(path, patch, "", order.attempt, Nothing, method="PATCH", safe=True)
        if isinstance(changed, Nothing):
            return None
        return changed if isinstance(changed, NotNow) else Rejected(failure=_LAPSES)

    # --- list, notifications --------------------------------------------------------------------------

    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[ListReply]:
        """A page of PayPal's transactions, see `listing.list_transactions`."""
        return (yield from list_transactions(since, until, cursor, attempt))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """
        What an event is about: mentions, for only a call to PayPal or a certificate fetched from it could verify it.

        `MalformedNotification`: it is no event. Source: SOURCES.md §12.
        """
        return mentions(notification.body)

    def acknowledge(self) -> Reply:
        """Any 2xx is a receipt. Source: SOURCES.md §12."""
        return Reply()


_SETTLED = (Status.PAID, Status.FAILED, Status.CLOSED)
_NOT_AUTHORIZED = Failure(
    code="not_authorized", message="a part can only be taken of an authorized order", who_acts="caller"
)
_NO_DECIMALS = Failure(
    code="has_decimals", message="PayPal takes this currency without decimals", who_acts="caller"
)
_NO_CAPTURE = Failure(
    code="no_capture", message="the order has no capture to return money of", who_acts="caller"
)
_LAPSES = Failure(
    code="not_cancellable",
    message="PayPal does not cancel an order its payer may still agree to",
    who_acts="provider",
    advice="It lapses by itself within hours; once the payer agreed, it can be voided.",
)


def _unless_duplicate(outcome: Rejected | NotNow | Unknown) -> Rejected | NotNow | Unknown:
    """An earlier request did it: no refusal, and nothing that tells what became of it."""
    if isinstance(outcome, Rejected) and outcome.is_duplicate:
        return Unknown(problem=f"an earlier request did it: {outcome.failure.message}")
    return outcome
