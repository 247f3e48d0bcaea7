"""A sandbox and clients of both kinds that pay there, for the tests that go the whole way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from paycore.engine.config import parse_config
from paycore.engine.plugins import Plugins
from paycore.ledger.clock import utc_now
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.sandbox.server import SandboxServer
from paycore.testing.twins import TWINS
from plugins.stripe_checkout.tests.receiver import Receiver, receiving
from stripe_checkout.sandbox import StripeSandbox

OpenSandbox = Callable[..., SandboxServer]
OpenShop = Callable[..., Any]


@pytest.fixture
def open_sandbox() -> Iterator[OpenSandbox]:
    """`open_sandbox(settings, state=..., notify_url=...)`: a sandbox without request limits."""
    with ExitStack() as stack:

        def open_sandbox(settings: dict[str, str] | None = None, **options: Any) -> SandboxServer:
            limits = {"rate_per_s": "0"}
            server = SandboxServer(StripeSandbox(), settings=limits | (settings or {}), **options)
            return stack.enter_context(server)

        yield open_sandbox


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Runs every test that opens a shop with both clients."""
    kind: str = request.param
    return kind


@pytest.fixture
def open_shop(kind: str, tmp_path: Path) -> Iterator[OpenShop]:
    """`open_shop(sandbox, later=..., **settings)`: a client at a sandbox, all on one ledger."""
    with ExitStack() as stack:

        def open_shop(
            sandbox: SandboxServer, *, later: timedelta = timedelta(0), base_url: str = "", **settings: Any
        ) -> Any:
            account: dict[str, Any] = {
                "provider": "stripe-checkout",
                "mode": "sandbox",
                "base_url": base_url or sandbox.url,
            }
            account |= {"timeout_s": 3.0, **sandbox.settings, **settings}
            document = {
                "ledger": "sqlite:///shop.db",
                "default_account": "shop",
                "accounts": {"shop": account},
            }
            config = parse_config(document, tmp_path / "paycore.toml")
            clock = mock.patch.dict(SqliteLedger.__init__.__kwdefaults__, clock=lambda: utc_now() + later)
            with clock:
                shop: Any = TWINS[kind](config, Plugins())
            stack.callback(shop.shutdown)
            return shop

        yield open_shop


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook endpoint."""
    with receiving() as receiver:
        yield receiver
