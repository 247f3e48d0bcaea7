"""Carries out the scenario of a sandbox: what becomes of each new order is planned on the sandbox's clock."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import msgspec

from paycore.sandbox.api import Controls, NotPossible, SandboxOptions, UnknownOrder
from paycore.sandbox.faults import FaultBoard, Occasion, add_to_occasion, occasion
from paycore.sandbox.scenario import NewOrder, Rule, RuleFault, auto_pay
from paycore.sandbox.scenario_check import check_scenario
from paycore.sandbox.state import StateFile, records
from paycore.sandbox.virtual_clock import SandboxClock

_PREFIX = "plan:"
_NUMBER = re.compile(r"[A-Za-z0-9_|*-]{4,128}")
_NUMBERS_MAX = 50
"""Words of a request that are looked up; a list of orders has fewer."""


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen to an order, and when, in ms on the sandbox's clock; as the state file keeps it."""

    order: NewOrder
    payer: str | None = None
    payer_at: int = 0
    charge_back_at: int | None = None


class ScenarioRun:
    """
    One for each gateway, which tells it three things: its requests, each new order, and what changed.

    `is_open` says whether the payer of the order with this id can still act. `requests` has, for what a request asks
    for, a pattern of `METHOD /path`. Plans survive a restart; faults of orders begin anew.
    """

    def __init__(
        self,
        options: SandboxOptions,
        *,
        provider: str,
        clock: SandboxClock,
        state: StateFile,
        faults: FaultBoard,
        requests: Mapping[str, str],
        is_open: Callable[[str], bool],
    ) -> None:
        scenario = options.scenario.of(provider)
        self._scenario = msgspec.structs.replace(
            scenario, rules=(*scenario.rules, *auto_pay(options.auto_pay_s))
        )
        self._clock = clock
        self._state = state
        self._faults = faults
        self._requests = {word: re.compile(pattern) for word, pattern in requests.items()}
        faults.requests = requests.keys()
        self._is_open = is_open
        self._controls: Controls | None = None
        self._has_faults = any(rule.faults for rule in scenario.rules)
        self._plans: dict[str, _Plan] = {}
        self._ids: dict[str, str] = {}
        self._fitted: Counter[int] = Counter()
        self._lock = threading.Lock()

    def report(self) -> list[dict[str, Any]]:
        """Each rule, with how many orders it has fitted since the start: a rule for no order may have a mistake."""
        return [
            {
                "place": rule.place or "--auto-pay",
                "match": msgspec.to_builtins(rule.match),
                "orders": self._fitted[place],
            }
            for place, rule in enumerate(self._scenario.rules)
        ]

    def start(self, controls: Controls) -> None:
        """
        Act by these controls from now on, also on what an earlier run had planned.

        `ValueError` for a scenario that asks for what this gateway can't do.
        """
        try:
            check_scenario(self._scenario, controls, self._faults)
        except ValueError:
            self._state.close()
            raise
        self._controls = controls
        for one in self._scenario.faults:
            self._add_fault(one.fault, one.path, None)
        for raw in records(self._state.values(), _PREFIX):
            plan = msgspec.json.decode(raw, type=_Plan)
            if plan.payer is None:
                planned = self._planned(plan.order, self._clock.now_ms())
                plan = msgspec.structs.replace(plan, payer=planned.payer, payer_at=planned.payer_at)
            self._take_up(plan)

    # --- what a gateway tells ----------------------------------------------------------------------------

    def opened(self, order: NewOrder) -> None:
        """An order was made, and is kept."""
        plan = self._planned(order, order.made_ms)
        self._fitted.update(
            place for place, rule in enumerate(self._scenario.rules) if rule.match.fits(order)
        )
        self._state.put(f"{_PREFIX}{order.id}", plan)
        self._take_up(plan)
        add_to_occasion(order.id)

    @contextmanager
    def changed(self, order_id: str) -> Iterator[None]:
        """In this block the order's change is told of: faults of its notifications apply, and it may have been paid."""
        with occasion({order_id}, asks="notification"):
            yield
        self._plan_charge_back(order_id)

    # --- what a connection asks ----------------------------------------------------------------------------

    @property
    def is_watching(self) -> bool:
        """Whether requests have to be looked into."""
        return self._has_faults or self._faults.is_aimed

    def occasion_of(self, method: str, target: str, body: bytes) -> Occasion:
        """What a request is about, by its path with the query string and its body."""
        path = target.partition("?")[0]
        asks = next(
            (word for word, pattern in self._requests.items() if pattern.fullmatch(f"{method} {path}")), ""
        )
        text = f"{target} {body.decode(errors='replace')}"
        orders = {found for number in _NUMBER.findall(text)[:_NUMBERS_MAX] for found in self._named(number)}
        return Occasion(orders, asks)

    def _named(self, number: str) -> list[str]:
        """The orders that a number of the merchant's, or any of the gateway's, belongs to."""
        known = self._ids.get(number)
        if known is not None:
            return [known]
        if self._controls is None:
            return []
        try:
            return list(self._controls.show_order(number).get("orders", ()))
        except UnknownOrder:
            return []

    # --- plans ---------------------------------------------------------------------------------------------

    def _planned(self, order: NewOrder, from_ms: int) -> _Plan:
        payer = self._scenario.fate_of(order).payer
        if payer is None or payer.does == "nothing":
            return _Plan(order=order)
        return _Plan(order=order, payer=payer.does, payer_at=from_ms + round(payer.after_s * 1000))

    def _take_up(self, plan: _Plan) -> None:
        order = plan.order
        with self._lock:
            self._plans[order.id] = plan
            self._ids[order.id] = order.id
            if order.number:
                self._ids[order.number] = order.id
        fate = self._scenario.fate_of(order)
        for fault in _faults_of(fate):
            self._add_fault(fault, None, order.id)
        if plan.payer is not None and self._is_open(order.id):
            self._clock.call_at(plan.payer_at, partial(self._act, order.id, plan.payer))
        if plan.charge_back_at is not None:
            self._clock.call_at(plan.charge_back_at, partial(self._charge_back, order.id))

    def _add_fault(self, fault: RuleFault, path: str | None, order: str | None) -> None:
        options: dict[str, Any] = dict(fault.options)
        self._faults.add(fault.kind, times=fault.times, on=fault.on, path=path, order=order, **options)

    def _act(self, order_id: str, verb: str) -> None:
        if self._is_open(order_id):
            # Somebody else may have been first.
            with suppress(NotPossible):
                getattr(self._controls, verb)(order_id)

    def _plan_charge_back(self, order_id: str) -> None:
        """Once it was paid, if the scenario has one."""
        with self._lock:
            plan = self._plans.get(order_id)
        if plan is None or plan.charge_back_at is not None or self._controls is None:
            return
        after_s = self._scenario.fate_of(plan.order).charge_back_s
        if after_s is None or not self._controls.show_order(order_id)["paid_minor"]:
            return
        due = self._clock.now_ms() + round(after_s * 1000)
        plan = msgspec.structs.replace(plan, charge_back_at=due)
        with self._lock:
            self._plans[order_id] = plan
        self._state.put(f"{_PREFIX}{order_id}", plan)
        self._clock.call_at(due, partial(self._charge_back, order_id))

    def _charge_back(self, order_id: str) -> None:
        controls: Any = self._controls
        with suppress(NotPossible):
            controls.charge_back(order_id, None)


def _faults_of(fate: Rule) -> list[RuleFault]:
    return [*fate.faults, *(fault for fault in (fate.refund, fate.notification) if fault is not None)]
