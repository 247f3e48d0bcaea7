"""The gateway: all parts of the sandbox, connected."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.types import ASGIApp

from paycore.sandbox.api import SandboxOptions
from paycore.sandbox.connection import FaultyConnection
from paycore.sandbox.control import control_routes
from paycore.sandbox.posts import PostQueue
from paycore.sandbox.rate_limits import RateLimit
from paycore.sandbox.scenario import NewOrder
from paycore.sandbox.scenario_run import ScenarioRun
from paycore.sandbox.state import StateFile, records
from paycore.sandbox.templates import BY_THIS_MACHINE, PageTemplates
from paycore.sandbox.virtual_clock import SandboxClock
from qfpay_alipay.sandbox.alipay_bridge import SHEET, AlipayBridge
from qfpay_alipay.sandbox.book import OrderBook
from qfpay_alipay.sandbox.controls import QFPayControls
from qfpay_alipay.sandbox.gateway_faults import open_board
from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES
from qfpay_alipay.sandbox.links import Links
from qfpay_alipay.sandbox.notifications import Notifier
from qfpay_alipay.sandbox.order_lifecycle import OrderLifecycle
from qfpay_alipay.sandbox.order_records import OrderState, SandboxOrder, SandboxRefund
from qfpay_alipay.sandbox.routes import TradeApi
from qfpay_alipay.sandbox.sandbox_settings import read_settings
from qfpay_alipay.sandbox.signing import SIGNATURE, body_signature
from qfpay_alipay.sandbox.trade import CLOSE, PAYMENT, QUERY, REFUND, REVERSAL, TradeOperations
from qfpay_alipay.sandbox.wallet import Wallet

NAME = "qfpay-alipay"
_MOMENT = "clock"

REQUESTS = {
    "create": f"POST {PAYMENT}",
    "query": f"(GET|POST) {QUERY}",
    "refund": f"POST {REFUND}",
    "close": f"POST ({CLOSE}|{REVERSAL})",
}
"""What each request asks for."""


class QFPayGateway:
    """
    One QFPay merchant account over HTTP. `orders`, `faults`, `clock` and `controls` may be used from any thread.

    Opening raises `ValueError` for an unknown setting or a state file that is not this gateway's.
    """

    def __init__(self, options: SandboxOptions) -> None:
        settings = read_settings(options.settings)
        if not settings.notify_url and options.notify_url:
            settings = msgspec.structs.replace(settings, notify_url=options.notify_url)
        self._key = settings.client_key
        self._barcodes = itertools.count(1)
        self._state = StateFile(options.state, name=NAME)
        self.faults = open_board()
        self.clock = SandboxClock(
            speed=options.speed, not_before_ms=_last_moment(self._state), on_jump=self._remember_moment
        )
        self._posts = PostQueue()
        self._notifier = Notifier(self.clock, self._posts, self._state, self.faults, settings)
        links = Links(options.public_url, secret=settings.client_key)
        self.orders = OrderLifecycle(
            self.clock,
            OrderBook(self.clock, self._state),
            duplicate_policy=settings.duplicate_policy,
            takes_late_money=lambda: self.faults.take("late_pay") is not None,
            on_made=self._tell_scenario,
            on_paid=self._announce_payment,
            on_refunded=self._announce_refund,
        )
        self._scenario = ScenarioRun(
            options,
            provider=NAME,
            clock=self.clock,
            state=self._state,
            faults=self.faults,
            requests=REQUESTS,
            is_open=self.orders.is_open,
        )
        trade = TradeOperations(self.clock, self.orders, links, self.faults, settings)
        limit = RateLimit(self.clock, [(settings.rate_per_s, 1), (settings.rate_per_min, 60)])
        api = TradeApi(trade, self.faults, limit, settings)
        self.controls = QFPayControls(self.orders, self._notifier, links, api, self.clock.now_ms)
        pages = PageTemplates(Path(__file__).parent / "templates", framed_by=BY_THIS_MACHINE)
        self.app: ASGIApp = FaultyConnection(
            Starlette(
                routes=[
                    *api.routes(),
                    *Wallet(self.clock, self.orders, links, pages, settings).routes(),
                    *AlipayBridge(self.orders, links, pages).routes(),
                    *control_routes(
                        self.controls, faults=self.faults, clock=self.clock, scenario=self._scenario
                    ),
                ]
            ),
            self.faults,
            covers="/trade/",
            scenario=self._scenario,
        )
        self.open_paths = (SHEET,)
        self.orders.resume()
        self._scenario.start(self.controls)
        self._notifier.resume()
        self.settings: Mapping[str, str] = {
            "region": "hk",  # it serves both regions; an account has one
            "app_code": settings.app_code,
            "client_key": settings.client_key,
            **({"mchid": settings.mchid} if settings.mchid else {}),
        }

    def order_arguments(self, method: str, channel: str) -> Mapping[str, str]:
        """For a scanned code: one that was never used, whose payer still has to type the password."""
        del method
        return {"auth_code": f"28{next(self._barcodes):012d}1143"} if channel == "barcode" else {}

    def sign_reply(self, body: bytes) -> Mapping[str, str]:
        """See `paycore.sandbox.api.FullGateway`."""
        return {SIGNATURE: body_signature(body, key=self._key)}

    def sign_notification(self, body: bytes) -> Mapping[str, str]:
        """See `paycore.sandbox.api.FullGateway`."""
        return self.sign_reply(body)

    async def aclose(self) -> None:
        self._remember_moment(self.clock.now_ms())
        self.clock.close()
        self._posts.close()
        self._state.close()

    def _tell_scenario(self, order: SandboxOrder) -> None:
        self._scenario.opened(
            NewOrder(
                id=order.syssn,
                number=order.out_trade_no,
                minor=order.txamt,
                currency=order.txcurrcd,
                made_ms=order.created_at,
                texts=(order.goods_name,),
                method="alipay",
                channel=PAY_TYPES[order.pay_type].channel,
                is_decided=order.pays_at is not None or order.state is not OrderState.UNPAID,
            )
        )

    def _announce_payment(self, order: SandboxOrder) -> None:
        with self._scenario.changed(order.syssn):
            self._notifier.announce(order, order, self.orders.cancel_mark(order))

    def _announce_refund(self, order: SandboxOrder, refund: SandboxRefund) -> None:
        with self._scenario.changed(order.syssn):
            self._notifier.announce(refund, order, "0")

    def _remember_moment(self, now_ms: int) -> None:
        self._state.put(_MOMENT, now_ms)


def _last_moment(state: StateFile) -> int:
    """The latest time on the clock that a former run has written down, 0 without one."""
    values = state.values()
    moments = [msgspec.json.decode(raw, type=SandboxOrder).created_at for raw in records(values, "order:")]
    if _MOMENT in values:
        moments.append(msgspec.json.decode(values[_MOMENT], type=int))
    return max(moments, default=0)
