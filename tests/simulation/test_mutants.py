"""Planted bugs are caught; `make proof` plants the rest of them, and changes that do no harm."""

import pytest

from tests.simulation.mutants import CONTROLS, MUTANTS, SEEDS_MAX, catch, planted

NAMED = {
    "no_compare_and_set",
    "no_intent",
    "timeout_is_failure",
    "new_refund_number_on_retry",
    "expiry_closes_without_asking",
    "unverified_notification",
    "absence_trusted_early",
    "late_failure_undoes_paid",
    "refund_cap_outside_transaction",
    "number_reused_after_closing",
    "event_outside_transaction",
    "acknowledged_before_commit",
    "captured_twice",
    "captured_after_closing",
    "captured_without_intent",
    "closed_after_its_capture_was_sent",
    "sent_again_outside_the_window",
    "absence_believed_without_a_lookup",
    "token_is_shared",
    "mention_moves_money",
    "not_now_fails",
    "charge_back_counts_twice",
    "reversed_refund_is_not_given_back",
    "unresolvable_is_sent_again",
    "budget_is_not_shared",
    "budget_is_not_spent",
    "oldest_starve",
    "change_is_acknowledged_before_the_body",
    "lost_consumer_acknowledges",
    "lease_is_for_ever",
    "failed_is_taken_from_the_list",
    "refusal_is_ignored",
}
"""Those that the simulation must at least catch."""

LONG = {
    "new_refund_number_on_retry",
    "late_failure_undoes_paid",
    "captured_twice",
    "captured_after_closing",
    "captured_without_intent",
    "sent_again_outside_the_window",
    "reversed_refund_is_not_given_back",
    "budget_is_not_shared",
    "lost_consumer_acknowledges",
    "lease_is_for_ever",
    "failed_is_taken_from_the_list",
    "refusal_is_ignored",
}
"""Those of them that take many seeds to catch."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.proof) if name in LONG else name for name in sorted(NAMED)],
)
def test_planted_bug_is_caught(name: str) -> None:
    """Within 20 seeds, by a violation; the mutant's docstring describes the bug."""
    assert catch(name) is not None, f"{name}: no violation in {SEEDS_MAX} seeds"


@pytest.mark.parametrize("name", [*MUTANTS, *CONTROLS])
def test_bug_can_be_planted(name: str) -> None:
    """What it changes is there, so that a planted bug does not disappear with a name."""
    with planted(name):
        pass


def test_named_bugs_are_planted() -> None:
    """None of the required bugs is missing."""
    assert set(MUTANTS) >= NAMED >= LONG
