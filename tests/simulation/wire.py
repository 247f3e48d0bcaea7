"""The network under the engine's real sender: the fates of a request and of its reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import TYPE_CHECKING, Literal

import httpx2
import msgspec

from paycore.domain.wire import Request, Response
from paycore.engine.connections import AsyncConnections
from paycore.engine.transport import BODY_MAX
from paycore.testing.toy.toy_answers import TOO_MANY_REQUESTS
from tests.simulation.plan import Weather
from tests.simulation.processes import Process, here

if TYPE_CHECKING:
    from tests.simulation.world import World

Answer = Literal["reply", "broken", "error", "cut", "dripped", "too long", "encoded"]
Draft = tuple[float | None, float, Answer]
"""When a request arrives (None: never), when its sender hears of it, and what; seconds from the sending."""

NEVER_S = 3600.0
"""Longer than any sender waits."""

STRUCK_MOST = 1.4
STRUCK = {"/query": 0.6, "/token": 1.0, "/link": 1.8, "/captures": 2.0, "/close": 2.0}
"""How much more often than the weather says requests are struck, by path and for any other one."""

AFTER_MONEY = 3.0
"""How much more often a process dies or is suspended when such a request is answered."""

UNREACHABLE: dict[str, type[httpx2.TransportError]] = {
    "refused": httpx2.ConnectError,
    "unreachable": httpx2.ConnectTimeout,
}
"""Fates in which nothing was sent, with httpx2's error."""


class Times(msgspec.Struct, frozen=True):
    """Random durations in seconds from the send; `overdue` is how far past the sender's deadline."""

    soon: float
    quick: float
    hears: float
    gives_up: float
    overdue: float


FATES: dict[str, Callable[[Times], Draft]] = {
    "refused": lambda t: (None, t.quick, "broken"),
    "unreachable": lambda _: (None, NEVER_S, "broken"),
    "lost_request": lambda t: (None, t.hears, "broken"),
    "lost_reply": lambda t: (t.soon, t.hears, "broken"),
    "late": lambda t: (t.gives_up + t.overdue, t.hears, "broken"),
    "failed_before": lambda t: (None, t.quick, "error"),
    "failed_after": lambda t: (t.soon, t.quick, "error"),
    "failed_first": lambda t: (t.quick + t.overdue, t.quick, "error"),
    "garbage": lambda t: (t.soon, t.quick, "cut"),
    "dripped": lambda t: (t.soon, t.quick, "dripped"),
    "too_long": lambda t: (t.soon, t.quick, "too long"),
    "encoded": lambda t: (t.soon, t.quick, "encoded"),
    "slow": lambda t: (t.soon, t.soon + min(2 * t.overdue, 1.2 * t.gives_up), "reply"),
    "repeated": lambda t: (t.soon, t.soon + t.quick / 2, "reply"),
    "fine": lambda t: (t.soon, t.soon + t.quick / 2, "reply"),
}


class Exchange:
    """One request under way, and the gateway's response once there is one."""

    def __init__(self, request: Request, sent_s: float, fate: str, draft: Draft) -> None:
        self.request = request
        self.sent_s = sent_s
        self.fate = fate
        self.arrives_in_s, self.heard_in_s, self.answer = draft
        self.response: Response | None = None
        self.put_off_s: float | None = None
        """After how many seconds to try again, where it is beyond the budget."""


class Wire:
    """Carries requests to the gateway, with the faults of the weather."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng("wire")
        self._rng_off = world.rng("put off")

    def send(self, process: Process, request: Request, left_s: float) -> Exchange:
        """Draw the request's fate and start its way; from here on it is independent of its process."""
        fate = self._draw_fate(request)
        now_s, who = self._world.scheduler.monotonic(), process.who()
        if request.path == "/query":
            fields = msgspec.json.decode(request.body)
            self._world.waits.asked(self._world.gateway.numbers_of(fields))
        elif request.path == "/token":
            # Whoever has no token asks for one first: for a query of any order of its account.
            key = msgspec.json.decode(request.body)["key"]
            self._world.waits.asked(self._world.witness.numbers_of(self._world.account_with(key)))
        exchange = Exchange(request, now_s, fate, FATES[fate](self._draw_times(left_s)))
        exchange.put_off_s = self._world.traffic.sent(process, self._world.gateway.account_of(request))
        self._world.scheduler.log(who, f"-> {request.path} {request.body.decode()} ({fate})")
        if fate not in UNREACHABLE:
            self._world.sends.sent(request)
        if exchange.arrives_in_s is not None:
            self._world.scheduler.after(exchange.arrives_in_s, self._arrive, exchange)
        return exchange

    def _draw_fate(self, request: Request) -> str:
        """The second request of a conversation may meet a provider that is down."""
        weather = self._world.weather
        if self._is_out():
            return self._rng.choice(("refused", "unreachable", "failed_before", "lost_request"))
        if request.path == "/link" and self._rng.random() < weather.gone:
            return "refused"
        return draw_fate(self._rng, weather, STRUCK.get(request.path, STRUCK_MOST))

    def _is_out(self) -> bool:
        outage_s = self._world.plan.shared.outage_s
        return outage_s is not None and outage_s[0] <= self._world.scheduler.monotonic() < outage_s[1]

    def _draw_times(self, left_s: float) -> Times:
        """
        A request is overdue by at most half of the window after which "not found" is proof.

        The other half is the time until a new order is found by a query.
        """
        quick_s = self._rng.uniform(0.3, 0.8)
        is_silent = self._rng.random() < 0.5
        return Times(
            soon=self._rng.uniform(0.01, 0.3),
            quick=quick_s,
            hears=NEVER_S if is_silent else quick_s,
            gives_up=left_s if is_silent else quick_s,
            overdue=self._rng.uniform(0, self._world.plan.proof_s / 2),
        )

    def _arrive(self, exchange: Exchange) -> None:
        self._world.sends.arrived(exchange.request, exchange.sent_s)
        if exchange.put_off_s is not None:
            self._refuse(exchange, exchange.put_off_s)
            return
        if self._rng_off.random() < self._world.weather.not_now:
            self._put_off(exchange)
            return
        is_safe = self._world.plan.duplicates != "charge_blindly"
        if exchange.fate == "repeated" and is_safe:
            self._world.gateway.handle(exchange.request)  # by a proxy, whose first try went unanswered
        exchange.response = self._world.gateway.handle(exchange.request)
        if b"session_refused" in exchange.response.body:
            self._world.sends.put_off(exchange.request)
        self._world.scheduler.log("gateway", f"{exchange.request.path}: {exchange.response.body.decode()}")

    def _refuse(self, exchange: Exchange, retry_after_s: float) -> None:
        """Beyond the budget: nothing happens, and the sender is told so by HTTP."""
        self._world.sends.put_off(exchange.request)
        body = msgspec.json.encode({"error": "not_now", "retry_after_s": retry_after_s})
        headers = {"retry-after": f"{retry_after_s:.0f}"} if retry_after_s else {}
        exchange.response = Response(status=TOO_MANY_REQUESTS, headers=headers, body=body)
        self._world.scheduler.log("gateway", f"{exchange.request.path}: 429 {body.decode()}")

    def _put_off(self, exchange: Exchange) -> None:
        """Too many requests: nothing happens, and the sender is told for how long."""
        self._world.sends.put_off(exchange.request)
        waits_s = round(self._rng_off.choice((0.0, self._rng_off.uniform(0.1, 60))), 3)
        body = msgspec.json.encode({"error": "not_now", "retry_after_s": waits_s})
        exchange.response = Response(status=200, body=body)
        self._world.scheduler.log("gateway", f"{exchange.request.path}: {body.decode()}")


def draw_fate(rng: Random, weather: Weather, times: float) -> str:
    """One fate, each `times` as likely as in the weather."""
    dice = rng.random() / times
    for fate in FATES:
        dice -= weather.chance(fate)
        if dice < 0:
            return fate
    return "fine"


class Cable(httpx2.AsyncBaseTransport):
    """Replaces httpx2's network; its timeouts and errors are httpx2's."""

    def __init__(self, _connections: AsyncConnections) -> None:
        self._process = here()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2. Raises httpx2's errors if no reply comes."""
        world, who = self._process.world, self._process.who()
        if self._process.happens("crash"):
            self._process.crash()
            await asyncio.sleep(0)
        timeouts = request.extensions["timeout"]
        sent = Request(
            method="POST",
            path=request.url.raw_path.decode(),
            headers=dict(request.headers),
            body=request.content,
        )
        exchange = world.wire.send(self._process, sent, timeouts["read"])
        stood_still_s = self._process.stood_still_s
        try:
            await asyncio.sleep(min(exchange.heard_in_s, self._patience_s(exchange, timeouts)))
        except asyncio.CancelledError:
            self._heard_nothing_more(sent, stood_still_s)
            raise
        self._heard_nothing_more(sent, stood_still_s)
        self._process.risk(1.0 if sent.path == "/query" else AFTER_MONEY)
        await asyncio.sleep(0)
        world.scheduler.log(who, f"<- {sent.path} {exchange.answer}")
        return _reply(exchange, request)

    def _heard_nothing_more(self, request: Request, stood_still_s: float) -> None:
        lost_s = self._process.stood_still_s - stood_still_s
        self._process.world.sends.waited_for(request, lost_s)

    @staticmethod
    def _patience_s(exchange: Exchange, timeouts: dict[str, float]) -> float:
        """Connecting has a timeout; reading ends at the sender's deadline."""
        return timeouts["connect"] if exchange.fate == "unreachable" else NEVER_S


def _reply(exchange: Exchange, request: httpx2.Request) -> httpx2.Response:
    answer, response = exchange.answer, exchange.response
    if answer == "error":
        return httpx2.Response(503, stream=_Body(b"<html>503</html>"))
    if answer == "broken" or response is None:
        raise UNREACHABLE.get(exchange.fate, httpx2.ReadError)("broken", request=request)
    headers = dict(response.headers) | ({"content-encoding": "gzip"} if answer == "encoded" else {})
    return httpx2.Response(response.status, headers=headers, stream=_Body(*_chunks(answer, response.body)))


def _chunks(answer: Answer, body: bytes) -> tuple[bytes | None, ...]:
    """The body in pieces; None is an endless pause."""
    half = len(body) // 2
    match answer:
        case "cut":
            return (body[:half],)
        case "dripped":
            return body[:half], None, body[half:]
        case "too long":
            return body, b" " * BODY_MAX
        case _:
            return (body,)


class _Body(httpx2.AsyncByteStream):
    """Not a generator: one that a killed process leaves behind could not be closed while it waits."""

    def __init__(self, *chunks: bytes | None) -> None:
        self._chunks = iter(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            if chunk is not None:
                return chunk
            await asyncio.sleep(NEVER_S)
        raise StopAsyncIteration
