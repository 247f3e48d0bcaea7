"""Carries out the scenario of a sandbox: what becomes of each new order is planned on the sandbox's clock."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import msgspec

from paycore.sandbox.api import Controls, NotPossible, SandboxOptions
from paycore.sandbox.scenario import NewOrder, Scenario, auto_pay
from paycore.sandbox.state import StateFile, records
from paycore.sandbox.virtual_clock import SandboxClock

_PREFIX = "plan:"


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen to an order, as the state file keeps it: `payer` acts at `payer_at`, on the sandbox's clock."""

    order: NewOrder
    payer: str | None = None
    payer_at: int = 0


class ScenarioRun:
    """
    One for each gateway, which tells it of each new order by `opened`, and calls `start` once it can be acted upon.

    `is_open` says whether the payer of the order with this id can still act. Plans survive a restart.
    """

    def __init__(
        self,
        options: SandboxOptions,
        clock: SandboxClock,
        state: StateFile,
        *,
        is_open: Callable[[str], bool],
    ) -> None:
        self._scenario = Scenario(rules=(*options.scenario.rules, *auto_pay(options.auto_pay_s)))
        self._clock = clock
        self._state = state
        self._is_open = is_open
        self._controls: Controls | None = None

    def start(self, controls: Controls) -> None:
        """Act by these controls from now on, also on what an earlier run had planned."""
        self._controls = controls
        for raw in records(self._state.values(), _PREFIX):
            plan = msgspec.json.decode(raw, type=_Plan)
            if plan.payer is None:
                plan = self._planned(plan.order, self._clock.now_ms())
            self._schedule(plan)

    def opened(self, order: NewOrder) -> None:
        """An order was made, and is kept."""
        plan = self._planned(order, order.made_ms)
        self._state.put(f"{_PREFIX}{order.id}", plan)
        self._schedule(plan)

    def _planned(self, order: NewOrder, from_ms: int) -> _Plan:
        payer = self._scenario.payer_of(order)
        if payer is None:
            return _Plan(order=order)
        return _Plan(order=order, payer=payer.does, payer_at=from_ms + round(payer.after_s * 1000))

    def _schedule(self, plan: _Plan) -> None:
        if plan.payer is not None and self._is_open(plan.order.id):
            self._clock.call_at(plan.payer_at, partial(self._act, plan.order.id, plan.payer))

    def _act(self, order_id: str, verb: str) -> None:
        if self._controls is not None and self._is_open(order_id):
            # Somebody else may have been first.
            with contextlib.suppress(NotPossible):
                getattr(self._controls, verb)(order_id)
