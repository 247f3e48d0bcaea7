"""One capture of each authorization, however many processes see it at once; and the race finds a planted bug."""

from pathlib import Path

import pytest

from tests.kill.authorized import race_to_capture

REFERENCES = 10

RACES = 5
"""On a busy machine processes may come one after another, and then there is no race to find."""


@pytest.mark.slow
def test_authorization_seen_by_many_processes_at_once_is_captured_once(tmp_path: Path) -> None:
    """On SQLite, at a gateway that would take the money a second time."""
    race = race_to_capture(f"sqlite:///{tmp_path}/ledger.db", REFERENCES)
    assert race.holds, race


@pytest.mark.slow
def test_authorization_seen_on_postgresql_is_captured_once(postgres_dsn: str) -> None:
    """The same on PostgreSQL."""
    race = race_to_capture(postgres_dsn, REFERENCES)
    assert race.holds, race


@pytest.mark.slow
def test_race_finds_captures_that_see_nothing_of_each_other(tmp_path: Path) -> None:
    """With the planted bug the gateway is asked more often than there are payments, in one of a few races."""
    races = (
        race_to_capture(f"sqlite:///{tmp_path}/{n}.db", REFERENCES, has_bug=True, settled_within_s=1.0)
        for n in range(RACES)
    )
    assert any(race.requests > race.payments for race in races)
