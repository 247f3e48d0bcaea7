"""The toy's provider: what its settings declare, and its flows."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec

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
    Flow,
    Found,
    InvalidField,
    ListByTime,
    Listed,
    ListReply,
    Lookup,
    MalformedNotification,
    Mention,
    NotAuthentic,
    Notice,
    Notification,
    NotNow,
    NumberFormat,
    OrderRef,
    Page,
    Product,
    ProviderInfo,
    QueryReply,
    Redirect,
    RefundOrder,
    RefundReply,
    Rejected,
    Reply,
    RequestBudget,
    Resend,
    Response,
    Secret,
    Session,
    SessionReply,
    Unknown,
)
from paycore.testing.toy.toy_answers import (
    LETTERS_AND_DIGITS,
    SIGNATURE_HEADER,
    SUBJECT_MAX,
    TIME_HEADER,
    UNREADABLE,
    ToyAnswer,
    ToyHead,
    ToyHint,
    ToyRecord,
    ToyRecords,
    ToyToken,
    observation_in,
    order_in,
    post,
    read,
    refund_in,
    refused,
    sign,
)

T = TypeVar("T")

RETURN_URL_MAX = 512
"""Characters."""

CODE_MAX = 24
"""Digits of a scanned code."""

ResendEffect = Literal["same_result", "refused_as_duplicate", "unsafe"]


class ToySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    An account's settings: a key, and the capabilities to declare.

    `captures` offers the channels `hold` and `tab`, whose money is captured. `window_s` is that of every resend that
    is not unsafe. `per_second`, `per_minute`: the request budget.
    A `lookup` by the provider's id proves no absence, whatever `proof_s`. `mentions`: notifications are unsigned, and
    have an id only. `scans`: the channel `card` takes the code that was scanned. `tolerance_s`: a signed time that is
    further off is refused. `list_page`: the list is read by time too, for payments that are awaited, in pages of so
    many records; None: it is not.
    """

    key: tuple[Secret, ...]
    create_resend: ResendEffect = "refused_as_duplicate"
    capture_resend: ResendEffect = "unsafe"
    refund_resend: ResendEffect = "unsafe"
    window_s: float | None = None
    proof_s: float | None = 1.0
    batch: int = 50
    notifications_trusted: bool = True
    captures: Literal["none", "full", "partial"] = "none"
    lookup: Lookup = Lookup.BY_NUMBER
    mentions: bool = False
    scans: bool = False
    tolerance_s: float | None = None
    per_second: int = 100
    per_minute: int = 6000
    list_page: int | None = None


class ToyProvider:
    """
    The provider. Channels: `web` has a link, `card` is charged at once, `lane` can't be closed.

    Where it captures: of `hold` the payer agrees by a link, of `tab` at once; the money is taken by a capture.
    """

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="toy",
        title="Toy",
        settings=ToySettings,
        base_urls={},
        live_hosts=frozenset({"live.toy.example"}),
        notification_headers=frozenset({SIGNATURE_HEADER, TIME_HEADER}),
    )

    def __init__(self, settings: ToySettings) -> None:
        self._settings = settings

    @property
    def capabilities(self) -> Capabilities:
        """What the settings declare, for three products, and two that capture."""
        settings = self._settings
        is_by_number = settings.lookup is Lookup.BY_NUMBER
        return Capabilities(
            products=_products(settings),
            number=NumberFormat(characters=LETTERS_AND_DIGITS, length_max=32),
            lookup=settings.lookup,
            create_resend=_resend(settings.create_resend, settings),
            capture_resend=_resend(settings.capture_resend, settings),
            refund_resend=_resend(settings.refund_resend, settings),
            query_proves_absence_after_s=settings.proof_s if is_by_number else None,
            query_batch_max=settings.batch,
            list_by_time=None if settings.list_page is None else ListByTime(records_max=settings.list_page),
            budget=RequestBudget(per_second=settings.per_second, per_minute=settings.per_minute),
            notifications_trusted=settings.notifications_trusted,
        )

    def check(self, order: CreateOrder) -> None:
        """Two bounds, so that refusals before any I/O can be tested."""
        code = order.auth_code
        if code is not None and not (code.reveal().isdigit() and len(code.reveal()) <= CODE_MAX):
            raise InvalidField(
                "auth_code", f"it has {len(code.reveal())} characters; at most {CODE_MAX} digits"
            )
        if order.return_url is not None and len(order.return_url) > RETURN_URL_MAX:
            raise InvalidField("return_url", f"{len(order.return_url)} characters; at most {RETURN_URL_MAX}")

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """Make the order."""
        fields = {
            "number": order.number,
            "reference": order.reference,
            "minor": order.amount.minor,
            "currency": order.amount.currency,
            "channel": order.channel,
            **_given(order),
        }

        def created(answer: ToyAnswer) -> CreateReply:
            if answer.number not in (None, order.number):
                return Unknown(problem="the answer is about another order")
            seen = order_in(order.number, answer)
            if order.channel not in ("card", "tab") and answer.url is None:
                return Unknown(problem="accepted without a url", observation=seen)
            return Done(Created(observation=seen, action=Redirect(url=answer.url) if answer.url else None))

        return (yield from _call("/orders", fields, created, order.attempt))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """Query all of them in one request."""
        numbers = [order.number for order in orders]
        is_by_number = self._settings.lookup is Lookup.BY_NUMBER
        wanted = {"numbers": numbers} if is_by_number else {"ids": [order.provider_id for order in orders]}
        response = yield post("/query", wanted, orders[0].attempt.session)
        try:
            answer = read(response, ToyRecords)
            if answer.error is not None:
                return refused(answer)
            records = _listed(answer)
            observations = tuple(map(observation_in, records))
        except UNREADABLE:
            return Unknown(problem=f"HTTP {response.status} without records")
        known = {record.number for record in records}
        absent = frozenset(numbers) - known if is_by_number else frozenset[str]()
        return Done(Found(observations=observations, absent=absent))

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """Take the money of an authorized order."""
        fields = {
            "number": capture.number,
            "order": capture.order.number,
            "authorization": capture.order.provider_id,
            "minor": capture.amount.minor,
        }

        def captured(answer: ToyAnswer) -> CaptureReply:
            return Done(order_in(capture.order.number, answer))

        return (yield from _call("/captures", fields, captured, capture.attempt))

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Return money to the payer."""
        fields = {
            "number": refund.number,
            "order": refund.order.number,
            "charge": refund.order.provider_id,
            "minor": refund.amount.minor,
            "reason": refund.reason,
        }

        def refunded(answer: ToyAnswer) -> RefundReply:
            return Done(refund_in(refund.number, answer))

        return (yield from _call("/refunds", fields, refunded, refund.attempt))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """Cancel an unpaid order, or void an authorized one."""

        def closed(answer: ToyAnswer) -> CloseReply:
            return Done(order_in(order.number, answer))

        fields = {"number": order.number, "order": order.provider_id}
        return (yield from _call("/close", fields, closed, order.attempt))

    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[ListReply]:
        """A page of the orders and refunds made in that time."""
        fields = {"since": since, "until": until, "cursor": cursor}
        response = yield post("/list", fields, attempt.session, safe=True)
        try:
            answer = read(response, ToyRecords)
            if answer.error is not None:
                return refused(answer)
            items = tuple(
                Listed(observation=observation_in(record), reference=record.reference)
                for record in _listed(answer)
            )
        except UNREADABLE:
            return Unknown(problem=f"HTTP {response.status} without records")
        return Done(Page(items=items, cursor=answer.cursor))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """A record, signed with HMAC-SHA256 over the raw body; only the number is read of unknown kinds."""
        if self._settings.mentions:
            return [_mention(notification)]
        given = notification.headers.get(SIGNATURE_HEADER, "").encode()
        time = notification.headers.get(TIME_HEADER, "")
        if not any(
            hmac.compare_digest(given, sign(notification.body, key.reveal(), time).encode())
            for key in self._settings.key
        ):
            raise NotAuthentic("the toy's signature does not hold")
        tolerance_s = self._settings.tolerance_s
        if (
            tolerance_s is not None
            and abs(notification.received_at.timestamp() - int(time or 0)) > tolerance_s
        ):
            raise NotAuthentic("the toy's notification was signed at another time")
        try:
            return [_notice(record) for record in _records_in(notification.body)]
        except UNREADABLE:
            raise MalformedNotification("the toy's notification is not a record") from None

    def acknowledge(self) -> Reply:
        """`ok`."""
        return Reply(body=b"ok")


class SessionToyProvider(ToyProvider):
    """The same at a gateway that wants a token, got with the account's key, in every request."""

    info: ClassVar[ProviderInfo] = msgspec.structs.replace(ToyProvider.info, name="toy-session")

    def open_session(self, attempt: Attempt) -> Flow[SessionReply]:
        """Get a token."""
        response = yield post(
            "/token", {"key": self._settings.key[0].reveal(), "nonce": attempt.nonce}, safe=True
        )
        try:
            answer = read(response, ToyToken)
        except UNREADABLE:
            return Unknown(problem=f"HTTP {response.status} without a token")
        if answer.error is not None:
            return refused(answer)
        if not answer.token:
            return Unknown(problem="an answer without a token")
        return Done(Session(value=Secret(answer.token), lasts_s=answer.lasts_s))


def _products(settings: ToySettings) -> tuple[Product, ...]:
    currencies = dict.fromkeys(("HKD", "JPY", "KWD"), (1, 10_000_000))
    shared = frozenset({"subject", "return_url", "notify_url", "expires_in_s"})
    product = Product(
        method="toy", channel="web", currencies=currencies, optional=shared, expires_in_s=(1, 86_400)
    )
    unbounded = msgspec.structs.replace(product, expires_in_s=None)
    products = (
        product,
        msgspec.structs.replace(
            unbounded,
            channel="card",
            needs_action=False,
            required=frozenset({"auth_code"} if settings.scans else ()),
        ),
        msgspec.structs.replace(unbounded, channel="lane", close=False),
    )
    if settings.captures == "none":
        return products
    hold = msgspec.structs.replace(product, channel="hold", capture=settings.captures)
    return (*products, hold, msgspec.structs.replace(hold, channel="tab", needs_action=False))


def _given(order: CreateOrder) -> dict[str, Any]:
    """The fields that only inform, where they are given; a text as short as the gateway takes it."""
    fields = {
        "subject": order.subject and order.subject[:SUBJECT_MAX],
        "return_url": order.return_url,
        "notify_url": order.notify_url,
        "expires_in_s": order.expires_in_s,
        "code": order.auth_code and order.auth_code.reveal(),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _resend(effect: ResendEffect, settings: ToySettings) -> Resend:
    """What is unsafe is so for ever."""
    return Resend(effect, None if effect == "unsafe" else settings.window_s)


def _listed(answer: ToyRecords) -> list[ToyRecord]:
    if answer.records is msgspec.UNSET:
        raise ValueError("there are no records in it")
    return answer.records


def _call(
    path: str, fields: dict[str, Any], told: Callable[[ToyAnswer], T], attempt: Attempt
) -> Flow[T | Rejected | NotNow | Unknown]:
    """Send one request; what its answer tells, `Unknown` when it is unreadable."""
    response: Response = yield post(path, fields, attempt.session)
    try:
        answer = read(response, ToyAnswer)
        return told(answer) if answer.error is None else refused(answer)
    except UNREADABLE:
        return Unknown(problem=f"HTTP {response.status} without an answer")


def _records_in(body: bytes) -> Sequence[bytes]:
    """The record of a notification, or those of a batch."""
    if not body.startswith(b"["):
        return [body]
    batch: list[msgspec.Raw] = msgspec.json.decode(
        body, type=Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1)]
    )
    return batch


def _notice(record: bytes) -> Notice:
    head = msgspec.json.decode(record, type=ToyHead)
    if head.kind not in ("payment", "refund"):
        return Mention(number=head.number)
    return observation_in(msgspec.json.decode(record, type=ToyRecord))


def _mention(notification: Notification) -> Mention:
    try:
        return Mention(id=msgspec.json.decode(notification.body, type=ToyHint).id)
    except UNREADABLE:
        raise MalformedNotification("the toy's notification is not an id") from None
