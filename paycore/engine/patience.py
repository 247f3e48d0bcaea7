"""Waits for a turn in the request budget, for what nobody is in a hurry for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from paycore.engine.effects import Pause, Program
from paycore.errors import NotSent, PaycoreError

T = TypeVar("T")

TRIES_MAX = 20
"""Times that a question is put which had no turn, or which its provider put off."""

PAUSE_MIN_S, PAUSE_MAX_S = 0.5, 60.0


def patiently(question: Callable[[], Program[T]]) -> Program[T]:
    """
    What a safe question comes to, put again after each time that it was put off for.

    Raises what else it raises, and `NotSent` once it was put off too often or for too long; no money moves.
    """
    for tries in range(TRIES_MAX):
        try:
            return (yield from question())
        except NotSent as error:
            error.money_moved = "no"
            pause_s = error.retry_after_s
            if pause_s is None or pause_s > PAUSE_MAX_S or tries == TRIES_MAX - 1:
                raise
        except PaycoreError as error:
            error.money_moved = "no"
            raise
        yield Pause(max(PAUSE_MIN_S, pause_s))
    raise AssertionError("unreachable")
