"""Providers with nothing in common, each with its sandbox, and one shop that knows them by its configuration alone."""

import asyncio
import json
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paycore import Client, Payment
from paycore.engine.config import load_config
from paycore.engine.plugins import Plugins
from paycore.plugin import Product
from paycore.sandbox.server import SandboxServer
from paycore.serving import HttpListener, HttpServer, listen
from paycore.testing.twins import TWINS
from paycore.web import notifications

ROOT = Path(__file__).parents[2]

METHODS = {
    "qfpay-alipay": "alipay",
    "stripe-checkout": "card",
    "paypal-orders": "paypal",
    "bank-transfer": "bank_transfer",
}
"""Every provider, and the default method of its account: all that a configuration has beside what a sandbox names."""


@pytest.fixture(scope="session")
def installed_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example provider of one file is installed in, as its wheel has it."""
    folder = tmp_path_factory.mktemp("bank")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT / "examples" / "providers", check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty ledger of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/paycore.db"
    found: str = request.getfixturevalue("postgres_dsn")
    return found


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two clients the shop uses."""
    found: str = request.param
    return found


class Heard:
    """Counts what a receiver answers, by account and status."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self._answers: Counter[tuple[str, int]] = Counter()
        self._changed = threading.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                with self._changed:
                    self._answers[scope["path"].rpartition("/")[2], message["status"]] += 1
                    self._changed.notify_all()

        assert self.app is not None
        await self.app(scope, receive, counted)

    def took(self, account: str, timeout_s: float = 3.0) -> bool:
        """Whether a notification of this account is taken in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: any(name == account and status < 300 for name, status in self._answers), timeout_s
            )


class Street:
    """The sandboxes that are open, one configuration for all of them, and a receiver of their notifications."""

    def __init__(self, folder: Path, dsn: str, stack: ExitStack) -> None:
        self.config = folder / "paycore.toml"
        self.heard = Heard()
        self._dsn = dsn
        self._stack = stack
        self._sandboxes: dict[str, SandboxServer] = {}
        self._listener = listen("127.0.0.1", 0)
        self._plugins = Plugins()

    def open(self, *names: str) -> None:
        """Serve these providers' sandboxes, and write the configuration; the first is the default account."""
        for name in names:
            url = self.notify_url(name)
            server = SandboxServer(self._plugins.sandboxes()[name], notify_url=url)
            self._sandboxes[name] = self._stack.enter_context(server)
        self.switch(names[0])
        self._serve(self._listener)

    def switch(self, name: str) -> None:
        """Make this account the default one: all that a switch of provider changes."""
        lines = [f'default_account = "{name}"', f'ledger = "{self._dsn}"']
        for account, server in self._sandboxes.items():
            lines += [f"[accounts.{account}]", f'provider = "{account}"', 'mode = "sandbox"']
            keys = {"base_url": server.url, "default_method": METHODS[account], **server.settings}
            lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        self.config.write_text("\n".join(lines), encoding="utf-8")

    def notify_url(self, name: str) -> str:
        """Where a provider's notifications are received."""
        return f"{self._listener.url}/{name}"

    def has_notifications(self, name: str) -> bool:
        """Whether the provider sends any."""
        return hasattr(self._plugins.provider(name), "verify")

    def sandbox(self, name: str) -> Any:
        """The controls of a provider's sandbox."""
        return self._sandboxes[name].gateway.controls

    def fault(self, name: str, kind: str, **options: Any) -> None:
        """What goes wrong next at this provider."""
        self._sandboxes[name].gateway.faults.add(kind, **options)

    def client(self, kind: str) -> Any:
        """A shop's client, like a process of its own; closed after the test."""
        twin = TWINS[kind](load_config(self.config), None)
        self._stack.callback(twin.shutdown)
        return twin

    def product(self, payment: Payment) -> Product:
        """What its account declares of the payment's product."""
        with Client(self.config) as pay:
            (account,) = [info for info in pay.accounts() if info.name == payment.account]
        return next(
            product
            for product in account.products
            if (product.method, product.channel) == (payment.method, payment.channel)
        )

    def _serve(self, listener: HttpListener) -> None:
        client = self._stack.enter_context(Client(self.config))
        self.heard.app = notifications(client)
        ready = threading.Event()
        server = HttpServer(self.heard, on_ready=ready.set, grace_s=0.5)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve_on(listener)), daemon=True)
        thread.start()
        assert ready.wait(10)

        def stop() -> None:
            server.should_exit = True
            thread.join(10)

        self._stack.callback(stop)


@pytest.fixture
def street(
    dsn: str, tmp_path: Path, installed_bank: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Street]:
    """Opens the sandboxes that a test names."""
    monkeypatch.syspath_prepend(installed_bank)
    with ExitStack() as stack:
        yield Street(tmp_path, dsn, stack)
