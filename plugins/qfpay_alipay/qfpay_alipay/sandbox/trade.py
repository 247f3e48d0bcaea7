"""The operations of `/trade/v1/`: from the parameters of a request to the fields of its reply."""

from __future__ import annotations

from collections.abc import Iterable

from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.gateway_kinds import FAILING_REFUND, REFUSE_REFUND
from paycore.sandbox.virtual_clock import SandboxClock
from qfpay_alipay.sandbox import codes, replies
from qfpay_alipay.sandbox.book import Entry
from qfpay_alipay.sandbox.codes import Refusal
from qfpay_alipay.sandbox.gateway_faults import distort
from qfpay_alipay.sandbox.links import Links
from qfpay_alipay.sandbox.order_lifecycle import OrderLifecycle
from qfpay_alipay.sandbox.order_records import SandboxOrder, SandboxRefund
from qfpay_alipay.sandbox.rules import (
    Params,
    QueryParams,
    check_mchid,
    read_cancel,
    read_payment,
    read_query,
    read_refund,
)
from qfpay_alipay.sandbox.sandbox_settings import SandboxSettings

PAYMENT = "/trade/v1/payment"
QUERY = "/trade/v1/query"
REFUND = "/trade/v1/refund"
CLOSE = "/trade/v1/close"
REVERSAL = "/trade/v1/reversal"


class TradeOperations:
    def __init__(
        self,
        clock: SandboxClock,
        orders: OrderLifecycle,
        links: Links,
        faults: FaultBoard,
        settings: SandboxSettings,
    ) -> None:
        self._clock = clock
        self._orders = orders
        self._links = links
        self._faults = faults
        self._settings = settings
        self._operations = {
            PAYMENT: self._payment,
            QUERY: self._query,
            REFUND: self._refund,
            # Which pay types take which of the two is told differently by every generation of the documentation
            # (SOURCES.md §5.2), so either works for all.
            CLOSE: self._cancel,
            REVERSAL: self._cancel,
        }

    def answer(self, path: str, params: Params) -> replies.Fields:
        """The reply to an authentic request, refusals included."""
        try:
            check_mchid(params, self._settings)
            forced = self._faults.take("respcd", path=path)
            if forced is not None and not forced.flag("recorded"):
                raise Refusal(forced.text("code"), forced.text("message"))
            fields = self._operations[path](params)
            if forced is not None:
                raise Refusal(forced.text("code"), forced.text("message"))
        except Refusal as error:
            return self._refused(path, params, error)
        return distort(fields, self._faults, path)

    def _refused(self, path: str, params: Params, error: Refusal) -> replies.Fields:
        if path != REFUND:
            return replies.refusal(error)
        order = self._orders.book.entry(params.get("syssn", ""))
        return replies.refused_refund(
            error, params, order.txcurrcd if isinstance(order, SandboxOrder) else ""
        )

    def _payment(self, params: Params) -> replies.Fields:
        order = self._orders.create(read_payment(params, self._settings))
        is_bare = self._faults.take("no_pay_url", path=PAYMENT) is not None
        return replies.payment(order, {} if is_bare else self._links.reply_fields(order))

    def _query(self, params: Params) -> replies.Fields:
        asked = read_query(params, self._settings, now_ms=self._clock.now_ms())
        book = self._orders.book
        if asked.syssns or asked.out_trade_nos or asked.during is None:
            entries = book.with_numbers(asked.syssns, asked.out_trade_nos)
        else:
            entries = book.search(*asked.during)
        shown_until = self._clock.now_ms() - self._settings.records_late_s * 1000
        matching = self._ordered(
            entry for entry in entries if entry.created_at <= shown_until and self._matches(entry, asked)
        )
        first = (asked.page - 1) * asked.page_size
        page = [self._record(entry) for entry in matching[first : first + asked.page_size]]
        return replies.query(page, page=asked.page, page_size=asked.page_size)

    def _ordered(self, newest_first: Iterable[Entry]) -> list[Entry]:
        entries = list(newest_first)
        if self._settings.page_order == "oldest_first":
            entries.reverse()
        elif self._settings.page_order == "mixed":
            entries.sort(key=lambda entry: entry.syssn[::-1])
        return entries

    def _refund(self, params: Params) -> replies.Fields:
        asked = read_refund(params)
        if self._faults.take(REFUSE_REFUND, path=REFUND) is not None:
            raise Refusal(codes.TOO_MUCH, "refused by the fault board")
        if self._faults.take("balance_empty", path=REFUND) is not None:
            raise Refusal(codes.BALANCE_EMPTY, "balance is not enough")
        fault = self._faults.take("pending_refund", FAILING_REFUND, path=REFUND)
        after_ms, respcd = self._settings.refunds_take_s * 1000, codes.OK
        if fault is not None:
            after_ms = max(1, round(fault.number("seconds") * 1000))
            respcd = codes.FAILED if fault.kind == FAILING_REFUND else fault.text("code")
        order, refund = self._orders.refund(asked, after_ms=after_ms, respcd=respcd)
        return replies.refund(refund, order, codes.UNPAID if after_ms else codes.OK)

    def _cancel(self, params: Params) -> replies.Fields:
        asked = read_cancel(params)
        order, syssn = self._orders.cancel(asked)
        return replies.cancellation(order, syssn=syssn, txdtm=asked.txdtm, now_ms=self._clock.now_ms())

    def _matches(self, entry: Entry, asked: QueryParams) -> bool:
        if asked.respcd and asked.respcd != self._respcd(entry):
            return False
        if asked.during is not None and not asked.during[0] <= entry.created_at <= asked.during[1]:
            return False
        return not asked.pay_types or self._order_of(entry).pay_type in asked.pay_types

    def _respcd(self, entry: Entry) -> str:
        return entry.respcd_at(self._clock.now_ms()) if isinstance(entry, SandboxRefund) else entry.respcd

    def _order_of(self, entry: Entry) -> SandboxOrder:
        return self._orders.book.find(entry.orig_syssn) if isinstance(entry, SandboxRefund) else entry

    def _record(self, entry: Entry) -> replies.Fields:
        order = self._order_of(entry)
        if isinstance(entry, SandboxRefund):
            return replies.refund_record(entry, order, self._respcd(entry))
        return replies.payment_record(order, cancel=self._orders.cancel_mark(order))
