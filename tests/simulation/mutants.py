"""Planted bugs: small, plausible changes of the real code, each of which a run must catch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from tests.simulation.mutations import contract, domain, engine, runner, sharing, store
from tests.simulation.world import Run, run_briefly

Mutant = Callable[[], AbstractContextManager[Any]]

MUTANTS: dict[str, Mutant] = {
    **contract.MUTANTS,
    **domain.MUTANTS,
    **engine.MUTANTS,
    **runner.MUTANTS,
    **sharing.MUTANTS,
    **store.MUTANTS,
}
"""By name; the docstring of each describes the bug."""

CONTROLS: dict[str, Mutant] = runner.CONTROLS
"""Harmless changes that look like bugs: a run must not report them."""

BROKEN = ("TypeError(", "AttributeError(")
"""Errors of a bug that does not fit the code as it is now."""

SEEDS_MAX = 20
"""A bug that needs more seeds than this to show is not caught."""

FIRST_SEED = {
    "duplicate_is_failure": 30,
    "needless_order_stays_open": 20,
    "neighbour_without_session_is_acknowledged": 40,
}
"""From which seed on a bug is looked for whose kind of day comes in none of the first ones; others from 0."""


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The code with this bug; None is the unchanged code."""
    with ExitStack() as stack:
        if name is not None:
            stack.enter_context({**MUTANTS, **CONTROLS}[name]())
        yield


def catch(name: str) -> Run | None:
    """The first run, of `SEEDS_MAX`, that catches this bug; not one in which the bug itself can't be called."""
    first = FIRST_SEED.get(name, 0)
    with planted(name):
        runs = map(run_briefly, range(first, first + SEEDS_MAX))
        found = next((run for run in runs if run.violations), None)
    is_broken = found is not None and any(error in found.violations[0] for error in BROKEN)
    return None if is_broken else found
