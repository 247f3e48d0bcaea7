"""The request budget: no window holds more than the provider takes, and commands come first."""

from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paycore.domain.budget import (
    GROWS_BACK_S,
    HALVED_EVERY_S,
    PROBE_MAX_S,
    REST_MAX_S,
    REST_S,
    Slot,
    Spent,
    asked,
    refused,
    share,
    spend_command,
    spend_question,
    used,
)
from paycore.domain.capabilities import RequestBudget
from paycore.domain.codec import decode, encode

NOW = 1_790_000_000_000
QFPAY = RequestBudget(per_second=100, per_minute=400)
WAIT_MS = 15_000

budgets = st.builds(
    RequestBudget,
    per_second=st.integers(1, 30),
    per_minute=st.integers(1, 300),
)
steps = st.lists(st.tuples(st.sampled_from("cq"), st.integers(0, 3_000)), max_size=300)


def most_within(times: list[int], span_ms: int) -> int:
    """The most of these times that any span of so many milliseconds holds, both ends included."""
    times = sorted(times)
    return max((bisect_left(times, at + span_ms + 1) - n for n, at in enumerate(times)), default=0)


def spend(spent: Spent, budget: RequestBudget, kind: str, now_ms: int) -> Slot:
    """A command ("c") or a question ("q") takes its place, if there is one."""
    if kind == "c":
        return spend_command(spent, budget, now_ms, now_ms + WAIT_MS)
    return spend_question(spent, budget, now_ms)


def ask_all(spent: Spent, budget: RequestBudget, from_ms: int, until_ms: int) -> tuple[Spent, list[int]]:
    """Ask as often as the budget allows in this time; when each question left."""
    left, now_ms = list[int](), from_ms
    while now_ms < until_ms:
        spent, at_ms = spend_question(spent, budget, now_ms)
        if at_ms <= now_ms:
            left.append(now_ms)
        now_ms = max(at_ms, now_ms + 1)
    return spent, left


@given(budgets, steps)
@settings(max_examples=300)
def test_no_second_and_no_minute_holds_more_than_the_provider_takes(
    budget: RequestBudget, steps: list[tuple[str, int]]
) -> None:
    """Whatever is sent in whatever order, wherever the window begins, and some milliseconds of travel on top."""
    spent, now_ms, left = Spent(), NOW, list[int]()
    for kind, pause_ms in steps:
        now_ms += pause_ms
        spent, at_ms = spend(spent, budget, kind, now_ms)
        left += [at_ms] if at_ms <= now_ms + (WAIT_MS if kind == "c" else 0) else []
    assert most_within(left, 60_000) <= budget.per_minute
    assert most_within(left, 1_000) <= budget.per_second


@given(budgets, steps)
def test_what_is_stored_says_the_same_as_what_is_in_memory(
    budget: RequestBudget, steps: list[tuple[str, int]]
) -> None:
    """Each process reads what another one wrote."""
    kept, stored, now_ms = Spent(), b"{}", NOW
    for kind, pause_ms in steps:
        now_ms += pause_ms
        kept, at_ms = spend(kept, budget, kind, now_ms)
        read, again_ms = spend(decode(stored.decode(), Spent), budget, kind, now_ms)
        assert (read, again_ms) == (kept, at_ms)
        stored = encode(read)


def test_command_leaves_at_once_while_questions_are_asked() -> None:
    """Questions never spend the last requests: a command after minutes of them need not wait."""
    spent, _ = ask_all(Spent(), QFPAY, NOW, NOW + 180_000)
    _, at_ms = spend_command(spent, QFPAY, NOW + 180_000, NOW + 180_000)
    assert at_ms == NOW + 180_000


def test_questions_use_what_commands_leave() -> None:
    """Nearly all of the budget where there are no commands: 397 questions in a good minute."""
    _, left = ask_all(Spent(), QFPAY, NOW, NOW + 122_000)
    assert most_within(left, 60_000) <= 400
    assert len(left) >= 2 * 0.97 * 400


def test_questions_make_room_for_commands() -> None:
    """With 120 orders a minute, each leaves at once, and questions have most of what is left."""
    spent, questions, waits = Spent(), 0, list[int]()
    for second in range(180):
        now_ms = NOW + second * 1_000
        for _ in range(2):
            spent, at_ms = spend_command(spent, QFPAY, now_ms, now_ms + WAIT_MS)
            waits.append(at_ms - now_ms)
        spent, left = ask_all(spent, QFPAY, now_ms, now_ms + 1_000)
        questions += len(left) if second >= 60 else 0
    assert max(waits) == 0
    assert 0.8 * 2 * 280 <= questions <= 2 * 280


def test_commands_beyond_the_budget_have_their_turn_in_order() -> None:
    """Each gets a later turn than the one before, as long as it can wait; then it is told when to come back."""
    spent, turns = Spent(), list[int]()
    for _ in range(20):
        spent, at_ms = spend_command(spent, RequestBudget(per_second=2, per_minute=100), NOW, NOW + WAIT_MS)
        turns.append(at_ms)
    assert all(one <= other for one, other in pairwise(turns))
    assert turns[0] == NOW
    full = spent
    spent, at_ms = spend_command(spent, RequestBudget(per_second=2, per_minute=100), NOW, NOW + 1_000)
    assert at_ms > NOW + 1_000
    assert used(spent, NOW) == used(full, NOW)


def test_refusal_rests_the_account_and_halves_its_questions() -> None:
    """Nothing is sent before the time it names; afterwards half as many questions are asked."""
    spent, _ = ask_all(Spent(), QFPAY, NOW, NOW + 61_000)
    spent = refused(spent, NOW + 61_000, 7)
    _, at_ms = spend_command(spent, QFPAY, NOW + 61_000, NOW + 120_000)
    assert at_ms == NOW + 68_000
    spent, left = ask_all(spent, QFPAY, NOW + 61_000, NOW + 121_000)
    assert min(left) >= NOW + 68_000
    assert len(left) <= 0.6 * 400


def test_refusal_that_names_no_time_rests_for_two_seconds() -> None:
    """Only from questions: a command is sent when its provider says. One that names a year rests for a minute."""
    assert spend_question(refused(Spent(), NOW, None), QFPAY, NOW).at_ms == NOW + REST_S * 1000
    assert spend_command(refused(Spent(), NOW, None), QFPAY, NOW, NOW).at_ms == NOW
    assert spend_question(refused(Spent(), NOW, 10**9), QFPAY, NOW).at_ms == NOW + REST_MAX_S * 1000


def test_refusals_of_one_burst_count_once() -> None:
    """Those under way at the first one are no news; a later one is."""
    spent = refused(Spent(), NOW, None)
    assert share(refused(spent, NOW + 100, None), NOW + 100) == pytest.approx(0.5, abs=0.001)
    later_ms = NOW + round(HALVED_EVERY_S * 1000)
    assert share(refused(spent, later_ms, None), later_ms) == pytest.approx(0.25, abs=0.01)


def test_share_grows_back() -> None:
    """Slowly: to the whole in ten minutes."""
    spent = refused(Spent(), NOW, None)
    half_ms = NOW + round(GROWS_BACK_S * 500)
    assert share(spent, half_ms) == pytest.approx(0.75)
    assert share(spent, NOW + round(GROWS_BACK_S * 1000)) == 1


def test_provider_without_answers_is_asked_one_question_at_a_time() -> None:
    """More rarely each time, at most every three seconds; with the first answer all is as before."""
    spent, now_ms, pauses = asked(Spent(), NOW, is_answered=False), NOW, list[int]()
    for _ in range(6):
        again_ms = spend_question(spent, QFPAY, now_ms).at_ms
        pauses.append(again_ms - now_ms)
        now_ms = again_ms
        spent, at_ms = spend_question(spent, QFPAY, now_ms)
        assert at_ms == now_ms, "one tries"
        assert spend_question(spent, QFPAY, now_ms).at_ms > now_ms, "others wait for what becomes of it"
        spent = asked(spent, now_ms, is_answered=False)
    assert pauses == [1_000, 2_000, *(PROBE_MAX_S * 1000,) * 4]
    spent = asked(spent, now_ms, is_answered=True)
    for _ in range(2):
        spent, at_ms = spend_question(spent, QFPAY, now_ms)
        assert at_ms == now_ms


def test_provider_that_takes_no_questions_for_a_while_is_left_alone() -> None:
    """Commands are not held up by it."""
    spent = asked(Spent(), NOW, is_answered=False, rests_s=60)
    assert spend_question(spent, QFPAY, NOW).at_ms == NOW + 60_000
    assert spend_command(spent, QFPAY, NOW, NOW).at_ms == NOW


def test_no_answer_makes_an_account_rest_for_longer_than_a_minute() -> None:
    """Whatever time a provider made up: somebody may have paid meanwhile."""
    spent = asked(Spent(), NOW, is_answered=False, rests_s=86_400)
    assert spend_question(spent, QFPAY, NOW).at_ms == NOW + REST_MAX_S * 1000


def test_provider_that_names_no_time_rests_for_a_moment() -> None:
    """All that is due is not asked about at once, only to be refused one by one."""
    spent = asked(Spent(), NOW, is_answered=False, rests_s=0.0)
    assert spend_question(spent, QFPAY, NOW).at_ms == NOW + REST_S * 1000


def test_clock_that_was_ahead_does_not_stop_an_account() -> None:
    """What was counted hours ahead of now was counted by a wrong clock."""
    spent, _ = ask_all(Spent(), QFPAY, NOW + 3_600_000, NOW + 3_661_000)
    assert spend_command(spent, QFPAY, NOW, NOW).at_ms == NOW
    assert spend_question(spent, QFPAY, NOW).at_ms == NOW


def test_clock_that_is_set_back_a_little_keeps_what_was_spent() -> None:
    """The budget stays spent where another host's clock is seconds behind."""
    budget = RequestBudget(per_second=5, per_minute=10)
    spent, left = Spent(), 0
    for number in range(40):
        now_ms = NOW + (number % 3) * 1_000
        spent, at_ms = spend_command(spent, budget, now_ms, now_ms)
        left += at_ms <= now_ms
    assert left <= 10
