"""An async caller is cancelled at any moment: its client keeps working, and money moves once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from paycore import AsyncClient, Money, Payment, Status
from paycore.domain.payment import RefundStatus
from paycore.engine.bridge import Bridge
from paycore.ledger.sqlite.ledger import SqliteLedger
from tests.engine.conftest import PROOF_S, TIMEOUT_S
from tests.ledger.workload import begun
from tests.support.toy_http import ToyServer, toy_config, toy_plugins

STEPS = range(12)
"""After how many iterations of the loop the call is cancelled: from none to more than it takes."""


@asynccontextmanager
async def opened(gateway: ToyServer, folder: Path) -> AsyncIterator[AsyncClient]:
    """A client on a ledger of its own."""
    config = toy_config(
        gateway.url, f"sqlite:///{folder / 'paycore.db'}", timeout_s=TIMEOUT_S, proof_s=PROOF_S
    )
    async with AsyncClient(config, plugins=toy_plugins()) as pay:
        yield pay


async def _create(pay: AsyncClient) -> Payment:
    return await pay.create(reference="order-1", amount=Money("88.00", "HKD"), method="toy", channel="web")


async def _cancel_after(task: asyncio.Task[Payment], turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("turns", STEPS)
def test_cancelled_create_is_finished_by_the_next_call(
    gateway: ToyServer, tmp_path: Path, turns: int
) -> None:
    """Creating again gives the same payment, with one order at the provider, and a link."""

    async def main() -> None:
        async with opened(gateway, tmp_path) as pay:
            await _cancel_after(asyncio.create_task(_create(pay)), turns)
            payment = await _create(pay)
            assert payment.status is Status.PENDING
            assert payment.action is not None
        counts = gateway.counts()
        assert [record["status"] for record in counts.records].count("pending") == 1

    asyncio.run(main())


@pytest.mark.parametrize("turns", STEPS)
def test_cancelled_refund_is_made_once(gateway: ToyServer, tmp_path: Path, turns: int) -> None:
    """Refunding again gives the same refund, made once."""

    async def main() -> None:
        async with opened(gateway, tmp_path) as pay:
            payment = await _create(pay)
            gateway.pay(payment.order_number)
            await pay.query(payment.id)
            await _cancel_after(asyncio.create_task(pay.refund(payment.id, reference="back-1")), turns)
            payment = await pay.refund(payment.id, reference="back-1")
            refund = payment.refund("back-1")
            assert refund is not None
            assert refund.status is RefundStatus.SUCCEEDED
        assert list(gateway.counts().refunds.values()) == [1]

    asyncio.run(main())


def test_cancelled_transaction_takes_place_and_the_ledger_goes_on(tmp_path: Path) -> None:
    """Cancelling a transaction neither undoes it nor affects later ones."""

    async def main() -> None:
        ledger, bridge = SqliteLedger(tmp_path / "ledger.db"), Bridge()
        waiting = asyncio.create_task(bridge.result(ledger.begin(*begun("order-1"))))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(10):
            await bridge.result(ledger.begin(*begun("order-2")))
            found = await bridge.result(ledger.find("hk", "order-1"))
            assert len(found) == 1
        ledger.close()

    asyncio.run(main())


def test_wrapped_future_that_is_cancelled_does_no_harm_either(tmp_path: Path) -> None:
    """Cancelling a wrapped ledger future does not cancel the transaction."""

    async def main() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db")
        wrapped = asyncio.wrap_future(ledger.begin(*begun("order-1")))
        wrapped.cancel()
        assert await asyncio.to_thread(lambda: ledger.begin(*begun("order-2")).result(10).events)
        assert ledger.find("hk", "order-1").result()
        ledger.close()

    asyncio.run(main())
