"""
Alipay through QFPay: the provider.

Can: web, WAP, service window (`jsapi`), merchant and consumer presented codes (`qr`, `barcode`) and in-app
payments for Hong Kong and overseas accounts; query in batches; partial and repeated refunds; closing;
notifications. Cannot: pre-authorisation, hosted checkout, customs, statements.

An accepted request is not a payment: only the reply to a scanned code says that it was paid, otherwise a query or
a notification does. Undocumented by QFPay, and chosen here: when a query proves absence (5 s), the decimals of JPY,
IDR and MMK (ISO 4217), which currencies a pay type takes (all listed ones are offered).

The source of each fact is named beside it, see SOURCES.md.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Literal, cast

from msgspec.structs import replace

from paycore.plugin import (
    FLOW_REQUESTS_MAX,
    Capabilities,
    CloseReply,
    Created,
    CreateOrder,
    CreateReply,
    Done,
    Failure,
    Flow,
    MalformedNotification,
    Mention,
    NotAuthentic,
    Notice,
    Notification,
    NumberFormat,
    OrderRef,
    PartialAmount,
    PaymentObservation,
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
    Status,
    Unknown,
)
from qfpay_alipay import messages
from qfpay_alipay.api import SIGNED_WRONG, Api
from qfpay_alipay.field_bounds import check_order
from qfpay_alipay.observations import (
    REFUND_STATUSES,
    action_of,
    payment_observation,
    read_payment,
    read_refund,
    refund_observation,
)
from qfpay_alipay.pay_types import EXPIRES_IN_DEFAULT_S, PayType, pay_types_of
from qfpay_alipay.query import query_orders
from qfpay_alipay.respcodes import Code, Judgement, failure_of, judge, problem_of
from qfpay_alipay.settings import QFPaySettings
from qfpay_alipay.signing import is_signed

LIVE_HOST = "openapi-hk.qfapi.com"
LIVE_HOSTS = frozenset(
    {
        LIVE_HOST,
        # Other regions, and hosts of older documents, whose samples are still copied.
        *(f"openapi{region}.qfapi.com" for region in ("", "-sg", "-th", "-eur", "-jp")),
        "api.qfapi.com",
        *(f"{name}.qfpay.com" for name in ("openapi", "osqt", "qtapi")),
    }
)
"""
Every production host QFPay has published or has a test host beside.

Source: SOURCES.md §1 ("Environments", G1 to G5); samples of older SDKs for `openapi.qfapi.com` and `qtapi.qfpay.com`.
"""

QUERY_BATCH_MAX = 300
"""Orders of one query flow: three or four pages if they were begun together, and some requests to spare."""

ABSENCE_PROVEN_AFTER_S = 5.0
"""QFPay does not say how soon a new order shows in a query; it advises to repeat one every 3 to 5 s."""

REFUND_WINDOW = timedelta(days=365)
"""How long Alipay payments could be refunded, as a merchant saw it (SOURCES.md §5.1); QFPay publishes none."""


class QFPayAlipay:
    """The provider, for one account."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="qfpay-alipay",
        title="Alipay through QFPay",
        settings=QFPaySettings,
        base_urls={"test": "https://test-openapi-hk.qfapi.com", "live": f"https://{LIVE_HOST}"},
        live_hosts=LIVE_HOSTS,
        notification_headers=frozenset({"x-qf-sign"}),
    )

    def __init__(self, settings: QFPaySettings) -> None:
        self._settings = settings
        self._zone = settings.zone
        self._api = Api(settings)
        self._pay_types = pay_types_of(settings.region)
        self._capabilities = Capabilities(
            products=tuple(row.product for row in self._pay_types.values()),
            # QFPay takes `_`, `|` and `*` as well; the core needs no more than these.
            number=NumberFormat(characters=string.ascii_letters + string.digits, length_max=128),
            create_resend=Resend("refused_as_duplicate"),
            query_proves_absence_after_s=ABSENCE_PROVEN_AFTER_S,
            query_batch_max=QUERY_BATCH_MAX,
            budget=RequestBudget(per_second=100, per_minute=400),
            notifications_trusted=settings.trust_notifications,
        )

    @property
    def capabilities(self) -> Capabilities:
        """
        What the account's region offers.

        Source: number format SOURCES.md §3.1 (String(128); characters from the 2018 issue), budget §1 ("API
        Usage Guidelines"), resend §5.1 and §9 (refused, by one of three codes).
        """
        return self._capabilities

    def check(self, order: CreateOrder) -> None:
        """Raise `InvalidField` when a field of `order` is outside its documented bound."""
        check_order(order)

    # --- create ---------------------------------------------------------------------------------------

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """
        Make the order: one request, the same bytes for the same `order`.

        `txdtm` is when the order was begun, in the account's zone, so that a resend is the same request.
        Source: SOURCES.md §3.
        """
        row = self._pay_types[order.method, order.channel]
        response = yield self._api.request("payment", self._payment_request(order, row))
        try:
            reply, is_signed_wrong = self._api.read(response, messages.PaymentReply)
            _check_same("out_trade_no", reply.number, order.number)
            return _signed_wrong(order.number, reply) if is_signed_wrong else _created(order, row, reply)
        except messages.Malformed as malformed:
            return Unknown(problem=str(malformed))

    def _payment_request(self, order: CreateOrder, row: PayType) -> messages.PaymentRequest:
        minutes = None if order.expires_in_s is None else str(order.expires_in_s // 60)
        return messages.PaymentRequest(
            txamt=str(order.amount.minor),
            txcurrcd=order.amount.currency,
            pay_type=row.pay_type,
            out_trade_no=order.number,
            txdtm=messages.render_time(order.begun_at, self._zone),
            goods_name=order.subject,
            expired_time=minutes,
            return_url=order.return_url,
            notify_url=order.notify_url,
            openid=order.payer_id,
            auth_code=order.auth_code.reveal() if order.auth_code else None,
            udid=order.device_id or self._settings.udid,
            **order.extra,
        )

    # --- query ----------------------------------------------------------------------------------------

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """Ask about orders and refunds, see `query.query_orders`."""
        return query_orders(self._api, orders)

    # --- refund ---------------------------------------------------------------------------------------

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """
        Refund: one request, with the `syssn` of the payment and our number for the refund.

        Without a `syssn` nothing is sent. Source: sdk.qfapi.com "Refund API Guide"; SOURCES.md §5.1.
        """
        syssn = refund.order.provider_id
        if syssn is None:
            return Rejected(failure=_NO_SYSSN)
        request = messages.RefundRequest(
            syssn=syssn,
            out_trade_no=refund.number,
            txamt=str(refund.amount.minor),
            txdtm=messages.render_time(refund.begun_at, self._zone),
            udid=self._settings.udid,
        )
        response = yield self._api.request("refund", request)
        try:
            reply, is_signed_wrong = self._api.read(response, messages.RefundReply)
            _check_same("out_trade_no", reply.number, refund.number)
            _check_same("orig_syssn", messages.text_of(reply.orig_syssn), syssn)
            if is_signed_wrong:
                kept = refund_observation(
                    reply, RefundStatus.PENDING, number=refund.number, is_signed_wrong=True
                )
                return Unknown(problem=SIGNED_WRONG, observation=kept)
            return _refunded(refund, reply)
        except messages.Malformed as malformed:
            return Unknown(problem=str(malformed))

    # --- close ----------------------------------------------------------------------------------------

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """
        Cancel an unpaid order, then ask what it is now: QFPay's reply does not say whether it was paid meanwhile.

        `Rejected` when QFPay refused and the order is still unpaid. `close_request` of the pay type, or the setting
        `close_requests`, says which endpoint and method. `txdtm` is that of the order. If the reply tells another
        amount than the order's, the observation has that amount.
        Source: SOURCES.md §5.2 (QFPay: "does not guarantee the payer was not charged, query afterwards").
        """
        response = yield self._close_request(order)
        try:
            reply, is_signed_wrong = self._api.read(response, messages.CancelReply)
            _check_same("out_trade_no", reply.number, order.number)
            _check_same("orig_syssn", messages.text_of(reply.orig_syssn), order.provider_id)
            if is_signed_wrong:
                return _signed_wrong(order.number, reply)
            amount, partial = reply.amounts
            _check_readable(partial)
        except messages.Malformed as malformed:
            return Unknown(problem=str(malformed))
        judgement, code = judge("close", reply)
        failure = failure_of(reply, code)
        if judgement is Judgement.REJECTED:
            return Rejected(failure=failure)
        answer = yield from query_orders(self._api, [order], requests_max=FLOW_REQUESTS_MAX - 1)
        if not isinstance(answer, Done):
            return answer
        seen = [one for one in answer.value.observations if isinstance(one, PaymentObservation)]
        now = min(seen, key=lambda one: _BY_WEIGHT.index(one.status), default=None)
        if now is None:
            return Unknown(problem=f"closing: {problem_of(reply, code)} The query after it found nothing")
        if amount not in (None, order.amount) or (partial is not None and partial.contradicts(order.amount)):
            now = replace(now, amount=amount, partial_amount=partial)
        is_refused = judgement not in (Judgement.ACCEPTED, Judgement.PENDING)
        return Rejected(failure=failure) if is_refused and now.status is Status.PENDING else Done(now)

    def _close_request(self, order: OrderRef) -> Request:
        row = self._pay_types[order.method, order.channel]
        how = self._settings.close_requests.get(row.pay_type, row.close_request)
        method, endpoint = how.split()
        request = messages.CancelRequest(
            syssn=order.provider_id,
            out_trade_no=None if order.provider_id else order.number,
            txamt=str(order.amount.minor),
            txdtm=messages.render_time(order.begun_at, self._zone),
            udid=self._settings.udid,
        )
        return self._api.request(endpoint, request, method=cast("Literal['GET', 'POST']", method))

    # --- notifications --------------------------------------------------------------------------------

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """
        What an authentic notification says of a payment or a refund; of other kinds only the number is read.

        The signature is MD5 over the raw body and a key, whatever requests use. Nothing is read before it is verified.
        `NotAuthentic`: signature missing or wrong, or another merchant's. `MalformedNotification`: ours, but
        unreadable. Source: "Asynchronous Notifications"; SOURCES.md §2.3, §7, vector V10.
        """
        signature = notification.headers.get("x-qf-sign", "")
        if not is_signed(notification.body, signature, keys=self._settings.client_key):
            raise NotAuthentic("the notification carries no valid X-QF-SIGN of this account")
        try:
            return self._read_notice(notification.body)
        except messages.Malformed as malformed:
            raise MalformedNotification(f"the notification is {malformed}") from None

    def _read_notice(self, body: bytes) -> Sequence[Notice]:
        head = messages.read_message(body, messages.NotificationHead)
        mchid = messages.text_of(head.mchid)
        if mchid and self._settings.mchid and mchid != self._settings.mchid:
            raise NotAuthentic("the notification is for another merchant of this key")
        if head.notify_type not in ("payment", "refund"):
            return _mention(head.number)
        notice = messages.decode(body, messages.TradeNotification)
        if not notice.number:
            raise messages.Malformed("without out_trade_no")
        if messages.trimmed(notice.status) not in ("", "1"):
            return _mention(notice.number)
        seen = read_payment(notice) if head.notify_type == "payment" else read_refund(notice)
        # An order may be tried several times, so one notification does not prove that no money was taken.
        is_promise = seen is not None and seen.status in (Status.CLOSED, Status.FAILED)
        return _mention(notice.number) if seen is None or is_promise else (seen,)

    def acknowledge(self) -> Reply:
        """What QFPay wants as an answer; any other makes it send again. Source: SOURCES.md §7."""
        return Reply(body=b"SUCCESS")


def _mention(number: str) -> Sequence[Mention]:
    """A hint that something about this number changed, where there is one; for notifications that are not read."""
    return (Mention(number=number),) if number else ()


_BY_WEIGHT = (Status.PAID, Status.PENDING, Status.CLOSED, Status.FAILED)
"""Of several records, the first of these statuses says what the order is now."""

_NO_SYSSN = Failure(
    code="no_syssn",
    message="the payment's syssn is not known",
    who_acts="caller",
    advice="Query the payment first: QFPay refunds by its own id.",
)


def _check_same(field: str, told: str, expected: str | None) -> None:
    """`Malformed` when a reply is for another order; replies may leave the field out, and we may not know it yet."""
    if told and expected and told != expected:
        raise messages.Malformed(f"the reply's {field} is not that of the request")


def _check_readable(partial: PartialAmount | None) -> None:
    """`Malformed` when a reply tells an amount that can't be read."""
    if partial is not None and partial.unreadable is not None:
        raise messages.Malformed(f"the reply tells {partial}")


def _signed_wrong(number: str, reply: messages.Trade) -> Unknown:
    """The outcome of a reply that is signed wrong: it is kept as evidence and proves nothing."""
    kept = payment_observation(reply, Status.PENDING, number=number, is_signed_wrong=True)
    return Unknown(problem=SIGNED_WRONG, observation=kept)


def _refusal(reply: messages.Trade, judgement: Judgement, code: Code) -> Rejected | Unknown | None:
    """The outcome of a reply that does not accept the request; None when it does."""
    if judgement in (Judgement.REJECTED, Judgement.DUPLICATE):
        return Rejected(failure=failure_of(reply, code), is_duplicate=judgement is Judgement.DUPLICATE)
    return Unknown(problem=problem_of(reply, code)) if judgement is Judgement.OPEN else None


def _created(order: CreateOrder, row: PayType, reply: messages.PaymentReply) -> CreateReply:
    judgement, code = judge("create", reply)
    refusal = _refusal(reply, judgement, code)
    if refusal is not None:
        return refusal
    if judgement is Judgement.CLOSED:
        failure = failure_of(reply, code)
        seen = payment_observation(reply, Status.CLOSED, number=order.number, failure=failure)
        _check_readable(seen.partial_amount)
        return Done(Created(observation=seen))
    is_paid = judgement is Judgement.ACCEPTED and row.reply == "final"
    seen = payment_observation(reply, Status.PAID if is_paid else Status.PENDING, number=order.number)
    _check_readable(seen.partial_amount)
    try:
        action = action_of(reply, row)
    except messages.Malformed as malformed:
        return Unknown(problem=f"accepted, but {malformed}", observation=seen)
    if not row.takes_expiry:  # how long it lasts is not documented
        return Done(Created(observation=seen, action=action))
    lasts_s = order.expires_in_s or EXPIRES_IN_DEFAULT_S
    expires_at = (seen.occurred_at or order.begun_at) + timedelta(seconds=lasts_s)  # by QFPay's clock if told
    return Done(Created(observation=seen, action=action, expires_at=expires_at, expires_in_s=lasts_s))


def _refunded(refund: RefundOrder, reply: messages.RefundReply) -> RefundReply:
    is_late = refund.begun_at - refund.order.begun_at > REFUND_WINDOW
    judgement, code = judge("refund", reply, is_late_refund=is_late)
    refusal = _refusal(reply, judgement, code)
    if refusal is not None:
        return refusal
    status = REFUND_STATUSES[judgement]
    seen: RefundObservation = refund_observation(reply, status, number=refund.number)
    _check_readable(seen.partial_amount)
    return Done(seen)
