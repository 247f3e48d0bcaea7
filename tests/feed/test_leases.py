"""One iteration at a time reads for a consumer; another takes over, and whoever lost the lease is told."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing

import pytest

from paycore import Client, PaymentChange
from paycore.engine import feed
from paycore.engine.effects import InLedger
from paycore.errors import ConsumerTaken, LedgerUnavailable
from paycore.ledger.api import Consumer, FeedPlace, Lease
from tests.feed.conftest import Shop, drain, told
from tests.support.postgres import PostgresServer
from tests.support.toy_http import toy_plugins

WAIT_S = 20


class Reader:
    """A thread that iterates; each change waits in its loop body until `go_on`."""

    def __init__(self, pay: Client, **options: object) -> None:
        self.seen: list[PaymentChange] = []
        self._arrived, self._may_go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.came_of_it: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(pay, options), daemon=True)
        self._thread.start()

    def _run(self, pay: Client, options: dict[str, object]) -> None:
        try:
            for change in pay.changes("shop", from_start=True, **options):  # type: ignore[arg-type]
                self.seen.append(change)
                self._arrived.release()
                assert self._may_go_on.acquire(timeout=WAIT_S)
        except BaseException as error:
            self.came_of_it.set_exception(error)
        else:
            self.came_of_it.set_result(None)

    def arrived(self, *, timeout_s: float = WAIT_S) -> bool:
        """Whether the next change arrives in time."""
        return self._arrived.acquire(timeout=timeout_s)

    def go_on(self) -> None:
        """Leave the loop body."""
        self._may_go_on.release()


def consumer(shop: Shop) -> Consumer:
    """The consumer as the ledger has it."""
    with closing(shop.ledger()) as ledger:
        return ledger.consumers("shop").result()[0]


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    pause = threading.Event()
    for _ in range(WAIT_S * 50):
        if holds():
            return
        pause.wait(0.02)
    raise AssertionError("it never came to hold")


def steal(shop: Shop, holder: str = "thief") -> FeedPlace:
    """Take the lease as another process does once it has run out."""
    with closing(shop.ledger()) as ledger:
        expire(shop)
        lease = ledger.hold_consumer("shop", holder=holder, lease_s=0.1).result()
        assert lease is not None
        return lease.place


def expire(shop: Shop) -> None:
    """End the lease now, as time does."""
    with closing(shop.ledger()) as ledger:
        ledger._submit(lambda group: group.direct().execute("UPDATE consumers SET leased_until = 0")).result()


def test_the_second_stands_by_and_takes_over_when_the_loop_is_left(shop: Shop) -> None:
    """It is handed nothing while the first holds the lease, and afterwards what the first did not acknowledge."""
    pay = shop.open()
    shop.paid(pay, "order-1")
    one_client, other_client = shop.open(), shop.open()
    one = Reader(one_client)
    assert one.arrived()
    other = Reader(other_client)
    assert not other.arrived(timeout_s=0.3)
    one.go_on()
    assert one.arrived()
    one_client._feeds.close()
    one.go_on()
    assert one.came_of_it.exception(WAIT_S) is None
    assert other.arrived()
    assert told(one.seen) == [("order-1", "created"), ("order-1", "pending")]
    assert told(other.seen) == [("order-1", "paid")]
    other.go_on()


def test_without_follow_a_consumer_that_is_taken_is_an_error(shop: Shop) -> None:
    """Whoever asks for what there is learns that another process sees to it."""
    pay = shop.open()
    shop.paid(pay, "order-1")
    reader = Reader(shop.open())
    assert reader.arrived()
    with pytest.raises(ConsumerTaken, match="another process reads the change feed for 'shop'"):
        drain(pay)
    reader.go_on()


def test_a_lease_that_ran_out_is_taken_over(shop: Shop) -> None:
    """A process that died holds up its consumer until its lease has run out, and no longer."""
    pay = shop.open()
    shop.paid(pay, "order-1")
    ledger = shop.ledger()
    assert ledger.hold_consumer("shop", holder="dead", lease_s=0.2, start=0).result() is not None
    reader = Reader(pay)
    assert reader.arrived()
    assert consumer(shop).holder != "dead"
    reader.go_on()


def test_acknowledging_after_a_takeover_is_refused(shop: Shop) -> None:
    """Whoever was stopped for longer than its lease learns it then; the other is handed the same change."""
    pay = shop.open()
    shop.paid(pay, "order-1")
    reader = Reader(shop.open())
    assert reader.arrived()
    assert steal(shop) == FeedPlace(0)
    reader.go_on()
    assert isinstance(reader.came_of_it.exception(WAIT_S), ConsumerTaken)
    again = Reader(pay)
    assert again.arrived()
    assert again.seen[0].key == reader.seen[0].key
    again.go_on()


def test_acknowledging_is_refused_also_where_the_other_has_given_the_lease_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has gone on meanwhile: its place stays, and whoever was stopped learns that it was not alone."""
    monkeypatch.setattr(feed, "RENEW_S", 0.05)
    ledger = shop.ledger()
    shop.paid(shop.open(), "order-1")
    reader = Reader(shop.open())
    assert reader.arrived()

    def is_stolen() -> bool:
        expire(shop)
        return ledger.hold_consumer("shop", holder="other", lease_s=60).result() is not None

    until(is_stolen)
    assert ledger.acknowledge("shop", holder="other", place=FeedPlace(3), lease_s=60).result() is not None
    ledger.release_consumer("shop", "other").result()
    assert not reader.arrived(timeout_s=0.5)  # time to renew
    assert consumer(shop).holder is None
    reader.go_on()
    assert isinstance(reader.came_of_it.exception(WAIT_S), ConsumerTaken)
    assert consumer(shop).place == FeedPlace(3)


def test_closed_client_refuses_to_read(shop: Shop) -> None:
    """What is closed does not come back, so it is not waited for."""
    client = Client(shop.config, plugins=toy_plugins())
    client.shutdown()
    with pytest.raises(LedgerUnavailable, match="closed"):
        next(client.changes("shop"))


def test_a_lease_lost_while_nothing_is_in_hand_is_taken_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for changes while its lease ran out stands by, and goes on where the other has come to."""
    monkeypatch.setattr(feed, "LEASE_S", 0.2)
    monkeypatch.setattr(feed, "RENEW_S", 3600.0)
    pay, ledger = shop.open(), shop.ledger()
    shop.paid(pay, "order-1")
    reader = Reader(shop.open())
    for _ in range(3):
        assert reader.arrived()
        reader.go_on()
    until(lambda: consumer(shop).place.position == 3)
    until(lambda: ledger.hold_consumer("shop", holder="other", lease_s=60).result() is not None)
    shop.paid(pay, "order-2")
    assert not reader.arrived(timeout_s=0.2)
    assert ledger.acknowledge("shop", holder="other", place=FeedPlace(4), lease_s=60).result() is not None
    ledger.release_consumer("shop", "other").result()
    assert reader.arrived()
    assert told(reader.seen[3:]) == [("order-2", "pending")]
    reader.go_on()


def test_a_lease_lost_while_changes_are_passed_over_is_taken_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has nothing in hand is not told: it stands by, and goes on."""
    monkeypatch.setattr(feed, "SKIPPED_S", 0.0)
    monkeypatch.setattr(feed, "RENEW_S", 3600.0)
    pay = shop.open()
    reader = Reader(shop.open(), kinds=("refunded",))
    until(lambda: consumer_names(shop) == ["shop"])
    steal(shop)
    paid = shop.paid(pay, "order-1")
    pay.refund(paid.id, reference="back-1")
    assert reader.arrived()
    assert told(reader.seen) == [("order-1", "refunded")]
    reader.go_on()


def test_the_lease_is_renewed_while_a_change_is_worked_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop body may take as long as it likes, while its process lives."""
    monkeypatch.setattr(feed, "RENEW_S", 0.05)
    shop.paid(shop.open(), "order-1")
    reader = Reader(shop.open())
    assert reader.arrived()
    ends = {consumer(shop).leased_until}

    def is_renewed_twice() -> bool:
        ends.add(consumer(shop).leased_until)
        return len(ends) >= 3

    until(is_renewed_twice)
    assert consumer(shop).place == FeedPlace(0)
    reader.go_on()


def test_closing_the_client_ends_the_iteration_and_gives_the_lease_back(shop: Shop) -> None:
    """Whoever waits for changes is woken; another process goes on at once."""
    client = shop.open()
    reader = Reader(client)
    until(lambda: consumer_names(shop) == ["shop"])
    client.shutdown()
    assert reader.came_of_it.result(WAIT_S) is None
    assert consumer(shop).holder is None


def consumer_names(shop: Shop) -> list[str]:
    """Those that are held."""
    with closing(shop.ledger()) as ledger:
        return [found.name for found in ledger.consumers().result() if found.holder is not None]


def test_closing_gives_back_a_lease_whose_answer_is_still_under_way(shop: Shop) -> None:
    """The client may close between the commit that took the lease and its answer."""
    ledger = shop.ledger()
    reading = feed.Feed(ledger, "shop", None, from_start=True, follow=True)
    program = reading.next()
    effect, answer = next(program), None
    while not isinstance(answer, Lease):
        assert isinstance(effect, InLedger)
        answer = effect.verb(ledger).result()
        if not isinstance(answer, Lease):
            effect = program.send(answer)
    assert consumer(shop).holder is not None
    reading.interrupt()
    until(lambda: consumer(shop).holder is None)


def test_closing_the_client_does_not_give_away_what_is_in_hand(shop: Shop) -> None:
    """Somebody still acts on it: another process waits for the lease to run out."""
    shop.paid(shop.open(), "order-1")
    client = shop.open()
    reader = Reader(client)
    assert reader.arrived()
    client._feeds.close()
    assert consumer(shop).holder is not None
    reader.go_on()
    assert reader.came_of_it.result(WAIT_S) is None
    until(lambda: consumer(shop).holder is None)
    assert consumer(shop).place == FeedPlace(1)


def test_a_change_by_another_process_wakes_the_iteration(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger tells of it: nobody waits for the next look."""
    monkeypatch.setattr(feed, "IDLE_S", 3600.0)
    monkeypatch.setattr(feed, "SKIPPED_S", 3600.0)
    reader = Reader(shop.open())
    pay = shop.open()
    for number in range(3):
        shop.paid(pay, f"order-{number}")
        for _ in range(3):
            assert reader.arrived()
            reader.go_on()
    assert [change.kind.value for change in reader.seen] == ["created", "pending", "paid"] * 3


@pytest.mark.parametrize("dsn", ["postgres"], indirect=True)
def test_a_server_that_restarts_is_waited_for(shop: Shop, postgres_server: PostgresServer) -> None:
    """The iteration goes on by itself, and acknowledges what was in hand."""
    pay = shop.open()
    shop.paid(pay, "order-1")
    reader = Reader(shop.open())
    assert reader.arrived()
    postgres_server.restart("immediate")
    reader.go_on()
    assert reader.arrived()
    reader.go_on()
    assert reader.arrived()
    assert [change.kind.value for change in reader.seen] == ["created", "pending", "paid"]
    reader.go_on()
    until(lambda: consumer(shop).place.position == 3)


@pytest.mark.parametrize("dsn", ["postgres"], indirect=True)
def test_a_server_that_is_away_is_waited_for(
    shop: Shop, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Longer than a call waits for it: one warning, and what is in hand is acknowledged once it is back."""
    shop.paid(shop.open(), "order-1")
    client = shop.open()
    client._core.ledger._server.patience_s = 0.2  # type: ignore[attr-defined]
    reader = Reader(client)
    assert reader.arrived()
    postgres_server.stop("fast")
    try:
        reader.go_on()
        until(lambda: "the change feed waits" in caplog.text)
    finally:
        postgres_server.start()
    for _ in range(2):
        assert reader.arrived()
        reader.go_on()
    until(lambda: consumer(shop).place.position == 3)
    assert [change.kind.value for change in reader.seen] == ["created", "pending", "paid"]
    assert caplog.text.count("the change feed waits") == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_ledger(shop: Shop) -> None:
    """What was opened before a fork is refused in the child, also here, and not tried for ever."""
    client = shop.open()
    shop.paid(client, "order-1")
    changes = client.changes("shop", from_start=True)
    next(changes)
    pid = os.fork()
    if not pid:
        try:
            next(changes)
        except LedgerUnavailable:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert next(changes).kind == "pending"
    changes.close()
