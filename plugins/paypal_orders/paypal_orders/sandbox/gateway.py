"""The gateway: all parts of the sandbox, connected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from paycore.sandbox.virtual_clock import SandboxClock
from paypal_orders.sandbox.access import Access
from paypal_orders.sandbox.amounts import document, iso_minor
from paypal_orders.sandbox.api import Api
from paypal_orders.sandbox.book import OrderBook
from paypal_orders.sandbox.controls import PayPalControls
from paypal_orders.sandbox.gateway_faults import open_board
from paypal_orders.sandbox.operations import Operations
from paypal_orders.sandbox.order_flow import OrderFlow
from paypal_orders.sandbox.pages import Pages
from paypal_orders.sandbox.records import Made, SandboxOrder
from paypal_orders.sandbox.replies import Documents
from paypal_orders.sandbox.sandbox_settings import read_settings
from paypal_orders.sandbox.webhooks import Webhooks

NAME = "paypal-orders"
_MOMENT = "clock"

REQUESTS = {
    "create": "POST /v2/checkout/orders",
    "query": "GET /v2/(checkout/orders|payments/(authorizations|captures|refunds))/.*",
    "capture": "POST /v2/(checkout/orders|payments/authorizations)/.*/capture",
    "refund": "POST /v2/payments/captures/.*/refund",
    "close": "POST /v2/payments/authorizations/.*/void",
}
"""What each request asks for."""


class PayPalGateway:
    """
    One PayPal business account over HTTP. `orders`, `faults`, `clock` and `controls` may be used from any thread.

    Opening raises `ValueError` for an unknown setting or a state file that is not this gateway's.
    """

    def __init__(self, options: SandboxOptions) -> None:
        settings = read_settings(options.settings)
        self._state = StateFile(options.state, name=NAME)
        self.faults = open_board()
        self.clock = SandboxClock(
            speed=options.speed, not_before_ms=_last_moment(self._state), on_jump=self._remember_moment
        )
        self._posts = PostQueue()
        self._documents = Documents(options.public_url)
        self._webhooks = Webhooks(
            self.clock,
            self._posts,
            self._state,
            self.faults,
            settings,
            url=options.public_url,
            notify_url=options.notify_url,
        )
        self.orders = OrderFlow(
            self.clock,
            OrderBook(self.clock, self._state),
            self.faults,
            settings,
            on_made=self._tell_scenario,
            tell=self._tell,
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
        operations = Operations(self.clock, self.orders, self._documents, self.faults, settings)
        limit = RateLimit(self.clock, [(settings.rate_per_s, 1), (settings.rate_per_min, 60)])
        api = Api(operations, Access(self.clock, settings), self.faults, limit)
        self.controls = PayPalControls(self.orders, self._webhooks, self._documents, api, self.clock)
        self.app: ASGIApp = FaultyConnection(
            Starlette(
                routes=[
                    *api.routes(),
                    *Pages(self.orders, settings, options.public_url).routes(),
                    *control_routes(
                        self.controls, faults=self.faults, clock=self.clock, scenario=self._scenario
                    ),
                ]
            ),
            self.faults,
            covers="/v",
            scenario=self._scenario,
        )
        self.open_paths: tuple[str, ...] = ()
        self.orders.resume()
        self._scenario.start(self.controls)
        self._webhooks.resume()
        self.settings: Mapping[str, str] = {
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
        }

    async def aclose(self) -> None:
        self._remember_moment(self.clock.now_ms())
        self.clock.close()
        self._posts.close()
        self._state.close()

    def _tell_scenario(self, order: SandboxOrder) -> None:
        self._scenario.opened(
            NewOrder(
                id=order.id,
                number=order.number,
                minor=iso_minor(order.units, order.currency),
                currency=order.currency,
                made_ms=order.created_at,
                texts=(order.custom_id.partition(".")[2], order.invoice_id, order.description),
                method="paypal",
                channel="web",
            )
        )

    def _tell(self, event_type: str, order: SandboxOrder, made: Made | None) -> None:
        """An event about the order, or about what was made of it."""
        amount = document(made.units if made else order.units, order.currency)
        summary = f"{event_type} {amount['value']} {amount['currency_code']}"
        with self._scenario.changed(order.id):
            self._webhooks.tell(order.id, event_type, self._resource(order, made), summary)

    def _resource(self, order: SandboxOrder, made: Made | None) -> dict[str, Any]:
        if made is None:
            return self._documents.order(order)
        if made in order.refunds:
            return self._documents.refund(order, made)
        if made in order.captures:
            return self._documents.capture(order, made)
        related = {"supplementary_data": {"related_ids": {"order_id": order.id}}}
        return self._documents.authorization(order, made) | related

    def _remember_moment(self, now_ms: int) -> None:
        self._state.put(_MOMENT, now_ms)


def _last_moment(state: StateFile) -> int:
    """The latest time on the clock that a former run has written down, 0 without one."""
    values = state.values()
    moments = [msgspec.json.decode(raw, type=SandboxOrder).updated_at for raw in records(values, "order:")]
    if _MOMENT in values:
        moments.append(msgspec.json.decode(values[_MOMENT], type=int))
    return max(moments, default=0)
