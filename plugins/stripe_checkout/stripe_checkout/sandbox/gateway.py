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
from paycore.sandbox.state import StateFile
from paycore.sandbox.virtual_clock import SandboxClock
from stripe_checkout.sandbox import units
from stripe_checkout.sandbox.aftermath import Aftermath
from stripe_checkout.sandbox.api import StripeApi
from stripe_checkout.sandbox.controls import StripeControls
from stripe_checkout.sandbox.event_log import Events
from stripe_checkout.sandbox.gateway_faults import open_board
from stripe_checkout.sandbox.idempotency import Keys
from stripe_checkout.sandbox.pages import Pages
from stripe_checkout.sandbox.sandbox_settings import read_settings
from stripe_checkout.sandbox.session_lifecycle import Lifecycle
from stripe_checkout.sandbox.store import Object, Store

NAME = "stripe-checkout"
_MOMENT = "clock"

REQUESTS = {
    "create": "POST /v1/checkout/sessions",
    "query": "GET /v1/(checkout/sessions|payment_intents|charges|refunds|disputes)(/.*)?",
    "capture": "POST /v1/payment_intents/.*/capture",
    "refund": "POST /v1/refunds",
    "close": "POST /v1/(checkout/sessions/.*/expire|payment_intents/.*/cancel)",
}
"""What each request asks for."""


class StripeGateway:
    """
    One Stripe account in test mode. `faults`, `clock` and `controls` may be used from any thread.

    Opening raises `ValueError` for an unknown setting or a state file that is not this gateway's.
    """

    def __init__(self, options: SandboxOptions) -> None:
        settings = read_settings(options.settings)
        secrets = tuple(part.strip() for part in settings.webhook_secret.split(","))
        self._state = StateFile(options.state, name=NAME)
        self.faults = open_board()
        self.clock = SandboxClock(
            speed=options.speed, not_before_ms=_last_moment(self._state), on_jump=self._remember_moment
        )
        self._posts = PostQueue()
        self._store = Store(self._state)
        self._events = Events(
            self.clock, self._store, self._posts, self.faults, url=options.notify_url, secrets=secrets
        )
        aftermath = Aftermath(
            self.clock,
            self._store,
            self._announce,
            self.faults,
            refunds_take_s=settings.refunds_take_s,
        )
        self.lifecycle = Lifecycle(
            self.clock,
            self._store,
            self._announce,
            on_made=self._tell_scenario,
            on_paid=aftermath.paid,
            public_url=options.public_url,
            debit_s=settings.debit_s,
        )
        self._scenario = ScenarioRun(
            options,
            provider=NAME,
            clock=self.clock,
            state=self._state,
            faults=self.faults,
            requests=REQUESTS,
            is_open=self.lifecycle.is_open,
        )
        limit = RateLimit(self.clock, [(settings.rate_per_s, 1)])
        keys = Keys(self.clock, self._state, window_s=settings.key_window_s)
        api = StripeApi(self.lifecycle, aftermath, keys, self.faults, limit, api_key=settings.api_key)
        self.controls = StripeControls(self.lifecycle, aftermath, self._events, api)
        pages = Pages(
            self.lifecycle, self.controls, public_url=options.public_url, notify_url=options.notify_url
        )
        self.app: ASGIApp = FaultyConnection(
            Starlette(
                routes=[
                    *api.routes(),
                    *pages.routes(),
                    *control_routes(
                        self.controls, faults=self.faults, clock=self.clock, scenario=self._scenario
                    ),
                ]
            ),
            self.faults,
            covers="/v1/",
            scenario=self._scenario,
        )
        self.open_paths: tuple[str, ...] = ()
        self.lifecycle.resume()
        self._scenario.start(self.controls)
        aftermath.resume()
        self._events.resume()
        self.settings: Mapping[str, Any] = {"api_key": settings.api_key, "webhook_secret": secrets[0]}

    def sign_notification(self, body: bytes) -> Mapping[str, str]:
        """Headers of an event with this body, signed now."""
        return self._events.headers(body)

    async def aclose(self) -> None:
        self._remember_moment(self.clock.now_ms())
        self.clock.close()
        self._posts.close()
        self._state.close()

    def _announce(self, kind: str, about: Object, *, previous: Mapping[str, Any] | None = None) -> None:
        with self._scenario.changed(self._store.session_of(about)):
            self._events.announce(kind, about, previous=previous)

    def _tell_scenario(self, session: Object) -> None:
        self._scenario.opened(
            NewOrder(
                id=session["id"],
                number=session["client_reference_id"] or "",
                minor=units.iso_minor(session["amount_total"], session["currency"]),
                currency=session["currency"].upper(),
                made_ms=self.clock.now_ms(),
                texts=(*session["metadata"].values(), session["_name"]),
                method=session["payment_method_types"][0],
                channel="web",
            )
        )

    def _remember_moment(self, now_ms: int) -> None:
        self._state.put(_MOMENT, now_ms)


def _last_moment(state: StateFile) -> int:
    """The latest time on the clock that a former run has written down, 0 without one."""
    values = state.values()
    return msgspec.json.decode(values[_MOMENT], type=int) if _MOMENT in values else 0
