"""Mollie's Payments API v2 as paycore drives it: builds requests, reads replies. It does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import parse_qsl, quote

import msgspec

from paycore.plugin import (
    Capabilities,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Flow,
    Found,
    Lookup,
    MalformedNotification,
    Mention,
    Mode,
    Money,
    Notice,
    Notification,
    NotNow,
    NumberFormat,
    OrderRef,
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
    Response,
    Status,
    Unknown,
)
from paycore_mollie.messages import (
    Payment,
    Problem,
    Refund,
    payment_seen,
    refund_seen,
    refused,
)
from paycore_mollie.settings import Settings

HOST = "https://api.mollie.com"
DESCRIPTION_LENGTH_MAX = 255
REFUND_DESCRIPTION_LENGTH_MAX = 140
RETRY_AFTER_MAX_S = 24 * 3600

ONCE = Resend("same_result", window_s=3240)  # a key is kept for an hour

ToldT = TypeVar("ToldT", Payment, Refund)


class Mollie:
    """One website profile at Mollie."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mollie",
        title="Mollie",
        settings=Settings,
        base_urls={"test": HOST, "live": HOST},
        live_hosts=frozenset({"api.mollie.com"}),
        sample={"api_key": "test_sample"},
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="card",
                channel="web",
                currencies={
                    "EUR": (1, 1_000_000),
                    "GBP": (1, 800_000),
                    "HKD": (1, 7_500_000),
                    "JPY": (1, 1_000_000),
                    "USD": (1, 900_000),
                },
                required=frozenset({"return_url"}),
                optional=frozenset({"subject", "notify_url"}),
            ),
        ),
        number=NumberFormat(length_max=32),
        budget=RequestBudget(per_second=10, per_minute=300),
        lookup=Lookup.BY_PROVIDER_ID,
        create_resend=ONCE,
        refund_resend=ONCE,
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @staticmethod
    def mode_of(settings: Settings) -> Mode:
        """Test and live share a host; the key decides."""
        return "live" if settings.api_key.reveal().startswith("live_") else "test"

    # --- flows ---------------------------------------------------------------------------------------

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """A payment, and the page it is paid on."""
        wanted = {
            "amount": _amount(order.amount),
            "description": (order.subject or order.reference)[:DESCRIPTION_LENGTH_MAX],
            "redirectUrl": order.return_url,
            "method": "creditcard",
            "metadata": {"order_id": order.number},
        }
        if order.notify_url is not None:
            wanted["webhookUrl"] = order.notify_url
        told = yield from self._ask("POST", "/v2/payments", Payment, wanted, order.number)
        if not isinstance(told, Payment):
            return told
        seen = payment_seen(told)
        if seen is None:
            return Unknown(problem="it is not the payment that was asked for")
        if seen.status is Status.PENDING and seen.action is None:
            return Unknown(problem="accepted without a link", observation=seen)
        ends = told.expires_at
        lasts_s = int((ends - told.created_at).total_seconds()) if ends else 0
        if lasts_s < 1:
            return Done(Created(observation=seen, action=seen.action))
        return Done(Created(observation=seen, action=seen.action, expires_at=ends, expires_in_s=lasts_s))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """One payment by its id, or one refund by its id below that of its payment."""
        (order,) = orders
        undecided = Done(Found(undecided=frozenset({order.number})))
        if order.provider_id is None:
            return undecided
        told: Payment | Refund | Rejected | NotNow | Unknown
        if order.payment is None:
            told = yield from self._ask("GET", _path(order), Payment)
        else:
            path = f"{_path(order.payment)}/refunds/{quote(order.provider_id, safe='')}"
            told = yield from self._ask("GET", path, Refund)
        if isinstance(told, Payment | Refund):
            seen = payment_seen(told) if isinstance(told, Payment) else refund_seen(told)
            return Done(Found(observations=(seen,))) if seen else undecided
        return undecided if isinstance(told, Rejected) and told.failure.code == "404" else told

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Return money of a paid payment."""
        wanted = {
            "amount": _amount(refund.amount),
            "description": (refund.reason or refund.number)[:REFUND_DESCRIPTION_LENGTH_MAX],
            "metadata": {"order_id": refund.number},
        }
        path = f"{_path(refund.order)}/refunds"
        told = yield from self._ask("POST", path, Refund, wanted, refund.number)
        if not isinstance(told, Refund):
            return told
        seen = refund_seen(told)
        return Unknown(problem="it is not the refund that was asked for") if seen is None else Done(seen)

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """Cancel an open payment. One that can't be cancelled may be paid or over: then that is told."""
        told = yield from self._ask("DELETE", _path(order), Payment)
        refusal = told if isinstance(told, Rejected) and told.failure.code == "422" else None
        if refusal is not None:
            told = yield from self._ask("GET", _path(order), Payment)
        if not isinstance(told, Payment):
            return told
        seen = payment_seen(told)
        if seen is None:
            return Unknown(problem="it is not the payment that was to be cancelled")
        return refusal if refusal and seen.status is Status.PENDING else Done(seen)

    # --- notifications -------------------------------------------------------------------------------

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """An id, unsigned: anybody can send it, and only the query that follows counts."""
        fields = dict(parse_qsl(notification.body.decode(errors="replace")))
        if "id" not in fields:
            raise MalformedNotification("it has no id")
        return [Mention(id=fields["id"])]

    def acknowledge(self) -> Reply:
        """Any 200 will do."""
        return Reply(body=b"ok")

    # --- requests and replies ------------------------------------------------------------------------

    def _ask(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        kind: type[ToldT],
        wanted: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Flow[ToldT | Rejected | NotNow | Unknown]:
        """Send one request, and read its reply."""
        headers = {"authorization": f"Bearer {self._settings.api_key.reveal()}"}
        if key is not None:
            headers |= {"content-type": "application/json", "idempotency-key": key}
        body = b"" if wanted is None else msgspec.json.encode(wanted)
        response = yield Request(method=method, path=path, headers=headers, body=body)
        return read(response, kind)


def read(response: Response, kind: type[ToldT]) -> ToldT | Rejected | NotNow | Unknown:
    """What a reply says: what is told, a documented refusal, or unknown."""
    if response.status == 429:
        given = response.headers.get("retry-after", "")
        is_number = given.isascii() and given.isdigit() and len(given) <= 6
        after_s = min(float(given), RETRY_AFTER_MAX_S) if is_number else 0.0
        return NotNow(problem="too many requests", retry_after_s=after_s)
    try:
        if response.status in (200, 201):
            return msgspec.json.decode(response.body, type=kind)
        problem = msgspec.json.decode(response.body, type=Problem)
    except (ValueError, RecursionError):
        return Unknown(problem=f"HTTP {response.status} that can't be read")
    failure = refused(problem) if problem.status == response.status else None
    return Rejected(failure=failure) if failure else Unknown(problem=f"HTTP {response.status}")


def _path(order: OrderRef) -> str:
    """A payment's path; without an id it is that of no payment, and not that of the list."""
    return f"/v2/payments/{quote(order.provider_id or '-', safe='')}"


def _amount(amount: Money) -> dict[str, str]:
    return {"currency": amount.currency, "value": amount.text}
