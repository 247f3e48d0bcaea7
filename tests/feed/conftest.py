"""A toy gateway, and shops on one ledger of either database: what the tests of the change feed run on."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from paycore import AsyncClient, Client, Money, Payment, PaymentChange
from paycore.engine.config import Config
from paycore.ledger import open_ledger
from paycore.ledger.base import SqlLedger
from tests.support.toy_http import ToyServer, toy_config, toy_plugins, toy_server

HKD_88 = Money("88.00", "HKD")


class Shop:
    """A gateway, a ledger, and clients that are like processes of their own."""

    def __init__(self, gateway: ToyServer, dsn: str, stack: ExitStack) -> None:
        self.gateway = gateway
        self.dsn = dsn
        self._stack = stack

    @property
    def config(self) -> Config:
        """One account at the gateway, on the ledger."""
        return toy_config(self.gateway.url, self.dsn)

    def open(self) -> Client:
        """Open a client, closed after the test."""
        return self._stack.enter_context(Client(self.config, plugins=toy_plugins()))

    def open_async(self) -> AsyncClient:
        """For `async with`."""
        return AsyncClient(self.config, plugins=toy_plugins())

    def ledger(self) -> SqlLedger:
        """Open the ledger alone, closed after the test."""
        return self._stack.enter_context(closing(open_ledger(self.dsn)))

    def order(self, pay: Client, reference: str) -> Payment:
        """A payment whose payer has not paid yet."""
        return pay.create(reference=reference, amount=HKD_88, method="toy", channel="web")

    def paid(self, pay: Client, reference: str) -> Payment:
        """A payment that was paid."""
        payment = self.order(pay, reference)
        self.gateway.pay(payment.order_number)
        return pay.query(payment.id)


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/paycore.db"
    found: str = request.getfixturevalue("postgres_dsn")
    return found


@pytest.fixture
def shop(dsn: str) -> Iterator[Shop]:
    """A shop on an empty ledger of each kind."""
    with ExitStack() as stack:
        yield Shop(stack.enter_context(toy_server()), dsn, stack)


def told(changes: Sequence[PaymentChange]) -> list[tuple[str, str]]:
    """Each change as its reference and kind."""
    return [(change.payment.reference, change.kind.value) for change in changes]


def drain(pay: Client, consumer: str = "shop", **options: object) -> list[PaymentChange]:
    """Acknowledge everything there is for this consumer, and return it."""
    return list(pay.changes(consumer, follow=False, **options))  # type: ignore[arg-type]
