"""An AsyncClient belongs to one event loop: on another it raises at once, and neither reads nor sends."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from paycore import AsyncClient, Client, Config, Money, Status
from paycore.errors import WrongLoop
from tests.engine.conftest import PROOF_S, TIMEOUT_S
from tests.support.toy_http import ToyServer, toy_config, toy_plugins

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ORDER: dict[str, Any] = {"amount": Money("88.00", "HKD"), "method": "toy", "channel": "web"}

VERBS: dict[str, Callable[[AsyncClient, str], Awaitable[object]]] = {
    "create": lambda pay, _: pay.create(reference="order-2", **ORDER),
    "create again": lambda pay, _: pay.create(reference="order-1", **ORDER),
    "wait": lambda pay, payment_id: pay.wait(payment_id, 5),
    "query": lambda pay, payment_id: pay.query(payment_id),
    "refund": lambda pay, payment_id: pay.refund(payment_id, reference="back-1"),
    "close": lambda pay, payment_id: pay.close(payment_id),
    "capture": lambda pay, payment_id: pay.capture(payment_id),
    "returned": lambda pay, payment_id: pay.returned(payment_id, {"token": "T1"}),
    "acknowledge": lambda pay, payment_id: pay.acknowledge(payment_id, "paid_twice", by="Kim", note="seen"),
    "record": lambda pay, payment_id: pay.record(payment_id, "closed", by="Kim", note="portal"),
    "reconcile": lambda pay, _: pay.reconcile(since=LONG_AGO),
    "provider_list": lambda pay, _: anext(pay.provider_list(since=LONG_AGO, until=datetime.now(UTC))),
    "accounts": lambda pay, _: pay.accounts(),
    "receive": lambda pay, _: pay.receive("toy", body=b"{}", headers={}),
    "get": lambda pay, payment_id: pay.get(payment_id),
    "find": lambda pay, _: pay.find("order-1"),
    "list": lambda pay, _: pay.list(),
    "events": lambda pay, payment_id: pay.events(payment_id),
    "open": lambda pay, _: anext(pay.open()),
    "enter": lambda pay, _: pay.__aenter__(),
}
"""Everything an AsyncClient does but `shutdown`."""


@pytest.fixture
def config(gateway: ToyServer, tmp_path: Path) -> Config:
    """A configuration with the test's own ledger and gateway."""
    return toy_config(
        gateway.url, f"sqlite:///{tmp_path / 'paycore.db'}", timeout_s=TIMEOUT_S, proof_s=PROOF_S
    )


@pytest.fixture
def elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    """A second event loop, running in a separate thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def on(loop: asyncio.AbstractEventLoop, call: Callable[[], Awaitable[object]]) -> object:
    """The result of the call on that loop, which must come quickly."""

    async def called() -> object:
        return await call()

    future = asyncio.run_coroutine_threadsafe(called(), loop)
    return await asyncio.wait_for(asyncio.wrap_future(future), 1)


def test_second_loop_beside_the_first_is_refused_for_every_verb(
    gateway: ToyServer, config: Config, elsewhere: asyncio.AbstractEventLoop
) -> None:
    """`WrongLoop` at once, nothing recorded or sent; the client still works on its own loop."""

    async def main() -> None:
        async with AsyncClient(config, plugins=toy_plugins()) as pay:
            payment = await pay.create(reference="order-1", **ORDER)
            requests = len(gateway.gateway.requests)
            for verb, call in {**VERBS, "shutdown": lambda pay, _: pay.shutdown()}.items():
                with pytest.raises(WrongLoop, match="in each event loop") as refused:
                    await on(elsewhere, lambda call=call: call(pay, payment.id))  # type: ignore[misc]
                assert refused.value.money_moved == "no", verb
            assert len(gateway.gateway.requests) == requests
            assert [known.reference for known in await pay.list()] == ["order-1"]
            gateway.pay(payment.order_number)
            assert (await pay.wait(payment.id, 10)).status is Status.PAID

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_client_whose_loop_has_ended_is_refused_for_every_verb(gateway: ToyServer, config: Config) -> None:
    """One client in two `asyncio.run`: the second gets an error, and can close the client."""
    payment_id = _runs_twice(gateway, config)
    gc.collect()  # the connections that ended with their loop: Python warns of them here, and in no other test
    with Client(config, plugins=toy_plugins()) as other:
        assert [known.id for known in other.list()] == [payment_id]


def _runs_twice(gateway: ToyServer, config: Config) -> str:
    pay = AsyncClient(config, plugins=toy_plugins())
    payment_id = asyncio.run(_created(pay))
    requests = len(gateway.gateway.requests)

    async def again() -> None:
        for call in VERBS.values():
            with pytest.raises(WrongLoop, match="has ended"):
                await asyncio.wait_for(call(pay, payment_id), 1)
        assert len(gateway.gateway.requests) == requests
        await pay.shutdown()

    asyncio.run(again())
    return payment_id


async def _created(pay: AsyncClient) -> str:
    payment = await pay.create(reference="order-1", **ORDER)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pay.wait(payment.id, 60), 0.2)  # its worker runs, too
    return payment.id


def test_of_two_concurrent_loops_one_is_served(
    gateway: ToyServer, config: Config, elsewhere: asyncio.AbstractEventLoop
) -> None:
    """The first loop has the client; the other gets an error, and none hangs."""
    pay = AsyncClient(config, plugins=toy_plugins())

    async def main() -> None:
        orders = [
            lambda: pay.create(reference="order-1", **ORDER),
            lambda: pay.create(reference="order-2", **ORDER),
        ]
        here, there = await asyncio.gather(orders[0](), on(elsewhere, orders[1]), return_exceptions=True)
        assert [isinstance(came, WrongLoop) for came in (here, there)].count(True) == 1
        assert len(gateway.gateway.orders) == 1
        await (pay.shutdown() if isinstance(there, WrongLoop) else on(elsewhere, pay.shutdown))

    asyncio.run(main())


def test_client_made_before_its_loop_runs_belongs_to_the_first_that_uses_it(config: Config) -> None:
    """Frameworks construct clients outside any loop."""
    pay = AsyncClient(config, plugins=toy_plugins())

    async def main() -> None:
        async with pay:
            assert await pay.list() == ()

    asyncio.run(main())


def test_sync_client_serves_threads_that_have_loops(
    config: Config, elsewhere: asyncio.AbstractEventLoop
) -> None:
    """A `Client` is shared between threads, also those that run loops."""

    async def main() -> None:
        with Client(config, plugins=toy_plugins()) as pay:
            here = pay.create(reference="order-1", **ORDER)

            async def there() -> object:
                return pay.get(here.id)

            assert await on(elsewhere, there) == here
            assert await asyncio.to_thread(pay.create, reference="order-1", **ORDER) == here

    asyncio.run(main())
