"""
A minimal provider and its gateway: test doubles.

The provider is complete (flows, capabilities, signed notifications); the gateway is a plain object that turns a
`Request` into a `Response` and counts every charge. Amounts are minor units in JSON.

    POST /orders   {number, reference, minor, currency, channel}  ->  {id, status, url}
    POST /query    {numbers}                                      ->  {records: [{number, id, status, minor, ...}]}
    POST /refunds  {number, order, charge, minor, reason}         ->  {id, status}
    POST /close    {number}                                       ->  {id, status}
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec

from paycore.plugin import (
    Capabilities,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    InvalidField,
    MalformedNotification,
    Mention,
    Money,
    NotAuthentic,
    Notice,
    Notification,
    NumberFormat,
    Observation,
    OrderRef,
    PartialAmount,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Redirect,
    RefundObservation,
    RefundOrder,
    RefundReply,
    RefundStatus,
    Rejected,
    Reply,
    Request,
    RequestBudget,
    Resend,
    Response,
    Secret,
    Status,
    Unknown,
    read_amount,
)

T = TypeVar("T")

ResendEffect = Literal["same_result", "refused_as_duplicate", "unsafe"]

SIGNATURE_HEADER = "x-toy-signature"
UNREADABLE = (msgspec.MsgspecError, RecursionError, ValueError, InvalidField)
"""Raised for bytes that are not the expected JSON, and for invalid statuses and amounts in it."""
LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class ToySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account's settings: a key, and the capabilities to declare."""

    key: tuple[Secret, ...]
    create_resend: ResendEffect = "refused_as_duplicate"
    proof_s: float | None = 1.0
    batch: int = 50
    notifications_trusted: bool = True


Word = Annotated[str, msgspec.Meta(pattern=r"\A[ -~]*\Z", max_length=256)]


class _Answer(msgspec.Struct, kw_only=True):
    error: Word | None = None
    id: Word = ""
    status: str = ""
    url: str | None = None
    minor: int | None = None
    currency: str | None = None


class _Head(msgspec.Struct, kw_only=True):
    number: str
    kind: str


class _Record(msgspec.Struct, kw_only=True):
    number: str
    kind: Literal["payment", "refund"]
    id: Word
    status: str
    minor: int | None = None
    currency: str | None = None
    refunded: int = 0


class _Records(msgspec.Struct, kw_only=True):
    records: list[_Record]


class ToyProvider:
    """The provider. Channels: `web` has a link, `card` is charged at once, `lane` can't be closed."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="toy",
        title="Toy",
        settings=ToySettings,
        base_urls={},
        live_hosts=frozenset({"live.toy.example"}),
        notification_headers=frozenset({SIGNATURE_HEADER}),
    )

    def __init__(self, settings: ToySettings) -> None:
        self._settings = settings

    @property
    def capabilities(self) -> Capabilities:
        """What the settings declare, for three products."""
        currencies = {"HKD": (1, 10_000_000), "JPY": (1, 10_000_000)}
        shared = frozenset({"subject", "return_url", "notify_url", "expires_in_s"})
        expiry = (1, 86_400)
        return Capabilities(
            products=(
                Product(
                    method="toy", channel="web", currencies=currencies, optional=shared, expires_in_s=expiry
                ),
                Product(
                    method="toy", channel="card", currencies=currencies, optional=shared, needs_action=False
                ),
                Product(method="toy", channel="lane", currencies=currencies, optional=shared, close=False),
            ),
            number=NumberFormat(characters=LETTERS_AND_DIGITS, length_max=32),
            create_resend=Resend(self._settings.create_resend),
            query_proves_absence_after_s=self._settings.proof_s,
            query_batch_max=self._settings.batch,
            budget=RequestBudget(per_second=100, per_minute=6000),
            notifications_trusted=self._settings.notifications_trusted,
        )

    def check(self, order: CreateOrder) -> None:
        """One bound, so that refusals before any I/O can be tested."""
        if order.subject is not None and len(order.subject) > 20:
            raise InvalidField("subject", f"{len(order.subject)} characters; at most 20")

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """Make the order."""
        fields = {
            "number": order.number,
            "reference": order.reference,
            "minor": order.amount.minor,
            "currency": order.amount.currency,
            "channel": order.channel,
        }
        return (yield from _call("/orders", fields, lambda answer: _created(order, answer)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """Query all of them in one request."""
        numbers = [order.number for order in orders]
        response = yield _post("/query", {"numbers": numbers})
        try:
            records = _read(response, _Records).records
            observations = tuple(map(_observation, records))
        except UNREADABLE:
            return Unknown(problem=f"HTTP {response.status} without records")
        known = {record.number for record in records}
        return Done(Found(observations=observations, absent=frozenset(numbers) - known))

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Return money to the payer."""
        fields = {
            "number": refund.number,
            "order": refund.order.number,
            "charge": refund.order.provider_id,
            "minor": refund.amount.minor,
            "reason": refund.reason,
        }

        def refunded(answer: _Answer) -> RefundReply:
            status = RefundStatus(answer.status)
            amount, partial = _amounts(answer)
            return Done(
                RefundObservation(
                    number=refund.number,
                    status=status,
                    provider_id=answer.id,
                    amount=amount,
                    partial_amount=partial,
                )
            )

        return (yield from _call("/refunds", fields, refunded))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """Cancel an unpaid order."""

        def closed(answer: _Answer) -> CloseReply:
            return Done(_order(order.number, answer))

        return (yield from _call("/close", {"number": order.number}, closed))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """A record, signed with HMAC-SHA256 over the raw body; only the number is read of unknown kinds."""
        given = notification.headers.get(SIGNATURE_HEADER, "").encode()
        if not any(
            hmac.compare_digest(given, sign(notification.body, key.reveal()).encode())
            for key in self._settings.key
        ):
            raise NotAuthentic("the toy's signature does not hold")
        try:
            head = msgspec.json.decode(notification.body, type=_Head)
            if head.kind not in ("payment", "refund"):
                return [Mention(number=head.number)]
            return [_observation(msgspec.json.decode(notification.body, type=_Record))]
        except UNREADABLE:
            raise MalformedNotification("the toy's notification is not a record") from None

    def acknowledge(self) -> Reply:
        """`ok`."""
        return Reply(body=b"ok")


def sign(body: bytes, key: str) -> str:
    """The signature of a notification: HMAC-SHA256 over its raw body, lower-case hex."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def _post(path: str, fields: dict[str, Any]) -> Request:
    headers = {"content-type": "application/json"}
    return Request(method="POST", path=path, headers=headers, body=msgspec.json.encode(fields))


def _call(path: str, fields: dict[str, Any], read: Callable[[_Answer], T]) -> Flow[T | Rejected | Unknown]:
    """Send one request and `read` its answer; `Unknown` when it is unreadable."""
    response: Response = yield _post(path, fields)
    try:
        answer = _read(response, _Answer)
        return read(answer) if answer.error is None else _refusal(answer.error)
    except UNREADABLE:
        return Unknown(problem=f"HTTP {response.status} without an answer")


def _read(response: Response, kind: type[T]) -> T:
    if response.status != 200:
        raise ValueError("only 200 is an answer")
    return msgspec.json.decode(
        response.body.decode(), type=kind
    )  # also checks unknown fields for valid UTF-8


def _created(order: CreateOrder, answer: _Answer) -> CreateReply:
    seen = _order(order.number, answer)
    if order.channel != "card" and answer.url is None:
        return Unknown(problem="accepted without a url", observation=seen)
    return Done(Created(observation=seen, action=Redirect(url=answer.url) if answer.url else None))


def _refusal(error: str) -> Rejected:
    if error == "duplicate":
        return Rejected(failure=Failure(code=error, message="number in use"), is_duplicate=True)
    who = "operator" if error == "bad_key" else "payer"
    return Rejected(failure=Failure(code=error, message=error.replace("_", " "), who_acts=who))  # type: ignore[arg-type]


def _amounts(reported: _Answer | _Record) -> tuple[Money | None, PartialAmount | None]:
    """The reported amount; ValueError for an unreadable one, which makes the whole answer unreadable."""
    amount, partial = read_amount(reported.minor, reported.currency)
    if partial is not None and partial.unreadable is not None:
        raise ValueError(partial.unreadable)
    return amount, partial


def _order(number: str, reported: _Answer | _Record, refunded: int | None = None) -> PaymentObservation:
    amount, partial = _amounts(reported)
    return PaymentObservation(
        number=number,
        status=Status(reported.status),
        provider_id=reported.id,
        amount=amount,
        partial_amount=partial,
        refunded_minor=refunded,
    )


def _observation(record: _Record) -> Observation:
    if record.kind == "payment":
        return _order(record.number, record, record.refunded)
    amount, partial = _amounts(record)
    status = RefundStatus(record.status)
    return RefundObservation(
        number=record.number, status=status, provider_id=record.id, amount=amount, partial_amount=partial
    )


# --- the gateway -------------------------------------------------------------------------------------


class ToyOrder:
    """One order or refund the gateway holds."""

    def __init__(self, number: str, kind: Literal["payment", "refund"], minor: int, currency: str) -> None:
        self.number = number
        self.kind = kind
        self.minor = minor
        self.currency = currency
        self.status = "pending"
        self.refunded = 0
        self.id = ""

    def record(self) -> dict[str, Any]:
        """As in the answer to a query and in a notification."""
        fields = ("number", "kind", "id", "status", "minor", "currency", "refunded")
        return {name: getattr(self, name) for name in fields}


class ToyGateway:
    """
    The provider's server: answers requests, stores orders, counts charges.

    `duplicates`: a second create with the same number is refused, answered with the same order, or makes a second
    order ("charge_blindly"). `reject` is the error for the next creates.
    """

    def __init__(
        self, *, duplicates: Literal["refuse", "same_result", "charge_blindly"] = "refuse", key: str = "toy"
    ) -> None:
        self.orders: list[ToyOrder] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.duplicates = duplicates
        self.key = key
        self.reject: str | None = None

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        fields = msgspec.json.decode(request.body)
        self.requests.append((request.path, fields))
        handler = {
            "/orders": self._create,
            "/query": self._query,
            "/refunds": self._refund,
            "/close": self._close,
        }[request.path]
        return Response(status=200, body=msgspec.json.encode(handler(fields)))

    def pay(self, number: str) -> None:
        """The payer pays the newest open order with this number; RuntimeError when there is none."""
        for order in reversed(self.orders):
            if order.number == number and order.status == "pending" and order.kind == "payment":
                order.status = "paid"
                return
        raise RuntimeError("nothing to pay under this number")

    def charged(self, number: str) -> int:
        """How many orders with this number were paid."""
        return sum(o.number == number and o.kind == "payment" and o.status == "paid" for o in self.orders)

    def notification(self, number: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a genuine notification of the newest order with this number."""
        order = self._newest(number)
        if order is None:
            raise RuntimeError("no such order")
        body = msgspec.json.encode(order.record())
        return body, {SIGNATURE_HEADER: sign(body, self.key)}

    def _newest(self, number: str) -> ToyOrder | None:
        return next((order for order in reversed(self.orders) if order.number == number), None)

    def _create(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self.reject is not None:
            return {"error": self.reject}
        known = self._newest(fields["number"])
        if known is not None and self.duplicates == "refuse":
            return {"error": "duplicate"}
        if known is None or self.duplicates == "charge_blindly":
            known = self._add(ToyOrder(fields["number"], "payment", fields["minor"], fields["currency"]))
            if fields["channel"] == "card":
                known.status = "paid"
        url = None if fields["channel"] == "card" else f"https://toy.example/pay/{known.id}"
        return {**known.record(), "url": url}

    def _query(self, fields: dict[str, Any]) -> dict[str, Any]:
        wanted = set(fields["numbers"])
        return {"records": [order.record() for order in self.orders if order.number in wanted]}

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        known = self._newest(fields["number"])
        if known is not None:
            return {"error": "duplicate"} if self.duplicates == "refuse" else known.record()
        paid = next((o for o in self.orders if o.id == fields["charge"] and o.status == "paid"), None)
        if paid is None or paid.refunded + fields["minor"] > paid.minor:
            return {"error": "too_much"}
        paid.refunded += fields["minor"]
        refund = self._add(ToyOrder(fields["number"], "refund", fields["minor"], paid.currency))
        refund.status = "succeeded"
        return refund.record()

    def _close(self, fields: dict[str, Any]) -> dict[str, Any]:
        own = [order for order in self.orders if order.number == fields["number"]]
        if not own:
            return {"error": "no_such_order"}
        for order in own:
            if order.status == "pending":
                order.status = "closed"
        return own[-1].record() if own[-1].status == "closed" else {"error": "already_paid"}

    def _add(self, order: ToyOrder) -> ToyOrder:
        order.id = f"T{len(self.orders) + 1:06d}"
        self.orders.append(order)
        return order
