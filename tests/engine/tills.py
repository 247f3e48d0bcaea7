"""`Client` and `AsyncClient` behind one interface, so that one suite tests both."""

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from paycore import AsyncClient, Client, Config, Event, Money, Payment, Totals
from paycore.domain.provider import Listed
from paycore.domain.wire import Reply
from paycore.engine.plugins import Plugins

Kind = Literal["sync", "async"]

CLIENTS: dict[Kind, Any] = {"sync": Client, "async": AsyncClient}
HKD_88 = Money("88.00", "HKD")


class Till:
    """
    The verbs of a client, called synchronously whichever client it is.

    The async client has its own loop, which runs during each verb.
    """

    def __init__(self, kind: Kind, config: Config, plugins: Plugins) -> None:
        self.kind = kind
        self._loop = asyncio.Runner() if kind == "async" else None
        self._client: Any = self._on_the_loop(lambda: CLIENTS[kind](config, plugins=plugins))

    def do(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """The result of the client's `verb`, awaited if need be."""
        return self._on_the_loop(lambda: getattr(self._client, verb)(*args, **kwargs))

    def _on_the_loop(self, call: Callable[[], Any]) -> Any:
        if self._loop is None:
            return call()

        async def on_the_loop() -> Any:
            result = call()
            return await result if inspect.isawaitable(result) else result

        return self._loop.run(on_the_loop())

    def create(self, reference: str = "order-1", amount: Money = HKD_88, **fields: Any) -> Payment:
        """A payment by link, unless `fields` say otherwise."""
        fields = {"reference": reference, "amount": amount, "method": "toy", "channel": "web", **fields}
        payment: Payment = self.do("create", **fields)
        return payment

    def sleep(self, seconds: float) -> None:
        """Let the client's worker run for this long."""
        self._on_the_loop(lambda: time.sleep(seconds) if self._loop is None else asyncio.sleep(seconds))

    def waits_for(self, payment: Payment) -> bool:
        """Whether a caller waits for this payment to change."""
        return payment.id in self._client._waiter.hub._calls

    def wait(self, payment: Payment, timeout_s: float) -> Payment:
        found: Payment = self.do("wait", payment.id, timeout_s)
        return found

    def query(self, payment: Payment) -> Payment:
        found: Payment = self.do("query", payment.id)
        return found

    def refund(self, payment: Payment, reference: str = "back-1", **fields: Any) -> Payment:
        found: Payment = self.do("refund", payment.id, reference=reference, **fields)
        return found

    def close(self, payment: Payment) -> Payment:
        found: Payment = self.do("close", payment.id)
        return found

    def receive(self, body: bytes, headers: dict[str, str], account: str = "toy") -> Reply:
        reply: Reply = self.do("receive", account, body=body, headers=headers)
        return reply

    def get(self, payment_id: str) -> Payment:
        found: Payment = self.do("get", payment_id)
        return found

    def find(self, reference: str, **fields: Any) -> Payment:
        found: Payment = self.do("find", reference, **fields)
        return found

    def list(self, **which: Any) -> tuple[Payment, ...]:
        found: tuple[Payment, ...] = self.do("list", **which)
        return found

    def totals(self, *by: Any, **which: Any) -> tuple[Totals, ...]:
        found: tuple[Totals, ...] = self.do("totals", *by, **which)
        return found

    def list_all(self, **which: Any) -> Iterator[Payment]:
        """What `list_all` iterates over, one at a time."""
        return self._iterated(self._client.list_all(**which))

    def opened(self, **which: Any) -> Iterator[Payment]:
        """What `open` iterates over, one at a time."""
        return self._iterated(self._client.open(**which))

    def listed(self, *args: Any, **which: Any) -> Iterator[Listed]:
        """What `provider_list` iterates over, one at a time."""
        return self._iterated(self._client.provider_list(*args, **which))

    def _iterated(self, items: Any) -> Iterator[Any]:
        if self._loop is None:
            yield from items
            return

        async def following() -> Any:
            return await anext(items, None)

        while (item := self._loop.run(following())) is not None:
            yield item

    def events(self, payment: Payment) -> tuple[Event, ...]:
        found: tuple[Event, ...] = self.do("events", payment.id)
        return found

    @property
    def ledger_dsn(self) -> str:
        """The DSN of its ledger, for checks from outside."""
        dsn: str = self._client._core.config.ledger
        return dsn

    def shutdown(self) -> None:
        self.do("shutdown")
        if self._loop is not None:
            self._loop.close()
