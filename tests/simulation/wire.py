"""What can become of a request and of its reply."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Literal

import msgspec

from paycore.domain.wire import Request, Response
from paycore.engine.effects import OnWire
from paycore.errors import MaybeSent, NotSent
from tests.simulation.plan import Weather
from tests.simulation.processes import Task

if TYPE_CHECKING:
    from tests.simulation.world import World

Answer = Literal["reply", "nothing", "error", "garbage", "unreachable"]
Draft = tuple[float | None, float, Answer]

_FATES: dict[str, Callable[[float, float, float, float], Draft]] = {
    "refused": lambda _soon, quick, _gives_up, _overdue: (None, quick, "unreachable"),
    "lost_request": lambda _soon, _quick, gives_up, _overdue: (None, gives_up, "nothing"),
    "lost_reply": lambda soon, _quick, gives_up, _overdue: (soon, gives_up, "nothing"),
    "late": lambda _soon, _quick, gives_up, overdue: (gives_up + overdue, gives_up, "nothing"),
    "failed_before": lambda _soon, quick, _gives_up, _overdue: (None, quick, "error"),
    "failed_after": lambda soon, quick, _gives_up, _overdue: (soon, quick, "error"),
    "failed_first": lambda _soon, quick, _gives_up, overdue: (quick + overdue, quick, "error"),
    "garbage": lambda soon, quick, _gives_up, _overdue: (soon, quick, "garbage"),
    "slow": lambda soon, _quick, gives_up, overdue: (soon, min(2 * overdue, 1.2 * gives_up) + soon, "reply"),
    "repeated": lambda soon, quick, _gives_up, _overdue: (soon, soon + quick / 2, "reply"),
    "fine": lambda soon, quick, _gives_up, _overdue: (soon, soon + quick / 2, "reply"),
}
"""By name: when the request arrives, when its sender hears, and what, from four drawn times."""


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """When a request arrives (None: never), when its sender hears, and what; seconds from the sending."""

    name: str
    arrives_in_s: float | None
    heard_in_s: float
    answer: Answer


class Exchange:
    """One request on its way, and the gateway's response once there is one."""

    def __init__(self, task: Task, request: Request, fate: Fate) -> None:
        self.task = task
        self.request = request
        self.fate = fate
        self.response: Response | None = None


class Wire:
    """Carries requests to the gateway and replies back, as well as the weather allows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng("wire")

    def send(self, task: Task, effect: OnWire) -> None:
        """Decide the request's fate and set it on its way, as the real sender does: never past its deadline."""
        left_s = effect.deadline.left_s
        if left_s <= 0:
            self._world.scheduler.log(task.name, f"{effect.request.path} not sent: past its deadline")
            task.throw(NotSent("its time had passed before anything was sent"))
            return
        fate = draw_fate(self._rng, self._world.weather, left_s, self._world.plan.proof_s / 2)
        exchange = Exchange(task, effect.request, fate)
        text = effect.request.body.decode()
        self._world.scheduler.log(task.name, f"-> {effect.request.path} {text} ({fate.name})")
        if fate.arrives_in_s is not None:
            self._world.scheduler.after(fate.arrives_in_s, self._arrive, exchange)
        task.process.later(min(fate.heard_in_s, left_s), self._hear, exchange)

    def _arrive(self, exchange: Exchange) -> None:
        is_safe = self._world.plan.duplicates != "charge_blindly"
        if exchange.fate.name == "repeated" and is_safe:
            self._world.gateway.handle(exchange.request)  # by a proxy, whose first try went unanswered
        exchange.response = self._world.gateway.handle(exchange.request)
        self._world.scheduler.log("gateway", f"{exchange.request.path}: {exchange.response.body.decode()}")

    def _hear(self, exchange: Exchange) -> None:
        answer, response, task = exchange.fate.answer, exchange.response, exchange.task
        self._world.scheduler.log(task.name, f"<- {exchange.request.path} {answer}")
        if answer == "unreachable":
            task.throw(NotSent("connection refused"))
        elif answer == "error":
            task.resume(Response(status=503, body=b"<html>503</html>"))
        elif answer == "nothing" or response is None:
            task.throw(MaybeSent("no answer came"))
        elif answer == "garbage":
            task.resume(Response(status=200, body=response.body[: len(response.body) // 2]))
        else:
            task.resume(response)


def draw_fate(rng: Random, weather: Weather, left_s: float, late_s: float) -> Fate:
    """
    One fate; `left_s` until the sender gives up, at most `late_s` until an overdue request arrives after that.

    That is half of the window after which the provider's "not found" is proof; the other half is the time
    a new order takes to be found.
    """
    soon_s, quick_s = rng.uniform(0.01, 0.3), rng.uniform(0.3, 0.8)
    gives_up_s = left_s if rng.random() < 0.5 else quick_s
    overdue_s = rng.uniform(0, late_s)
    name = _draw_name(rng, weather)
    arrives_in_s, heard_in_s, answer = _FATES[name](soon_s, quick_s, gives_up_s, overdue_s)
    return Fate(name=name, arrives_in_s=arrives_in_s, heard_in_s=heard_in_s, answer=answer)


def _draw_name(rng: Random, weather: Weather) -> str:
    dice = rng.random()
    for name in _FATES:
        dice -= getattr(weather, name, 0.0)
        if dice < 0:
            return name
    return "fine"
