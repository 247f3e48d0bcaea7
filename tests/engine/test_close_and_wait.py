"""Close: only the provider's answer closes. Wait: it ends with the first relevant change, and none is missed."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paycore import AsyncClient, Payment, Status
from paycore.domain.payment import OperationKind, OperationState
from paycore.errors import AccountRefused, LedgerUnavailable, NotFound, NotSent, NotSupported, WrongState
from paycore.ledger import open_ledger
from paycore.ledger.api import Ledger
from tests.engine.conftest import OpenTill
from tests.engine.tills import HKD_88, Till
from tests.support.toy_http import ToyServer, toy_config, toy_plugins


def closes(payment: Payment) -> list[OperationState]:
    """The states of the payment's close operations."""
    return [op.state for op in payment.operations if op.kind is OperationKind.CLOSE]


def until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition that another thread fulfils."""
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


# --- close -------------------------------------------------------------------------------------------


def test_close_unpaid_is_closed_by_the_provider(till: Till, gateway: ToyServer) -> None:
    """The provider confirms, the payment is closed without an action; closing again sends nothing."""
    payment = till.close(till.create())
    assert (payment.status, payment.action, closes(payment)) == (Status.CLOSED, None, [OperationState.DONE])
    assert till.close(payment) == payment
    assert gateway.counts().requests["/close"] == 1


def test_close_too_late_finds_the_payment_paid(till: Till, gateway: ToyServer) -> None:
    """The payer was faster: the close is refused and the payment returned as paid, also the next time."""
    payment = till.create()
    gateway.pay(payment.order_number)
    paid = till.close(payment)
    assert paid.status is Status.PAID
    assert till.close(payment) == paid
    assert gateway.counts().requests["/close"] == 1


def test_close_of_a_failed_payment_is_nothing(till: Till, gateway: ToyServer) -> None:
    """Closing a failed payment sends nothing."""
    gateway.gateway.reject = "insufficient_funds"
    payment = till.create()
    assert till.close(payment) == payment
    assert "/close" not in gateway.counts().requests


def test_close_of_what_was_never_sent_is_refused(open_till: OpenTill) -> None:
    """An order that was never sent can't be closed."""
    nowhere = open_till(url="http://127.0.0.1:1")
    with pytest.raises(NotSent) as caught:
        nowhere.create()
    with pytest.raises(WrongState, match="nothing was sent"):
        nowhere.close(nowhere.get(caught.value.payment_id or ""))


def test_close_where_the_product_cannot_is_refused(till: Till, gateway: ToyServer) -> None:
    """A product without closing is refused before any I/O."""
    with pytest.raises(NotSupported, match="expires by itself"):
        till.close(till.create(channel="lane"))
    assert "/close" not in gateway.counts().requests


def test_close_reply_lost_is_settled_by_what_the_provider_says(till: Till, gateway: ToyServer) -> None:
    """An unanswered close is resolved when the order is found closed."""
    payment = till.create()
    gateway.set_faults(lose_reply=1, path="/close")
    closed = till.close(payment)
    assert (closed.status, closed.uncertain) == (Status.CLOSED, False)
    assert gateway.counts().requests["/close"] == 1


def test_close_request_lost_is_sent_again(till: Till, gateway: ToyServer) -> None:
    """A close that did not arrive is sent again, for the same order."""
    payment = till.create()
    gateway.set_faults(lose_request=1, path="/close")
    closed = till.close(payment)
    assert (closed.status, closes(closed)) == (Status.CLOSED, [OperationState.DONE])
    assert len(gateway.counts().records) == 1


def test_close_gateway_down_is_not_sent_and_can_be_called_again(open_till: OpenTill) -> None:
    """Nothing was sent: the payment is unchanged, and the same call closes it later."""
    till, nowhere = open_till(), open_till(url="http://127.0.0.1:1")
    payment = till.create()
    with pytest.raises(NotSent):
        nowhere.close(payment)
    assert (till.get(payment.id).status, till.get(payment.id).uncertain) == (Status.PENDING, False)
    assert till.close(payment).status is Status.CLOSED


def test_money_after_closing_is_paid_and_needs_review(till: Till, gateway: ToyServer) -> None:
    """Closed at the provider and paid all the same: paid, and needs review."""
    payment = till.close(till.create())
    gateway.gateway.orders[0].status = "paid"
    late = till.query(payment)
    assert (late.status, late.review, late.review_reasons) == (Status.PAID, True, ("paid_after_closing",))


# --- wait --------------------------------------------------------------------------------------------


def test_wait_for_what_was_never_sent_is_over_at_once(open_till: OpenTill) -> None:
    """Only its caller sends it, so the wait returns at once."""
    nowhere = open_till(url="http://127.0.0.1:1")
    with pytest.raises(NotSent) as caught:
        nowhere.create()
    payment = nowhere.get(caught.value.payment_id or "")
    started = time.monotonic()
    assert nowhere.wait(payment, timeout_s=60) == payment
    assert time.monotonic() - started < 5


def test_wait_for_what_the_account_was_refused_for_is_over_at_once(till: Till, gateway: ToyServer) -> None:
    """The same; once the account is corrected, `create` sends it under a new number."""
    gateway.gateway.reject = "bad_key"
    with pytest.raises(AccountRefused) as caught:
        till.create()
    payment = till.get(caught.value.payment_id or "")
    started = time.monotonic()
    assert till.wait(payment, timeout_s=60).status is Status.CREATED
    assert time.monotonic() - started < 5


def test_wait_for_a_settled_payment_is_over_at_once(till: Till, gateway: ToyServer) -> None:
    """A paid payment is returned without a query."""
    payment = till.create(channel="card")
    assert till.wait(payment, timeout_s=60) == payment
    assert "/query" not in gateway.counts().requests


def test_wait_is_woken_by_what_its_own_poll_finds(till: Till, gateway: ToyServer) -> None:
    """The wait polls the provider and returns as soon as the payment is paid."""
    payment = till.create()
    gateway.pay(payment.order_number)
    assert till.wait(payment, timeout_s=20).status is Status.PAID


@pytest.mark.parametrize("status", ["failed", "closed"])
def test_wait_is_over_when_the_provider_ends_the_order(till: Till, gateway: ToyServer, status: str) -> None:
    """A decline or an expiry at the provider ends the wait too."""
    payment = till.create()
    gateway.gateway.orders[0].status = status
    assert till.wait(payment, timeout_s=20).status == status


def test_wait_ends_with_a_review(till: Till, gateway: ToyServer) -> None:
    """A review ends the wait, with the payment still pending."""
    payment = till.create()
    gateway.gateway.orders[0].minor = 1
    gateway.pay(payment.order_number)
    found = till.wait(payment, timeout_s=20)
    assert (found.status, found.review_reasons, found.paid_minor) == (Status.PENDING, ("amount_differs",), 0)


def test_wait_is_woken_by_another_process(open_till: OpenTill, gateway: ToyServer) -> None:
    """A change by another process on the ledger ends the wait before its next poll."""
    here, there = open_till(), open_till()
    payment = here.create()
    gateway.pay(payment.order_number)
    threading.Timer(0.1, lambda: there.query(payment)).start()
    begun = time.monotonic()
    assert here.wait(payment, timeout_s=20).status is Status.PAID
    assert time.monotonic() - begun < 1.5, "the first poll comes after 1.6 s at the earliest"


def test_wait_gives_the_state_at_the_timeout(till: Till) -> None:
    """At the timeout the payment is returned as it is."""
    payment = till.create()
    assert till.wait(payment, timeout_s=0.1) == payment
    assert till.wait(payment, timeout_s=0) == payment


@pytest.mark.parametrize("kind", ["sync"])  # a till's loop runs one verb at a time
def test_wait_ends_when_its_client_is_closed(till: Till) -> None:
    """Closing the client raises at once in threads that wait."""
    payment = till.create()
    errors: list[Exception] = []

    def wait() -> None:
        try:
            till.wait(payment, timeout_s=60)
        except LedgerUnavailable as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: till.waits_for(payment))
    till.shutdown()
    waiting.join(5)
    assert not waiting.is_alive()
    assert "the client was closed meanwhile" in str(errors[0])


def test_wait_ends_when_its_async_client_is_closed(gateway: ToyServer, tmp_path: Path) -> None:
    """The same for a task."""

    async def main() -> None:
        config = toy_config(gateway.url, f"sqlite:///{tmp_path}/paycore.db")
        client = AsyncClient(config, plugins=toy_plugins())
        payment = await client.create(reference="order-1", amount=HKD_88, method="toy", channel="web")
        waiting = asyncio.create_task(client.wait(payment.id, timeout_s=60))
        await asyncio.to_thread(until, lambda: bool(client._waiter.hub._calls))
        await client.shutdown()
        with pytest.raises(LedgerUnavailable, match="the client was closed meanwhile"):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(main())


def test_async_client_whose_loop_is_cancelled_closes_its_ledger(gateway: ToyServer, tmp_path: Path) -> None:
    """Leaving the block closes the client, also when the worker is cancelled together with its task."""
    config = toy_config(gateway.url, f"sqlite:///{tmp_path}/paycore.db")
    client: list[AsyncClient] = []

    async def main() -> None:
        async with AsyncClient(config, plugins=toy_plugins()) as pay:
            client.append(pay)
            payment = await pay.create(reference="order-1", amount=HKD_88, method="toy", channel="web")
            waiting = asyncio.create_task(pay.wait(payment.id, timeout_s=60))
            await asyncio.to_thread(until, lambda: bool(pay._waiter.hub._calls))
            for task in asyncio.all_tasks():
                task.cancel()
            await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert client[0]._core.ledger._is_closed
    assert not list(tmp_path.glob("*-wal"))


def test_wait_for_an_unknown_id_is_not_found(till: Till) -> None:
    """An unknown id is an error at once."""
    with pytest.raises(NotFound, match="nobody"):
        till.do("wait", "nobody", 20)


def test_wait_at_expiry_closes_and_only_the_provider_closes(
    till: Till, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired order is closed at the provider, whose answer ends the wait."""
    payment = till.create(expires_in_s=1)
    assert till.wait(payment, timeout_s=20).status is Status.CLOSED
    assert gateway.counts().requests["/close"] == 1


def test_wait_survives_a_gateway_that_is_away(open_till: OpenTill, gateway: ToyServer) -> None:
    """A failed poll changes nothing and is repeated."""
    till = open_till()
    payment = till.create()
    gateway.pay(payment.order_number)
    gateway.set_faults(lose_request=1, path="/query")
    assert till.wait(payment, timeout_s=30).status is Status.PAID


def test_wait_for_a_payment_whose_sender_died_does_not_hammer_the_gateway(
    open_till: OpenTill, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its deadline an unanswered operation is polled by age, not in a busy loop."""
    till = open_till(proof_s=30.0)
    with monkeypatch.context() as dying:
        dying.setattr("paycore.engine.sessions.converse", _die)
        with pytest.raises(KeyboardInterrupt):
            till.create()
    (payment,) = till.list()
    till.wait(payment, timeout_s=2.0)
    assert 1 <= gateway.counts().requests["/query"] <= 3


def _die(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_query_warns_of_an_order_the_provider_has_forgotten(
    till: Till, gateway: ToyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer of "not found" proves nothing here: the payment is unchanged, and a warning is logged."""
    payment = till.create()
    gateway.gateway.orders.clear()
    assert till.query(payment) == payment
    (record,) = [record for record in caplog.records if record.name.startswith("paycore")]
    assert f"account toy does not know the number {payment.order_number} any more" in record.getMessage()


def test_list_filters(till: Till) -> None:
    """Payments come newest first, filtered by each argument."""
    old, new = till.create("old"), till.create("new", channel="card")
    assert till.list() == (new, old)
    assert till.list(status=Status.PAID) == (new,)
    assert till.list(limit=1) == (new,)
    assert till.list(review=True) == till.list(uncertain=True) == till.list(account="nobody") == ()
    assert till.list(until=old.created_at) == ()


def test_events_are_in_order(till: Till) -> None:
    """Each change is an event with its source, from intent to the provider's answer."""
    payment = till.close(till.create())
    assert [(event.seq, event.kind, event.source.value) for event in till.events(payment)] == [
        (1, "payment_begun", "caller"),
        (2, "operation_ended", "reply"),
        (3, "operation_begun", "caller"),
        (4, "operation_ended", "reply"),
    ]


def test_intent_is_durable_before_the_request_leaves(
    open_till: OpenTill, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the gateway gets a number, other processes find it in the ledger."""
    till = open_till()
    seen: list[Payment] = []
    handle = gateway.gateway.handle

    def look_first(request: object) -> object:
        other: Ledger = open_ledger(till.ledger_dsn)
        seen.extend(other.find(None, "order-1").result())
        other.close()
        return handle(request)  # type: ignore[arg-type]

    monkeypatch.setattr(gateway.gateway, "handle", look_first)
    payment = till.create()
    assert [(found.id, found.order_number) for found in seen] == [(payment.id, payment.order_number)]
