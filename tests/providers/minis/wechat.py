"""WeChat Pay v3: each attempt signs its own time and nonce; notifications hold by certificates that are fetched."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, ClassVar

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
    MalformedNotification,
    Money,
    NotAuthentic,
    Notice,
    Notification,
    NotNow,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QRCode,
    QueryReply,
    Rejected,
    Reply,
    Request,
    RequestBudget,
    Resend,
    Response,
    Secret,
    Session,
    SessionReply,
    Status,
    Unknown,
)
from tests.providers.minis.calls import UNREADABLE, document, no_answer

STATES = {"SUCCESS": Status.PAID, "CLOSED": Status.CLOSED, "PAYERROR": Status.PENDING}
HEADERS = ("wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-serial")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    mchid: str
    key: Secret


class WeChat:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-wechat",
        title="WeChat Pay",
        settings=Settings,
        base_urls={"live": "https://api.mch.weixin.qq.com"},
        live_hosts=frozenset({"api.mch.weixin.qq.com"}),
        notification_headers=frozenset(HEADERS),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="wechat",
                channel="qr",
                currencies={"CNY": (1, 10_000_000)},
                required=frozenset({"notify_url"}),
                optional=frozenset({"subject"}),
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=32),
        budget=RequestBudget(per_second=10, per_minute=600),
        query_proves_absence_after_s=0.1,
        create_resend=Resend("same_result"),
        notifications_trusted=True,
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def open_session(self, attempt: Attempt) -> Flow[SessionReply]:
        response = yield self._request("GET", "/v3/certificates", None, attempt)
        if (problem := no_answer(response)) is not None:
            return problem
        keys = {item["serial_no"]: Secret(item["certificate"]) for item in document(response)["data"]}
        return Done(Session(value=keys, lasts_s=10 * 3600.0))  # a new one is published a day before its use

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {
            "mchid": self._settings.mchid,
            "out_trade_no": order.number,
            "description": order.subject or order.reference,
            "notify_url": order.notify_url,
            "amount": {"total": order.amount.minor, "currency": order.amount.currency},
        }
        response = yield self._request("POST", "/v3/pay/transactions/native", wanted, order.attempt)
        if (refusal := _refusal(response)) is not None:
            return refusal
        seen = PaymentObservation(number=order.number, status=Status.PENDING)
        return Done(Created(observation=seen, action=QRCode(content=document(response)["code_url"])))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        path = f"/v3/pay/transactions/out-trade-no/{order.number}?mchid={self._settings.mchid}"
        response = yield self._request("GET", path, None, order.attempt)
        if response.status == 404:
            return Done(Found(absent=frozenset({order.number})))
        return _refusal(response) or Done(Found(observations=(_seen(document(response)),)))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        path = f"/v3/pay/transactions/out-trade-no/{order.number}/close"
        response = yield self._request("POST", path, {"mchid": self._settings.mchid}, order.attempt)
        if response.status != 204 and (refusal := _refusal(response)) is not None:
            return refusal
        return Done(PaymentObservation(number=order.number, status=Status.CLOSED))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        at, nonce, given, serial = [notification.headers.get(name, "") for name in HEADERS]
        key: Secret | None = notification.session.get(serial)
        signed = f"{at}\n{nonce}\n".encode() + notification.body + b"\n"
        if key is None or not hmac.compare_digest(sign(signed, key).encode(), given.encode()):
            raise NotAuthentic("no certificate makes its signature")
        if abs(notification.received_at.timestamp() - int(at)) > 300:
            raise NotAuthentic("it was signed at another time")
        try:  # base64 stands in for AES-GCM here, as HMAC does for RSA
            return [_seen(json.loads(base64.b64decode(json.loads(notification.body)["resource"])))]
        except UNREADABLE:
            raise MalformedNotification("it is no notification of a payment") from None

    def acknowledge(self) -> Reply:
        return Reply(status=204)

    def _request(self, method: Any, path: str, wanted: object, attempt: Attempt) -> Request:
        """Signed over method, path, time, nonce and body: a request that is sent again is signed anew."""
        body = b"" if wanted is None else json.dumps(wanted).encode()
        at = int(attempt.sent_at.timestamp())
        signature = sign(
            f"{method}\n{path}\n{at}\n{attempt.nonce}\n".encode() + body + b"\n", self._settings.key
        )
        head = {
            "authorization": f'WECHATPAY2 mchid="{self._settings.mchid}",nonce_str="{attempt.nonce}"'
            f',timestamp="{at}",signature="{signature}"',
            "content-type": "application/json",
        }
        return Request(method=method, path=path, headers=head, body=body)


def sign(signed: bytes, key: Secret) -> str:
    return base64.b64encode(hmac.digest(key.reveal().encode(), signed, hashlib.sha256)).decode()


def _refusal(response: Response) -> Rejected | NotNow | Unknown | None:
    if (problem := no_answer(response)) is not None or response.status < 400:
        return problem
    error = document(response)
    return Rejected(failure=Failure(code=error["code"], message=error["message"]))


def _seen(trade: dict[str, Any]) -> PaymentObservation:
    amount = trade["amount"]
    return PaymentObservation(
        number=trade["out_trade_no"],
        status=STATES.get(trade["trade_state"], Status.PENDING),
        provider_id=trade.get("transaction_id"),
        amount=Money.from_minor(amount["total"], amount["currency"]),
    )
