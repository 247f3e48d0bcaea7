"""
A sandbox in one class: answer the provider's requests, and the rest is there.

```python
class AcmeGateway(ScriptedGateway):
    name = "acme"
    settings = {"merchant": "M-1", "key": "sandbox-key"}

    def answer(self, asked):
        if asked.method == "POST" and asked.path == "/v1/orders":
            made = asked.document
            order = self.place(made["number"], made["amount"], made["currency"])
            return GatewayAnswer({"id": order.id, "state": order.state})
        ...

@hookimpl
def paycore_register_sandboxes():
    return [ScriptedSandbox(AcmeGateway)]
```

Control endpoints, faults of the connection, clock and notifications are there. Orders are kept in memory.

Importing this module needs nothing beyond paycore, so that a plugin may be one file; opening a gateway needs the extra
`sandbox`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from paycore.sandbox.api import Document, NotPossible, SandboxOptions, UnknownOrder
from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.gateway_kinds import (
    COMMON_FAULTS,
    FAILING_REFUND,
    REFUSE_REFUND,
    fate_of_notification,
)
from paycore.sandbox.posts import Post, PostQueue, PostResult
from paycore.sandbox.scenario import NewOrder
from paycore.sandbox.scenario_run import ScenarioRun
from paycore.sandbox.scripted_records import (
    GatewayAnswer,
    GatewayRequest,
    OrderState,
    ScriptedOrder,
    ScriptedRefund,
)
from paycore.sandbox.state import StateFile
from paycore.sandbox.virtual_clock import SandboxClock

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

__all__ = [
    "GatewayAnswer",
    "GatewayRequest",
    "OrderState",
    "ScriptedGateway",
    "ScriptedOrder",
    "ScriptedRefund",
    "ScriptedSandbox",
]

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_NOTIFY_KINDS = ("repeat", "late", "forged")


class ScriptedGateway:
    """
    Subclass it: `name`, `settings` of an account, and `answer`; `notification` where the provider has them.

    `answer` is called for one request at a time. What it has to look at and change: `orders` and `refunds`, `place`,
    `find`, `refund`, `change`.

    The gateway is its own `controls`: a method `charge_back(number, minor)`, `win_charge_back` or `fail_refund` of the
    subclass is the control of that name, see `paycore.sandbox.api.FullControls`. `announce` sends a notification of
    what such a method changed. What happens later is given to the clock:
    `self.clock.call_at(self.clock.now_ms() + 60_000, action)`, in milliseconds; the conformance kit sets that clock
    ahead.
    """

    name: ClassVar[str]
    settings: Mapping[str, str] = {}
    asks_for: Mapping[str, str] = {}
    """For the faults of a scenario: by `create`, `query`, `capture`, `refund`, `close`, a pattern of `METHOD /path`."""
    open_paths: Sequence[str] = ()

    def __init__(self, options: SandboxOptions) -> None:
        if options.state is not None:
            raise ValueError(f"the sandbox {self.name} keeps its orders in memory only; leave --state out")
        if options.settings:
            raise ValueError(f"the sandbox {self.name} has no setting {min(options.settings)!r}")
        self.options = options
        self.clock = SandboxClock(speed=options.speed)
        self.controls = self
        self.orders: list[ScriptedOrder] = []
        self.refunds: list[ScriptedRefund] = []
        self.requests: Counter[str] = Counter()
        """How often an order with each number was requested."""
        self._serials = count(self.clock.now_ms())
        self._paths: Counter[str] = Counter()
        self._posts = PostQueue()
        self._lock = threading.RLock()
        self.app, self.faults = self._connected()
        self._scenario.start(self)

    # --- what a script writes --------------------------------------------------------------------------

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """The answer to one request of the provider's API."""
        raise NotImplementedError

    def notification(
        self, order: ScriptedOrder, *, is_forged: bool
    ) -> tuple[Mapping[str, str], bytes] | None:
        """Headers and body of a notification of this order as it is; signed with another key if forged."""
        del order, is_forged
        return None

    def order_arguments(self, method: str, channel: str) -> Mapping[str, Any]:
        """See `paycore.sandbox.api.FullGateway`."""
        del method, channel
        return {}

    # --- what a script uses ----------------------------------------------------------------------------

    def serial(self) -> int:
        """
        A number for an id, each later than the last.

        They go on from the time, so that a sandbox that is started anew gives none a second time: a ledger that knows
        it would take the new order for the old one.
        """
        return next(self._serials)

    def place(self, number: str, minor: int, currency: str, **options: Any) -> ScriptedOrder:
        """
        A new order; `options` are further fields of `ScriptedOrder`, such as an `id` in the company's own form.

        Count repeats by `requests`.
        """
        made = {"id": str(self.serial()), "made_ms": self.clock.now_ms()}
        order = ScriptedOrder(number=number, minor=minor, currency=currency, **{**made, **options})
        self.orders.append(order)
        self._scenario.opened(
            NewOrder(
                id=order.id,
                number=number,
                minor=minor,
                currency=currency,
                made_ms=order.made_ms,
                texts=tuple(text for text in order.facts.values() if isinstance(text, str)),
                method=order.method,
                channel=order.channel,
            )
        )
        return order

    def find(self, number: str) -> ScriptedOrder | None:
        """The newest order with this number or id."""
        return next((one for one in reversed(self.orders) if number in (one.number, one.id)), None)

    def find_refund(self, number: str) -> ScriptedRefund | None:
        """The newest refund with this number or id."""
        return next((one for one in reversed(self.refunds) if number in (one.number, one.id)), None)

    def refund(
        self,
        order: ScriptedOrder,
        number: str,
        minor: int,
        *,
        takes_s: float = 0.0,
        id: str | None = None,  # noqa: A002 - named as the field is
    ) -> ScriptedRefund | None:
        """
        A new refund; None where the order has not so much left.

        With `takes_s` it is pending for so many seconds of the sandbox's clock, and its money counts as returned only
        once it has succeeded; that is notified. `id` is for one in the company's own form.
        """
        waiting = sum(one.minor for one in self.refunds if one.order is order and one.state == "pending")
        if order.state != "paid" or not 0 < minor <= order.paid_minor - order.refunded_minor - waiting:
            return None
        if self.faults.take(REFUSE_REFUND) is not None:
            return None
        failing = self.faults.take(FAILING_REFUND)
        now_ms = self.clock.now_ms()
        refund = ScriptedRefund(
            number=number,
            id=id or f"R{self.serial()}",
            order=order,
            minor=minor,
            state="pending",
            made_ms=now_ms,
        )
        self.refunds.append(refund)
        if failing is not None:
            due = now_ms + int(failing.number("seconds") * 1000)
            self.clock.call_at(due, partial(self._fail_pending_refund, refund))
        elif takes_s:
            self.clock.call_at(now_ms + int(takes_s * 1000), partial(self._end_pending_refund, refund))
        else:
            self._succeed_refund(refund)
        return refund

    def change(self, order: ScriptedOrder, state: OrderState, *, paid_minor: int | None = None) -> None:
        """The order is in this state from now on; `paid_minor` is what was taken, None for all. Notifies of it."""
        order.state = state
        if state == "paid":
            order.charges += 1
            order.paid_minor = order.minor if paid_minor is None else paid_minor
        self.announce(order)

    def announce(self, order: ScriptedOrder) -> None:
        """Notify of the order as it is now, refunded or charged back, if there is a notification and a URL for it."""
        with self._scenario.changed(order.id):
            fate = fate_of_notification(self.faults)
        if fate.is_forged_first:
            self._send(order, is_forged=True)
        for _ in range(0 if fate.is_lost else fate.copies):
            if fate.after_s:
                due = self.clock.now_ms() + int(fate.after_s * 1000)
                self.clock.call_at(due, partial(self._send_late, order))
            else:
                self._send(order, is_forged=False)

    # --- controls, see paycore.sandbox.api ---------------------------------------------------------------

    def list_orders(self, limit: int) -> Sequence[Document]:
        """See `Controls`."""
        with self._lock:
            return [self._document(order) for order in self.orders[::-1][:limit]]

    def show_order(self, number: str) -> Document:
        """See `Controls`."""
        with self._lock:
            return self._document(self._existing(number))

    def pay(self, number: str) -> Document:
        """See `Controls`."""
        with self._lock:
            order = self._existing(number)
            if order.state != "pending":
                raise NotPossible(f"the order is {order.state}")
            self.change(order, "authorized" if order.asks_capture else "paid")
            return self._document(order)

    def decline(self, number: str) -> Document:
        """See `Controls`."""
        return self._end(number, "failed")

    def expire(self, number: str) -> Document:
        """See `Controls`."""
        return self._end(number, "closed")

    def notify(self, number: str, *, kind: str, seconds: float) -> Document:
        """See `Controls`."""
        if kind not in _NOTIFY_KINDS:
            raise ValueError(f"kind is one of {', '.join(_NOTIFY_KINDS)}, not {kind!r}")
        with self._lock:
            order = self._existing(number)
            if kind == "late":
                self.clock.call_at(self.clock.now_ms() + int(seconds * 1000), partial(self.announce, order))
            elif not self._send(order, is_forged=kind == "forged"):
                raise NotPossible("there is no notification of it, or no URL to send it to")
            return self._document(order)

    def stats(self) -> Document:
        """See `Controls`."""
        with self._lock:
            return {
                "requests": dict(self._paths),
                "orders": len(self.orders),
                "charges": sum(order.charges for order in self.orders),
                "refunds": len(self.refunds),
            }

    async def aclose(self) -> None:
        """See `Gateway`."""
        self.clock.close()
        self._posts.close()

    # --- inside ------------------------------------------------------------------------------------------

    def _connected(self) -> tuple[ASGIApp, FaultBoard]:
        """The app on its connection, and the faults of that."""
        from starlette.applications import Starlette
        from starlette.routing import Mount, Route

        from paycore.sandbox.connection import CONNECTION_FAULTS, FaultyConnection
        from paycore.sandbox.control import control_routes

        faults = FaultBoard([*CONNECTION_FAULTS, *COMMON_FAULTS])
        self._scenario = ScenarioRun(
            self.options,
            provider=self.name,
            clock=self.clock,
            state=StateFile(None, name=self.name),
            faults=faults,
            requests=self.asks_for,
            is_open=self._is_open,
        )
        scripted = Starlette(routes=[Route("/{path:path}", self._serve, methods=_METHODS)])
        api = FaultyConnection(scripted, faults, covers="/", scenario=self._scenario)
        controls = control_routes(self, faults=faults, clock=self.clock, scenario=self._scenario)
        return Starlette(routes=[*controls, Mount("/", app=api)]), faults

    async def _serve(self, request: Request) -> Response:
        from starlette.responses import Response

        asked = GatewayRequest(
            method=request.method,
            path=request.url.path,
            query=dict(request.query_params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.body(),
        )
        with self._lock:
            self._paths[asked.path] += 1
            answer = self.answer(asked)
        if not isinstance(answer, GatewayAnswer):
            raise TypeError(f"answer() returned {type(answer).__name__}; return GatewayAnswer(...)")
        headers = {"content-type": "application/json", **answer.headers}
        return Response(answer.body, status_code=answer.status, headers=headers)

    def _end_pending_refund(self, refund: ScriptedRefund) -> None:
        with self._lock:
            if refund.state == "pending":
                self._succeed_refund(refund)
                self.announce(refund.order)

    def _fail_pending_refund(self, refund: ScriptedRefund) -> None:
        with self._lock:
            if refund.state == "pending":
                refund.state = "failed"
                self.announce(refund.order)

    def _succeed_refund(self, refund: ScriptedRefund) -> None:
        refund.state = "succeeded"
        refund.order.refunded_minor += refund.minor

    def _send_late(self, order: ScriptedOrder) -> None:
        with self._lock:
            self._send(order, is_forged=False)

    def _send(self, order: ScriptedOrder, *, is_forged: bool) -> bool:
        url, made = order.notify_url or self.options.notify_url, self.notification(order, is_forged=is_forged)
        if url is None or made is None:
            return False
        headers, body = made
        self._posts.send(Post(url=url, headers=headers, body=body), _forget)
        return True

    def _is_open(self, order_id: str) -> bool:
        order = self.find(order_id)
        return order is not None and order.state == "pending"

    def _end(self, number: str, state: OrderState) -> Document:
        with self._lock:
            order = self._existing(number)
            if order.state != "pending":
                raise NotPossible(f"the order is {order.state}")
            self.change(order, state)
            return self._document(order)

    def _existing(self, number: str) -> ScriptedOrder:
        order = self.find(number)
        if order is None:
            raise UnknownOrder(f"no order {number!r}")
        return order

    def _document(self, order: ScriptedOrder) -> Document:
        same = [one for one in self.orders if one.number == order.number]
        return {
            **msgspec.to_builtins(order),
            "orders": [one.id for one in same],
            "charges": sum(one.charges for one in same),
            "requests": self.requests[order.number],
            "paid_minor": sum(one.paid_minor for one in same),
            "refunded_minor": sum(one.refunded_minor for one in same),
            "refunds": list(self._refunds_of(order)),
        }

    def _refunds_of(self, order: ScriptedOrder) -> Iterator[Document]:
        for one in self.refunds:
            if one.order is order:
                yield {"number": one.number, "id": one.id, "minor": one.minor, "state": one.state}


class ScriptedSandbox:
    """The sandbox that opens gateways of this class; what the hook `paycore_register_sandboxes` returns."""

    keeps_state = False

    def __init__(self, gateway: type[ScriptedGateway]) -> None:
        self.name = gateway.name
        self._gateway = gateway

    def open(self, options: SandboxOptions) -> ScriptedGateway:
        """See `paycore.sandbox.api.Sandbox`."""
        return self._gateway(options)


def _forget(_result: PostResult) -> None:
    """A notification that does not arrive is lost."""
