"""Stripe Checkout: no lookup by our number, keys kept for a day, one host for test and live, three ids per order."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

import msgspec

from paycore.plugin import (
    Attempt,
    Capabilities,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    Listed,
    ListReply,
    Lookup,
    MalformedNotification,
    Mention,
    Mode,
    Money,
    NotAuthentic,
    Notice,
    Notification,
    NotNow,
    NumberFormat,
    OrderRef,
    Page,
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
from tests.providers.minis.calls import UNREADABLE, document, no_answer, with_form

KEY_KEPT_S = 23 * 3600.0  # Stripe keeps an idempotency key for at least 24 hours
TWO_DECIMALS = {"ISK": 100, "UGX": 100}  # currencies without decimals that Stripe writes with two


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    api_key: Secret
    webhook_secret: tuple[Secret, ...]


class Stripe:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-stripe",
        title="Stripe Checkout",
        settings=Settings,
        base_urls={"test": "https://api.stripe.com", "live": "https://api.stripe.com"},
        live_hosts=frozenset({"api.stripe.com"}),
        sample={"api_key": "sk_test_1", "webhook_secret": "whsec_1"},
        notification_headers=frozenset({"stripe-signature"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="card",
                channel="web",
                currencies={"EUR": (50, 99_999_999), "ISK": (1, 99_999_999)},
                required=frozenset({"return_url"}),
                optional=frozenset({"subject"}),
            ),
        ),
        number=NumberFormat(length_max=255),
        budget=RequestBudget(per_second=25, per_minute=1500),
        lookup=Lookup.BY_PROVIDER_ID,
        create_resend=Resend("same_result", window_s=KEY_KEPT_S),
        refund_resend=Resend("same_result", window_s=KEY_KEPT_S),
        notifications_trusted=True,
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @staticmethod
    def mode_of(settings: Settings) -> Mode | None:
        kind: dict[str, Mode] = {"test": "test", "live": "live"}
        return kind.get(settings.api_key.reveal().split("_")[1])

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        fields = {
            "mode": "payment",
            "client_reference_id": order.number,
            "metadata[reference]": order.reference,
            "success_url": order.return_url,
            "line_items[0][quantity]": 1,
            "line_items[0][price_data][currency]": order.amount.currency.lower(),
            "line_items[0][price_data][unit_amount]": _written(order.amount),
            "line_items[0][price_data][product_data][name]": order.subject or order.reference,
        }
        response = yield self._post("/v1/checkout/sessions", fields, order.number)
        if (refusal := _refusal(response)) is not None:
            return refusal
        session = document(response)
        return Done(Created(observation=_seen(order.number, session), action=Redirect(url=session["url"])))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        if order.kind == "refund":
            response = yield self._get(f"/v1/refunds/{order.provider_id}")
            if (refusal := _refusal(response)) is not None:
                return refusal
            return Done(Found(observations=(_seen_refund(order.number, document(response)),)))
        expanded = {"expand[0]": "payment_intent.latest_charge"}
        response = yield self._get(f"/v1/checkout/sessions/{order.provider_id}", expanded)
        if (refusal := _refusal(response)) is not None:
            return refusal
        session, disputes = document(response), []
        if (session.get("payment_intent") or {}).get("latest_charge", {}).get("disputed"):
            response = yield self._get("/v1/disputes", {"payment_intent": session["payment_intent"]["id"]})
            disputes = document(response)["data"]
        return Done(Found(observations=(_seen(order.number, session, disputes),)))

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        fields = {"payment_intent": refund.order.ids["intent"], "amount": _written(refund.amount)}
        response = yield self._post("/v1/refunds", fields, refund.number)
        return _refusal(response) or Done(_seen_refund(refund.number, document(response)))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        response = yield self._post(
            f"/v1/checkout/sessions/{order.provider_id}/expire", {}, f"{order.number}-x"
        )
        return _refusal(response) or Done(_seen(order.number, document(response)))

    def list(self, since: datetime, until: datetime, cursor: str | None, _: Attempt) -> Flow[ListReply]:
        made = {"created[gte]": int(since.timestamp()), "created[lt]": int(until.timestamp())}
        response = yield self._get(
            "/v1/checkout/sessions", made | ({"starting_after": cursor} if cursor else {})
        )
        if (refusal := _refusal(response)) is not None:
            return refusal
        sessions = document(response)["data"]
        items = tuple(
            Listed(
                observation=_seen(session.get("client_reference_id") or "", session),
                reference=session["metadata"].get("reference"),
            )
            for session in sessions
        )
        return Done(Page(items=items, cursor=sessions[-1]["id"] if document(response)["has_more"] else None))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        given = dict(
            part.partition("=")[::2] for part in notification.headers.get("stripe-signature", "").split(",")
        )
        signed = f"{given.get('t', '')}.".encode() + notification.body
        digests = [sign(signed, secret) for secret in self._settings.webhook_secret]
        if not any(hmac.compare_digest(digest.encode(), given.get("v1", "").encode()) for digest in digests):
            raise NotAuthentic("no webhook secret makes its signature")
        if abs(notification.received_at.timestamp() - int(given["t"])) > 300:
            raise NotAuthentic("it was signed at another time")
        try:
            about = json.loads(notification.body)["data"]["object"]
            if about["object"] == "checkout.session":
                return [_seen(about["client_reference_id"], about)]
            return [Mention(id=about["payment_intent"])]  # of a charge, a refund or a dispute
        except UNREADABLE:
            raise MalformedNotification("it is no event of Stripe's") from None

    def acknowledge(self) -> Reply:
        return Reply()

    def _get(self, path: str, fields: Mapping[str, object] = {}) -> Request:
        return Request(
            method="GET", path=f"{path}?{urlencode(fields)}" if fields else path, headers=self._headers
        )

    def _post(self, path: str, fields: Mapping[str, object], key: str) -> Request:
        return with_form("POST", path, fields, {**self._headers, "idempotency-key": key})

    @property
    def _headers(self) -> dict[str, str]:
        return {
            "authorization": f"Bearer {self._settings.api_key.reveal()}",
            "stripe-version": "2026-10-28.endive",
        }


def sign(signed: bytes, secret: Secret) -> str:
    return hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest()


def _written(amount: Money) -> int:
    return amount.minor * TWO_DECIMALS.get(amount.currency, 1)


def _refusal(response: Response) -> Rejected | NotNow | Unknown | None:
    if response.status == 409:  # another request holds this key
        return Unknown(problem="a request with this key is in progress")
    if response.status < 400 or (problem := no_answer(response)) is not None:
        return None if response.status < 400 else problem
    error = document(response)["error"]
    who: Literal["operator", "payer"] = "operator" if response.status in (401, 403) else "payer"
    return Rejected(
        failure=Failure(code=error.get("code", error["type"]), message=error["message"], who_acts=who)
    )


def _seen(
    number: str, session: Mapping[str, Any], disputes: Sequence[Mapping[str, Any]] = ()
) -> PaymentObservation:
    intent = session.get("payment_intent") or {}
    intent = {"id": intent} if isinstance(intent, str) else intent  # in events it is not expanded
    charge = intent.get("latest_charge") or {}
    ids = {name: made["id"] for name, made in (("intent", intent), ("charge", charge)) if made}
    currency = session["currency"].upper()
    total = session["amount_total"]
    minor, rest = divmod(total, TWO_DECIMALS.get(currency, 1))
    amount, partial = read_amount(minor, currency, unreadable=f"{total} {currency}" if rest else None)
    is_lost = charge.get("status") == "failed"  # a debit that the payer's bank took back after days
    taken = [dispute for dispute in disputes if not dispute["status"].startswith("warning")]
    won = sum(dispute["amount"] for dispute in taken if dispute["status"] == "won")
    is_paid, is_expired = session["payment_status"] == "paid", session["status"] == "expired"
    return PaymentObservation(
        number=number,
        status=Status.PAID if is_paid else Status.CLOSED if is_expired else Status.PENDING,
        provider_id=session["id"],
        ids=ids,
        amount=amount,
        partial_amount=partial,
        refunded_minor=charge.get("amount_refunded"),
        charged_back_minor=minor if is_lost else sum(dispute["amount"] for dispute in taken),
        charge_back_won_minor=won,
        occurred_at=datetime.fromtimestamp(session["created"], UTC),
    )


def _seen_refund(number: str, refund: Mapping[str, Any]) -> RefundObservation:
    came_back = refund.get("failure_balance_transaction")  # it had succeeded before it failed
    statuses = {
        "succeeded": RefundStatus.SUCCEEDED,
        "failed": RefundStatus.FAILED,
        "canceled": RefundStatus.FAILED,
    }
    status = RefundStatus.REVERSED if came_back else statuses.get(refund["status"], RefundStatus.PENDING)
    return RefundObservation(number=number, status=status, provider_id=refund["id"])
