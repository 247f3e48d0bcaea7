"""Alipay direct: a page to pay on is a signed link, made without a request; refunds are found below their trade."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
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
    Money,
    NotNow,
    NumberFormat,
    OrderRef,
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
    RequestBudget,
    Resend,
    Secret,
    Status,
    Unknown,
)
from tests.providers.minis.calls import document, no_answer, with_form

Answer = dict[str, Any]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    app_id: str
    key: Secret


class Alipay:
    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="mini-alipay",
        title="Alipay, direct",
        settings=Settings,
        base_urls={"test": "https://openapi-sandbox.dl.alipaydev.com", "live": "https://openapi.alipay.com"},
        live_hosts=frozenset({"openapi.alipay.com"}),
    )
    capabilities = Capabilities(
        products=(
            Product(
                method="alipay",
                channel="web",
                currencies={"CNY": (1, 10_000_000_00)},
                required=frozenset({"return_url"}),
                optional=frozenset({"subject"}),
            ),
        ),
        number=NumberFormat(length_max=64),
        budget=RequestBudget(per_second=10, per_minute=600),
        create_resend=Resend("same_result"),  # a link is made; nothing is sent
        refund_resend=Resend("same_result"),
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        content = {
            "out_trade_no": order.number,
            "total_amount": order.amount.text,
            "subject": order.subject or order.reference,
            "product_code": "FAST_INSTANT_TRADE_PAY",
        }
        fields = self._signed("alipay.trade.page.pay", content, order.attempt, return_url=order.return_url)
        url = f"{order.attempt.base_urls['']}/gateway.do?{urlencode(fields)}"
        yield from ()  # a flow without a request
        seen = PaymentObservation(number=order.number, status=Status.PENDING)
        return Done(Created(observation=seen, action=Redirect(url=url)))

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        (order,) = orders
        if order.kind == "refund":
            trade = order.payment.provider_id if order.payment else None
            content = {"trade_no": trade, "out_request_no": order.number}
            answer = yield from self._ask("alipay.trade.fastpay.refund.query", content, order.attempt)
            if not isinstance(answer, dict):
                return answer
            is_done = answer.get("refund_status") == "REFUND_SUCCESS"
            status = RefundStatus.SUCCEEDED if is_done else RefundStatus.PENDING
            return Done(Found(observations=(RefundObservation(number=order.number, status=status),)))
        answer = yield from self._ask("alipay.trade.query", {"out_trade_no": order.number}, order.attempt)
        if isinstance(answer, Rejected) and answer.failure.code == "ACQ.TRADE_NOT_EXIST":
            # There is no trade before the payer opens the link, which can be paid all the same.
            return Done(Found(observations=(PaymentObservation(number=order.number, status=Status.PENDING),)))
        if not isinstance(answer, dict):
            return answer
        return Done(Found(observations=(_seen(order.number, answer),)))

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        content = {
            "trade_no": refund.order.provider_id,
            "out_request_no": refund.number,
            "refund_amount": refund.amount.text,
        }
        answer = yield from self._ask("alipay.trade.refund", content, refund.attempt, safe=False)
        if not isinstance(answer, dict):
            return answer
        return Done(RefundObservation(number=refund.number, status=RefundStatus.SUCCEEDED))

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        content = {"out_trade_no": order.number}
        answer = yield from self._ask("alipay.trade.close", content, order.attempt, safe=False)
        if not isinstance(answer, dict):
            return answer
        return Done(PaymentObservation(number=order.number, status=Status.CLOSED))

    def _ask(
        self, method: str, content: Mapping[str, object], attempt: Attempt, *, safe: bool = True
    ) -> Flow[Answer | Rejected | NotNow | Unknown]:
        fields = self._signed(method, content, attempt)
        request = with_form("POST", "/gateway.do", fields, {})
        response = yield msgspec.structs.replace(request, safe=safe)
        if (problem := no_answer(response)) is not None:
            return problem
        answer: Answer = document(response)[f"{method.replace('.', '_')}_response"]
        if answer["code"] == "10000":
            return answer
        return Rejected(failure=Failure(code=answer["sub_code"], message=answer["sub_msg"]))

    def _signed(
        self, method: str, content: Mapping[str, object], attempt: Attempt, **more: str | None
    ) -> dict[str, str]:
        """The fields with the time of this attempt, and their signature: HMAC stands in for RSA here."""
        fields = {
            "app_id": self._settings.app_id,
            "method": method,
            "timestamp": attempt.sent_at.strftime("%Y-%m-%d %H:%M:%S"),
            "biz_content": msgspec.json.encode(content).decode(),
            **{name: value for name, value in more.items() if value is not None},
        }
        return {**fields, "sign": sign(fields, self._settings.key)}


def sign(fields: Mapping[str, str], key: Secret) -> str:
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    return hmac.new(key.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def _seen(number: str, trade: Answer) -> PaymentObservation:
    statuses = {"TRADE_SUCCESS": Status.PAID, "TRADE_FINISHED": Status.PAID, "TRADE_CLOSED": Status.CLOSED}
    return PaymentObservation(
        number=number,
        status=statuses.get(trade["trade_status"], Status.PENDING),
        provider_id=trade["trade_no"],
        amount=Money(trade["total_amount"], "CNY"),
    )
