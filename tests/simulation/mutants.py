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


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The code with this bug; None is the unchanged code."""
    with ExitStack() as stack:
        if name is not None:
            stack.enter_context({**MUTANTS, **CONTROLS}[name]())
        yield


def catch(name: str) -> Run | None:
    """The first run, of `SEEDS_MAX`, that catches this bug; not one in which the bug itself can't be called."""
    with planted(name):
        found = next((run for run in map(run_briefly, range(SEEDS_MAX)) if run.violations), None)
    is_broken = found is not None and any(error in found.violations[0] for error in BROKEN)
    return None if is_broken else found
