"""M-Pesa STK push: the payer is asked on their phone; the callback has two ids of M-Pesa's, and no number of ours."""

import base64
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from paycore.plugin import (
    Attempt,
    Capabilities,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    Found,
    InvalidField,
    Lookup,
    MalformedNotification,
    Mention,
    Notice,
    Notification,
    NotNow,
    NumberFormat,
    OrderRef,
    PaymentObservation,
    Product,
    ProviderInfo,
    QueryReply,
    Rejected,
    Reply,
    Request,
    RequestBudget,
    Response,
    Secret,
    Session,
    SessionReply,
    Status,
    Unknown,
)
from tests.providers.minis.calls import UNREADABLE, document, no_answer, with_json

RESULTS = {
    "0": Status.PAID,
    "1032": Status.FAILED,
    "1037": Status.FAILED,
}  # cancelled; no answer on the phone


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    consumer_key: str
    consumer_secret: Secret
    shortcode: str
    passkey: Secret


class MPesa:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-mpesa",
        title="M-Pesa STK push",
        settings=Settings,
        base_urls={"test": "https://sandbox.safaricom.co.ke", "live": "https://api.safaricom.co.ke"},
        live_hosts=frozenset({"api.safaricom.co.ke"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="mpesa",
                channel="app",
                currencies={"KES": (100, 25_000_000)},
                required=frozenset({"payer_id", "notify_url"}),
                needs_action=False,
                close=False,
                refund="none",
            ),
        ),
        number=NumberFormat(length_max=26),
        budget=RequestBudget(per_second=5, per_minute=200),
        lookup=Lookup.BY_PROVIDER_ID,  # and a push that is sent twice asks the payer twice
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check(self, order: CreateOrder) -> None:
        if order.amount.minor % 100:
            raise InvalidField("amount", "M-Pesa takes whole shillings")

    def open_session(self, _: Attempt) -> Flow[SessionReply]:
        pair = f"{self._settings.consumer_key}:{self._settings.consumer_secret.reveal()}"
        head = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        path = "/oauth/v1/generate?grant_type=client_credentials"
        response = yield Request(method="GET", path=path, headers=head)
        if (problem := no_answer(response)) is not None:
            return problem
        token = document(response)
        return Done(Session(value=Secret(token["access_token"]), lasts_s=float(token["expires_in"]) - 60))

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        wanted = {
            **self._password(order.attempt),
            "TransactionType": "CustomerPayBillOnline",
            "Amount": order.amount.minor // 100,
            "PhoneNumber": order.payer_id,
            "PartyA": order.payer_id,
            "PartyB": self._settings.shortcode,
            "CallBackURL": order.notify_url,
            "AccountReference": order.reference[:12],
        }
        response = yield _post("/mpesa/stkpush/v1/processrequest", wanted, order.attempt, safe=False)
        if (refusal := _refusal(response)) is not None:
            return refusal
        made = document(response)
        seen = PaymentObservation(
            number=order.number,
            status=Status.PENDING,
            provider_id=made["CheckoutRequestID"],
            ids={"merchant_request": made["MerchantRequestID"]},
        )
        return Done(Created(observation=seen))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        wanted = {**self._password(order.attempt), "CheckoutRequestID": order.provider_id}
        response = yield _post("/mpesa/stkpushquery/v1/query", wanted, order.attempt, safe=True)
        if (refusal := _refusal(response)) is not None:
            return refusal
        status = RESULTS.get(document(response)["ResultCode"], Status.PENDING)
        seen = PaymentObservation(number=order.number, status=status, provider_id=order.provider_id)
        return Done(Found(observations=(seen,)))

    def verify(self, notification: Notification) -> Sequence[Notice]:
        try:
            return [Mention(id=json.loads(notification.body)["Body"]["stkCallback"]["CheckoutRequestID"])]
        except UNREADABLE:
            raise MalformedNotification("it is no callback of an STK push") from None

    def acknowledge(self) -> Reply:
        return Reply(content_type="application/json", body=b'{"ResultCode":0}')

    def _password(self, attempt: Attempt) -> dict[str, str]:
        """The password of this moment: it must be made anew for each attempt."""
        at = attempt.sent_at.strftime("%Y%m%d%H%M%S")
        password = f"{self._settings.shortcode}{self._settings.passkey.reveal()}{at}"
        return {
            "BusinessShortCode": self._settings.shortcode,
            "Timestamp": at,
            "Password": base64.b64encode(password.encode()).decode(),
        }


def _post(path: str, wanted: object, attempt: Attempt, *, safe: bool) -> Request:
    head = {"authorization": f"Bearer {attempt.session.reveal()}"}
    return with_json("POST", path, wanted, head, safe=safe)


def _refusal(response: Response) -> Rejected | NotNow | Unknown | None:
    if response.status == 401:
        return NotNow(problem="the token does not hold", is_session_refused=True)
    if (problem := no_answer(response)) is not None or response.status < 400:
        return problem
    error: dict[str, Any] = document(response)
    return Rejected(failure=Failure(code=error["errorCode"], message=error["errorMessage"]))
