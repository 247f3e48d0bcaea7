"""Whether a gateway can do what a scenario asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paycore.sandbox.api import Controls
from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.scenario import Rule, RuleFault, Scenario

BEFORE_IT_ACTS = frozenset({"lose_request", "late_request"})
"""Faults that come before the gateway has read which order a request is about."""


def check_scenario(scenario: Scenario, controls: Controls, faults: FaultBoard) -> None:
    """`ValueError` says what this gateway does not have, and where it is asked for."""
    for rule in scenario.rules:
        for problem in _problems_of(rule, controls, faults):
            raise ValueError(_placed(rule.place, problem))
    for one in scenario.faults:
        for problem in _problems(one.fault, faults):
            raise ValueError(_placed(one.place, problem))


def _problems_of(rule: Rule, controls: Controls, faults: FaultBoard) -> Iterator[str]:
    if rule.payer is not None and rule.payer.does == "decline_capture":
        yield from _missing(controls, "decline_capture", "no capture is declined here")
    if rule.charge_back_s is not None:
        yield from _missing(controls, "charge_back", "nothing is charged back here")
    for fault in (rule.refund, rule.notification):
        if fault is not None:
            yield from _problems(fault, faults)
    for fault in rule.faults:
        yield from _problems(fault, faults)
        if fault.on in ("create", None) and _is_before(fault, faults):
            yield (
                f"{fault.kind} comes before the gateway knows which order it makes; choose what a request is `on`,"
                " or make it a fault without an order: [[fault]]"
            )


def _missing(controls: Controls, control: str, words: str) -> Iterator[str]:
    if not hasattr(controls, control):
        yield f"{words}; name the provider that the rule is for: match.provider"


def _is_before(fault: RuleFault, faults: FaultBoard) -> bool:
    options = {**faults.kinds[fault.kind].options, **fault.options}
    return fault.kind in BEFORE_IT_ACTS or options.get("recorded") is False


def _problems(fault: RuleFault, faults: FaultBoard) -> Iterator[str]:
    try:
        faults.checked(fault.kind, on=fault.on, **dict[str, Any](fault.options))
    except ValueError as error:
        yield str(error)


def _placed(place: str, problem: str) -> str:
    return f"{place}: {problem}" if place else problem
