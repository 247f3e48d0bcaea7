"""Many processes at once, and a crashing database: one provider call and one change each."""

import pytest

from paycore.ledger.postgres.ledger import PostgresLedger
from tests.ledger.conftest import Database
from tests.ledger.races import change_in_a_storm, race_to_create
from tests.support.postgres import PostgresServer


def test_eight_processes_with_the_same_references_call_the_provider_once_each(database: Database) -> None:
    """Each reference is one payment, one number and one provider call, and all eight get its link."""
    database.open().close()
    race = race_to_create(database.dsn)
    assert race.holds, race


def test_changes_while_the_server_dies_are_applied_once_each(postgres_server: PostgresServer) -> None:
    """With connections cut every 30 ms and a crash: each change is applied once, as reported."""
    storm = change_in_a_storm(postgres_server)
    assert storm.holds, storm
    assert storm.restarts == 1
    assert storm.connections_cut > 10
    assert storm.commits_unheard > 0, "no commit lost its answer: the storm was none"


def test_storm_shows_when_a_lost_answer_is_taken_for_a_lost_commit(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that blindly repeats an unanswered commit is caught."""
    monkeypatch.setattr(PostgresLedger, "_was_committed", lambda _self, _number: False)
    storm = change_in_a_storm(postgres_server, changes=3000)
    assert storm.applied > storm.changes
