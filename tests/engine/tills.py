"""`Client` and `AsyncClient` behind one door, so that one suite holds for both."""

import asyncio
import inspect
from typing import Any, Literal

from paycore import AsyncClient, Client, Config, Event, Money, Payment
from paycore.engine.plugins import Plugins

Kind = Literal["sync", "async"]

HKD_88 = Money("88.00", "HKD")


class Till:
    """
    The verbs of a client, called from sync code whichever client it is.

    The async one lives on a loop of its own that runs while a verb does.
    """

    def __init__(self, kind: Kind, config: Config, plugins: Plugins) -> None:
        self._loop = asyncio.Runner() if kind == "async" else None
        self.client: Any = self._do(lambda: (AsyncClient if self._loop else Client)(config, plugins=plugins))

    def _do(self, call: Any) -> Any:
        if self._loop is None:
            return call()

        async def on_the_loop() -> Any:
            result = call()
            return await result if inspect.isawaitable(result) else result

        return self._loop.run(on_the_loop())

    def create(self, reference: str = "order-1", amount: Money = HKD_88, **fields: Any) -> Payment:
        """A payment by link, unless `fields` say otherwise."""
        fields = {"method": "toy", "channel": "web", **fields}
        return self._do(lambda: self.client.create(reference=reference, amount=amount, **fields))

    def wait(self, payment: Payment, timeout_s: float) -> Payment:
        return self._do(lambda: self.client.wait(payment.id, timeout_s))

    def query(self, payment: Payment) -> Payment:
        return self._do(lambda: self.client.query(payment.id))

    def refund(self, payment: Payment, reference: str = "back-1", **fields: Any) -> Payment:
        return self._do(lambda: self.client.refund(payment.id, reference=reference, **fields))

    def close(self, payment: Payment) -> Payment:
        return self._do(lambda: self.client.close(payment.id))

    def get(self, payment_id: str) -> Payment:
        return self._do(lambda: self.client.get(payment_id))

    def find(self, reference: str, **fields: Any) -> Payment:
        return self._do(lambda: self.client.find(reference, **fields))

    def list(self, **which: Any) -> tuple[Payment, ...]:
        return self._do(lambda: self.client.list(**which))

    def events(self, payment: Payment) -> tuple[Event, ...]:
        return self._do(lambda: self.client.events(payment.id))

    def shutdown(self) -> None:
        self._do(self.client.shutdown)
        if self._loop is not None:
            self._loop.close()
