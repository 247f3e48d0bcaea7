"""Counts the requests of each account as its provider does, and refuses those beyond the budget."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

import msgspec

from paycore.ledger.api import Claimed, Committed, Turn
from tests.simulation.scheduler import START

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.witness import Asked
    from tests.simulation.world import World

MINUTE_S = 60.0
REFUSED_S = (0.0, 2.0, 7.0)
"""For how long the provider asks to rest, 0 where it names no time."""
LATE_S = 0.15
"""A request that leaves so long after its turn is not the budget's fault: its process stood still, or got a token."""


class GivenTurn(msgspec.Struct, frozen=True):
    """A turn in the budget: when it was given, and for when."""

    given_s: float
    for_s: float


class Taken(msgspec.Struct, frozen=True):
    """A request that the provider took; `in_time`: it left at its turn."""

    at_s: float
    in_time: bool


class Rest(msgspec.Struct, frozen=True):
    """A refusal was recorded that named a time; until then nothing is sent that was not given its turn before."""

    since_s: float
    until_s: float


class Traffic:
    """Reports what is sent without a turn, beyond the budget while nobody else uses it, or during a rest."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng("traffic")
        self._taken: dict[str, deque[Taken]] = defaultdict(deque)
        self._turns: dict[tuple[str, int, str], list[GivenTurn]] = defaultdict(list)
        self._rests: dict[str, deque[Rest]] = defaultdict(lambda: deque(maxlen=10))

    def gave_turn(self, asked: Asked, result: object) -> None:
        """The result of a transaction, which may give its program a turn."""
        match result:
            case Claimed(question=question) if question is not None:
                at = result.now
            case Turn() | Committed() if result.send_at is not None:
                at = result.send_at
            case _:
                return
        for_s = max(self._now_s(), (at - START).total_seconds())
        self._turns[asked.key].append(GivenTurn(self._now_s(), for_s))

    def rested(self, account: str, retry_after_s: float | None) -> None:
        """A refusal was recorded; where it named no time, commands still try."""
        if retry_after_s is not None:
            self._rests[account].append(Rest(self._now_s(), self._now_s() + retry_after_s))

    def sent(self, process: Process, account: str) -> float | None:
        """A request leaves: None where it is taken, else the seconds after which to try again."""
        turn = self._turn(process)
        if self._is_used_up():
            return self._rng.choice(REFUSED_S)
        in_time = turn is not None and self._now_s() - turn.for_s <= LATE_S
        taken, shared = self._taken[account], self._world.plan.shared
        for within_s, most in ((1.0, shared.per_second), (MINUTE_S, shared.per_minute)):
            inside = [one for one in taken if one.at_s > self._now_s() - within_s]
            if len(inside) < most:
                continue
            if in_time and sum(one.in_time for one in inside) >= most:
                self._violated(
                    "nothing is sent that would be refused", process, f"{most} in {within_s:.0f} s"
                )
            return self._rng.choice(REFUSED_S)
        taken.append(Taken(self._now_s(), in_time))
        while taken[0].at_s <= self._now_s() - MINUTE_S:
            taken.popleft()
        if turn is not None and any(
            turn.given_s > rest.since_s and self._now_s() < rest.until_s for rest in self._rests[account]
        ):
            self._violated("a refusal is heeded", process, f"{account} rests")
        return None

    def _turn(self, process: Process) -> GivenTurn | None:
        """The turn this request has: the last one given, for a token is got after a command's turn."""
        turns = self._turns[process.name, process.life, process.who()]
        if not turns:
            self._violated("every request has its turn", process, "none was given")
            return None
        return turns.pop()

    def _violated(self, rule: str, process: Process, what: str) -> None:
        # A clock that is set back makes the ledger's run ahead, and turns are by the ledger's.
        if not self._world.plan.clock_set_back:
            self._world.witness.violated(rule, f"{process.who()}: {what}")

    def _is_used_up(self) -> bool:
        """Whether others leave nothing of the budget."""
        used_up_s = self._world.plan.shared.used_up_s
        return used_up_s is not None and used_up_s[0] <= self._now_s() < used_up_s[1]

    def _now_s(self) -> float:
        return self._world.scheduler.monotonic()
