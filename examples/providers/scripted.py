"""
The smallest provider that passes the conformance kit, with the gateway it is checked against: one file.

Payments by a link, found again by our number. The company is made up, and this is its whole manual. JSON, with the
account's key as a bearer token:

    POST /orders {number, amount, currency}   an order to pay; the same number again is the same order
    GET /orders/{number}                      the order

An order is {number, id, state, amount, currency, url}: amounts in minor units, `state` one of open, paid, declined and
expired. Errors are {error}: 401 bad_key, 404 no_order, 422 bad_amount, 429 with Retry-After.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from paycore.plugin import (
    Capabilities,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    NotNow,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Redirect,
    Rejected,
    Request,
    RequestBudget,
    Resend,
    Response,
    Secret,
    Status,
    Unknown,
    hookimpl,
    read_amount,
)
from paycore.sandbox.scripted import (
    GatewayAnswer,
    GatewayRequest,
    ScriptedGateway,
    ScriptedOrder,
    ScriptedSandbox,
)

# --- what is sent and received -----------------------------------------------------------------------


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account's settings."""

    key: Secret


class Order(msgspec.Struct):
    """An order as the company tells it. What is missing or of another type is an error; further fields are ignored."""

    number: str
    id: Annotated[str, msgspec.Meta(min_length=1)]
    state: Literal["open", "paid", "declined", "expired"]
    amount: int
    currency: str
    url: str

    def seen(self) -> PaymentObservation:
        """What it says about the payment."""
        amount, partial = read_amount(self.amount, self.currency)
        status = STATES[self.state]
        return PaymentObservation(
            number=self.number, status=status, provider_id=self.id, amount=amount, partial_amount=partial
        )


class Problem(msgspec.Struct):
    """What an error says."""

    error: str


STATES: dict[str, Any] = {
    "open": Status.PENDING,
    "paid": Status.PAID,
    "declined": Status.FAILED,
    "expired": Status.CLOSED,
}

REFUSALS = {
    "bad_key": Failure(code="bad_key", message="the key was refused", who_acts="operator"),
    "bad_amount": Failure(code="bad_amount", message="the amount was refused", who_acts="caller"),
}

# --- the provider ------------------------------------------------------------------------------------


class ScriptedPay:
    """One account."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="scripted",
        title="Scripted Pay",
        settings=Settings,
        base_urls={"live": "https://api.scripted.example"},
        live_hosts=frozenset({"api.scripted.example"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="scripted",
                channel="web",
                currencies={"HKD": (100, 5_000_000), "JPY": (1, 500_000), "KWD": (10, 500_000)},
                close=False,
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=32),
        budget=RequestBudget(per_second=10, per_minute=300),
        query_proves_absence_after_s=2.0,
        create_resend=Resend("same_result"),
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """An order, and the link to its page."""
        wanted = {"number": order.number, "amount": order.amount.minor, "currency": order.amount.currency}
        answer = yield from self._ask("POST", "/orders", msgspec.json.encode(wanted))
        if not isinstance(answer, Order):
            return Unknown(problem="no_order") if answer is None else answer
        return Done(Created(observation=answer.seen(), action=Redirect(url=answer.url)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """One order at a time: `query_batch_max` is 1."""
        (order,) = orders
        answer = yield from self._ask("GET", f"/orders/{order.number}")
        if answer is None:
            return Done(Found(absent=frozenset({order.number})))
        return Done(Found(observations=(answer.seen(),))) if isinstance(answer, Order) else answer

    def _ask(
        self, method: Literal["GET", "POST"], path: str, body: bytes = b""
    ) -> Flow[Order | Rejected | NotNow | Unknown | None]:
        """The order; None where the company says that there is none."""
        headers = {
            "authorization": f"Bearer {self._settings.key.reveal()}",
            "content-type": "application/json",
        }
        response = yield Request(method=method, path=path, headers=headers, body=body)
        return read(response)


def read(response: Response) -> Order | Rejected | NotNow | Unknown | None:
    """What a reply says: whatever the manual does not name is unknown."""
    if response.status == 429:
        return NotNow(problem="too many requests")
    try:
        if response.status == 200:
            return msgspec.json.decode(response.body, type=Order)
        code = msgspec.json.decode(response.body, type=Problem).error
    except (ValueError, RecursionError):  # no JSON, no text, another shape, too deep
        return Unknown(problem=f"HTTP {response.status} that can't be read")
    if response.status == 404 and code == "no_order":
        return None
    if response.status in (401, 422) and code in REFUSALS:
        return Rejected(failure=REFUSALS[code])
    return Unknown(problem=f"HTTP {response.status}")


@hookimpl
def paycore_register_providers() -> list[Any]:
    """The provider."""
    return [ScriptedPay]


# --- its gateway, for `paycore sandbox serve scripted` and `paycore plugins check scripted` ----------


class ScriptedPayGateway(ScriptedGateway):
    """The company, written from its manual: no code of the provider's is used."""

    name = "scripted"
    settings = {"key": "scripted-sandbox-key"}  # noqa: RUF012 - what an account there has

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """The answer to one request."""
        given = asked.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.settings['key']}".encode()):
            return GatewayAnswer({"error": "bad_key"}, 401)
        match [asked.method, *asked.path.split("/")[1:]]:
            case ["POST", "orders"]:
                return self._order_of(asked.document)
            case ["GET", "orders", number] if (order := self.find(number)) is not None:
                return told(order)
            case ["GET", "orders", _]:
                return GatewayAnswer({"error": "no_order"}, 404)
            case _:
                return GatewayAnswer({"error": "no_such_path"}, 404)

    def _order_of(self, wanted: dict[str, Any]) -> GatewayAnswer:
        number, amount, currency = (wanted.get(name) for name in ("number", "amount", "currency"))
        if not (isinstance(number, str) and isinstance(amount, int) and isinstance(currency, str)):
            return GatewayAnswer({"error": "bad_request"}, 400)
        if not 1 <= amount <= 5_000_000:
            return GatewayAnswer({"error": "bad_amount"}, 422)
        self.requests[number] += 1
        return told(self.find(number) or self.place(number, amount, currency))


def told(order: ScriptedOrder) -> GatewayAnswer:
    """An order as the API tells it."""
    states = {"pending": "open", "paid": "paid", "failed": "declined", "closed": "expired"}
    return GatewayAnswer(
        {
            "number": order.number,
            "id": order.id,
            "state": states[order.state],
            "amount": order.minor,
            "currency": order.currency,
            "url": f"https://pay.scripted.example/{order.id}",
        }
    )


@hookimpl
def paycore_register_sandboxes() -> list[Any]:
    """The gateway."""
    return [ScriptedSandbox(ScriptedPayGateway)]
