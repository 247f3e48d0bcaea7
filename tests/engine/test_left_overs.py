"""What a crash, a refusal or a failed query leaves behind is finished later, and does not stay for ever."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from paycore import Payment, Status
from paycore.domain.events import Source
from paycore.domain.payment import OperationKind, OperationState, ReviewReason
from paycore.domain.wire import Notification, Request, Response
from paycore.engine.effects import UntilSignalled
from paycore.engine.waiter import CONFIRM_WITHIN_S, WantedOf
from paycore.engine.worker import Crew
from paycore.errors import AccountRefused, MaybeSent
from paycore.testing.toy import ToyGateway
from tests.engine.by_hand import PROOF_S, TIMEOUT_S, Bench, lose_requests
from tests.engine.conftest import NewBench
from tests.support.due import next_due

LEASE_S = 30


def notify(bench: Bench) -> None:
    """The gateway notifies about `order-1`, and is answered."""
    body, headers = bench.gateway.notification(bench.payment().order_number)
    bench.run(bench.commands.receive("toy", Notification(body=body, headers=headers, received_at=bench.at)))


def closed(bench: Bench) -> Payment:
    """`order-1`, closed, with all its late checks made."""
    bench.run(bench.create())
    bench.run(bench.commands.close(bench.payment().id))
    while (due := next_due(bench.ledger)) is not None:
        bench.pass_time((due - bench.at).total_seconds())
        bench.look_once()
    return bench.payment()


def test_hint_stays_after_an_unanswered_query(new_bench: NewBench) -> None:
    """A notification that only makes a payment due stays in effect after a failed query."""
    bench = new_bench(notifications_trusted=False)
    closed(bench)
    bench.gateway.orders[0].status = "paid"
    notify(bench)
    bench.answer = lose_requests
    bench.look_once()
    bench.answer = bench.gateway.handle
    bench.work(LEASE_S + 1)
    assert bench.payment().status is Status.PAID


def test_hint_during_a_query_is_not_overwritten(new_bench: NewBench) -> None:
    """A notification that arrives during a worker's query makes the payment due again."""
    bench = new_bench(notifications_trusted=False)
    closed(bench)
    notify(bench)

    def answer(request: Request) -> Response:
        response = bench.gateway.handle(request)
        bench.gateway.orders[0].status = "paid"
        notify(bench)
        bench.answer = bench.gateway.handle
        return response

    bench.answer = answer
    bench.look_once()
    bench.work(5)
    assert bench.payment().status is Status.PAID


def test_notification_is_followed_up_for_a_minute(new_bench: NewBench) -> None:
    """An unreachable provider is queried again for a minute; the payment stays due for the next worker."""
    bench = new_bench(notifications_trusted=False)
    payment = closed(bench)
    notify(bench)
    wanted, asked_after = WantedOf("toy"), list[float]()
    wanted.confirm([payment.id])
    told_at = bench.at

    def be_away(request: Request) -> Response:
        asked_after.append((bench.at - told_at).total_seconds())
        return lose_requests(request)

    bench.answer = be_away
    program = bench.worker.run(wanted, Crew())
    effect = program.send(None)
    while bench.at < told_at + timedelta(seconds=5 * CONFIRM_WITHIN_S):
        if isinstance(effect, UntilSignalled):
            bench.pass_time(1)
            effect = program.send(None)
        else:
            effect = bench.perform(program, effect)
    assert len(asked_after) > 1
    assert max(asked_after) <= CONFIRM_WITHIN_S
    assert next_due(bench.ledger) is not None


def test_order_that_is_there_survives_a_refused_resend(new_bench: NewBench) -> None:
    """An account error on the resend for a lost link leaves the order open."""
    bench = new_bench(ToyGateway(duplicates="same_result"), create_resend="same_result")
    held = bench.hold(bench.create(expires_in_s=600))
    bench.gateway.handle(held.effect.request)
    bench.pass_time(TIMEOUT_S)
    (payment,) = bench.run(bench.recovery.ask(bench.account, [bench.payment()], Source.POLL))
    bench.gateway.reject = "bad_key"
    with pytest.raises(AccountRefused):
        bench.run(bench.recovery.recover(bench.account, payment))
    assert bench.payment().creation.state is OperationState.UNKNOWN
    bench.gateway.reject = None
    bench.work(30)
    assert bench.payment().action is not None


def test_close_of_a_killed_process_is_sent_again(bench: Bench) -> None:
    """A close whose sender died counts as unanswered past its deadline, and is sent again."""
    bench.run(bench.create())
    bench.hold(bench.commands.close(bench.payment().id))
    bench.work(TIMEOUT_S + 5)
    assert bench.payment().status is Status.CLOSED


@pytest.mark.parametrize("arrived", [False, True])
def test_paid_by_an_earlier_order_leaves_nothing_open(bench: Bench, arrived: bool) -> None:
    """Late money for a replaced order pays the payment and closes the new order, also if its reply was lost."""
    held = bench.hold(bench.create())
    bench.gateway.handle(held.effect.request)
    bench.pass_time(TIMEOUT_S)
    first = bench.gateway.orders[0]
    (payment,) = bench.run(bench.recovery.ask(bench.account, [bench.payment()], Source.POLL))
    recovery = bench.recovery.recover(bench.account, payment)
    held = bench.hold(recovery)  # the link is asked for again, and refused as duplicate
    bench.answer = _without_new_orders(bench, arrived=arrived)
    held.succeed(bench.gateway.handle(held.effect.request))
    assert bench.payment().order_number != first.number
    first.status = "paid"
    bench.answer = bench.gateway.handle
    bench.work(TIMEOUT_S + PROOF_S + 60)
    payment = bench.payment()
    assert (payment.status, payment.review, payment.uncertain) == (Status.PAID, True, False)
    assert [charge.number for charge in payment.charges] == [first.number]
    assert [order.status for order in bench.gateway.orders] == ["paid", "closed"][: len(bench.gateway.orders)]
    assert len(bench.gateway.orders) == 1 + arrived


def test_late_money_on_both_orders_is_known(bench: Bench) -> None:
    """With both orders paid and no notification, a late check finds it, and the payment needs review."""
    held = bench.hold(bench.create())
    bench.gateway.handle(held.effect.request)
    bench.pass_time(TIMEOUT_S)
    bench.work(PROOF_S + 60)
    first, second = bench.gateway.orders
    assert (first.status, second.status) == ("closed", "pending")
    first.status = "paid"
    bench.run(bench.recovery.ask(bench.account, [bench.payment()], Source.POLL))
    second.status = "paid"
    bench.work(60)
    assert bench.payment().paid_minor == 2 * 8800
    assert bench.payment().review_reasons == (ReviewReason.PAID_AFTER_CLOSING, ReviewReason.PAID_TWICE)


def _without_new_orders(bench: Bench, *, arrived: bool) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        if request.path != "/orders":
            return bench.gateway.handle(request)
        if arrived:
            bench.gateway.handle(request)
        return lose_requests(request)

    return answer


def test_refused_close_at_expiry_is_repeated_by_the_hour_only(bench: Bench) -> None:
    """An expired order that can't be closed is queried, and its close is tried once an hour."""
    bench.run(bench.create(expires_in_s=60))

    def refuse_to_close(request: Request) -> Response:
        if request.path == "/close":
            return Response(status=200, body=b'{"error": "already_paid"}')
        return bench.gateway.handle(request)

    bench.answer = refuse_to_close
    bench.work(60 * 60)
    closes = [op for op in bench.payment().operations if op.kind is OperationKind.CLOSE]
    assert len(closes) == 1
    assert bench.payment().status is Status.PENDING
    bench.answer = bench.gateway.handle
    bench.work(5 * 60)
    assert bench.payment().status is Status.CLOSED


def test_close_without_an_answer_is_settled_within_its_millisecond(bench: Bench) -> None:
    """A query in the same millisecond as the close's end counts as later."""
    bench.run(bench.create())

    def lose_the_reply(request: Request) -> Response:
        bench.pass_time(0.0004)
        response = bench.gateway.handle(request)
        if request.path == "/close":
            raise MaybeSent("no answer came")
        return response

    bench.answer = lose_the_reply
    closed = bench.run(bench.commands.close(bench.payment().id))
    assert (closed.status, closed.uncertain) == (Status.CLOSED, False)
    assert [path for path, _ in bench.gateway.requests].count("/close") == 1
