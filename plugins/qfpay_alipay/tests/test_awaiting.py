"""A worker that looks after many orders of one account, against the sandbox with QFPay's limits over real HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from paycore import AsyncClient, Client, Money, Payment, Status, load_config
from paycore.engine.config import Config
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

ORDERS = 40
PAID = 37
WITHIN_S = 30.0


@pytest.fixture
def gateway() -> Iterator[SandboxServer]:
    """With the limits that QFPay documents."""
    with SandboxServer(QFPaySandbox()) as server:
        yield server


def shop(gateway: SandboxServer, folder: Path, name: str) -> Config:
    """A shop with a ledger of its own; all share one account at QFPay."""
    path = folder / f"{name}.toml"
    path.write_text(
        f'ledger = "sqlite:///{name}.db"\n[accounts.shop]\nprovider = "qfpay-alipay"\nmode = "sandbox"\n'
        f'base_url = "{gateway.url}"\nregion = "hk"\n'
        + "".join(f'{key} = "{gateway.settings[key]}"\n' for key in ("app_code", "client_key"))
    )
    return load_config(path)


def made(client: Client, reference: str) -> Payment:
    """A pending order."""
    return client.create(reference=reference, amount=Money("88.00", "HKD"), method="alipay", channel="qr")


def until(is_over: Callable[[], bool]) -> None:
    """Return once it is, or after `WITHIN_S`."""
    ends = time.monotonic() + WITHIN_S
    while not is_over() and time.monotonic() < ends:
        time.sleep(0.1)


def with_a_thread(client: Client, config: Config, is_over: Callable[[], bool]) -> None:
    """`Client.run_worker` meanwhile."""
    worker = threading.Thread(target=client.run_worker)
    worker.start()
    try:
        until(is_over)
    finally:
        client.shutdown()
        worker.join()


def with_a_task(client: Client, config: Config, is_over: Callable[[], bool]) -> None:
    """`AsyncClient.run_worker` meanwhile."""

    async def run() -> None:
        async with AsyncClient(config) as pay:
            worker = asyncio.create_task(pay.run_worker())
            await asyncio.to_thread(until, is_over)
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

    asyncio.run(run())


@pytest.mark.parametrize("work", [with_a_thread, with_a_task])
def test_many_orders_are_known_from_few_requests(
    gateway: SandboxServer,
    tmp_path: Path,
    work: Callable[[Client, Config, Callable[[], bool]], None],
) -> None:
    """
    Pages of the list tell of many at once, beside as many orders of another shop; none is refused.

    What the list calls failed is asked about by its number, and then has failed.
    """
    config = shop(gateway, tmp_path, "ours")
    with Client(shop(gateway, tmp_path, "others")) as others, Client(config) as client:
        controls = gateway.gateway.controls
        ours = []
        for index in range(ORDERS):
            ours.append(made(client, f"o-{index}"))
            made(others, f"x-{index}")
        for payment in ours[:PAID]:
            controls.pay(payment.order_number)
        controls.decline(ours[PAID].order_number)
        asked = controls.stats()["requests"].get("/trade/v1/query", 0)
        with Client(config) as looking:

            def statuses() -> Counter[Status]:
                return Counter(one.status for one in looking.list_all())

            known = Counter({Status.PAID: PAID, Status.FAILED: 1, Status.PENDING: ORDERS - PAID - 1})
            work(client, config, lambda: statuses() == known)
            assert statuses() == known
    stats = controls.stats()
    assert stats["limited"] == 0
    assert stats["requests"]["/trade/v1/query"] - asked <= 20
