"""
An API that finds orders by its own id only: a lost reply is found by sending again, while that is safe.

After that nothing is sent any more, and an operator must look. Nobody takes "not found" for proof.
"""

import pytest

from paycore import Money, Payment, RefundStatus, ReviewReason, Status
from paycore.domain.payment import OperationKind, OperationState
from paycore.domain.wire import Request, Response
from paycore.errors import MaybeSent
from tests.engine.by_hand import TIMEOUT_S, Bench
from tests.engine.conftest import NewBench

WINDOW_S = 600.0
HKD_20 = Money("20.00", "HKD")


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """A bench whose gateway answers a number again within ten minutes, and then takes it for a new one."""
    bench = new_bench(
        lookup="by_provider_id",
        create_resend="same_result",
        capture_resend="same_result",
        refund_resend="same_result",
        window_s=WINDOW_S,
        captures="full",
    )
    bench.gateway.duplicates = "same_result"
    bench.gateway.window_s = WINDOW_S
    bench.gateway.clock = lambda: bench.at
    return bench


def lose_replies(bench: Bench, path: str) -> None:
    """From now on requests to this path are handled, and not answered."""

    def answer(request: Request) -> Response:
        response = bench.gateway.handle(request)
        if request.path == path:
            raise MaybeSent("no answer came")
        return response

    bench.answer = answer


def answer_again(bench: Bench) -> None:
    """Replies come again."""
    bench.answer = bench.gateway.handle


def sent(bench: Bench, path: str) -> int:
    """How many requests to this path arrived."""
    return sum(to == path for to, _ in bench.gateway.requests)


def lost(bench: Bench) -> Payment:
    """`order-1`, of which no reply came."""
    lose_replies(bench, "/orders")
    payment = bench.run(bench.create())
    assert (payment.status, payment.provider_id) == (Status.UNKNOWN, None)
    answer_again(bench)
    return payment


def test_lost_create_is_found_by_sending_it_again(bench: Bench) -> None:
    """The same order comes back, with its link; there is one order, and no query was made for it."""
    payment = bench.run(bench.commands.query(lost(bench).id))
    assert payment.status is Status.PENDING
    assert payment.action is not None
    assert len(bench.gateway.orders) == 1
    assert (sent(bench, "/orders"), sent(bench, "/query")) == (2, 0)


def test_create_with_the_same_reference_finds_it_too(bench: Bench) -> None:
    """Its caller gets the link they never saw."""
    lost(bench)
    payment = bench.run(bench.create())
    assert payment.action is not None
    assert len(bench.gateway.orders) == 1


def test_worker_finds_it(bench: Bench) -> None:
    """Nobody needs to ask."""
    lost(bench)
    bench.work(5)
    assert bench.payment().status is Status.PENDING
    assert len(bench.gateway.orders) == 1


def test_nothing_is_sent_again_after_the_window(bench: Bench) -> None:
    """The gateway would make a second order: the payment is under review, and stays as it is."""
    lost(bench)
    bench.pass_time(WINDOW_S)
    bench.work(60)
    payment = bench.run(bench.commands.query(bench.payment().id))
    assert (payment.status, payment.review_reasons) == (Status.UNKNOWN, (ReviewReason.UNRESOLVABLE,))
    assert bench.run(bench.create()).status is Status.UNKNOWN
    assert (sent(bench, "/orders"), len(bench.gateway.orders)) == (1, 1)


def test_last_resend_arrives_before_the_window_ends(bench: Bench) -> None:
    """One that could arrive after it is not sent: its whole deadline counts."""
    lost(bench)
    bench.pass_time(WINDOW_S - TIMEOUT_S)
    payment = bench.run(bench.commands.query(bench.payment().id))
    assert payment.review_reasons == (ReviewReason.UNRESOLVABLE,)
    assert sent(bench, "/orders") == 1


def test_resend_a_moment_earlier_is_made(bench: Bench) -> None:
    """The same again, with one millisecond more."""
    lost(bench)
    bench.pass_time(WINDOW_S - TIMEOUT_S - 0.001)
    assert bench.run(bench.commands.query(bench.payment().id)).status is Status.PENDING
    assert len(bench.gateway.orders) == 1


def test_known_id_is_asked_about(bench: Bench) -> None:
    """Once its id is known a query finds it, and it is never sent again."""
    payment = bench.run(bench.create())
    bench.gateway.pay(payment.order_number)
    assert bench.run(bench.commands.query(payment.id)).status is Status.PAID
    assert (sent(bench, "/orders"), sent(bench, "/query")) == (1, 1)


def test_lost_refund_is_found_by_sending_it_again(bench: Bench) -> None:
    """One refund is made, whoever asks."""
    payment = bench.run(bench.create(channel="card"))
    lose_replies(bench, "/refunds")
    refund = bench.commands.refund(payment.id, reference="back", amount=HKD_20, reason=None)
    assert bench.run(refund).refunds[0].status is RefundStatus.UNKNOWN
    answer_again(bench)
    payment = bench.run(bench.commands.query(payment.id))
    assert payment.refunds[0].status is RefundStatus.SUCCEEDED
    assert (sent(bench, "/refunds"), bench.gateway.orders[0].refunded) == (2, 2000)


def test_lost_refund_after_the_window_takes_a_finding(bench: Bench) -> None:
    """It may have been made: its amount stays taken, and nothing is sent."""
    payment = bench.run(bench.create(channel="card"))
    lose_replies(bench, "/refunds")
    bench.run(bench.commands.refund(payment.id, reference="back", amount=HKD_20, reason=None))
    answer_again(bench)
    bench.pass_time(WINDOW_S)
    bench.work(60)
    payment = bench.payment()
    assert payment.review_reasons == (ReviewReason.UNRESOLVABLE,)
    assert payment.refundable_minor == payment.amount.minor - 2000
    assert (sent(bench, "/refunds"), bench.gateway.orders[0].refunded) == (1, 2000)


def test_lost_capture_is_found_by_its_order(bench: Bench) -> None:
    """The order's id is known: a query shows that it was captured, and nothing is sent again."""
    payment = bench.run(bench.create(channel="tab", capture="manual"))
    lose_replies(bench, "/captures")
    assert bench.run(bench.commands.capture(payment.id, amount=None)).uncertain
    payment = bench.run(bench.commands.query(payment.id))
    assert (payment.status, payment.uncertain) == (Status.PAID, False)
    assert sent(bench, "/captures") == 1


def test_capture_that_never_arrived_is_sent_again_in_its_window(bench: Bench) -> None:
    """A query that shows the order authorized is no proof here; the same number again is safe."""

    def lose_captures(request: Request) -> Response:
        if request.path == "/captures":
            raise MaybeSent("no answer came")
        return bench.gateway.handle(request)

    payment = bench.run(bench.create(channel="tab", capture="manual"))
    bench.answer = lose_captures
    assert bench.run(bench.commands.capture(payment.id, amount=None)).uncertain
    answer_again(bench)
    payment = bench.run(bench.commands.query(payment.id))
    assert payment.status is Status.PAID
    (capture,) = [op for op in payment.operations if op.kind is OperationKind.CAPTURE]
    assert capture.state is OperationState.DONE
    assert [taken.number for taken in bench.gateway.captures] == [capture.number]
