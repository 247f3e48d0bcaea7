"""
The control endpoints, the same for every provider: JSON in and out under `/_sandbox/`.

```
GET    /_sandbox/orders[?limit=100]        the newest orders
GET    /_sandbox/orders/{number}           one order
POST   /_sandbox/orders/{number}/pay       the payer pays          (also /decline, /expire)
GET    /_sandbox/faults                    the board and every kind with its options
POST   /_sandbox/faults                    {"kind", "times"?, "path"?, "on"?, "order"?, ...options}
DELETE /_sandbox/faults                    clear the board
POST   /_sandbox/notify                    {"number", "kind"?: repeat|late|forged, "seconds"?}
GET    /_sandbox/scenario                  the rules, and how many orders each fitted
GET    /_sandbox/stats                     counts since the start
GET    /_sandbox/clock                     {"now_ms", "now", "speed"}
POST   /_sandbox/clock                     {"advance_s"}
```

Errors are `{"error", "hint"}`: 400 for an invalid body, 404 for an unknown order, 409 for what the order's state does
not allow. Requests from elsewhere are refused before: see `paycore.sandbox.guard`.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paycore.sandbox.api import Controls, NotPossible, UnknownOrder
from paycore.sandbox.faults import Fault, FaultBoard, Option
from paycore.sandbox.scenario_run import ScenarioRun
from paycore.sandbox.virtual_clock import SandboxClock

Handler = Callable[[Request], Awaitable[Response]]

_encode = msgspec.json.Encoder().encode


def control_routes(
    controls: Controls, *, faults: FaultBoard, clock: SandboxClock, scenario: ScenarioRun | None = None
) -> list[Route]:
    """The routes above, for one gateway."""
    handlers = _Handlers(controls, faults, clock, scenario)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/_sandbox/orders", handlers.list_orders),
        ("GET", "/_sandbox/orders/{number}", handlers.show_order),
        ("POST", "/_sandbox/orders/{number}/{verb}", handlers.act),
        ("GET", "/_sandbox/faults", handlers.list_faults),
        ("POST", "/_sandbox/faults", handlers.add_fault),
        ("DELETE", "/_sandbox/faults", handlers.clear_faults),
        ("POST", "/_sandbox/notify", handlers.notify),
        ("GET", "/_sandbox/scenario", handlers.show_scenario),
        ("GET", "/_sandbox/stats", handlers.stats),
        ("GET", "/_sandbox/clock", handlers.show_clock),
        ("POST", "/_sandbox/clock", handlers.advance_clock),
    ]
    return [Route(path, _answered(handler), methods=[method]) for method, path, handler in table]


class _AddFault(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    times: int = 1
    path: str | None = None
    on: str | None = None
    order: str | None = None


class _Notify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    number: str
    kind: str = "repeat"
    seconds: float = 0.0


class _Advance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    advance_s: float


class _Handlers:
    def __init__(
        self, controls: Controls, faults: FaultBoard, clock: SandboxClock, scenario: ScenarioRun | None
    ) -> None:
        self._controls = controls
        self._scenario = scenario
        self._faults = faults
        self._clock = clock

    async def list_orders(self, request: Request) -> Response:
        limit = request.query_params.get("limit", "100")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 10_000):
            raise ValueError("limit is a number from 1 to 10000")
        return _json({"orders": self._controls.list_orders(int(limit))})

    async def show_order(self, request: Request) -> Response:
        return _json(self._controls.show_order(request.path_params["number"]))

    async def act(self, request: Request) -> Response:
        verbs = {
            "pay": self._controls.pay,
            "decline": self._controls.decline,
            "expire": self._controls.expire,
        }
        verb = verbs.get(request.path_params["verb"])
        if verb is None:
            return _error(404, "no such verb", f"there are: {', '.join(sorted(verbs))}")
        return _json(verb(request.path_params["number"]))

    async def list_faults(self, _request: Request) -> Response:
        kinds = {
            kind.name: {"help": kind.help, "options": kind.options} for kind in self._faults.kinds.values()
        }
        return _json({"faults": [_render_fault(fault) for fault in self._faults.active()], "kinds": kinds})

    async def add_fault(self, request: Request) -> Response:
        body = await request.body()
        asked = msgspec.json.decode(body, type=_AddFault)
        options: dict[str, Option] = msgspec.json.decode(body, type=dict[str, Any])
        for name in _AddFault.__struct_fields__:
            options.pop(name, None)
        order = None if asked.order is None else self._controls.show_order(asked.order)["orders"][-1]
        fault = self._faults.add(
            asked.kind, times=asked.times, path=asked.path, on=asked.on, order=order, **options
        )
        return _json(_render_fault(fault), status=201)

    async def clear_faults(self, _request: Request) -> Response:
        self._faults.clear()
        return _json({"faults": []})

    async def notify(self, request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=_Notify)
        return _json(self._controls.notify(asked.number, kind=asked.kind, seconds=asked.seconds))

    async def show_scenario(self, _request: Request) -> Response:
        return _json({"rules": [] if self._scenario is None else self._scenario.report()})

    async def stats(self, _request: Request) -> Response:
        return _json(self._controls.stats())

    async def show_clock(self, _request: Request) -> Response:
        return _json(self._render_clock(self._clock.now_ms()))

    async def advance_clock(self, request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=_Advance)
        return _json(self._render_clock(self._clock.advance(asked.advance_s)))

    def _render_clock(self, now_ms: int) -> dict[str, Any]:
        now = datetime.datetime.fromtimestamp(now_ms / 1000, tz=datetime.UTC)
        return {"now_ms": now_ms, "now": now.isoformat(timespec="milliseconds"), "speed": self._clock.speed}


def _render_fault(fault: Fault) -> dict[str, Any]:
    limits = {name: value for name in ("on", "order") if (value := getattr(fault, name)) is not None}
    return {
        "id": fault.id,
        "kind": fault.kind,
        "times": fault.times,
        "path": fault.path,
        **limits,
        **fault.options,
    }


def _answered(handler: Handler) -> Handler:
    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except UnknownOrder as error:
            return _error(404, "unknown order", str(error.args[0]))
        except NotPossible as error:
            return _error(409, "not possible", str(error))
        except (msgspec.MsgspecError, ValueError) as error:
            return _error(400, "bad request", str(error))

    return answered


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(_encode(value), status_code=status, media_type="application/json")


def _error(status: int, error: str, hint: str) -> Response:
    return _json({"error": error, "hint": hint}, status=status)
