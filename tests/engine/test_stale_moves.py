"""A step decided on for a payment that changed meanwhile must not be taken."""

from collections.abc import Callable

from paycore import Payment
from paycore.domain.events import Source
from paycore.domain.payment import OperationKind, OperationState
from paycore.domain.wire import Request, Response
from tests.engine.by_hand import PROOF_S, TIMEOUT_S, Bench, lose_requests


def counting(answer: Callable[[Request], Response], paths: list[str]) -> Callable[[Request], Response]:
    def counted(request: Request) -> Response:
        paths.append(request.path)
        return answer(request)

    return counted


def proven_absent(bench: Bench) -> Payment:
    """`order-1`, whose create was lost and is proven absent."""
    bench.answer = lose_requests
    bench.run(bench.create())
    bench.pass_time(TIMEOUT_S + PROOF_S)
    bench.answer = bench.gateway.handle
    (payment,) = bench.run(bench.recovery.ask(bench.account, [bench.payment()], Source.POLL))
    assert payment.creation.proven_absent_at is not None
    return payment


def test_absence_proven_twice_is_sent_again_once(bench: Bench) -> None:
    """Two workers find an order absent: only one sends it again."""
    sent = list[str]()
    payment = proven_absent(bench)
    bench.answer = counting(lose_requests, sent)
    bench.run(bench.recovery.recover(bench.account, payment))
    bench.run(bench.recovery.recover(bench.account, payment))
    assert sent == ["/orders"]


def test_absent_order_that_is_sent_again_is_not_given_up(bench: Bench) -> None:
    """A worker gives up an expired order only if nobody has sent it meanwhile."""
    bench.answer = lose_requests
    bench.run(bench.create(expires_in_s=20))
    bench.pass_time(TIMEOUT_S + PROOF_S)
    bench.answer = bench.gateway.handle
    (payment,) = bench.run(bench.recovery.ask(bench.account, [bench.payment()], Source.POLL))
    bench.hold(bench.recovery.recover(bench.account, payment))
    bench.pass_time(10)
    bench.run(bench.recovery.recover(bench.account, payment))
    assert bench.payment().creation.state is OperationState.SENT


def test_order_whose_link_was_recovered_is_not_replaced(bench: Bench) -> None:
    """A worker does not close an order for its lost link once the link is known."""
    held = bench.hold(bench.create())
    bench.gateway.handle(held.effect.request)
    bench.pass_time(TIMEOUT_S)
    (payment,) = bench.run(bench.recovery.ask(bench.account, [bench.payment()], Source.POLL))
    bench.gateway.duplicates = "same_result"
    held.succeed(bench.gateway.handle(held.effect.request))
    assert bench.payment().action is not None
    bench.run(bench.replace_order(payment))
    assert all(op.kind is not OperationKind.CLOSE for op in bench.payment().operations)
