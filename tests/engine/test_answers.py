"""The core enforces what a provider declared and was asked: an answer about something else is no answer."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from paycore import Money, Payment, RefundStatus, ReviewReason, Status
from paycore.domain.events import OperationEnded
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import OperationState
from paycore.domain.provider import Created, Done, Found, Mention, Secret, Unknown
from paycore.domain.wire import Flow
from paycore.engine.answers import counted_notices
from paycore.engine.checks import CreateFields, create_request
from paycore.errors import IncompleteReply, MaybeSent
from paycore.testing.toy import ToyProvider, ToySettings
from tests.engine.by_hand import Bench

Told = Callable[[Any], Any]


def paid(bench: Bench) -> Payment:
    """`order-1`, paid."""
    payment = bench.run(bench.create())
    bench.gateway.pay(payment.order_number)
    return bench.run(bench.commands.query(payment.id))


def refund(bench: Bench, payment: Payment) -> Payment:
    """`order-1`, partly refunded."""
    amount = Money("20.00", "HKD")
    return bench.run(bench.commands.refund(payment.id, reference="back", amount=amount, reason=None))


def let_say(bench: Bench, monkeypatch: pytest.MonkeyPatch, operation: str, told: Told) -> None:
    """Make the provider answer this operation with `told` of its honest outcome."""
    honest = getattr(ToyProvider, operation)

    def flow(provider: ToyProvider, order: Any) -> Flow[Any]:
        return told((yield from honest(provider, order)))

    monkeypatch.setattr(ToyProvider, operation, flow)


def reply(bench: Bench) -> OperationEnded:
    """How the last attempt ended, before any query."""
    changes = [event.change for event in bench.ledger.events(bench.payment().id).result()]
    return [change for change in changes if isinstance(change, OperationEnded)][-1]


def of_another(outcome: Any) -> Any:
    """The same outcome under another number, with its link and id."""
    if isinstance(outcome.value, Created):
        seen = msgspec.structs.replace(outcome.value.observation, number="ANOTHER")
        return Done(msgspec.structs.replace(outcome.value, observation=seen))
    return Done(msgspec.structs.replace(outcome.value, number="ANOTHER"))


def unknown_of_another(outcome: Any) -> Unknown:
    """An unknown outcome with an observation of another number."""
    observation = of_another(outcome).value
    seen = observation.observation if isinstance(observation, Created) else observation
    return Unknown(problem="no link", observation=seen)


@pytest.mark.parametrize("told", [of_another, unknown_of_another])
def test_create_answered_of_another_number_is_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    """Another order's link is not shown and its answer does not count; a query resolves the order."""
    let_say(bench, monkeypatch, "create", told)
    payment = bench.run(bench.create())
    assert (payment.status, payment.action, payment.provider_id) == (Status.UNKNOWN, None, None)
    assert payment.creation.state is OperationState.UNKNOWN


@pytest.mark.parametrize("told", [of_another, unknown_of_another])
def test_refund_answered_of_another_number_is_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    """Another refund's success does not count; a query resolves the refund."""
    payment = paid(bench)
    let_say(bench, monkeypatch, "refund", told)
    payment = refund(bench, payment)
    assert (reply(bench).state, reply(bench).observation) == (OperationState.UNKNOWN, None)
    settled = bench.run(bench.commands.query(payment.id))
    assert [refund.status for refund in settled.refunds] == [RefundStatus.SUCCEEDED]


def of_its_order(outcome: Any) -> Unknown:
    """A payment's observation in place of a refund's."""
    return Unknown(
        problem="no id", observation=PaymentObservation(number=outcome.value.number, status=Status.PENDING)
    )


def test_refund_answered_with_a_payment_is_unknown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment's state says nothing about a refund."""
    payment = paid(bench)
    let_say(bench, monkeypatch, "refund", of_its_order)
    payment = refund(bench, payment)
    assert (reply(bench).state, reply(bench).observation) == (OperationState.UNKNOWN, None)
    assert not payment.review


def test_close_answered_of_another_number_is_unknown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another order that is closed does not close this one."""
    payment = bench.run(bench.create())
    let_say(bench, monkeypatch, "close", of_another)
    let_say(bench, monkeypatch, "query", lambda _: Unknown(problem="nothing"))
    with suppress(MaybeSent):
        bench.run(bench.commands.close(payment.id))
    assert (bench.payment().status, reply(bench).state) == (Status.PENDING, OperationState.UNKNOWN)


def test_query_of_numbers_nobody_asked_about_is_ignored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Observations of numbers that were not queried change no payment."""
    payment = bench.run(bench.create())
    request = create_request(
        CreateFields(reference="order-2", amount=payment.amount, method="toy", channel="web")
    )
    other = bench.run(bench.commands.create(request))

    def as_other(outcome: Any) -> Done[Found]:
        seen = PaymentObservation(number=other.order_number, status=Status.PAID, provider_id="T9")
        return Done(Found(observations=(*outcome.value.observations, seen), absent=frozenset({"N"})))

    let_say(bench, monkeypatch, "query", as_other)
    bench.run(bench.commands.query(payment.id))
    assert bench.ledger.get(other.id).result() == other


def without_action(outcome: Any) -> Any:
    """Accepted, and no link."""
    return Done(msgspec.structs.replace(outcome.value, action=None))


def test_accepted_without_the_action_it_needs_is_not_simply_accepted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted without a link: the caller gets an error, and recovery makes an order with a link."""
    honest = ToyProvider.create
    let_say(bench, monkeypatch, "create", without_action)
    with pytest.raises(IncompleteReply):
        bench.run(bench.create())
    payment = bench.payment()
    assert (payment.creation.state, payment.creation.observed) == (OperationState.UNKNOWN, (Status.PENDING,))
    monkeypatch.setattr(ToyProvider, "create", honest)
    bench.pass_time(60)
    again = bench.run(bench.create())
    assert (again.status, again.action is not None) == (Status.PENDING, True)
    assert sum(order.status == "pending" for order in bench.gateway.orders) == 1


def test_paid_at_once_needs_no_action(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that is paid in the reply needs no action."""

    def paid_already(outcome: Any) -> Any:
        seen = msgspec.structs.replace(outcome.value.observation, status=Status.PAID)
        return Done(Created(observation=seen))

    let_say(bench, monkeypatch, "create", paid_already)
    assert bench.run(bench.create()).status is Status.PAID


def signed_wrong(outcome: Any) -> Any:
    """The same outcome, marked as having a wrong signature."""
    if not isinstance(outcome, Done):
        return outcome
    if isinstance(outcome.value, Created):
        seen = msgspec.structs.replace(outcome.value.observation, is_signed_wrong=True)
        return Done(msgspec.structs.replace(outcome.value, observation=seen))
    if isinstance(outcome.value, Found):
        seen_all = outcome.value.observations
        return Done(
            Found(
                observations=tuple(msgspec.structs.replace(seen, is_signed_wrong=True) for seen in seen_all)
            )
        )
    return Done(msgspec.structs.replace(outcome.value, is_signed_wrong=True))


def test_reply_that_is_signed_wrong_is_review_and_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its link nor its status counts; a good answer resolves the order, and the review stays."""
    let_say(bench, monkeypatch, "create", signed_wrong)
    payment = bench.run(bench.create("card"))
    assert (payment.status, payment.review_reasons) == (Status.UNKNOWN, (ReviewReason.SIGNATURE_WRONG,))
    settled = bench.run(bench.commands.query(payment.id))
    assert (settled.status, settled.review_reasons) == (Status.PAID, (ReviewReason.SIGNATURE_WRONG,))


def test_refund_close_and_query_that_are_signed_wrong_are_review(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for every other answer."""
    payment = bench.run(bench.create())
    let_say(bench, monkeypatch, "close", signed_wrong)
    let_say(bench, monkeypatch, "query", signed_wrong)
    payment = bench.run(bench.commands.close(payment.id))
    assert (reply(bench).state, payment.status, payment.review) == (
        OperationState.UNKNOWN,
        Status.PENDING,
        True,
    )
    bench.gateway.orders[0].status = "paid"
    assert bench.run(bench.commands.query(payment.id)).status is Status.PENDING
    monkeypatch.undo()
    assert bench.run(bench.commands.query(payment.id)).status is Status.PAID
    let_say(bench, monkeypatch, "refund", signed_wrong)
    let_say(bench, monkeypatch, "query", signed_wrong)
    payment = refund(bench, payment)
    assert (payment.refunds[0].status, payment.refundable_minor) == (RefundStatus.UNKNOWN, 6800)


# --- promises ----------------------------------------------------------------------------------------


def order_is(status: Status, number: str = "N", **fields: Any) -> PaymentObservation:
    """An order, as a query reports it."""
    return PaymentObservation(number=number, status=status, provider_id="S", **fields)


def refund_is(status: RefundStatus) -> RefundObservation:
    """A refund, as a query reports it."""
    return RefundObservation(number="N", status=status)


TOY = ToyProvider(ToySettings(key=(Secret("toy"),))).capabilities
CLOSED, FAILED, PENDING, PAID = map(order_is, (Status.CLOSED, Status.FAILED, Status.PENDING, Status.PAID))
NOT_BACK, ON_ITS_WAY, BACK = map(
    refund_is, (RefundStatus.FAILED, RefundStatus.PENDING, RefundStatus.SUCCEEDED)
)
DOUBTED = order_is(Status.PAID, is_signed_wrong=True)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ((FAILED,), (FAILED,)),
        ((CLOSED, FAILED), (CLOSED, FAILED)),
        ((CLOSED, PENDING), (PENDING,)),
        ((FAILED, PAID), (PAID,)),
        ((FAILED, order_is(Status.PENDING, "OTHER")), (FAILED, order_is(Status.PENDING, "OTHER"))),
        ((CLOSED, DOUBTED), (DOUBTED,)),
        ((NOT_BACK, ON_ITS_WAY), (ON_ITS_WAY,)),
        ((NOT_BACK, BACK), (BACK,)),
        ((NOT_BACK,), (NOT_BACK,)),
    ],
)
def test_final_status_counts_only_where_the_whole_answer_agrees(
    told: tuple[Observation, ...], kept: tuple[Observation, ...]
) -> None:
    """Failed and closed do not count beside a record that can still be paid, or was."""
    assert Found(observations=told).agreed().observations == kept


def test_undecided_number_is_neither_failed_nor_closed_nor_absent() -> None:
    """Paid and pending still count for an undecided number."""
    undecided = frozenset({"N"})
    found = Found(observations=(CLOSED, FAILED, PAID, PENDING), absent=undecided, undecided=undecided)
    assert found.agreed() == Found(observations=(PAID, PENDING), undecided=undecided)


def test_observed_number_is_not_absent() -> None:
    """An answer with both an observation and an absence of one number proves nothing."""
    assert Found(observations=(PENDING,), absent=frozenset({"N"})).agreed().absent == frozenset()


def test_query_with_an_undecided_number_leaves_the_payment_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The core ignores a final status of an undecided number, and the caller is told why."""
    payment = bench.run(bench.create())
    bench.gateway.orders[0].status = "closed"

    def undecided(outcome: Any) -> Done[Found]:
        return Done(msgspec.structs.replace(outcome.value, undecided=frozenset({payment.order_number})))

    let_say(bench, monkeypatch, "query", undecided)
    assert bench.run(bench.commands.query(payment.id)).status is Status.PENDING
    assert f"the number {payment.order_number} can be read" in caplog.text
    monkeypatch.undo()
    assert bench.run(bench.commands.query(payment.id)).status is Status.CLOSED


def test_notification_that_contradicts_its_promise_only_mentions_the_number() -> None:
    """A contradictory notification changes nothing, and its order is queried."""
    other = order_is(Status.CLOSED, "OTHER")
    assert counted_notices([CLOSED, other], TOY) == (CLOSED, other)
    assert counted_notices([CLOSED, other, PAID], TOY) == (Mention(number="N"), other, PAID)
    assert counted_notices([Mention(number="N"), CLOSED], TOY) == (Mention(number="N"), CLOSED)


def test_refusal_needs_no_number(bench: Bench) -> None:
    """A refusal answers the request, whatever its number."""
    bench.gateway.reject = "risk"
    assert bench.run(bench.create()).status is Status.FAILED
