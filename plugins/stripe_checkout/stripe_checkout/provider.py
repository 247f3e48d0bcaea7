"""The provider: Stripe Checkout Sessions by REST."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import quote

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
    Mode,
    Notice,
    Notification,
    NotNow,
    NumberFormat,
    OrderRef,
    ProviderInfo,
    QueryReply,
    Redirect,
    RefundOrder,
    RefundReply,
    Rejected,
    Reply,
    RequestBudget,
    Resend,
    Status,
    Unknown,
)
from stripe_checkout import messages
from stripe_checkout.amounts import units_of
from stripe_checkout.api import Api, NoAnswer, read
from stripe_checkout.listing import list_page
from stripe_checkout.observations import (
    NUMBER,
    REFERENCE,
    intent_observation,
    payment_observation,
    refund_observation,
)
from stripe_checkout.products import METHODS, products
from stripe_checkout.settings import StripeSettings, mode_of_key
from stripe_checkout.webhooks import check_signature, read_event

SESSIONS = "/v1/checkout/sessions"
EXPANDED = {"expand": ["payment_intent.latest_charge"]}
KEY_KEPT_S = 23 * 3600.0
"""Stripe keeps an idempotency key for at least 24 hours; an hour less, since clocks differ. Source: SOURCES.md §4."""

NAME_LENGTH_MAX = 250
"""Characters of the line shown to the payer. Stripe publishes no bound; chosen here. Source: SOURCES.md §3."""

_REASONS = ("duplicate", "requested_by_customer")
"""Reasons Stripe knows; its third, `fraudulent`, blocks the payer's card, and nobody asked for that."""


class StripeCheckout:
    """One Stripe account."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="stripe-checkout",
        title="Stripe Checkout",
        settings=StripeSettings,
        base_urls={"test": "https://api.stripe.com", "live": "https://api.stripe.com"},
        live_hosts=frozenset({"api.stripe.com"}),
        sample={"api_key": "sk_test_sample", "webhook_secret": ["whsec_sample"]},
        notification_headers=frozenset({"stripe-signature"}),
    )

    def __init__(self, settings: StripeSettings) -> None:
        self._settings = settings
        self._api = Api(settings.api_key)
        self._mode = mode_of_key(settings.api_key)
        self._capabilities = Capabilities(
            products=products(),
            number=NumberFormat(length_max=200),
            budget=RequestBudget(per_second=100, per_minute=6000)
            if self._mode == "live"
            else RequestBudget(per_second=25, per_minute=1500),
            lookup=Lookup.BY_PROVIDER_ID,
            create_resend=Resend("same_result", window_s=KEY_KEPT_S),
            capture_resend=Resend("same_result", window_s=KEY_KEPT_S),
            refund_resend=Resend("same_result", window_s=KEY_KEPT_S),
            notifications_trusted=settings.trust_notifications,
        )

    @property
    def capabilities(self) -> Capabilities:
        """The products, Stripe's limits by mode, and keys that are kept for a day. Source: SOURCES.md §4, §5."""
        return self._capabilities

    @staticmethod
    def mode_of(settings: StripeSettings) -> Mode | None:
        """Test and live share a host: the key tells. Source: SOURCES.md §1."""
        return mode_of_key(settings.api_key)

    def check(self, order: CreateOrder) -> None:
        """`InvalidField` for an amount that Stripe can't take, such as 1.234 KWD."""
        units_of(order.amount)

    # --- create ---------------------------------------------------------------------------------------

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """
        Make a session, with our number as its idempotency key and its `client_reference_id`.

        A repeat gets the stored reply, which shows the session as it was made: it is read anew then.
        Source: SOURCES.md §3, §4.
        """
        response = yield self._api.posting(SESSIONS, self._new_session(order), key=order.number)
        made = read(response, messages.CheckoutSession)
        if not isinstance(made, messages.CheckoutSession):
            return made
        if made.client_reference_id != order.number:
            return Unknown(problem="the reply is about another order")
        if response.headers.get("idempotent-replayed") == "true":
            now = yield from self._api.get(
                f"{SESSIONS}/{_quoted(made.id)}", messages.CheckoutSession, **EXPANDED
            )
            if not isinstance(now, messages.CheckoutSession):
                return Unknown(
                    problem="the session is there, what it is now was not told",
                    observation=payment_observation(order.number, made),
                )
            made = now
        return Done(_created(order.number, made))

    def _new_session(self, order: CreateOrder) -> messages.NewSession:
        metadata = {NUMBER: order.number, REFERENCE: order.reference}
        name = (order.subject or order.reference)[:NAME_LENGTH_MAX]
        price = messages.PriceData(
            currency=order.amount.currency.lower(),
            unit_amount=units_of(order.amount),
            product_data=messages.ProductData(name=name),
        )
        return_url = order.return_url or ""  # required of every product
        return messages.NewSession(
            mode="payment",
            client_reference_id=order.number,
            line_items=[messages.LineItem(price_data=price)],
            metadata=metadata,
            payment_intent_data=messages.IntentData(
                metadata=metadata, capture_method="manual" if order.capture == "manual" else None
            ),
            success_url=return_url,
            cancel_url=return_url,
            adaptive_pricing=messages.AdaptivePricing(enabled=False),
            allowed_payment_method_types=list(METHODS[order.method].types),
            locale=order.extra.get("locale"),
        )

    # --- query ----------------------------------------------------------------------------------------

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """
        Read a session with its intent and charge, and its disputes where the charge has any; or a refund.

        An id that Stripe does not know is undecided: that proves nothing of our number.
        """
        (order,) = orders
        if order.provider_id is None:
            return Done(Found(undecided=frozenset({order.number})))
        if order.kind == "refund":
            path = f"/v1/refunds/{_quoted(order.provider_id)}"
            refund = yield from self._api.get(path, messages.StripeRefund)
            if isinstance(refund, messages.StripeRefund):
                return Done(Found(observations=(refund_observation(order.number, refund),)))
            return _unless_missing(refund, order)
        session = yield from self._session(order)
        if not isinstance(session, messages.CheckoutSession):
            return _unless_missing(session, order)
        disputes = yield from self._disputes(session)
        if not isinstance(disputes, messages.DisputeList):
            return disputes
        return Done(Found(observations=(payment_observation(order.number, session, disputes.data),)))

    def _session(self, order: OrderRef) -> Flow[messages.CheckoutSession | NoAnswer]:
        return (yield from self._api.get(_path(order), messages.CheckoutSession, **EXPANDED))

    def _disputes(self, session: messages.CheckoutSession) -> Flow[messages.DisputeList | NoAnswer]:
        intent = session.payment_intent
        charge = intent.latest_charge if isinstance(intent, messages.PaymentIntent) else None
        if not (
            isinstance(intent, messages.PaymentIntent)
            and isinstance(charge, messages.StripeCharge)
            and charge.disputed
        ):
            return messages.DisputeList(data=[], has_more=False)
        return (
            yield from self._api.get(
                "/v1/disputes", messages.DisputeList, payment_intent=intent.id, limit=100
            )
        )

    # --- capture, refund, close -----------------------------------------------------------------------

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """
        Capture the session's intent; what is not captured is released.

        Of an intent in another state than asked for, the query that follows tells. Source: SOURCES.md §9.
        """
        intent_id = yield from self._intent_id(capture.order)
        if not isinstance(intent_id, str):
            return intent_id
        try:
            wanted = messages.NewCapture(amount_to_capture=units_of(capture.amount))
        except InvalidField as error:
            return _not_taken(error)
        path = f"/v1/payment_intents/{_quoted(intent_id)}/capture"
        made = yield from self._api.post(path, messages.PaymentIntent, wanted, key=capture.number)
        if isinstance(made, messages.PaymentIntent):
            return Done(intent_observation(capture.order, made))
        if isinstance(made, Rejected) and made.failure.code == "payment_intent_unexpected_state":
            return Unknown(problem="it is captured or cancelled already")
        return made

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Refund by the session's intent, with our number as the key and in the metadata. Source: SOURCES.md §10."""
        intent_id = yield from self._intent_id(refund.order)
        if not isinstance(intent_id, str):
            return intent_id
        try:
            amount = units_of(refund.amount)
        except InvalidField as error:
            return _not_taken(error)
        wanted = messages.NewRefund(
            payment_intent=intent_id,
            amount=amount,
            metadata={NUMBER: refund.number} | ({"reason": refund.reason} if refund.reason else {}),
            reason=refund.reason if refund.reason in _REASONS else None,
        )
        made = yield from self._api.post("/v1/refunds", messages.StripeRefund, wanted, key=refund.number)
        if not isinstance(made, messages.StripeRefund):
            return made
        if made.payment_intent not in (None, intent_id):
            return Unknown(problem="the reply is about another payment")
        return Done(refund_observation(refund.number, made))

    def _intent_id(self, order: OrderRef) -> Flow[str | NoAnswer]:
        """The session's intent, by which Stripe captures and refunds; read where nothing has told it yet."""
        if "payment_intent" in order.ids:
            return order.ids["payment_intent"]
        session = yield from self._session(order)
        if not isinstance(session, messages.CheckoutSession):
            return session
        if not isinstance(session.payment_intent, messages.PaymentIntent):
            return Rejected(failure=_NOT_CONFIRMED)
        return session.payment_intent.id

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """
        Expire an open session, or void an authorized one by cancelling its intent; then say what it is.

        A refusal says nothing by itself: the payer may have been faster. Source: SOURCES.md §9.
        """
        answer: messages.CheckoutSession | messages.PaymentIntent | NoAnswer
        answer = yield from self._api.post(f"{_path(order)}/expire", messages.CheckoutSession, EXPANDED)
        if isinstance(answer, NotNow):
            return answer
        is_told = isinstance(answer, messages.CheckoutSession)
        now = answer if is_told else (yield from self._session(order))
        if isinstance(now, messages.CheckoutSession) and (intent_id := _authorized(now)):
            path = f"/v1/payment_intents/{_quoted(intent_id)}/cancel"
            answer = yield from self._api.post(path, messages.PaymentIntent)
            now = yield from self._session(order)
        if not isinstance(now, messages.CheckoutSession):
            return answer if isinstance(answer, NoAnswer) else Unknown(problem="what it is now was not told")
        seen = payment_observation(order.number, now)
        is_over = seen.status in (Status.CLOSED, Status.PAID, Status.FAILED)
        return answer if isinstance(answer, NoAnswer) and not is_over else Done(seen)

    def list(self, since: datetime, until: datetime, cursor: str | None, _: Attempt) -> Flow[ListReply]:
        """A page of what Stripe has of a time range, see `listing.list_page`."""
        return (yield from list_page(self._api, since, until, cursor))

    # --- notifications --------------------------------------------------------------------------------

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """
        What an event says. `NotAuthentic`: no secret makes its signature, or its time is too far off.

        `MalformedNotification`: signed, and no event. Source: SOURCES.md §8.
        """
        settings = self._settings
        check_signature(notification, settings.webhook_secret, tolerance_s=settings.tolerance_s)
        return read_event(notification.body, is_live=self._mode == "live")

    def acknowledge(self) -> Reply:
        """Any 2xx ends the delivery."""
        return Reply()


def _created(number: str, session: messages.CheckoutSession) -> Created:
    """A session with its page, and its lifetime by Stripe's clock and in seconds."""
    ends = session.expires_at
    return Created(
        observation=payment_observation(number, session),
        action=Redirect(url=session.url) if session.url else None,
        expires_at=None if ends is None else datetime.fromtimestamp(ends, UTC),
        expires_in_s=None if ends is None else max(1, ends - session.created),
    )


def _authorized(session: messages.CheckoutSession) -> str:
    """The id of an intent that holds money, else nothing."""
    intent = session.payment_intent
    if not isinstance(intent, messages.PaymentIntent):
        return ""
    return intent.id if intent.status == "requires_capture" else ""


def _path(order: OrderRef) -> str:
    return f"{SESSIONS}/{_quoted(order.provider_id or '')}"


def _not_taken(error: InvalidField) -> Rejected:
    return Rejected(failure=Failure(code="amount", message=str(error), who_acts="caller"))


def _unless_missing(answer: NoAnswer, order: OrderRef) -> QueryReply:
    is_missing = isinstance(answer, Rejected) and answer.failure.code == "resource_missing"
    return Done(Found(undecided=frozenset({order.number}))) if is_missing else answer


def _quoted(object_id: str) -> str:
    return quote(object_id, safe="")


_NOT_CONFIRMED = Failure(
    code="no_payment_intent",
    message="the payer has not confirmed a payment",
    who_acts="caller",
    advice="Query the payment first.",
)
