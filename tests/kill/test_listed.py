"""A worker killed while it reads a page of the list leaves nothing lost, doubled or stuck."""

import pytest

from tests.kill.listed import PLACES, kill_at
from tests.support.postgres import PostgresServer


@pytest.mark.slow
def test_killed_in_the_middle_of_a_list_everything_is_found_again() -> None:
    """Between the claim and the reschedule, at every step: others ask again, and each payment is paid once."""
    verdicts = list(kill_at(PLACES))
    assert [verdict for verdict in verdicts if not verdict.is_clean] == []
    assert sum(verdict.died for verdict in verdicts) >= 20
    assert all(verdict.pages for verdict in verdicts)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_list_on_postgresql(postgres_server: PostgresServer) -> None:
    """Around each commit, and while the page is under way."""
    places = ("write 1 inside", "write 1 after", "send written", "write 2 inside", "write 3 before", "")
    verdicts = list(kill_at(places, postgres_server))
    assert [verdict for verdict in verdicts if not verdict.is_clean] == []
    assert all(verdict.pages for verdict in verdicts)
