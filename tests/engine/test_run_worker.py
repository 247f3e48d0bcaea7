"""`run_worker`: workers share the work, a slow account holds up no other one, and ending takes seconds."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import AsyncClient, Client, Money, Payment, Status
from paycore.domain.asking import Question
from paycore.engine.accounts import Account
from paycore.engine.config import Config
from paycore.engine.effects import Program
from paycore.engine.worker import DRAIN_S, QuestionEnded
from paycore.errors import ConfigError, InvalidField
from paycore.ledger import open_ledger
from paycore.ledger.api import Claimed, Filter
from paycore.ledger.base import SqlLedger
from paycore.testing.toy import ToyGateway
from tests.engine.conftest import OpenTill
from tests.engine.tills import Kind
from tests.support.toy_http import KEY, ToyServer, toy_config, toy_plugins, toy_server

HKD_88 = Money("88.00", "HKD")
ORDERS = 60
SLACK_S = 2.0


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger on each database."""
    address = f"sqlite:///{tmp_path}/paycore.db"
    return address if request.param == "sqlite" else str(request.getfixturevalue("postgres_dsn"))


def at(gateway: ToyServer, dsn: str, **settings: Any) -> Config:
    """A configuration of one account, whose gateway is asked about one payment at a time."""
    return toy_config(gateway.url, dsn, batch=1, **settings)


@asynccontextmanager
async def working(*clients: AsyncClient) -> AsyncIterator[None]:
    """A worker of each client runs inside the block."""
    tasks = [asyncio.create_task(client.run_worker()) for client in clients]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_paid(ledger: SqlLedger, orders: int) -> None:
    give_up_at = time.monotonic() + 60
    while len(ledger.list(Filter(status=Status.PAID, limit=1000)).result()) < orders:
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.05)


def test_two_workers_split_the_load(gateway: ToyServer, dsn: str) -> None:
    """Each asks about some of the payments, and no payment is asked about by both at a time."""
    gateway.gateway.requests.clear()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            maker, *workers = [
                await stack.enter_async_context(AsyncClient(at(gateway, dsn), plugins=toy_plugins()))
                for _ in range(3)
            ]
            for number in range(ORDERS):
                payment = await maker.create(
                    reference=f"order-{number}", amount=HKD_88, method="toy", channel="web"
                )
                gateway.pay(payment.order_number)
            asked = [_counted(worker) for worker in workers]
            with closing(open_ledger(dsn)) as ledger:
                async with working(*workers):
                    await until_paid(ledger, ORDERS)
            shares = [sum(counts.values()) for counts in asked]
            assert sum(shares) == ORDERS, "each is asked about once"
            assert min(shares) >= ORDERS / 6, shares

    asyncio.run(main())


def _counted(client: AsyncClient) -> Counter[str]:
    """How often this client's worker asked about each payment."""
    counts, ask = Counter[str](), client._core.worker.ask

    def counting(account: Account, claimed: Claimed, question: Question) -> Program[QuestionEnded]:
        counts.update(question.ids)
        return ask(account, claimed, question)

    client._core.worker.ask = counting  # type: ignore[method-assign]
    return counts


@pytest.fixture
def slow_gateway() -> Iterator[ToyServer]:
    """A second gateway."""
    with toy_server(ToyGateway(key=KEY)) as server:
        yield server


def test_slow_account_holds_up_no_other(gateway: ToyServer, slow_gateway: ToyServer, tmp_path: Path) -> None:
    """While every question of one account takes its whole time, another one is asked as if it were alone."""
    config = at(gateway, f"sqlite:///{tmp_path}/paycore.db", timeout_s=20)
    slow = replace(config.accounts["toy"], name="slow", base_url=slow_gateway.url)
    config = replace(config, accounts={"slow": slow, **config.accounts})

    async def main() -> None:
        async with AsyncClient(config, plugins=toy_plugins()) as pay:
            for account in ("slow", "toy"):
                for number in range(6):
                    payment = await pay.create(
                        reference=f"{account}-{number}",
                        amount=HKD_88,
                        method="toy",
                        channel="web",
                        account=account,
                    )
                    server = slow_gateway if account == "slow" else gateway
                    server.pay(payment.order_number)
            slow_gateway.set_faults(delay_s=15)
            begun = time.monotonic()
            async with working(pay):
                await until_paid(pay._core.ledger, 6)
                assert time.monotonic() - begun < 10
            left = await pay.list(status=Status.PENDING)
            assert {payment.account for payment in left} == {"slow"}
            slow_gateway.set_faults()

    asyncio.run(main())


def test_cancelled_worker_ends_in_time(gateway: ToyServer, tmp_path: Path) -> None:
    """Cancelling it lets an answer that is on its way be recorded; one that takes longer is left."""

    async def main() -> None:
        config = at(gateway, f"sqlite:///{tmp_path}/paycore.db", timeout_s=30)
        async with AsyncClient(config, plugins=toy_plugins()) as pay:
            payment = await pay.create(reference="order-1", amount=HKD_88, method="toy", channel="web")
            gateway.pay(payment.order_number)
            for delay_s, status in ((20.0, Status.PENDING), (1.0, Status.PAID)):
                gateway.set_faults(delay_s=delay_s)
                before = _queries(gateway)
                working = asyncio.create_task(pay.run_worker())
                await asyncio.to_thread(_until_asked, gateway, before)
                begun = time.monotonic()
                working.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await working
                assert time.monotonic() - begun < DRAIN_S + SLACK_S
                assert (await pay.get(payment.id)).status is status
                gateway.set_faults()

    asyncio.run(main())


def test_worker_ends_with_its_client(gateway: ToyServer, tmp_path: Path) -> None:
    """`shutdown` in another thread ends it, whatever is on its way."""
    with ExitStack() as stack:
        client = Client(at(gateway, f"sqlite:///{tmp_path}/paycore.db", timeout_s=30), plugins=toy_plugins())
        stack.callback(client.shutdown)
        payment = client.create(reference="order-1", amount=HKD_88, method="toy", channel="web")
        gateway.set_faults(delay_s=8)
        thread = threading.Thread(target=client.run_worker)
        thread.start()
        _until_asked(gateway, 0)
        begun = time.monotonic()
        client.shutdown()
        thread.join()
        assert time.monotonic() - begun < DRAIN_S + SLACK_S
        gateway.set_faults()
    assert payment.status is Status.PENDING


def test_closing_the_client_lets_an_answer_on_its_way_be_recorded(
    gateway: ToyServer, tmp_path: Path, kind: Kind
) -> None:
    """What its worker has asked when `shutdown` is called is heard, not thrown away."""
    config = at(gateway, f"sqlite:///{tmp_path}/paycore.db", timeout_s=30)

    if kind == "sync":
        client = Client(config, plugins=toy_plugins())
        payment = client.create(reference="order-1", amount=HKD_88, method="toy", channel="web")
        gateway.pay(payment.order_number)
        gateway.set_faults(delay_s=1)
        thread = threading.Thread(target=client.run_worker)
        thread.start()
        _until_asked(gateway, 0)
        client.shutdown()
        thread.join()
        client.run_worker()  # once it is closed there is nothing to do
    else:
        payment = asyncio.run(_closed_while_asking(config, gateway))
    gateway.set_faults()
    with closing(open_ledger(config.ledger)) as ledger:
        assert ledger.get(payment.id).result().status is Status.PAID


async def _closed_while_asking(config: Config, gateway: ToyServer) -> Payment:
    pay = AsyncClient(config, plugins=toy_plugins())
    payment = await pay.create(reference="order-1", amount=HKD_88, method="toy", channel="web")
    gateway.pay(payment.order_number)
    gateway.set_faults(delay_s=1)
    working = asyncio.create_task(pay.run_worker())
    await asyncio.to_thread(_until_asked, gateway, 0)
    await pay.shutdown()
    await working
    await asyncio.wait_for(pay.run_worker(), SLACK_S)
    return payment


@pytest.mark.parametrize("verb", ["run_worker", "resolve"])
def test_no_account_is_an_error(open_till: OpenTill, verb: str) -> None:
    """An empty list is a slip: nothing would be looked after."""
    with pytest.raises(InvalidField, match="accounts"):
        open_till().do(verb, accounts=[])


def test_unknown_account_is_an_error(gateway: ToyServer, tmp_path: Path) -> None:
    """An account that the configuration does not have is refused at once."""
    config = at(gateway, f"sqlite:///{tmp_path}/paycore.db")
    with Client(config, plugins=toy_plugins()) as client, pytest.raises(ConfigError, match="nobody"):
        client.run_worker(accounts=["nobody"])


def _queries(gateway: ToyServer) -> int:
    return gateway.counts().requests.get("/query", 0)


def _until_asked(gateway: ToyServer, before: int) -> None:
    while _queries(gateway) == before:
        time.sleep(0.02)
