"""
Alipay through QFPay: the provider.

Can: web, WAP, service window (`jsapi`), merchant and consumer presented codes (`qr`, `barcode`) and in-app
payments for Hong Kong and overseas accounts; query in batches; partial and repeated refunds; closing;
notifications; QFPay's own list of a time range. Cannot: pre-authorisation, hosted checkout, customs, statements.

An accepted request is not a payment: only the reply to a scanned code says that it was paid, otherwise a query or
a notification does. Undocumented by QFPay, and chosen here: when a query proves absence (5 s), the decimals of JPY,
IDR and MMK (ISO 4217), which currencies a pay type takes (all listed ones are offered).

The source of each fact is named beside it, see SOURCES.md.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, cast

from paycore.plugin import (
    FLOW_REQUESTS_MAX,
    Attempt,
    Capabilities,
    CloseReply,
    CreateOrder,
    CreateReply,
    Failure,
    Flow,
    ListByTime,
    ListReply,
    MalformedNotification,
    NotAuthentic,
    Notice,
    Notification,
    NumberFormat,
    OrderRef,
    ProviderInfo,
    QueryReply,
    RefundOrder,
    RefundReply,
    Rejected,
    Reply,
    Request,
    RequestBudget,
    Resend,
)
from qfpay_alipay import messages, outcomes
from qfpay_alipay.api import Api
from qfpay_alipay.field_bounds import check_order, goods_name_of, minutes_of
from qfpay_alipay.listing import list_trades
from qfpay_alipay.notices import read_notice
from qfpay_alipay.pages import PAGE_SIZE
from qfpay_alipay.pay_types import PayType, pay_types_of
from qfpay_alipay.query import NUMBERS_MAX, query_orders
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

EARLY_S, LATE_S = 0.5, 2.0
"""
How far a range reaches beyond its orders, whole seconds aside: for the time a creation takes to QFPay, and for its
clock. Every second more holds more records of others. What is further off is asked about by number.
"""

ABSENCE_PROVEN_AFTER_S = 5.0
"""QFPay does not say how soon a new order shows in a query; it advises to repeat one every 3 to 5 s."""


class QFPayAlipay:
    """The provider, for one account."""

    info: ClassVar[ProviderInfo] = ProviderInfo(
        api_version=1,
        name="qfpay-alipay",
        title="Alipay through QFPay",
        settings=QFPaySettings,
        base_urls={"test": "https://test-openapi-hk.qfapi.com", "live": f"https://{LIVE_HOST}"},
        live_hosts=LIVE_HOSTS,
        sample={"region": "hk"},
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
            refund_resend=Resend("refused_as_duplicate"),
            query_proves_absence_after_s=ABSENCE_PROVEN_AFTER_S,
            query_batch_max=NUMBERS_MAX,
            list_by_time=ListByTime(records_max=PAGE_SIZE, early_s=EARLY_S, late_s=LATE_S),
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
        return outcomes.of_creation(self._api, response, order, row)

    def _payment_request(self, order: CreateOrder, row: PayType) -> messages.PaymentRequest:
        minutes, goods_name = minutes_of(order.expires_in_s), goods_name_of(order.subject)
        return messages.PaymentRequest(
            txamt=str(order.amount.minor),
            txcurrcd=order.amount.currency,
            pay_type=row.pay_type,
            out_trade_no=order.number,
            txdtm=messages.render_time(order.begun_at, self._zone),
            goods_name=goods_name,
            expired_time=None if minutes is None else str(minutes),
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
        return (yield from query_orders(self._api, orders))

    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[ListReply]:
        """A page of what QFPay has of a time range, see `listing.list_trades`."""
        return (yield from list_trades(self._api, since, until, cursor, attempt))

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
        return outcomes.of_refund(self._api, response, refund)

    # --- close ----------------------------------------------------------------------------------------

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """
        Cancel an unpaid order, then ask what it is now: QFPay's reply does not say whether it was paid meanwhile.

        `Rejected` when QFPay refused and the order is still unpaid. `close_request` of the pay type, or the setting
        `close_requests`, says which endpoint and method. `txdtm` is that of the order.
        Source: SOURCES.md §5.2 (QFPay: "does not guarantee the payer was not charged, query afterwards").
        """
        response = yield self._close_request(order)
        reply = outcomes.of_close(self._api, response, order)
        if not isinstance(reply, messages.CancelReply):
            return reply
        answer = yield from query_orders(self._api, [order], requests_max=FLOW_REQUESTS_MAX - 1)
        return outcomes.of_query_after_close(order, reply, answer)

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
        `NotAuthentic`: signature missing or wrong. `MalformedNotification`: ours, but unreadable.
        Source: "Asynchronous Notifications"; SOURCES.md §2.3, §7, vector V10.
        """
        signature = notification.headers.get("x-qf-sign", "")
        if not is_signed(notification.body, signature, keys=self._settings.client_key):
            raise NotAuthentic("the notification carries no valid X-QF-SIGN of this account")
        try:
            return read_notice(notification.body, mchid=self._settings.mchid)
        except messages.Malformed as malformed:
            raise MalformedNotification(f"the notification is {malformed}") from None

    def acknowledge(self) -> Reply:
        """What QFPay wants as an answer; any other makes it send again. Source: SOURCES.md §7."""
        return Reply(body=b"SUCCESS")


_NO_SYSSN = Failure(
    code="no_syssn",
    message="the payment's syssn is not known",
    who_acts="caller",
    advice="Query the payment first: QFPay refunds by its own id.",
)
