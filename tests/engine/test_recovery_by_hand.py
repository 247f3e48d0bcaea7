"""Recovery, effect by effect: how long it waits for proof, what it queries, and whose code it sends."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from unittest import mock

import pytest
from msgspec.structs import replace

from paycore import Payment, Status
from paycore.domain.decisions import Numbering, end_unsent, new_operation, send_again
from paycore.domain.events import Change, PaymentBegun, Source
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Failure, OperationKind, OperationState, Order
from paycore.domain.provider import CreateOrder, CreateReply, Done, Found, QueryReply, Rejected, Secret
from paycore.domain.wire import Flow, Request, Response
from paycore.engine.orders import product_of
from paycore.errors import AccountRefused, MaybeSent, NotSupported
from paycore.testing.toy import ToyGateway, ToyOrder
from tests.engine.by_hand import PROOF_S, TIMEOUT_S, Bench, lose_requests
from tests.engine.conftest import NewBench
from tests.engine.tills import HKD_88

CODE = Secret("281234567890123456")


def lost(bench: Bench, channel: str = "web") -> Payment:
    """`order-1`, whose create never arrived."""
    bench.answer = lose_requests
    bench.run(bench.create(channel))
    bench.answer = bench.gateway.handle
    return bench.payment()


def begun(bench: Bench, deadline: timedelta | None = None, **content: str) -> Payment:
    """`order-1`, whose sender died before it sent anything."""
    order = Order(**{"reference": "order-1", "amount": HKD_88, "method": "toy", "channel": "web", **content})  # type: ignore[arg-type]
    numbering = Numbering(operation_id=bench._new_id(), number=bench._new_id())

    def begin(now: datetime) -> PaymentBegun:
        return PaymentBegun(
            payment_id=bench._new_id(),
            account="toy",
            provider="toy",
            order=order,
            operation=new_operation(
                OperationKind.CREATE,
                numbering,
                now,
                deadline or bench.account.deadline,
                needs_action=order.channel != "card",
            ),
        )

    return bench.ledger.begin(order.reference, begin).result().payment


def scanned(bench: Bench) -> Payment:
    """The same, from a scanned code."""
    return begun(bench, channel="card", auth_code_hash="0" * 64)


# --- waiting for proof -------------------------------------------------------------------------------


def waited(bench: Bench, payment: Payment, *wakes: float) -> float:
    """Seconds one query takes."""
    begun = bench.at
    bench.run_in_time(bench.commands.query(payment.id), wakes)
    return (bench.at - begun).total_seconds()


@pytest.mark.parametrize("wakes", [(), (TIMEOUT_S + PROOF_S - 0.5,), (1, 1, 1)])
def test_query_waits_for_proof_and_no_longer(bench: Bench, wakes: tuple[float, ...]) -> None:
    """The query waits until the deadline and the provider's window have passed, then the order is sent again."""
    payment = sent(bench)
    assert TIMEOUT_S + PROOF_S <= waited(bench, payment, *wakes) < TIMEOUT_S + PROOF_S + 0.1
    assert bench.payment().status is Status.PENDING


def sent(bench: Bench) -> Payment:
    """`order-1`, under way for an unknown time."""
    bench.hold(bench.create())
    return bench.payment()


def test_query_just_before_the_proof_waits_for_it(bench: Bench) -> None:
    """Even if little time is missing."""
    payment = sent(bench)
    bench.pass_time(TIMEOUT_S + PROOF_S - 0.5)
    assert waited(bench, payment) < 1
    assert bench.payment().status is Status.PENDING


def test_query_answered_after_the_proof_but_asked_before_asks_again(bench: Bench) -> None:
    """An answer counts by when its query began: an early one is repeated at once."""
    payment = sent(bench)
    bench.pass_time(TIMEOUT_S + PROOF_S - 0.5)
    honest = bench.gateway.handle

    def slow(request: Request) -> Response:
        bench.pass_time(1.0)
        return honest(request)

    bench.answer = slow
    bench.run_in_time(bench.commands.query(payment.id))
    assert bench.payment().status is Status.PENDING
    assert [path for path, _ in bench.gateway.requests] == ["/query", "/query", "/orders"]


def test_query_does_not_wait_longer_because_somebody_sends_again(bench: Bench) -> None:
    """When its own time is over it queries once more, and returns the payment as it is."""
    payment = sent(bench)
    pass_time, begun_at = bench.pass_time, bench.at

    def while_somebody_sends_again(seconds: float) -> None:
        pass_time(seconds)
        again = send_again(bench.payment(), bench.at, payment.creation.id, bench.account.deadline)
        bench.ledger.change(payment.id, lambda _payment, _now: again, Source.RECOVERY).result()

    with mock.patch.object(bench, "pass_time", while_somebody_sends_again):
        queried = bench.run_in_time(bench.commands.query(payment.id))
    assert (bench.at - begun_at).total_seconds() < TIMEOUT_S + PROOF_S + 0.1
    assert queried == bench.payment()
    assert queried.creation.send_count == 2
    assert [path for path, _ in bench.gateway.requests] == ["/query", "/query"]


def test_order_found_while_waiting_is_told_by_the_query(bench: Bench) -> None:
    """An order that arrived after the first query is recorded with the query as its source."""
    held = bench.hold(bench.create())

    def arrives_late(request: Request) -> Response:
        response = bench.gateway.handle(request)
        bench.gateway.handle(held.effect.request)
        bench.answer = bench.gateway.handle
        return response

    bench.answer = arrives_late
    bench.run_in_time(bench.commands.query(bench.payment().id))
    observed = bench.ledger.events(bench.payment().id).result()
    assert Source.QUERY in {event.source for event in observed}


def test_query_does_not_wait_where_no_answer_can_be_proof(new_bench: NewBench) -> None:
    """For a known order, or an unanswered close, waiting proves nothing."""
    bench = new_bench(ToyGateway(duplicates="refuse"))
    held = bench.hold(bench.create("lane"))
    bench.gateway.handle(held.effect.request)
    bench.pass_time(TIMEOUT_S)
    assert waited(bench, bench.payment()) == 0
    assert bench.payment().uncertain, "its link is lost, and it can't be replaced"


def test_query_does_not_wait_for_a_close_without_an_answer(bench: Bench) -> None:
    """The order's state resolves the close."""
    bench.run(bench.create())
    bench.hold(bench.commands.close(bench.payment().id))
    assert waited(bench, bench.payment()) == 0
    assert bench.payment().uncertain


def test_query_asks_once_where_nothing_definite_is_said_of_a_number(bench: Bench) -> None:
    """A number neither found nor absent is not queried again at once."""
    payment = lost(bench)
    bench.pass_time(TIMEOUT_S + PROOF_S + 1)

    def nothing_definite(_: object) -> Flow[QueryReply]:
        yield Request(method="POST", path="/query", body=b'{"numbers": []}')
        return Done(Found(observations=()))

    with mock.patch.object(bench.account.provider, "query", nothing_definite):
        assert waited(bench, payment) == 0
    assert len(bench.gateway.requests) == 1


def test_query_does_not_wait_for_hours_when_a_clock_was_wrong(bench: Bench) -> None:
    """A deadline too far in the future was recorded by a wrong clock, and is not waited for."""
    longest = bench.account.deadline
    assert waited(bench, begun(bench, longest + timedelta(milliseconds=1))) == 0
    assert waited(bench, begun(bench, longest, reference="order-2")) >= TIMEOUT_S + PROOF_S


# --- what is asked and told --------------------------------------------------------------------------


def test_query_has_the_ledgers_time(bench: Bench) -> None:
    """A query has the ledger's time, for plugins that query by time or in turns."""
    payment = begun(bench)
    bench.pass_time(1)
    query = mock.Mock(wraps=bench.account.provider.query)
    with mock.patch.object(bench.account.provider, "query", query):
        bench.run(bench.recovery.ask(bench.account, [payment], Source.QUERY))
    assert [ref.attempt.sent_at for ref in query.call_args.args[0]] == [bench.at]


def test_results_of_several_queries_are_all_returned(new_bench: NewBench) -> None:
    """With several flows every payment is returned in its newest state."""
    bench = new_bench(batch=1)
    payments = [begun(bench, reference=f"order-{n}") for n in range(3)]
    for payment in payments[:2]:
        bench.gateway._add(ToyOrder(payment.order_number, "payment", 8800, "HKD")).status = "paid"
    bench.pass_time(TIMEOUT_S + PROOF_S)
    known = bench.run(bench.recovery.ask(bench.account, payments, Source.QUERY))
    assert [payment.status for payment in known] == [Status.PAID, Status.PAID, Status.UNKNOWN]
    assert known[2].creation.proven_absent_at is not None
    assert [path for path, _ in bench.gateway.requests] == ["/query"] * 3


def test_unanswered_query_names_the_payment(bench: Bench) -> None:
    """The error has the payment's id."""
    payment = begun(bench)
    bench.answer = lose_requests
    with pytest.raises(MaybeSent) as raised:
        bench.run(bench.commands.query(payment.id))
    assert raised.value.payment_id == payment.id


def told_by(bench: Bench, payment: Payment, found: Found, source: Source) -> None:
    """The provider's answer to a query of the payment."""

    def answer(_: object) -> Flow[QueryReply]:
        yield Request(method="POST", path="/query", body=b'{"numbers": []}')
        return Done(found)

    with mock.patch.object(bench.account.provider, "query", answer):
        bench.run(bench.recovery.ask(bench.account, [payment], source))


@pytest.mark.parametrize(
    ("field", "words"), [("absent", "does not know the number"), ("undecided", "not everything")]
)
def test_query_warns_of_numbers_to_look_up(
    bench: Bench, caplog: pytest.LogCaptureFixture, field: str, words: str
) -> None:
    """A query warns of a number not found or undecided, with payment and account; polls do not."""
    bench.run(bench.create())
    payment = bench.payment()
    found = Found(observations=(), **{field: frozenset({payment.order_number})})
    told_by(bench, payment, found, Source.POLL)
    told_by(bench, payment, Found(observations=()), Source.QUERY)
    assert caplog.messages == []
    told_by(bench, payment, found, Source.QUERY)
    (message,) = caplog.messages
    assert words in message
    assert f"payment {payment.id}" in message
    assert "account toy" in message
    assert f"number {payment.order_number}" in message


def test_query_does_not_warn_of_a_forgotten_number_of_a_settled_payment(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Providers delete old records, and never knew some numbers."""
    never_told = begun(bench, reference="order-2")
    told_by(
        bench, never_told, Found(observations=(), absent=frozenset({never_told.order_number})), Source.QUERY
    )
    bench.run(bench.create())
    bench.gateway.pay(bench.payment().order_number)
    paid = bench.run(bench.commands.query(bench.payment().id))
    assert paid.status is Status.PAID
    told_by(bench, paid, Found(observations=(), absent=frozenset({paid.order_number})), Source.QUERY)
    assert caplog.messages == []


def test_refused_query_is_an_account_error(bench: Bench) -> None:
    """A refused query is an account error; the payment is unchanged."""
    payment = begun(bench)

    def refuse(_: object) -> Flow[QueryReply]:
        yield Request(method="POST", path="/query", body=b'{"numbers": []}')
        return Rejected(failure=Failure(code="bad_key", message="no such key", who_acts="operator"))

    with (
        mock.patch.object(bench.account.provider, "query", refuse),
        pytest.raises(
            AccountRefused, match="account toy: the provider refused with bad_key: no such key"
        ) as raised,
    ):
        bench.run(bench.commands.query(payment.id))
    assert raised.value.payment_id == payment.id


def test_unusable_answer_gives_the_reason(bench: Bench) -> None:
    """The error has the account and the plugin's reason."""
    payment = begun(bench)
    bench.answer = lambda _request: Response(status=503)
    words = "account toy: the provider gave no usable answer: HTTP 503 without records"
    with pytest.raises(MaybeSent, match=words):
        bench.run(bench.commands.query(payment.id))


def test_not_found_is_no_proof_where_the_provider_promises_none(bench: Bench) -> None:
    """However old the send is, nothing is concluded, and nothing waited for."""
    payment = begun(bench)
    bench.pass_time(86_400)
    promises_none = replace(bench.account.capabilities, query_proves_absence_after_s=None)
    account, asked_at = replace(bench.account, capabilities=promises_none), bench.at
    unknown = bench.run_in_time(bench.recovery.resolve_in_time(account, payment))
    assert unknown.creation.proven_absent_at is None
    assert bench.at == asked_at


@pytest.mark.parametrize("pause_s", [0, PROOF_S, PROOF_S - 0.5])
def test_absence_counts_from_when_it_was_asked_by_the_ledgers_clock(bench: Bench, pause_s: float) -> None:
    """A process whose clock is ahead queries just before the proof: its answer proves nothing."""
    payment = begun(bench)
    bench.pass_time(TIMEOUT_S + PROOF_S - 0.5)

    def answer_late(request: Request) -> Response:
        response = bench.gateway.handle(request)
        bench.pass_time(pause_s)
        return response

    bench.answer = answer_late
    ahead = bench.at + timedelta(hours=1)
    with mock.patch.object(bench.recovery._attempts, "now", return_value=ahead):
        (asked,) = bench.run(bench.recovery.ask(bench.account, [payment], Source.POLL))
    assert asked.creation.proven_absent_at is None


# --- what is sent ------------------------------------------------------------------------------------


@pytest.fixture
def codes(bench: Bench) -> Iterator[list[Secret | None]]:
    """The scanned codes sent to the provider, in order."""
    given: list[Secret | None] = []
    create = bench.account.provider.create

    def remembering(order: CreateOrder) -> Flow[CreateReply]:
        given.append(order.auth_code)
        return create(order)

    with mock.patch.object(bench.account.provider, "create", remembering):
        yield given


@pytest.mark.parametrize("pause_s", [0, TIMEOUT_S + PROOF_S], ids=["waiting for proof", "proven at once"])
def test_lost_order_of_a_scanned_code_is_sent_again_with_the_callers_code(
    bench: Bench, codes: list[Secret | None], pause_s: float
) -> None:
    """With the caller's code the order is sent again, and paid."""
    payment = scanned(bench)
    bench.pass_time(pause_s)
    paid = bench.run_in_time(bench.recovery.resolve_in_time(bench.account.with_code(CODE), payment))
    assert paid.status is Status.PAID
    assert codes == [CODE]


def test_lost_order_of_a_scanned_code_is_given_up_without_the_code(
    bench: Bench, codes: list[Secret | None]
) -> None:
    """Without the code nothing is sent, and the payment fails without a charge."""
    payment = scanned(bench)
    failed = bench.run_in_time(bench.recovery.resolve_in_time(bench.account, payment))
    assert failed.status is Status.FAILED
    assert codes == []


def test_new_number_of_a_scanned_code_is_sent_with_the_callers_code(
    bench: Bench, codes: list[Secret | None]
) -> None:
    """After a corrected account error the new number is sent with the code."""
    payment = scanned(bench)
    bench.pass_time(TIMEOUT_S + PROOF_S)
    bench.gateway.reject = "bad_key"
    with pytest.raises(AccountRefused):
        bench.run(bench.recovery.resolve(bench.account.with_code(CODE), payment, source=Source.QUERY))
    bench.gateway.reject = None
    refused = bench.ledger.get(payment.id).result()
    paid = bench.run(bench.recovery.renumber(bench.account.with_code(CODE), refused))
    assert paid.status is Status.PAID
    assert paid.order_number != payment.order_number
    assert codes == [CODE, CODE]


def test_unsent_order_is_sent_with_the_callers_code(bench: Bench, codes: list[Secret | None]) -> None:
    """An unsent order keeps its number and is sent with the code."""
    payment = begun(bench, auth_code_hash="0" * 64)

    def end(payment: Payment, now: datetime) -> list[Change]:
        return end_unsent(payment, now, sent=payment.creation, problem="could not be reached")

    bench.ledger.change(payment.id, end, Source.REPLY).result()
    unsent = bench.payment()
    assert unsent.creation.state is OperationState.INTENT
    sent = bench.run(bench.recovery.send_again(bench.account.with_code(CODE), unsent, unsent.creation.id))
    assert sent.order_number == payment.order_number
    assert codes == [CODE]


def test_order_closed_for_a_new_number_is_ordered_anew_with_the_callers_code(
    bench: Bench, codes: list[Secret | None]
) -> None:
    """Recovery continues after the close, with the caller's code."""
    payment = begun(bench, auth_code_hash="0" * 64)
    bench.gateway._add(ToyOrder(payment.order_number, "payment", 8800, "HKD"))
    bench.pass_time(TIMEOUT_S)
    closed = bench.run(bench.replace_order(payment))
    anew = bench.run(bench.recovery.recover(bench.account.with_code(CODE), closed))
    assert anew.order_number != payment.order_number
    assert codes == [CODE]


def test_callers_close_holds_for_the_payment_as_it_is_by_then(bench: Bench) -> None:
    """A change by somebody else in between does not prevent the caller's close."""
    bench.run(bench.create())
    seen = bench.payment()
    told = PaymentObservation(number=seen.order_number, status=Status.PENDING, provider_id="other")
    bench.ledger.observe("toy", [told], Source.POLL).result()
    assert bench.payment().version > seen.version
    closed = bench.run(bench.recovery.close_order(bench.account, seen, Source.CALLER))
    assert closed.status is Status.CLOSED


def test_replacing_an_order_closes_it_and_orders_anew(bench: Bench) -> None:
    """With the link lost, recovery closes the order and sends a new number."""
    held = bench.hold(bench.create())
    bench.gateway.handle(held.effect.request)
    bench.pass_time(TIMEOUT_S + PROOF_S)
    payment = bench.run(bench.commands.query(bench.payment().id))
    assert payment.action is not None
    closing, anew = payment.operations[1:]
    assert (closing.kind, closing.replaces, closing.number) == (
        OperationKind.CLOSE,
        True,
        payment.operations[0].number,
    )
    assert anew.number == payment.order_number != closing.number
    assert len({operation.id for operation in payment.operations}) == 3
    sources = [event.source for event in bench.ledger.events(payment.id).result()]
    assert sources == ["caller", "query", "recovery", "reply", "recovery", "reply"]


def test_close_of_what_the_account_no_longer_offers_names_the_payment(bench: Bench) -> None:
    """After a change of the configuration the error has the payment's id."""
    bench.run(bench.create())
    payment = bench.payment()
    other = replace(payment, order=replace(payment.order, channel="gone"))
    with pytest.raises(NotSupported, match="account toy no longer offers toy/gone") as raised:
        product_of(bench.account, other)
    assert raised.value.payment_id == payment.id
    assert product_of(bench.account, payment).channel == "web"
