"""
What a provider refuses for now has moved nothing: it goes again with the same number, and not before its time.

The caller is told when. Create, query and close wait for another call; a refund and a capture go on by themselves.
"""

import pytest

from paycore import Money, Payment, RefundStatus, Status
from paycore.domain.payment import OperationState
from paycore.domain.wire import Request, Response
from paycore.engine.effects import Program
from paycore.errors import NotSent
from tests.engine.by_hand import PROOF_S, TIMEOUT_S, Bench, lose_requests
from tests.engine.conftest import NewBench

RETRY_S = 30.0
HKD_20 = Money("20.00", "HKD")


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """A bench whose account captures."""
    return new_bench(captures="partial")


def put_off(bench: Bench, path: str, seconds: float = RETRY_S) -> None:
    """From now on the gateway refuses this path for now."""
    bench.gateway.put_off[path] = seconds


def refused_until(bench: Bench, program: Program[Payment]) -> float | None:
    """In how many seconds the program's caller may call again; it raises `NotSent`, and no money moved."""
    with pytest.raises(NotSent) as caught:
        bench.run(program)
    assert caught.value.money_moved == "no"
    assert caught.value.payment_id == bench.payment().id
    return caught.value.retry_after_s


def asked(bench: Bench, path: str) -> list[dict[str, object]]:
    """What the gateway was sent on this path."""
    return [fields for to, fields in bench.gateway.requests if to == path]


def paid(bench: Bench) -> Payment:
    """`order-1`, paid."""
    return bench.run(bench.create(channel="card"))


def refund(bench: Bench, payment: Payment) -> Program[Payment]:
    """The program that gives back a part of it."""
    return bench.commands.refund(payment.id, reference="back", amount=HKD_20, reason=None)


def test_create_waits_for_its_caller_and_its_time(bench: Bench) -> None:
    """Nothing is sent before; then the same order goes, with the same number."""
    put_off(bench, "/orders")
    assert refused_until(bench, bench.create()) == RETRY_S
    payment = bench.payment()
    assert (payment.status, payment.uncertain) == (Status.CREATED, False)
    bench.pass_time(RETRY_S - 8)
    assert refused_until(bench, bench.create()) == 8.0, "longer than it can wait"
    bench.work(3)  # nobody sends it but its caller
    assert len(asked(bench, "/orders")) == 1
    bench.gateway.put_off.clear()
    assert bench.run(bench.create()).status is Status.PENDING
    first, second = asked(bench, "/orders")
    assert first == second


def test_create_that_is_put_off_again_waits_again(bench: Bench) -> None:
    """Each refusal has its own time."""
    put_off(bench, "/orders")
    refused_until(bench, bench.create())
    bench.pass_time(RETRY_S)
    put_off(bench, "/orders", 8.0)
    assert refused_until(bench, bench.create()) == 8.0
    assert refused_until(bench, bench.create()) == 8.0
    assert len(asked(bench, "/orders")) == 2


def test_query_that_is_put_off_leaves_the_payment_as_it_was(bench: Bench) -> None:
    """It is no refusal of the account and no failure of the payment."""
    payment = bench.run(bench.create())
    put_off(bench, "/query")
    assert refused_until(bench, bench.commands.query(payment.id)) == RETRY_S
    assert bench.payment() == payment


def test_close_waits_for_its_caller_and_its_time(bench: Bench) -> None:
    """The order stays open and payable; a second call before the time is told how long, and sends nothing."""
    payment = bench.run(bench.create())
    put_off(bench, "/close")
    assert refused_until(bench, bench.commands.close(payment.id)) == RETRY_S
    assert (bench.payment().status, bench.payment().uncertain) == (Status.PENDING, False)
    bench.pass_time(1)
    assert refused_until(bench, bench.commands.close(payment.id)) == RETRY_S - 1
    assert len(asked(bench, "/close")) == 1
    bench.pass_time(RETRY_S)
    bench.gateway.put_off.clear()
    assert bench.run(bench.commands.close(payment.id)).status is Status.CLOSED


def test_refund_goes_on_by_itself_at_its_time(bench: Bench) -> None:
    """A worker sends it, not before; its caller need not call again."""
    payment = paid(bench)
    put_off(bench, "/refunds")
    assert refused_until(bench, refund(bench, payment)) == RETRY_S
    assert bench.payment().refunds[0].status is RefundStatus.CREATED
    assert refused_until(bench, refund(bench, payment)) == RETRY_S
    bench.gateway.put_off.clear()
    bench.work(RETRY_S)
    assert len(asked(bench, "/refunds")) == 1
    bench.work(1)
    assert bench.payment().refunds[0].status is RefundStatus.SUCCEEDED
    first, second = asked(bench, "/refunds")
    assert first == second


def test_refund_that_could_not_be_sent_at_its_time_is_not_forgotten(bench: Bench) -> None:
    """Its caller was told that it goes on: it does, after a pause that grows, however long the provider is away."""
    payment = paid(bench)
    put_off(bench, "/refunds", 1.0)
    refused_until(bench, refund(bench, payment))
    bench.gateway.put_off.clear()
    tried: list[Request] = []

    def unreachable(request: Request) -> Response:
        if request.path != "/refunds":
            return bench.gateway.handle(request)
        tried.append(request)
        raise NotSent("the provider could not be reached")

    bench.answer = unreachable
    bench.work(120)
    assert 2 <= len(tried) <= 10
    assert bench.payment().refunds[0].status is RefundStatus.CREATED
    bench.answer = bench.gateway.handle
    bench.work(70)
    assert bench.payment().refunds[0].status is RefundStatus.SUCCEEDED
    assert bench.gateway.orders[0].refunded == 2000


def test_capture_goes_on_by_itself_at_its_time(bench: Bench) -> None:
    """What its caller asked for is captured by a worker, once."""
    payment = bench.run(bench.create(channel="tab", capture="manual"))
    put_off(bench, "/captures")
    capture = bench.commands.capture(payment.id, amount=HKD_20)
    assert refused_until(bench, capture) == RETRY_S
    assert bench.payment().status is Status.AUTHORIZED
    bench.gateway.put_off.clear()
    bench.work(RETRY_S + 2)
    assert (bench.payment().status, bench.payment().paid_minor) == (Status.PAID, 2000)
    assert [fields["minor"] for fields in asked(bench, "/captures")] == [2000, 2000]


def test_put_off_capture_is_given_up_by_a_close(bench: Bench) -> None:
    """It was certainly not sent: the authorization is voided, and the capture never goes."""
    payment = bench.run(bench.create(channel="tab", capture="manual"))
    put_off(bench, "/captures")
    refused_until(bench, bench.commands.capture(payment.id, amount=None))
    bench.gateway.put_off.clear()
    assert bench.run(bench.commands.close(payment.id)).status is Status.CLOSED
    bench.work(RETRY_S + 2)
    assert bench.payment().status is Status.CLOSED
    assert bench.gateway.captures == []


def test_resend_that_is_put_off_leaves_it_unknown(bench: Bench) -> None:
    """An earlier send may have arrived: nothing is said of that, and the next one keeps to its time."""
    bench.answer = lose_requests
    payment = bench.run(bench.create())
    assert payment.status is Status.UNKNOWN
    bench.answer = bench.gateway.handle
    bench.pass_time(TIMEOUT_S + PROOF_S + 1)
    put_off(bench, "/orders")
    payment = bench.run_in_time(bench.commands.query(payment.id))
    assert (payment.status, payment.creation.state) == (Status.UNKNOWN, OperationState.UNKNOWN)
    bench.gateway.put_off.clear()
    bench.work(RETRY_S - 1)
    assert len(asked(bench, "/orders")) == 1
    bench.work(40)
    assert bench.payment().status is Status.PENDING
    assert len({str(fields) for fields in asked(bench, "/orders")}) == 1


def test_poll_that_is_put_off_rests_for_that_long(bench: Bench) -> None:
    """No payment of the account is asked about before; then all are."""
    bench.run(bench.create())
    put_off(bench, "/query")
    bench.work(5)
    assert len(asked(bench, "/query")) == 1
    bench.gateway.put_off.clear()
    bench.work(RETRY_S - 5)
    assert len(asked(bench, "/query")) == 1
    bench.work(5)
    assert len(asked(bench, "/query")) > 1
