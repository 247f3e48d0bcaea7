"""After an outage of an hour all is known soon, and every change is delivered."""

from unittest import mock

import pytest

from paycore.domain import budget
from tests.simulation.outages import run_outage


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.proof) for seed in (1, 2, 3))])
def test_all_is_known_soon_after_an_outage(seed: int) -> None:
    """Within seconds, in the state the gateway says, with two workers and two readers killed at random meanwhile."""
    assert run_outage(seed).violations == ()


@pytest.mark.slow
def test_provider_that_is_tried_ever_more_rarely_is_found() -> None:
    """The same with pauses that grow to ten minutes: that is seen."""
    with mock.patch.object(budget, "PROBE_MAX_S", 600.0):
        violations = run_outage(0).violations
    assert any("all is known soon after an outage" in violation for violation in violations)
