"""Whatever kills the readers of the change feed, each change is handled once, in order; and planted bugs are found."""

import random
from collections.abc import Iterator

import pytest

from tests.kill.feed import DATABASES, MUTANTS, PIVOTAL, STEPS, Crew, Database, Verdict, finds
from tests.support.postgres import PostgresServer

KILLS = 8


@pytest.fixture(scope="module")
def crew(postgres_server: PostgresServer) -> Iterator[Crew]:
    """Processes that wait for their cases."""
    with Crew(postgres_server) as crew:
        yield crew


def unclean(verdicts: list[Verdict]) -> list[Verdict]:
    """Those that show anything wrong."""
    return [verdict for verdict in verdicts if not verdict.is_clean]


@pytest.mark.slow
def test_killed_at_any_step_every_change_is_handled_once(crew: Crew) -> None:
    """Around each effect, each transaction and each commit of the application: none lost, doubled or out of order."""
    verdicts = crew.kill_at("sqlite", STEPS)
    assert unclean(verdicts) == []
    assert sum(verdict.died for verdict in verdicts) >= 60


@pytest.mark.slow
def test_killed_on_postgresql_every_change_is_handled_once(crew: Crew) -> None:
    """The same around the commits; `python -m tests.kill.feed` runs all steps."""
    verdicts = crew.kill_at("postgres", PIVOTAL)
    assert unclean(verdicts) == []
    assert all(verdict.died for verdict in verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
def test_two_readers_killed_at_random_while_others_write(crew: Crew, database: Database) -> None:
    """Restarted again and again; each kill has at most the change in hand handed over again."""
    verdict = crew.kill_at_random(database, KILLS, random.Random(1))
    assert verdict.is_clean, verdict


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("place", ["body 2 before", "body 2 after"])
def test_stopped_for_longer_than_its_lease_it_changes_nothing_afterwards(
    crew: Crew, database: Database, place: str
) -> None:
    """Its change was handed to another; it learns that when it acknowledges, and the other's place stays."""
    verdict = crew.stop_at(database, place)
    assert verdict.died, "it was told that the lease is lost"
    assert verdict.is_clean, verdict


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_found(crew: Crew, database: Database, name: str) -> None:
    """What counts too early is lost; what a stopped reader may still acknowledge is handed over again."""
    assert finds(crew, database, name)
