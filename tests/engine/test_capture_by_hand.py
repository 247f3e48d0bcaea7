"""An automatic capture step by step: what fails of it is told in the log, and is no failure of what was asked."""

from typing import Any

import pytest

from paycore import Money, Payment, ReviewReason, Status
from paycore.domain import bounds
from paycore.domain.events import Source
from paycore.domain.payment import OperationKind, OperationState
from paycore.domain.provider import Done, Rejected
from paycore.domain.wire import Request, Response
from paycore.errors import MaybeSent, NotSent
from paycore.plugin import Failure, Found, PaymentObservation
from paycore.testing.toy import ToyProvider
from tests.engine.by_hand import TIMEOUT_S, Bench, lose_requests
from tests.engine.conftest import NewBench


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """A bench whose account captures."""
    return new_bench(captures="full")


def agreed(bench: Bench) -> Payment:
    """`order-1`, whose payer has agreed, which nobody here knows yet."""
    payment = bench.run(bench.create(channel="hold"))
    bench.gateway.pay(payment.order_number)
    return payment


def captures(payment: Payment) -> list[OperationState]:
    """How far its captures got."""
    return [op.state for op in payment.operations if op.kind is OperationKind.CAPTURE]


def refuse(monkeypatch: pytest.MonkeyPatch, verb: str, who: Any) -> None:
    """The provider refuses this verb for whoever it is."""

    def flow(*_: object) -> Any:
        yield from ()
        return Rejected(failure=Failure(code="E7\n", message="not\ntoday", who_acts=who))

    monkeypatch.setattr(ToyProvider, verb, flow)


def test_capture_that_is_put_off_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The query has its answer; the log says that the rest goes on later."""
    payment = agreed(bench)
    bench.gateway.put_off["/captures"] = 30.0
    payment = bench.run(bench.commands.query(payment.id))
    assert (payment.status, captures(payment)) == (Status.AUTHORIZED, [OperationState.INTENT])
    (message,) = caplog.messages
    assert message.startswith(
        f"payment {payment.id}: it is authorized; what follows goes on later: account toy: "
    )


@pytest.mark.parametrize("verb", ["create", "query", "returned"])
def test_capture_that_could_not_be_sent_is_no_failure_of_the_verb(bench: Bench, verb: str) -> None:
    """The payment that comes back has what was recorded of it, and a worker captures it."""

    def unreachable(request: Request) -> Response:
        if request.path == "/captures":
            raise NotSent("the provider could not be reached")
        return bench.gateway.handle(request)

    bench.answer = unreachable
    if verb == "create":
        payment = bench.run(bench.create(channel="tab"))
    else:
        known = agreed(bench)
        ask = bench.commands.query(known.id) if verb == "query" else bench.commands.returned(known.id, {})
        payment = bench.run(ask)
    assert (payment.status, captures(payment)) == (Status.AUTHORIZED, [OperationState.INTENT])
    assert payment == bench.payment()
    bench.answer = bench.gateway.handle
    bench.work(10)
    assert bench.payment().status is Status.PAID


@pytest.mark.parametrize("is_refused", [True, False])
def test_capture_refused_for_the_account_or_failing_in_the_plugin_is_no_failure_of_the_query(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_refused: bool
) -> None:
    """An operator or the plugin's author must act; the caller who asked has the answer."""
    payment = agreed(bench)
    if is_refused:
        refuse(monkeypatch, "capture", "operator")
    else:
        monkeypatch.setattr(ToyProvider, "capture", lambda *_: iter([Done(7)]))
    payment = bench.run(bench.commands.query(payment.id))
    assert payment.status is Status.AUTHORIZED
    assert "goes on later" in caplog.text
    monkeypatch.undo()


def test_payment_with_the_most_captures_is_answered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That it takes no further one is for the log."""
    payment = agreed(bench)
    monkeypatch.setattr(bounds, "OPERATIONS_MAX", 0)
    assert bench.run(bench.commands.query(payment.id)).status is Status.AUTHORIZED
    assert "takes no more" in caplog.text


def test_failure_before_the_payer_agreed_is_the_callers(bench: Bench) -> None:
    """An order that could not be sent again is what the query was about: its error is raised."""
    bench.answer = lose_requests
    payment = bench.run(bench.create(channel="hold"))
    bench.pass_time(60)

    def refuse_again(request: Request) -> Response:
        if request.path == "/orders":
            return Response(status=200, body=b'{"error": "bad_key"}')
        return bench.gateway.handle(request)

    bench.answer = refuse_again
    with pytest.raises(Exception, match="bad_key"):
        bench.run(bench.commands.query(payment.id))


@pytest.mark.parametrize("who", ["payer", "caller", "provider"])
def test_refused_capture_is_told_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    """Code and message on one line; nothing is said of it again when it is asked about."""
    payment = agreed(bench)
    refuse(monkeypatch, "capture", who)
    payment = bench.run(bench.commands.query(payment.id))
    assert captures(payment) == [OperationState.REJECTED]
    assert caplog.messages == [f"payment {payment.id}: account toy refused its capture: E7 : not today"]
    bench.run(bench.commands.query(payment.id))
    assert len(caplog.messages) == 1


def test_each_refused_capture_is_told_by_itself(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The payer agrees again, and is declined again: the first refusal is not told a second time."""
    payment = agreed(bench)
    bench.gateway.declines_captures = True
    bench.run(bench.commands.query(payment.id))
    bench.pass_time(5)
    bench.gateway.pay(payment.order_number)
    payment = bench.run(bench.commands.query(payment.id))
    assert captures(payment) == [OperationState.REJECTED, OperationState.REJECTED]
    assert len(caplog.messages) == 2


def test_what_is_refused_beside_a_capture_is_not_told_as_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A close that recovery made for an order without its link, and that was refused, is no capture."""

    def lose_link(request: Request) -> Response:
        response = bench.gateway.handle(request)
        if request.path == "/orders":
            raise MaybeSent("no answer came")
        return response

    bench.answer = lose_link
    payment = bench.run(bench.create())
    refuse(monkeypatch, "close", "payer")
    payment = bench.run_in_time(bench.commands.query(payment.id))
    (close,) = [op for op in payment.operations if op.kind is OperationKind.CLOSE]
    assert close.state is OperationState.REJECTED
    assert caplog.messages == []


def test_every_attempt_has_a_nonce_of_its_own_and_a_deadline(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query, and an order that is sent again: both are signed anew, and end in time."""
    nonces: list[str] = []
    create, query = ToyProvider.create, ToyProvider.query

    def created(provider: ToyProvider, order: Any) -> Any:
        nonces.append(order.attempt.nonce)
        return (yield from create(provider, order))

    def queried(provider: ToyProvider, orders: Any) -> Any:
        nonces.append(orders[0].attempt.nonce)
        return (yield from query(provider, orders))

    monkeypatch.setattr(ToyProvider, "create", created)
    monkeypatch.setattr(ToyProvider, "query", queried)
    held = bench.hold(bench.create())
    with pytest.raises(NotSent):
        held.fail(NotSent("the provider could not be reached"))
    payment = bench.run(bench.create())
    held = bench.hold(bench.commands.query(payment.id))
    assert 0 < held.effect.deadline.left_s <= TIMEOUT_S
    assert all(len(nonce) == 26 for nonce in nonces)
    assert len(set(nonces)) == 3


def test_capture_is_not_proven_absent_by_an_answer_that_also_says_paid(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order reported as authorized and as paid with another amount: its capture may have arrived."""
    payment = agreed(bench)

    def lost(request: Request) -> Response:
        if request.path == "/captures":
            raise MaybeSent("no answer came")
        return bench.gateway.handle(request)

    bench.answer = lost
    payment = bench.run(bench.recovery.resolve(bench.account, payment, source=Source.QUERY))
    assert captures(payment) == [OperationState.UNKNOWN]

    def told(*_: object) -> Any:
        yield from ()
        number, other = payment.order_number, Money("1.00", "HKD")
        return Done(
            Found(
                observations=(
                    PaymentObservation(number=number, status=Status.AUTHORIZED),
                    PaymentObservation(number=number, status=Status.PAID, provider_id="T9", amount=other),
                )
            )
        )

    monkeypatch.setattr(ToyProvider, "query", told)
    bench.pass_time(TIMEOUT_S * 10)
    payment = bench.run(bench.recovery.resolve(bench.account, payment, source=Source.QUERY))
    (capture,) = [op for op in payment.operations if op.kind is OperationKind.CAPTURE]
    assert (capture.proven_absent_at, capture.send_count) == (None, 1)
    assert payment.review_reasons == (ReviewReason.AMOUNT_DIFFERS,)
