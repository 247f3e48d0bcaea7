"""What the payer came back with is kept as it is, handed to the provider, and proves nothing."""

from typing import Any

import msgspec
import pytest

from paycore import Status
from paycore.domain import returning
from paycore.domain.events import Finding, Returned
from paycore.domain.payment import ReviewReason
from paycore.domain.provider import OrderRef, Secret
from paycore.engine.arguments import RETURNED_MAX, checked_record
from paycore.engine.secrecy import Secrets
from paycore.errors import InvalidField, NotFound, NotSent, TooMany
from paycore.testing.toy import ToyProvider
from tests.engine.by_hand import Bench
from tests.engine.conftest import NewBench
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

LONG_KEY = "a-key-that-is-long-enough"


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """A bench whose account has a secret that can be looked for."""
    bench = new_bench(captures="full")
    bench.account = msgspec.structs.replace(bench.account, secrets=Secrets((Secret(LONG_KEY),)))
    bench.commands._accounts._account = bench.account  # type: ignore[attr-defined]
    return bench


def kept(till: Till, payment_id: str) -> list[Any]:
    """What was recorded of the payer's returns."""
    changes = [event.change for event in till.events(till.get(payment_id))]
    return [change.params for change in changes if isinstance(change, Returned)]


def test_return_proves_nothing(till: Till, gateway: ToyServer) -> None:
    """Whatever the payer's browser says, the payment is as the provider has it; it was asked once."""
    payment = till.create()
    payment = till.do("returned", payment.id, {"status": "paid", "trade_no": "T1"})
    assert payment.status is Status.PENDING
    assert payment.returned == {"status": "paid", "trade_no": "T1"}
    assert gateway.counts().requests["/query"] == 1


def test_return_is_handed_to_query_and_capture(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider has what it needs to ask and to capture."""
    handed: list[Any] = []
    query, capture = ToyProvider.query, ToyProvider.capture

    def queried(provider: ToyProvider, orders: list[OrderRef]) -> Any:
        handed.append(("query", orders[0].returned))
        return (yield from query(provider, orders))

    def captured(provider: ToyProvider, order: Any) -> Any:
        handed.append(("capture", order.order.returned))
        return (yield from capture(provider, order))

    monkeypatch.setattr(ToyProvider, "query", queried)
    monkeypatch.setattr(ToyProvider, "capture", captured)
    payment = bench.run(bench.create(channel="hold"))
    bench.gateway.pay(payment.order_number)
    payment = bench.run(bench.commands.returned(payment.id, {"token": "T1"}))
    assert payment.status is Status.PAID
    assert handed == [("query", {"token": "T1"}), ("capture", {"token": "T1"})]


def test_repeated_return_adds_no_event_and_a_new_one_replaces_it(till: Till) -> None:
    """A page that is loaded again changes nothing; what the payer brings last counts."""
    payment = till.create()
    for params in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": "3"}):
        till.do("returned", payment.id, params)
    assert kept(till, payment.id) == [{"a": "1", "b": "2"}, {"a": "3"}]
    assert till.get(payment.id).returned == {"a": "3"}


def test_return_is_kept_although_no_answer_came(till: Till, gateway: ToyServer) -> None:
    """The caller hears that nothing was answered; the next query has what was returned."""
    payment = till.create()
    gateway.set_faults(not_now=1, retry_after_s=5.0, path="/query")
    with pytest.raises(NotSent) as caught:
        till.do("returned", payment.id, {"token": "T1"})
    assert (caught.value.payment_id, caught.value.retry_after_s) == (payment.id, 5.0)
    assert till.get(payment.id).returned == {"token": "T1"}


def test_return_of_a_final_payment_asks_nobody(till: Till, gateway: ToyServer) -> None:
    """It is paid: what the payer brings is kept, and that is all."""
    payment = till.create(channel="card")
    payment = till.do("returned", payment.id, {"token": "T1"})
    assert (payment.status, payment.returned) == (Status.PAID, {"token": "T1"})
    assert "/query" not in gateway.counts().requests


def test_payer_does_not_grow_the_ledger_without_end(
    till: Till, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound nothing is kept and nobody is asked; the payment goes on as ever."""
    monkeypatch.setattr(returning, "RETURNS_MAX", 2)
    payment = till.create()
    for n in (1, 1, 2):
        till.do("returned", payment.id, {"n": str(n)})
    asked = gateway.counts().requests["/query"]
    with pytest.raises(TooMany, match="2 times"):
        till.do("returned", payment.id, {"n": "3"})
    assert till.get(payment.id).returned == {"n": "2"}
    assert gateway.counts().requests["/query"] == asked
    till.do("returned", payment.id, {"n": "2"})
    gateway.pay(payment.order_number)
    assert till.query(payment).status is Status.PAID


@pytest.mark.parametrize(
    "params",
    [
        None,
        "token=T1",
        [("token", "T1")],
        {"token": 5},
        {5: "T1"},
        {"token": ["T1"]},
        {"token": "\ud800"},
        {"token": "a\x00b"},
        {"token": "x" * RETURNED_MAX},
        {str(n): "" for n in range(5000)},
    ],
)
def test_wrong_params_are_refused(till: Till, gateway: ToyServer, params: Any) -> None:
    """Texts by name, at most 16 KiB; nothing is recorded, and nobody is asked."""
    payment = till.create()
    with pytest.raises(InvalidField) as caught:
        till.do("returned", payment.id, params)
    assert caught.value.field == "params"
    assert till.get(payment.id) == payment
    assert "/query" not in gateway.counts().requests


def test_params_of_almost_16_kib_are_kept_as_they_are(till: Till) -> None:
    """Whatever characters they have: they are the provider's, and it reads them."""
    payment = till.create()
    params = {"sessionResult": "x" * (RETURNED_MAX - 100), "note": "a\nb\u202e ä"}
    assert till.do("returned", payment.id, params).returned == params


def test_return_of_an_unknown_payment_is_not_found(till: Till) -> None:
    """Nothing is made of it."""
    with pytest.raises(NotFound):
        till.do("returned", "NOBODY", {})


def test_secrets_are_masked_in_what_is_recorded_by_hand(bench: Bench) -> None:
    """Neither what a payer brings nor an operator's note puts a secret into the ledger."""
    payment = bench.run(bench.create())
    bench.run(bench.commands.returned(payment.id, {LONG_KEY: f"x{LONG_KEY}y", "more": "kept"}))
    assert bench.payment().returned == {"***": "x***y", "more": "kept"}
    bench.gateway.pay(payment.order_number)
    bench.run(bench.commands.query(payment.id))
    bench.gateway.charge_back(payment.order_number)
    bench.run(bench.commands.query(payment.id))
    finding = Finding(by="Kim", note=f"with {LONG_KEY}")
    bench.run(bench.commands.acknowledge(payment.id, ReviewReason.CHARGED_BACK, finding))
    paid = checked_record("paid", by="Kim", note="x", provider_id=f"x{LONG_KEY}", refund=None)
    with pytest.raises(InvalidField, match="provider_id: has a secret"):
        bench.run(bench.commands.record(payment.id, paid))
    events = bench.ledger.events(payment.id).result()
    assert "with ***" in str(events[-1].change)
    assert LONG_KEY not in str(events)
