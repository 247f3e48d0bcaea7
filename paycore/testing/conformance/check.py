"""What a check is, how one says what is wrong, and the list of them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from paycore.errors import PluginError

GUIDE = "docs/writing-a-plugin.md"

KEEP_TO_THE_CONTRACT = (
    "mend the provider at the place that the problem names: a provider returns, yields and raises only what the guide's"
    " section 'What the core enforces' has"
)

RunT = TypeVar("RunT", bound=Callable[..., None])


class Failed(AssertionError):
    """
    A requirement that the provider, or its sandbox, does not meet.

    `problem` says what was seen, `advice` what to change.
    """

    def __init__(self, problem: str, advice: str) -> None:
        self.problem = problem
        self.advice = advice
        super().__init__(f"{problem}; {advice}")


def contract_broken(error: PluginError) -> Failed:
    """What a check says where the core refused what the provider returned, yielded or raised."""
    return Failed(error.message, KEEP_TO_THE_CONTRACT)


class NotApplicable(Exception):
    """There is nothing to check: the provider declares that it has no such thing, or the sandbox can't show it."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """
    One named check.

    `requirement` is the docstring's first sentence, `details` the rest of it, and `read` the section of the guide.
    `run` is called with a `Rig`.
    """

    name: str
    group: str
    requirement: str
    details: str
    read: str
    run: Callable[[Any], None]


_CHECKS: dict[str, Check] = {}


def check(*, read: str) -> Callable[[RunT], RunT]:
    """Make a function one of the checks: its name is the check's, `read` an anchor in the plugin guide."""

    def add(run: RunT) -> RunT:
        name, words = run.__name__, (run.__doc__ or "").strip()
        if name in _CHECKS:
            raise ValueError(f"two checks are called {name}")
        requirement, _, details = words.partition("\n\n")
        _CHECKS[name] = Check(
            name=name,
            group=run.__module__.rpartition(".")[2],
            requirement=" ".join(requirement.split()),
            details="\n".join(line.strip() for line in details.splitlines()).strip(),
            read=f"{GUIDE}#{read}",
            run=run,
        )
        return run

    return add


def all_checks() -> tuple[Check, ...]:
    """Every check, in the order in which an author works."""
    from paycore.testing.conformance import suite

    suite.load()
    return tuple(_CHECKS.values())


def require(holds: bool, problem: str, advice: str) -> None:  # noqa: FBT001 - reads like an assertion
    """Raise `Failed` unless it holds."""
    if not holds:
        raise Failed(problem, advice)
