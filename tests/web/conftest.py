"""The receiver over real HTTP, with a client of either kind, beside a shop on the same ledger."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from starlette.types import ASGIApp

from paycore import AsyncClient, Client, Money, Payment
from paycore.engine.config import Config
from paycore.serving import HttpServer, listen
from paycore.web import notifications
from tests.support.toy_http import ToyServer, toy_config, toy_plugins, toy_server

Kind = Literal["sync", "async"]


@contextmanager
def served(kind: Kind, config: Config, make: Callable[[Client | AsyncClient], ASGIApp]) -> Iterator[str]:
    """The URL of the application that is made for a client of this kind, in a thread of its own."""
    listener = listen("127.0.0.1", 0)
    ready = threading.Event()
    servers: list[HttpServer] = []

    async def serve() -> None:
        client = (Client if kind == "sync" else AsyncClient)(config, plugins=toy_plugins())
        try:
            app = make(client)
            servers.append(HttpServer(app, on_ready=ready.set, grace_s=1.0))
            await servers[0].serve_on(listener)
        finally:
            if isinstance(client, AsyncClient):
                await client.shutdown()
            else:
                client.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="receiver")
    thread.start()
    try:
        assert ready.wait(20)
        yield listener.url
    finally:
        servers[0].should_exit = True
        thread.join()


class Shop:
    """Makes payments in the ledger of a receiver, and sends it notifications."""

    def __init__(self, gateway: ToyServer, config: Config, kind: Kind, stack: ExitStack) -> None:
        self.gateway = gateway
        self.config = config
        self.pay = stack.enter_context(Client(config, plugins=toy_plugins()))
        self.http = stack.enter_context(httpx2.Client(trust_env=False, timeout=30))
        self.url = ""
        self._kind = kind
        self._stack = stack

    def serve(self, **limits: Any) -> None:
        """Start the receiver."""
        self.url = self._stack.enter_context(
            served(self._kind, self.config, partial(notifications, **limits))
        )

    def create(self, reference: str = "order-1") -> Payment:
        """A pending payment."""
        return self.pay.create(reference=reference, amount=Money("88.00", "HKD"), method="toy", channel="web")

    def paid(self, reference: str = "order-1") -> tuple[Payment, bytes, dict[str, str]]:
        """A payment that was paid at the gateway, which nobody knows yet, and the notification of it."""
        payment = self.create(reference)
        self.gateway.pay(payment.order_number)
        return payment, *self.gateway.notification(payment.order_number)

    def post(self, body: Any, headers: dict[str, str], path: str = "/toy") -> httpx2.Response:
        """Send a notification."""
        return self.http.post(self.url + path, content=body, headers=headers)


@pytest.fixture
def gateway() -> Iterator[ToyServer]:
    """The toy gateway over HTTP."""
    with toy_server() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which client receives."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def shop(gateway: ToyServer, kind: Kind, tmp_path: Path) -> Iterator[Shop]:
    """A shop on SQLite; its receiver is started by the test."""
    config = toy_config(gateway.url, f"sqlite:///{tmp_path / 'paycore.db'}", timeout_s=2.0)
    with ExitStack() as stack:
        yield Shop(gateway, config, kind, stack)
