"""Whatever is reported of an order, in any order and with repeats, ends in one state."""

import itertools
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from paycore import Money, RefundStatus, ReviewReason, Status
from paycore.domain.action import Action, QRCode
from paycore.domain.bounds import IDS_MAX
from paycore.domain.codec import decode, encode
from paycore.domain.decisions import end_attempt
from paycore.domain.events import Observed, OperationEnded
from paycore.domain.lifecycle import bounded
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation, digest
from paycore.domain.payment import OperationState, Payment
from paycore.domain.provider import Rejected
from tests.domain.histories import AMOUNT, DECLINED, LINK, NEW_LINK, NOW, QUIET, History, paid, replaced

TIMES = (None, NOW - timedelta(hours=1), NOW, QUIET, QUIET + timedelta(seconds=1), NOW + timedelta(hours=1))
ACTIONS: tuple[Action | None, ...] = (None, None, LINK, NEW_LINK, QRCode(content="x"))


def declined() -> History:
    """The capture of what the payer agreed to was refused for them."""
    history = History().accepted().authorized(NOW).capturing()
    sent = history.payment.operation("capture-C1")
    return history.change(*end_attempt(history.payment, QUIET, sent=sent, outcome=Rejected(failure=DECLINED)))


def capture_in(state: OperationState) -> Callable[[], History]:
    """70.00 HKD of 88.00 HKD are being captured, and that got so far."""

    def begun() -> History:
        history = History().accepted().authorized().capturing(7000)
        return history if state is OperationState.SENT else history.ended(state, "capture-C1")

    return begun


STARTS: dict[str, Callable[[], History]] = {
    "created": History,
    "unknown": lambda: History().unknown(),
    "pending": lambda: History().accepted(),
    "authorized": lambda: History().accepted().authorized(),
    "being captured": capture_in(OperationState.SENT),
    "capture unsent": capture_in(OperationState.INTENT),
    "capture unknown": capture_in(OperationState.UNKNOWN),
    "capture accepted": capture_in(OperationState.DONE),
    "capture declined": declined,
    "being closed": lambda: History().accepted().authorized().closing(),
    "replaced": replaced,
    "refunding": lambda: paid().refunding(),
}

orders_seen = st.builds(
    PaymentObservation,
    number=st.sampled_from(["N1", "N1", "N2", "R1", "N9"]),
    status=st.sampled_from([Status.PENDING, Status.AUTHORIZED, Status.PAID, Status.FAILED, Status.CLOSED]),
    provider_id=st.sampled_from(["S1", "S2"]),
    ids=st.dictionaries(st.sampled_from(["charge", "intent"]), st.sampled_from(["1", "2"])),
    amount=st.sampled_from([None, AMOUNT, AMOUNT, Money("1.00", "HKD")]),
    paid_minor=st.sampled_from([None, None, 7000, 8800]),
    refunded_minor=st.sampled_from([None, 0, 2000, 9900]),
    charged_back_minor=st.sampled_from([300, 8800]),
    charge_back_won_minor=st.sampled_from([None, 0, 300]),
    failure=st.sampled_from([None, DECLINED]),
    action=st.sampled_from(ACTIONS),
    occurred_at=st.sampled_from(TIMES),
)
refunds_seen = st.builds(
    RefundObservation,
    number=st.sampled_from(["R1", "R1", "N1"]),
    status=st.sampled_from(
        [RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.REVERSED]
    ),
    provider_id=st.sampled_from([None, "F1", "F2"]),
    ids=st.dictionaries(st.sampled_from(["refund"]), st.sampled_from(["1", "2"])),
    amount=st.sampled_from([None, Money("20.00", "HKD"), Money("1.00", "HKD")]),
    occurred_at=st.sampled_from(TIMES),
)
seen_in_any_order = st.lists(st.one_of(orders_seen, orders_seen, refunds_seen), max_size=6)


def after(start: str, observations: list[Observation]) -> Payment:
    """The payment, without the times at which it became known: they tell the order."""
    payment = STARTS[start]().change(*(Observed(observation=seen) for seen in observations)).payment
    return replace(payment, authorized_at=None, paid_at=None, closed_at=None)


@given(st.sampled_from(sorted(STARTS)), seen_in_any_order, st.randoms(use_true_random=False))
def test_observations_end_in_one_state_in_any_order(
    start: str, observations: list[Observation], random: Any
) -> None:
    """Statuses, ids, totals, actions and failures; each distinct one counts once."""
    shuffled = observations * 2
    random.shuffle(shuffled)
    one, other = after(start, observations), after(start, shuffled)
    assert one == other
    assert one.version - STARTS[start]().payment.version == len(
        {*one.evidence} - {*after(start, []).evidence}
    )
    assert decode(encode(one), Payment) == one


@given(st.sampled_from(sorted(STARTS)), seen_in_any_order)
def test_totals_stay_within_what_they_are_of(start: str, observations: list[Observation]) -> None:
    """Won is a part of what was charged back; what can be refunded is a part of what was paid."""
    payment = after(start, observations)
    assert 0 <= payment.charge_back_won_minor <= payment.charged_back_minor
    assert 0 <= payment.refundable_minor <= payment.paid_minor
    for charge in payment.charges:
        assert 0 <= payment.left_of(charge) <= charge.amount_minor
    if payment.charged_back_minor:
        assert ReviewReason.CHARGED_BACK in payment.review_reasons


@given(st.sampled_from(sorted(STARTS)), seen_in_any_order)
def test_observations_never_make_a_resolved_operation_uncertain(
    start: str, observations: list[Observation]
) -> None:
    """What is reported only adds to what is known."""
    before, payment = STARTS[start]().payment, after(start, observations)
    for known, operation in zip(before.operations, payment.operations, strict=True):
        assert not operation.is_uncertain or known.is_uncertain


# --- ids ------------------------------------------------------------------------------------------------


def test_ids_are_kept_by_name() -> None:
    """Each observation adds what it knows; a repeat and another order change nothing."""
    history = History().accepted().sees(Status.PENDING, ids={"intent": "pi_1"})
    history.sees(Status.PAID, ids={"charge": "ch_1"}).sees(Status.PAID, ids={"intent": "pi_1"})
    assert history.payment.ids == {"charge": "ch_1", "intent": "pi_1"}
    assert history.payment.review_reasons == ()


def test_two_ids_of_one_name_need_review() -> None:
    """In either order the same one is shown, and both are kept; another name is not in doubt."""
    for first, second in (("ch_1", "ch_2"), ("ch_2", "ch_1")):
        history = paid().sees(Status.PAID, ids={"charge": first, "intent": "pi"})
        history.sees(Status.PAID, ids={"charge": second})
        assert history.payment.ids == {"charge": "ch_1", "intent": "pi"}
        assert history.payment.review_reasons == (ReviewReason.IDS_DIFFER,)
        assert ("charge", "ch_2") in history.payment.creation.ids


def test_ids_of_two_orders_or_refunds_may_differ() -> None:
    """They are those of each order."""
    history = (
        replaced().sees(Status.CLOSED, ids={"charge": "1"}).sees(Status.PENDING, "N2", ids={"charge": "2"})
    )
    assert (history.payment.ids, history.payment.review_reasons) == ({"charge": "2"}, ())
    refunds = paid().refunding().refunding(1000, "back-2", "R2")
    refunds.refund_is(RefundStatus.PENDING, ids={"r": "1"}).refund_is(
        RefundStatus.PENDING, "R2", ids={"r": "2"}
    )
    assert refunds.payment.review_reasons == ()


def test_ids_of_one_order_are_limited() -> None:
    """Beyond 100 no further one is kept, and the payment needs review; its money counts."""
    history = History().accepted().sees(Status.PENDING, ids={f"n{number}": "1" for number in range(IDS_MAX)})
    assert history.payment.review_reasons == ()
    more = bounded(history.payment, Observed(observation=history.order_is(Status.PAID, ids={"more": "1"})))
    payment = history.change(more).payment
    assert (len(payment.creation.ids), payment.status) == (100, Status.PAID)
    assert payment.review_reasons == (ReviewReason.TOO_MANY_FACTS,)
    known = bounded(payment, Observed(observation=history.order_is(Status.PENDING, ids={"n0": "1"})))
    assert known == Observed(observation=history.order_is(Status.PENDING, ids={"n0": "1"}))
    stray = Observed(observation=history.order_is(Status.PENDING, "N9", ids={"n0": "1"}))
    assert bounded(payment, stray) == stray


# --- actions --------------------------------------------------------------------------------------------


def test_observation_brings_a_new_action() -> None:
    """A later one replaces it; an older one, or one without a time, does not."""
    history = History().accepted().sees(Status.PENDING, action=NEW_LINK, occurred_at=QUIET)
    assert history.payment.action == NEW_LINK
    history.sees(Status.PENDING, action=LINK, occurred_at=NOW).sees(Status.PENDING, action=LINK)
    assert history.payment.action == NEW_LINK
    later = QUIET + timedelta(milliseconds=1)
    assert history.sees(Status.PENDING, action=LINK, occurred_at=later).payment.action == LINK


def test_of_two_actions_with_one_time_the_same_is_shown_in_either_order() -> None:
    """Nothing tells which of them is the later one."""
    for at in (None, QUIET):
        for first, second in ((LINK, NEW_LINK), (NEW_LINK, LINK)):
            history = History().accepted().sees(Status.PENDING, action=first, occurred_at=at)
            assert history.sees(Status.PENDING, action=second, occurred_at=at).payment.action == NEW_LINK


def test_action_without_a_time_replaces_that_of_the_reply() -> None:
    """The provider's report is later than its reply, also where the reply comes late."""
    history = History().accepted().sees(Status.PENDING, action=NEW_LINK)
    assert history.payment.action == NEW_LINK
    late = History().unknown().sees(Status.PENDING, action=NEW_LINK)
    late.ended(OperationState.DONE, observation=late.order_is(Status.PENDING), action=LINK, expires_at=QUIET)
    assert (late.payment.action, late.payment.expires_at) == (NEW_LINK, QUIET)


def test_action_that_comes_again_later_is_shown_again() -> None:
    """Of three with their times the last one counts, in any order."""
    times = [NOW + timedelta(seconds=number) for number in (1, 2, 3)]
    for order in itertools.permutations(zip(times, [LINK, NEW_LINK, LINK], strict=True)):
        history = History().accepted()
        for at, action in order:
            history.sees(Status.PENDING, action=action, occurred_at=at)
        assert history.payment.action == LINK


def test_action_of_another_order_is_not_shown() -> None:
    """Only that of the order in force, and only while it is to be paid."""
    history = replaced().sees(Status.PENDING, action=LINK, occurred_at=NOW + timedelta(days=1))
    shown = [history.payment.action, history.sees(Status.PENDING, "N2", action=NEW_LINK).payment.action]
    shown.append(copy(history).sees(Status.PAID, "N2").payment.action)
    shown.append(history.renumbered("N3").payment.action)
    assert shown == [None, NEW_LINK, None, None]


def test_time_of_an_action_is_that_of_its_order() -> None:
    """A close or refund in between does not forget it; a new order begins anew, at whatever time."""
    history = History().accepted().sees(Status.PENDING, action=NEW_LINK, occurred_at=QUIET)
    history.closing(OperationState.REJECTED).sees(Status.PENDING, action=LINK, occurred_at=NOW)
    assert history.payment.action == NEW_LINK
    successor = replaced().sees(Status.PENDING, "N2", action=NEW_LINK, occurred_at=QUIET).renumbered("N3")
    assert successor.sees(Status.PENDING, "N3", action=LINK, occurred_at=NOW).payment.action == LINK


def test_action_resolves_an_order_whose_link_was_lost() -> None:
    """It can be paid: nothing is sent again for its link."""
    history = History().unknown().sees(Status.PENDING)
    assert history.payment.uncertain
    assert not history.sees(Status.PENDING, action=LINK).payment.uncertain


# --- what counts as a repeat ----------------------------------------------------------------------------


def test_only_an_agreement_and_an_action_count_by_their_time() -> None:
    """A payer may agree twice, and need the same action twice; anything else is the same fact at another time."""
    for status, fields, counts in (
        (Status.PENDING, {}, False),
        (Status.PAID, {}, False),
        (Status.AUTHORIZED, {}, True),
        (Status.PENDING, {"action": LINK}, True),
    ):
        one, other = (
            PaymentObservation(number="N1", status=status, provider_id="S1", occurred_at=at, **fields)  # type: ignore[arg-type]
            for at in (NOW, QUIET)
        )
        assert (digest(one) != digest(other)) is counts
    refunds = [
        RefundObservation(number="R1", status=RefundStatus.PENDING, occurred_at=at) for at in (NOW, QUIET)
    ]
    assert digest(refunds[0]) == digest(refunds[1])


def test_ids_and_totals_make_another_fact() -> None:
    """Each field of money or identity is a part of what was reported."""
    fields: list[dict[str, Any]] = [
        {},
        {"ids": {"a": "1"}},
        {"paid_minor": 1},
        {"charged_back_minor": 1},
        {"charged_back_minor": 1, "charge_back_won_minor": 1},
        {"action": LINK},
    ]
    seen = [
        digest(PaymentObservation(number="N1", status=Status.PAID, provider_id="S1", **some))
        for some in fields
    ]
    assert len({*seen}) == len(fields)


@pytest.mark.parametrize("state", [OperationState.SENT, OperationState.UNKNOWN])
def test_reply_without_an_action_keeps_the_one_that_is_known(state: OperationState) -> None:
    """A resend that brought none does not take the payer's link away."""
    history = History().unknown().sees(Status.PENDING, action=LINK)
    ended = OperationEnded(operation_id="create-N1", state=state, in_flight_until=QUIET)
    assert history.change(ended).payment.next_step == LINK
