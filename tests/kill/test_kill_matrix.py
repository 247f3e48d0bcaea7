"""After a kill at any step nothing is lost, doubled or stuck; and the matrix finds planted bugs."""

from collections.abc import Iterator

import pytest

from tests.kill.cases import NASTY, OPERATIONS, REFUSES, Case, Manner, Operation, steps_of
from tests.kill.matrix import Crew, run_mutant, tally
from tests.kill.mutants import MUTANTS
from tests.support.postgres import PostgresServer

PIVOTAL_STEPS: dict[Operation, tuple[str, ...]] = {
    "create by link": (
        "inside the intent's transaction",
        "before sending",
        "request sent, reply not there",
        "inside the result's transaction",
        "in the result's hook",
    ),
    "capture": (
        "inside the intent's transaction",
        "before sending",
        "request sent, reply not there",
        "inside the result's transaction",
    ),
    "capture once seen": ("after effect 3", "inside the capture's transaction", "after effect 5"),
    "void": ("before sending", "reply there, unread", "inside the result's transaction"),
    "refund": ("before sending", "reply there, unread", "inside the result's transaction"),
    "close": ("after the intent's commit", "reply read", "nowhere"),
    "notification": ("inside the transaction", "after the commit", "before the acknowledgement"),
    "recovery": ("after effect 4", "before effect 5", "after effect 6"),
}
"""Where the two databases could differ: around each of their commits."""


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """Processes that wait for their cases."""
    with Crew() as crew:
        yield crew


@pytest.mark.slow
@pytest.mark.parametrize("manner", [REFUSES, NASTY], ids=lambda manner: manner.name)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_at_any_step_everything_is_found_again(
    crew: Crew, operation: Operation, manner: Manner
) -> None:
    """
    After one recovery pass ledger and gateway agree, whether the gateway refuses duplicates or charges blindly.

    The second gateway's provider falsely declares that it refuses them. Repeating the command changes nothing.
    """
    counted = tally(crew.run(Case(operation, step, manner, "sqlite") for step in steps_of(operation)))
    assert counted.is_clean, counted
    assert counted.died >= 7


@pytest.mark.slow
def test_killed_on_postgresql_everything_is_found_again(crew: Crew, postgres_server: PostgresServer) -> None:
    """The same around every commit on PostgreSQL; `python -m tests.kill` runs all steps."""
    cases = [
        Case(operation, step, NASTY, "postgres")
        for operation, steps in PIVOTAL_STEPS.items()
        for step in steps
    ]
    counted = tally(crew.run(cases, postgres_server))
    assert counted.is_clean, counted


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_matrix_finds_a_planted_bug(crew: Crew, name: str) -> None:
    """Each planted bug shows in the expected way."""
    counted = run_mutant(crew, name)
    assert getattr(counted, MUTANTS[name].shows) > 0, counted
