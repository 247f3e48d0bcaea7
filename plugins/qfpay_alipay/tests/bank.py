"""QFPay's side of a query: records, pages, and a gateway that answers by number and by range as QFPay does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from paycore.plugin import Done, Found, OrderRef, QueryReply, Request, Response
from plugins.qfpay_alipay.tests.support import (
    BEGUN_AT,
    NUMBER,
    SYSSN,
    Gateway,
    answer,
    attempt_at,
    fields_in,
    make_provider,
    make_ref,
    run,
)

EMPTY: dict[str, Any] = {"respcd": "0000", "data": []}


def record(**fields: Any) -> dict[str, Any]:
    """One record of the order as QFPay sends it, paid."""
    return {
        "respcd": "0000", "errmsg": "success", "order_type": "payment", "syssn": SYSSN, "out_trade_no": NUMBER,
        "txamt": "1099", "txcurrcd": "HKD", "cancel": "0", "pay_type": "801514", "chnlsn": "20260101220014",
        "sysdtm": "2026-01-01 12:00:01", "txdtm": "2026-01-01 12:00:00", "paydtm": "2026-01-01 12:00:20",
        "cardcd": "2088802811715388", "clisn": "000001", "origssn": None, **fields,
    }  # fmt: skip


def page(*records: object, **fields: Any) -> dict[str, Any]:
    """A query's reply."""
    return {
        "respcd": "0000",
        "resperr": "",
        "respmsg": "",
        "page": "1",
        "page_size": 100,
        "data": records,
        **fields,
    }


def query(gateway: Gateway, *orders: OrderRef, **settings: Any) -> QueryReply:
    """Run the query flow against `gateway`."""
    return run(make_provider(**settings).query(orders or [make_ref()]), gateway)


def found(outcome: QueryReply) -> Found:
    """What a `Done` holds."""
    assert isinstance(outcome, Done)
    assert isinstance(outcome.value, Found)
    return outcome.value


def refs(count: int, *, every_s: float = 1.0, **fields: Any) -> list[OrderRef]:
    """`count` orders begun one after the other, all queried at a time that starts with the first."""
    return [
        make_ref(
            number=f"01JGFJJZ00QFPAYA1IPAY{index:05}",
            begun_at=BEGUN_AT + timedelta(seconds=index * every_s),
            attempt=attempt_at(datetime(2026, 1, 1, 8, 0, 0, tzinfo=UTC)),
            **fields,
        )
        for index in range(count)
    ]


class Bank:
    """A gateway with orders that answers queries by number and by range as QFPay does."""

    def __init__(self, known: Sequence[OrderRef], *, newest_first: bool = True, late_s: float = 0.5) -> None:
        self.requests: list[dict[str, str]] = []
        rows = [(order.begun_at + timedelta(seconds=late_s), order) for order in known]
        self._rows = sorted(rows, key=lambda row: row[0], reverse=newest_first)

    def __call__(self, request: Request) -> Response:
        """Answer one query."""
        asked = fields_in(request)
        self.requests.append(asked)
        rows = [row for row in self._rows if self._matches(asked, *row)]
        size, number = int(asked["page_size"]), int(asked["page"])
        return answer(
            page(*(self._record(at, order) for at, order in rows[size * (number - 1) : size * number]))
        )

    @staticmethod
    def _matches(asked: dict[str, str], at: datetime, order: OrderRef) -> bool:
        local = (at + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
        if not asked["start_time"] <= local <= asked["end_time"]:
            return False
        return "out_trade_no" not in asked or order.number in asked["out_trade_no"].split(",")

    @staticmethod
    def _record(at: datetime, order: OrderRef) -> dict[str, Any]:
        local = (at + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
        return record(out_trade_no=order.number, syssn=order.provider_id or f"S{order.number}", sysdtm=local)
