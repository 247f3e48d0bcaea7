"""Link and expiry belong to one order: only those of the order in force are shown, however they arrived."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from paycore import Payment, Status
from paycore.domain.decisions import Numbering, end_attempt, renumber
from paycore.domain.events import OperationBegun, OperationEnded
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import OperationState
from paycore.domain.provider import Created, Done
from tests.domain.histories import DEADLINE, LINK, NEW_LINK, NOW, History

OLD_END, NEW_END = NOW + timedelta(minutes=30), NOW + timedelta(minutes=50)
LATER = NOW + timedelta(minutes=20)
"""When the new number is begun."""

Step = Callable[[History], History]


def late_reply(history: History) -> History:
    """The reply to the first order, with its link."""
    seen = history.order_is(Status.PENDING)
    return history.ended(OperationState.DONE, observation=seen, action=LINK, expires_at=OLD_END)


def seen_pending(history: History) -> History:
    """A query finds the first order; its link was in the reply."""
    return history.sees(Status.PENDING)


def closing(history: History) -> History:
    return history.closing(replaces=True)


def closed(history: History) -> History:
    history.sees(Status.CLOSED)
    return history.ended(OperationState.DONE, "close-N1")


def new_number(history: History) -> History:
    """A new number as `decisions.renumber` makes it, or as an earlier version would have."""
    numbering = Numbering(operation_id="create-N2", number="N2")
    return history.change(*renumber(history.payment, LATER, numbering, DEADLINE))


def new_reply(history: History) -> History:
    seen = history.order_is(Status.PENDING, "N2")
    return history.ended(
        OperationState.DONE, "create-N2", observation=seen, action=NEW_LINK, expires_at=NEW_END
    )


def new_seen(history: History) -> History:
    """A query finds the new order, whose reply was lost."""
    return history.sees(Status.PENDING, "N2")


RIGHT_ORDER: list[Step] = [seen_pending, closing, closed, new_number]


def shown_at_each_step(*steps: Step) -> list[tuple[str, Payment]]:
    history = History().unknown()
    shown = []
    for step in steps:
        payment = step(history).payment
        shown.append((payment.order_number, payment))
    return shown


@pytest.mark.parametrize("last", [new_reply, new_seen])
@pytest.mark.parametrize("at", range(6))
def test_late_reply_never_brings_back_the_link_of_a_replaced_order(at: int, last: Step) -> None:
    """From the close on, the first order's link and expiry are not shown, whenever its reply arrives."""
    steps = [*RIGHT_ORDER, last]
    steps.insert(at, late_reply)
    for number, payment in shown_at_each_step(*steps):
        if number == "N2":
            assert payment.action in (None, NEW_LINK)
            assert payment.expires_at in (None, NEW_END)
        elif payment.is_being_replaced:
            assert payment.action is None
        else:
            assert payment.action in (None, LINK)
    assert payment.status is Status.PENDING
    assert payment.action == (NEW_LINK if last is new_reply else None)
    assert payment.expires_at == (NEW_END if last is new_reply else None)


@pytest.mark.parametrize("at", [2, 3])
def test_late_reply_ends_the_same_wherever_it_comes(at: int) -> None:
    """Before the close is confirmed, after it, or after the new number: the same payment."""
    steps = [*RIGHT_ORDER, new_reply]
    (_, usual) = shown_at_each_step(*steps, late_reply)[-1]
    steps.insert(at, late_reply)
    (_, other) = shown_at_each_step(*steps)[-1]
    assert (other.status, other.action, other.expires_at) == (usual.status, usual.action, usual.expires_at)
    assert [op.state for op in other.operations] == [op.state for op in usual.operations]


def test_link_is_shown_again_when_the_order_stays() -> None:
    """After a refused close the order's link is shown again."""
    history = late_reply(closing(seen_pending(History().unknown())))
    assert history.payment.action is None
    assert history.ended(OperationState.REJECTED, "close-N1").payment.action == LINK


def test_link_of_a_new_number_is_its_own() -> None:
    """Until the new number's link is known none is shown, even if the old order had one."""
    payment = shown_at_each_step(seen_pending, late_reply, closing, closed, new_number, new_seen)[-1][1]
    assert (payment.status, payment.action) == (Status.PENDING, None)


# --- time --------------------------------------------------------------------------------------------


def test_new_number_has_its_own_time() -> None:
    """Its expiry counts from when it was begun; without `expires_in_s` it is the provider's."""
    given = History(expires_at=OLD_END, expires_in_s=1800).unknown()
    for step in RIGHT_ORDER:
        step(given)
    assert given.payment.expires_at == LATER + timedelta(seconds=1800)
    asked = late_reply(History().unknown())
    assert asked.payment.expires_at == OLD_END
    for step in RIGHT_ORDER:
        step(asked)
    assert asked.payment.expires_at is None


def test_new_number_of_an_earlier_version_kept_the_time_it_had() -> None:
    """Histories from before new numbers had their own expiry keep their meaning."""
    history = History(expires_at=OLD_END).unknown()
    operation = history.renumbered("N2").payment.creation
    assert history.payment.expires_at == OLD_END
    other = History(expires_at=OLD_END).unknown().payment
    assert evolve(other, OperationBegun(operation=operation, expires_at=None), NOW).expires_at is None


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("told", "lasts_s", "given_s", "expires_in"),
    [
        # (end on the provider's clock, seconds the provider says it lasts, seconds the caller gave, the end)
        (30 * MINUTE, 1800, None, 30 * MINUTE),
        (-30 * MINUTE, 1800, None, 30 * MINUTE),  # our clock an hour ahead
        (-1 * MINUTE, 1800, None, 30 * MINUTE),  # 31 minutes ahead
        (-30 * MINUTE, None, 1800, 30 * MINUTE),
        (-30 * MINUTE, 300, 300, 5 * MINUTE),
        (90 * MINUTE, 1800, None, 90 * MINUTE),  # our clock an hour behind
        (None, 1800, None, 30 * MINUTE),
        (None, None, 1800, 30 * MINUTE),
        (30 * MINUTE, None, None, 30 * MINUTE),
        (None, None, None, None),
    ],
)
def test_order_expires_by_the_later_of_both_clocks(
    told: timedelta | None, lasts_s: int | None, given_s: int | None, expires_in: timedelta | None
) -> None:
    """The expiry is the later of paycore's and the provider's."""
    history = History(expires_in_s=given_s)
    created = Created(
        observation=history.order_is(Status.PENDING),
        action=LINK,
        expires_at=None if told is None else NOW + told,
        expires_in_s=lasts_s,
    )
    (ended,) = end_attempt(history.payment, NOW, sent=history.payment.creation, outcome=Done(created))
    assert isinstance(ended, OperationEnded)
    assert ended.expires_at == (None if expires_in is None else NOW + expires_in)
    assert history.change(ended).payment.expires_at == ended.expires_at
