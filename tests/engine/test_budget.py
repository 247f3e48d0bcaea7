"""Every request has its turn in the account's budget, and none is sent that would be refused."""

import json
from collections import Counter
from concurrent.futures import Future
from typing import Any

import pytest

from paycore import Money, Payment, Status
from paycore.domain.provider import RefundOrder, RefundReply
from paycore.domain.wire import Flow, Request, Response
from paycore.engine.checks import CreateFields, create_request
from paycore.engine.effects import InLedger, Program
from paycore.errors import LedgerReadOnly, LedgerUnavailable, NotSent, PaycoreError
from paycore.testing.toy import ToyProvider
from paycore.testing.toy.toy_answers import post
from tests.engine.by_hand import TIMEOUT_S, Bench
from tests.engine.conftest import NewBench

PER_MINUTE = 12
HKD_88 = Money("88.00", "HKD")


class Metered:
    """A gateway that answers 429 to what is more than its limit in any minute, and remembers when each request came."""

    def __init__(self, bench: Bench, per_minute: int = PER_MINUTE, retry_after_s: float = 2.0) -> None:
        self._bench = bench
        self._per_minute = per_minute
        self._retry_after_s = retry_after_s
        self.taken: list[float] = []
        self.asked: Counter[str] = Counter()
        self.refused = 0

    def __call__(self, request: Request) -> Response:
        now = self._bench.at.timestamp()
        if sum(now - at < 60 for at in self.taken) >= self._per_minute:
            self.refused += 1
            answer = {"error": "not_now", "retry_after_s": self._retry_after_s}
            headers = {"retry-after": f"{self._retry_after_s:.0f}"}
            return Response(status=429, headers=headers, body=json.dumps(answer).encode())
        self.taken.append(now)
        self.asked[request.path] += 1
        return self._bench.gateway.handle(request)

    def use(self, times: int) -> None:
        """Another system of the merchant sends so many requests now."""
        self.taken += [self._bench.at.timestamp()] * times


def metered(new_bench: NewBench, **settings: Any) -> tuple[Bench, Metered]:
    """A bench whose provider declares what its gateway takes."""
    bench = new_bench(per_minute=PER_MINUTE, **settings)
    gateway = Metered(bench)
    bench.answer = gateway
    return bench, gateway


def created(bench: Bench, reference: str) -> Payment:
    """The payment with this reference, made now."""
    request = create_request(
        CreateFields(reference=reference, amount=Money("88.00", "HKD"), method="toy", channel="web")
    )
    return bench.run(bench.commands.create(request))


def test_payments_are_made_as_fast_as_the_provider_takes_them(new_bench: NewBench) -> None:
    """Beyond the budget a create says when to call again; nothing of it is recorded or sent."""
    bench, gateway = metered(new_bench)
    for number in range(PER_MINUTE):
        assert created(bench, f"order-{number}").status is Status.PENDING
    with pytest.raises(NotSent) as raised:
        created(bench, "order-late")
    assert raised.value.money_moved == "no"
    assert raised.value.retry_after_s is not None
    assert bench.ledger.find("toy", "order-late").result() == ()
    bench.pass_time(raised.value.retry_after_s)
    assert created(bench, "order-late").status is Status.PENDING
    assert gateway.refused == 0


def test_create_waits_for_its_turn_within_its_time(new_bench: NewBench) -> None:
    """Where its turn comes soon it waits, and the order is sent then."""
    bench, gateway = metered(new_bench)
    for number in range(PER_MINUTE):
        created(bench, f"order-{number}")
        bench.pass_time(4)
    bench.pass_time(60 - 4 * PER_MINUTE - 2)
    before = bench.at
    assert created(bench, "order-late").status is Status.PENDING
    assert 2 <= (bench.at - before).total_seconds() < TIMEOUT_S / 2
    assert gateway.refused == 0


def test_polling_leaves_room_for_creates(new_bench: NewBench) -> None:
    """A worker that asks all the time uses what is left, and every create leaves at once."""
    bench, gateway = metered(new_bench, batch=1)
    for number in range(4):
        created(bench, f"order-{number}")
    for turn in range(120):
        bench.look_once()
        if turn % 20 == 19:
            before = bench.at
            created(bench, f"later-{turn}")
            assert bench.at == before
        bench.pass_time(1)
    assert gateway.refused == 0
    assert gateway.asked["/query"] >= 3


@pytest.mark.parametrize("verb", ["query", "returned", "close"])
def test_what_a_caller_asks_has_its_turn_too(new_bench: NewBench, verb: str) -> None:
    """Also a caller that asks in a loop is never refused by the provider."""
    bench, gateway = metered(new_bench)
    payment = created(bench, "order-1")
    refused = 0
    for turn in range(3 * PER_MINUTE):
        try:
            match verb:
                case "query":
                    bench.run(bench.commands.query(payment.id))
                case "returned":
                    bench.run(bench.commands.returned(payment.id, {"turn": str(turn)}))
                case _:
                    bench.run(bench.commands.close(created(bench, f"order-{turn}").id))
        except NotSent as error:
            refused += 1
            bench.pass_time(error.retry_after_s or 0)
    assert gateway.refused == 0
    assert refused > 0


def test_budget_is_spent_in_the_transaction_that_begins(new_bench: NewBench) -> None:
    """A create has two transactions, as before there was a budget: what it costs is no commit more."""
    bench, _ = metered(new_bench)
    request = create_request(
        CreateFields(reference="order-1", amount=Money("88.00", "HKD"), method="toy", channel="web")
    )
    program: Program[Payment] = bench.commands.create(request)
    effect, transactions = program.send(None), 0
    try:
        while True:
            transactions += isinstance(effect, InLedger)
            effect = bench.perform(program, effect)
    except StopIteration:
        pass
    assert transactions == 2


def test_refused_create_is_sent_again_in_time(new_bench: NewBench) -> None:
    """Somebody else has used the account's budget: the create waits as long as the provider says, and then leaves."""
    bench = new_bench(per_minute=PER_MINUTE)
    gateway = Metered(bench, retry_after_s=3)
    bench.answer = gateway
    gateway.taken = [bench.at.timestamp() - 57.5] * PER_MINUTE
    payment = created(bench, "order-1")
    assert payment.status is Status.PENDING
    assert gateway.refused == 1
    assert len(gateway.taken) == PER_MINUTE + 1
    assert len(bench.gateway.orders) == 1


def test_refused_create_that_has_no_time_left_says_when_to_call_again(new_bench: NewBench) -> None:
    """The payment is there, certainly unsent; the same call later sends it with the same number."""
    bench = new_bench(per_minute=PER_MINUTE)
    gateway = Metered(bench, retry_after_s=40)
    bench.answer = gateway
    gateway.use(PER_MINUTE)
    with pytest.raises(NotSent) as raised:
        created(bench, "order-1")
    assert raised.value.money_moved == "no"
    number = bench.payment().order_number
    bench.pass_time(61)
    payment = created(bench, "order-1")
    assert (payment.status, payment.order_number) == (Status.PENDING, number)


def test_another_system_that_uses_half_of_the_budget_delays_but_refuses_no_create(
    new_bench: NewBench,
) -> None:
    """The worker's questions give way within two minutes; then each create leaves within its time."""
    bench = new_bench(batch=1, per_minute=5 * PER_MINUTE)
    bench.answer = gateway = Metered(bench, per_minute=5 * PER_MINUTE)
    for turn in range(240):
        if turn % 2 == 0 and sum(bench.at.timestamp() - at < 60 for at in gateway.taken) < 5 * PER_MINUTE:
            gateway.use(1)
        if turn >= 120 and turn % 12 == 0:
            assert created(bench, f"order-{turn}").status is Status.PENDING
        bench.look_once()
        bench.pass_time(1)
    assert gateway.asked["/query"] > 4


def test_ledger_without_a_turn_for_the_second_request_says_that_the_first_may_have_moved_money(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refund whose first request arrived is unknown until a query tells, and is not sent a second time."""
    payment = bench.run(bench.create(channel="card"))
    in_one_step = ToyProvider.refund

    def in_two_steps(provider: ToyProvider, order: RefundOrder) -> Flow[RefundReply]:
        outcome = yield from in_one_step(provider, order)
        yield post("/orders", {}, None)
        return outcome

    monkeypatch.setattr(ToyProvider, "refund", in_two_steps)
    monkeypatch.setattr(bench.ledger, "spend", lambda _: _failed(LedgerReadOnly("a standby took over")))
    with pytest.raises(LedgerReadOnly) as raised:
        bench.run(bench.commands.refund(payment.id, reference="back-1", amount=None, reason=None))
    assert raised.value.money_moved == "maybe"
    assert bench.payment().uncertain
    monkeypatch.undo()
    refunded = bench.run(bench.commands.refund(payment.id, reference="back-1", amount=None, reason=None))
    assert refunded.refunded_minor == HKD_88.minor
    assert [path for path, _ in bench.gateway.requests].count("/refunds") == 1


def test_ledger_without_a_turn_for_a_query_says_that_nothing_moved(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent: an error that says "maybe" would have somebody look for money."""
    payment = bench.run(bench.create())
    monkeypatch.setattr(bench.ledger, "spend", lambda _: _failed(LedgerUnavailable("it is away")))
    with pytest.raises(LedgerUnavailable) as raised:
        bench.run(bench.commands.query(payment.id))
    assert raised.value.money_moved == "no"


def test_refusal_counts_also_where_the_ledger_can_not_keep_the_rest(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A create that was answered with 429 is certainly unsent, whatever became of the account's rest."""
    bench = new_bench(per_minute=PER_MINUTE)
    bench.answer = gateway = Metered(bench, retry_after_s=40)
    gateway.use(PER_MINUTE)
    monkeypatch.setattr(bench.ledger, "rest", lambda *_: _failed(LedgerUnavailable("it is away")))
    with pytest.raises(NotSent) as raised:
        created(bench, "order-1")
    assert raised.value.money_moved == "no"
    assert not bench.payment().uncertain


def _failed(error: PaycoreError) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
