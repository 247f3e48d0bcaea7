"""Adyen sessions: a host per merchant, results that the browser brings back, batches of events of several merchants."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from paycore.plugin import (
    Capabilities,
    ClientCall,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
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
    Observation,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
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
)
from tests.providers.minis.calls import UNREADABLE, document, no_answer, with_json

SCRIPT = "https://checkoutshopper-live.cdn.adyen.com/checkoutshopper/sdk/6.0.0/adyen.js"
SIGNED = (
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "value",
    "currency",
    "eventCode",
    "success",
)
REFUNDS = {
    ("REFUND", "true"): RefundStatus.SUCCEEDED,
    ("REFUND", "false"): RefundStatus.FAILED,
    ("REFUND_FAILED", "true"): RefundStatus.REVERSED,  # always after a success
}
DAY_S = 24 * 3600.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    api_key: Secret
    client_key: str
    hmac_key: Secret
    merchant_account: str
    live_prefix: str = ""


class Adyen:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-adyen",
        title="Adyen",
        settings=Settings,
        base_urls={"test": "https://checkout-test.adyen.com"},
        live_hosts=frozenset({".adyenpayments.com"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="card",
                channel="web",
                currencies={"EUR": (1, 99_999_999)},
                required=frozenset({"return_url"}),
                close=False,
            ),
        ),
        number=NumberFormat(length_max=80),
        budget=RequestBudget(per_second=20, per_minute=1200),
        lookup=Lookup.BY_PROVIDER_ID,
        create_resend=Resend("same_result", window_s=6 * DAY_S),
        refund_resend=Resend("same_result", window_s=6 * DAY_S),
        notifications_trusted=True,  # no query tells of refunds and disputes
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @staticmethod
    def base_urls_of(settings: Settings, mode: Mode) -> Mapping[str, str]:
        prefix = settings.live_prefix
        return {"": f"https://{prefix}-checkout-live.adyenpayments.com/checkout"} if mode == "live" else {}

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {
            "merchantAccount": self._settings.merchant_account,
            "reference": order.number,
            "amount": _written(order.amount),
            "returnUrl": order.return_url,
        }
        response = yield self._post("/v71/sessions", wanted, order.number)
        if (refusal := _refusal(response)) is not None:
            return refusal
        made = document(response)
        seen = PaymentObservation(number=order.number, status=Status.PENDING, ids={"session": made["id"]})
        params = {
            "id": made["id"],
            "sessionData": made["sessionData"],
            "clientKey": self._settings.client_key,
        }
        return Done(Created(observation=seen, action=ClientCall(script=SCRIPT, params=params)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        result = order.returned.get("sessionResult")
        if order.kind == "refund" or result is None:
            return Done(Found())  # only an event tells
        path = f"/v71/sessions/{order.ids['session']}?sessionResult={quote(result, safe='')}"
        response = yield Request(method="GET", path=path, headers=self._head)
        if (refusal := _refusal(response)) is not None:
            return refusal
        told = document(response)
        if told["status"] != "completed":
            return Done(Found())
        seen = PaymentObservation(
            number=order.number, status=Status.PAID, provider_id=told["payments"][0]["pspReference"]
        )
        return Done(Found(observations=(seen,)))

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        wanted = {
            "merchantAccount": self._settings.merchant_account,
            "reference": refund.number,
            "amount": _written(refund.amount),
        }
        path = f"/v71/payments/{refund.order.provider_id}/refunds"
        response = yield self._post(path, wanted, refund.number)
        refund_id = document(response).get("pspReference")
        return _refusal(response) or Done(
            RefundObservation(number=refund.number, status=RefundStatus.PENDING, provider_id=refund_id)
        )

    def verify(self, notification: Notification) -> Sequence[Notice]:
        try:
            batch = json.loads(notification.body)["notificationItems"]
            items = [item["NotificationRequestItem"] for item in batch]
            return [self._notice(item) for item in items]
        except UNREADABLE:
            raise MalformedNotification("it is no batch of events") from None

    def _notice(self, item: dict[str, Any]) -> Notice:
        if item["merchantAccountCode"] != self._settings.merchant_account:
            return Mention(number=item["merchantReference"])  # another merchant's, signed with another key
        given = item["additionalData"]["hmacSignature"]
        if not hmac.compare_digest(sign(item, self._settings.hmac_key), given):
            raise NotAuthentic("the signature of an event does not hold")
        return _seen(item) or Mention(number=item["merchantReference"])

    def acknowledge(self) -> Reply:
        return Reply(body=b"[accepted]")

    def _post(self, path: str, wanted: object, key: str) -> Request:
        return with_json("POST", path, wanted, {**self._head, "idempotency-key": key})

    @property
    def _head(self) -> dict[str, str]:
        return {"x-api-key": self._settings.api_key.reveal()}


def sign(item: Mapping[str, Any], key: Secret) -> str:
    fields = {**item, **item["amount"]}
    signed = ":".join(str(fields.get(name, "")) for name in SIGNED)
    return base64.b64encode(
        hmac.digest(bytes.fromhex(key.reveal()), signed.encode(), hashlib.sha256)
    ).decode()


def _written(amount: Money) -> dict[str, Any]:
    return {"value": amount.minor, "currency": amount.currency}


def _refusal(response: Response) -> Rejected | NotNow | Unknown | None:
    if (problem := no_answer(response)) is not None or response.status < 400:
        return problem
    error = document(response)
    return Rejected(failure=Failure(code=error["errorCode"], message=error["message"]))


def _seen(item: Mapping[str, Any]) -> Observation | None:
    """What an event says, None where it says nothing of money."""
    event, number = (item["eventCode"], item["success"]), item["merchantReference"]
    if event in REFUNDS:
        return RefundObservation(number=number, status=REFUNDS[event], provider_id=item["pspReference"])
    if event == ("AUTHORISATION", "true"):
        amount = Money.from_minor(item["amount"]["value"], item["amount"]["currency"])
        paid_id = item["pspReference"]
        return PaymentObservation(number=number, status=Status.PAID, provider_id=paid_id, amount=amount)
    if event[0] in ("CHARGEBACK", "CHARGEBACK_REVERSED"):
        minor = item["amount"]["value"]
        return PaymentObservation(
            number=number,
            status=Status.PAID,
            provider_id=item["originalReference"],
            charged_back_minor=minor,
            charge_back_won_minor=minor if event[0] == "CHARGEBACK_REVERSED" else 0,
        )
    return None
