"""A failed read never says that money may have moved: in a forked child, or with the ledger gone or damaged."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from paycore import AsyncClient, Client, Payment
from paycore.engine.plugins import Plugins
from paycore.errors import LedgerError, LedgerUnavailable
from paycore.ledger.opening import open_read_only
from tests.ledger.conftest import Database
from tests.ledger.workload import paid_payment
from tests.support.forked import in_child
from tests.support.toy_http import ACCOUNT, toy_config, toy_plugins

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

NOWHERE = "http://127.0.0.1:1"

Read = Callable[[Any, Payment], Any]

READS: dict[str, Read] = {
    "get": lambda pay, payment: pay.get(payment.id),
    "find": lambda pay, payment: pay.find(payment.reference),
    "list": lambda pay, _: pay.list(),
    "events": lambda pay, payment: pay.events(payment.id),
}


@pytest.fixture
def plugins() -> Plugins:
    return toy_plugins()


@pytest.fixture
def payment(database: Database) -> Payment:
    """A payment in the ledger, made before any client is opened."""
    return paid_payment(database.open(), "order-1")


@pytest.fixture
def pay(database: Database, payment: Payment, plugins: Plugins) -> Iterator[Client]:
    with Client(toy_config(NOWHERE, database.dsn), plugins=plugins) as pay:
        yield pay


def failing(read: Read, pay: Any, payment: Payment) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        read(pay, payment)
    return caught.value


def damage(database: Database, read: str) -> None:
    """Break what this read needs."""
    table = "events" if read == "events" else "payments"
    database.run(f"ALTER TABLE {table} RENAME TO elsewhere")


@pytest.mark.parametrize("read", READS)
def test_read_in_a_forked_child_says_that_nothing_moved(pay: Client, payment: Payment, read: str) -> None:
    """The child can't read, so nothing moved."""

    def use() -> None:
        error = failing(READS[read], pay, payment)
        assert isinstance(error, LedgerUnavailable)
        assert error.money_moved == "no"

    assert in_child(use) == 0


COMMANDS: dict[str, Read] = {
    "create": lambda pay, payment: pay.create(
        reference="order-2", amount=payment.amount, method="toy", channel="web", account=ACCOUNT
    ),
    "query": lambda pay, payment: pay.query(payment.id),
    "refund": lambda pay, payment: pay.refund(payment.id, reference="back-1"),
    "close": lambda pay, payment: pay.close(payment.id),
    "capture": lambda pay, payment: pay.capture(payment.id),
    "returned": lambda pay, payment: pay.returned(payment.id, {"token": "T1"}),
    "acknowledge": lambda pay, payment: pay.acknowledge(payment.id, "paid_twice", by="Kim", note="seen"),
    "record": lambda pay, payment: pay.record(payment.id, "closed", by="Kim", note="portal"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_in_a_forked_child_says_that_nothing_moved(
    pay: Client, payment: Payment, command: str
) -> None:
    """Nothing is recorded or sent from a child."""

    def use() -> None:
        assert failing(COMMANDS[command], pay, payment).money_moved == "no"

    assert in_child(use) == 0


@pytest.mark.parametrize("read", READS)
def test_read_of_a_ledger_that_is_gone_says_that_nothing_moved(
    database: Database, pay: Client, payment: Payment, read: str
) -> None:
    """With the database gone."""
    damage(database, read)
    assert failing(READS[read], pay, payment).money_moved == "no"


@pytest.mark.parametrize("read", READS)
def test_read_by_an_async_client_says_the_same(
    database: Database, payment: Payment, plugins: Plugins, read: str
) -> None:
    async def use() -> LedgerError:
        async with AsyncClient(toy_config(NOWHERE, database.dsn), plugins=plugins) as pay:
            damage(database, read)
            with pytest.raises(LedgerError) as caught:
                await READS[read](pay, payment)
        return caught.value

    assert asyncio.run(use()).money_moved == "no"


def test_damaged_payment_says_that_nothing_moved(database: Database, pay: Client, payment: Payment) -> None:
    """An unreadable row needs an operator; reading it moves nothing."""
    database.run("UPDATE payments SET body = '{'")
    for read in ("get", "find", "list"):
        assert failing(READS[read], pay, payment).money_moved == "no"


def test_read_only_ledger_never_says_maybe(database: Database, payment: Payment) -> None:
    """The same for a read-only ledger, and for opening it."""
    looked_at = open_read_only(database.dsn)
    damage(database, "get")
    with pytest.raises(LedgerError) as caught:
        looked_at.get(payment.id).result()
    assert caught.value.money_moved == "no"
    looked_at.close()
    database.run("DELETE FROM meta WHERE schema > 1")
    with pytest.raises(LedgerError) as caught:
        open_read_only(database.dsn)
    assert caught.value.money_moved == "no"


def test_client_that_can_not_open_its_ledger_says_that_nothing_moved(plugins: Plugins) -> None:
    """Without a ledger nothing is sent."""
    for dsn in (
        "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1",
        "sqlite:////nowhere/at/all/paycore.db",
    ):
        with pytest.raises(LedgerUnavailable) as caught:
            Client(toy_config(NOWHERE, dsn), plugins=plugins)
        assert caught.value.money_moved == "no"
