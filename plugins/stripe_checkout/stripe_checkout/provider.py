"""The provider: Stripe Checkout Sessions by REST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ClassVar, TypeVar
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
    Observation,
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
from stripe_checkout.api import Api, NoAnswer, Outcome, read
from stripe_checkout.listing import list_page
from stripe_checkout.observations import (
    METHOD,
    NUMBER,
    REFERENCE,
    intent_observation,
    payment_observation,
    refund_observation,
)
from stripe_checkout.products import METHODS, products
from stripe_checkout.settings import StripeSettings, mode_of_key
from stripe_checkout.webhooks import check_signature, read_event

T = TypeVar("T")

SESSIONS = "/v1/checkout/sessions"
EXPANDED = {"expand": ["payment_intent.latest_charge"]}
KEY_KEPT_S = 23 * 3600.0
"""Stripe keeps an idempotency key for at least 24 hours; an hour less, since clocks differ. Source: SOURCES.md §4."""

LOOKED_AT_MAX = 8
"""Pages of a hundred sessions that are looked through, within the ten requests of a flow."""

NAME_LENGTH_MAX = 250
"""Characters of the line shown to the payer. Stripe publishes no bound; chosen here. Source: SOURCES.md §3."""

_CAPTURED = ("payment_intent_unexpected_state", "charge_already_captured")
"""Codes of a capture that may have been made before. Source: SOURCES.md §6."""

_REASONS = ("duplicate", "requested_by_customer")
"""Reasons Stripe knows; its third, `fraudulent`, blocks the payer's card, and nobody asked for that."""


def _told(flow: Callable[..., Flow[T]]) -> Callable[..., Flow[T]]:
    """A flow that returns what the response was where there is no answer, and refuses what Stripe's units can't say."""

    @wraps(flow)
    def told(*given: Any) -> Flow[Any]:
        try:
            return (yield from flow(*given))
        except NoAnswer as no:
            return no.outcome
        except InvalidField as error:
            return Rejected(failure=Failure(code="amount", message=str(error), who_acts="caller"))

    return told


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

    @_told
    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """
        Make a session, with our number as its idempotency key and its `client_reference_id`.

        A repeat gets the stored reply, which shows the session as it was made: it is read anew then. Where the stored
        reply is a failure, the session is looked for among those made at that time. Source: SOURCES.md §3, §4.
        """
        response = yield self._api.posting(SESSIONS, self._new_session(order), key=order.number)
        is_replay = response.headers.get("idempotent-replayed") == "true"
        if is_replay and response.status >= 500:
            return Done(_created(order.number, (yield from self._look_for(order))))
        made = read(response, messages.CheckoutSession)
        if made.client_reference_id != order.number:
            return Unknown(problem="the reply is about another order")
        if is_replay:
            try:
                made = yield from self._session(made.id)
            except NoAnswer:
                seen = payment_observation(order.number, made)
                return Unknown(problem="the session is there, what it is now was not told", observation=seen)
        return Done(_created(order.number, made))

    def _look_for(self, order: CreateOrder) -> Flow[messages.CheckoutSession]:
        """The session with our number of those made within the hour; `NoAnswer` proves nothing."""
        since = int(order.begun_at.timestamp()) - 300
        cursor: dict[str, str] = {}
        for _ in range(LOOKED_AT_MAX):
            asked = {"created": {"gte": since, "lt": since + 3900}, "limit": 100} | cursor
            try:
                page = yield from self._api.get(SESSIONS, messages.SessionList, **asked)
            except NoAnswer:  # a refusal of this says nothing of the session
                break
            for session in page.data:
                if session.client_reference_id == order.number:
                    return session
            if not page.has_more or not page.data:
                break
            cursor = {"starting_after": page.data[-1].id}
        raise NoAnswer(Unknown(problem="its key keeps a failure, and no session with its number was found"))

    def _new_session(self, order: CreateOrder) -> messages.NewSession:
        metadata = {NUMBER: order.number, REFERENCE: order.reference, METHOD: order.method}
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
        try:
            seen = yield from self._seen(order)
        except NoAnswer as no:
            is_missing = isinstance(no.outcome, Rejected) and no.outcome.failure.code == "resource_missing"
            return Done(Found(undecided=frozenset({order.number}))) if is_missing else no.outcome
        return Done(Found(observations=(seen,)))

    def _seen(self, order: OrderRef) -> Flow[Observation]:
        if order.kind == "refund":
            path = f"/v1/refunds/{_quoted(order.provider_id)}"
            return refund_observation(order.number, (yield from self._api.get(path, messages.StripeRefund)))
        session = yield from self._session(order.provider_id)
        disputes = []
        if session.intent and session.intent.charge and session.intent.charge.disputed:
            asked = {"payment_intent": session.intent.id, "limit": 100}
            disputes = (yield from self._api.get("/v1/disputes", messages.DisputeList, **asked)).data
        return payment_observation(order.number, session, disputes)

    def _session(self, session_id: str | None) -> Flow[messages.CheckoutSession]:
        path = f"{SESSIONS}/{_quoted(session_id)}"
        return (yield from self._api.get(path, messages.CheckoutSession, **EXPANDED))

    # --- capture, refund, close -----------------------------------------------------------------------

    @_told
    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """
        Capture the session's intent; what is not captured is released.

        Of an intent in another state than asked for, the query that follows tells. Source: SOURCES.md §9.
        """
        wanted = messages.NewCapture(amount_to_capture=units_of(capture.amount))
        path = f"/v1/payment_intents/{_quoted((yield from self._intent_id(capture.order)))}/capture"
        try:
            made = yield from self._api.post(path, messages.PaymentIntent, wanted, key=capture.number)
        except NoAnswer as no:
            if isinstance(no.outcome, Rejected) and no.outcome.failure.code in _CAPTURED:
                return Unknown(problem="it is captured or cancelled already")
            raise
        return Done(intent_observation(capture.order, made))

    @_told
    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Refund by the session's intent, with our number as the key and in the metadata. Source: SOURCES.md §10."""
        amount = units_of(refund.amount)
        wanted = messages.NewRefund(
            payment_intent=(yield from self._intent_id(refund.order)),
            amount=amount,
            metadata={NUMBER: refund.number}
            | ({REFERENCE: refund.reference} if refund.reference else {})
            | ({"reason": refund.reason} if refund.reason else {}),
            reason=refund.reason if refund.reason in _REASONS else None,
        )
        made = yield from self._api.post("/v1/refunds", messages.StripeRefund, wanted, key=refund.number)
        if made.payment_intent not in (None, wanted.payment_intent):
            return Unknown(problem="the reply is about another payment")
        return Done(refund_observation(refund.number, made))

    def _intent_id(self, order: OrderRef) -> Flow[str]:
        """The session's intent, by which Stripe captures and refunds; read where nothing has told it yet."""
        known = order.ids.get("payment_intent") or (yield from self._session(order.provider_id)).intent_id
        if known is None:
            raise NoAnswer(Rejected(failure=_NOT_CONFIRMED))
        return known

    @_told
    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """
        Expire an open session, or void an authorized one by cancelling its intent; then say what it is.

        A refusal says nothing by itself: the payer may have been faster. Source: SOURCES.md §9.
        """
        path = f"{SESSIONS}/{_quoted(order.provider_id)}/expire"
        refused = yield from self._tried(path, messages.CheckoutSession)
        if isinstance(refused, NotNow):
            return refused
        now = yield from self._now(order, refused)
        if now.intent and now.intent.status == "requires_capture":
            path = f"/v1/payment_intents/{_quoted(now.intent.id)}/cancel"
            refused = yield from self._tried(path, messages.PaymentIntent)
            now = yield from self._now(order, refused)
        seen = payment_observation(order.number, now)
        is_over = seen.status in (Status.CLOSED, Status.PAID, Status.FAILED)
        return refused if refused and not is_over else Done(seen)

    def _tried(self, path: str, kind: type[messages.M]) -> Flow[Outcome | None]:
        """Nothing where it was accepted, else what the response was."""
        try:
            yield from self._api.post(path, kind)
        except NoAnswer as no:
            return no.outcome
        return None

    def _now(self, order: OrderRef, refused: Outcome | None) -> Flow[messages.CheckoutSession]:
        """The session as it is; where that is not told, what was refused before it counts."""
        try:
            return (yield from self._session(order.provider_id))
        except NoAnswer:
            raise NoAnswer(refused or Unknown(problem="what it is now was not told")) from None

    @_told
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


def _quoted(object_id: str | None) -> str:
    return quote(object_id or "", safe="")


_NOT_CONFIRMED = Failure(
    code="no_payment_intent",
    message="the payer has not confirmed a payment",
    who_acts="caller",
    advice="Query the payment first.",
)
