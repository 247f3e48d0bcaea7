"""A sandbox of PayPal's, and shops of both kinds that are paid there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from paycore.engine.config import parse_config
from paycore.sandbox.server import SandboxServer
from paycore.testing.twins import TWINS
from paypal_orders.sandbox import PayPalSandbox

OpenSandbox = Callable[..., SandboxServer]
OpenShop = Callable[..., Any]


@pytest.fixture
def open_sandbox() -> Iterator[OpenSandbox]:
    """`open_sandbox(settings=..., state=..., notify_url=...)`: a new sandbox, until the end of the test."""
    with ExitStack() as stack:

        def open_sandbox(**options: Any) -> SandboxServer:
            return stack.enter_context(SandboxServer(PayPalSandbox(), **options))

        yield open_sandbox


@pytest.fixture
def sandbox(open_sandbox: OpenSandbox) -> SandboxServer:
    """A sandbox as it is."""
    return open_sandbox()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Runs every test that opens a shop with both clients."""
    kind: str = request.param
    return kind


@pytest.fixture
def open_shop(kind: str, tmp_path: Path) -> Iterator[OpenShop]:
    """`open_shop(sandbox, **settings)`: a client with one account, `shop`, all on one ledger."""
    with ExitStack() as stack:

        def open_shop(sandbox: SandboxServer, *, timeout_s: float = 5.0, **settings: Any) -> Any:
            table: dict[str, Any] = {"provider": "paypal-orders", "mode": "sandbox", "base_url": sandbox.url}
            table |= {"timeout_s": timeout_s, **sandbox.settings, **settings}
            config = parse_config(
                {"ledger": "sqlite:///shop.db", "default_account": "shop", "accounts": {"shop": table}},
                tmp_path / "paycore.toml",
            )
            shop: Any = TWINS[kind](config, None)
            stack.callback(shop.shutdown)
            return shop

        yield open_shop


@pytest.fixture
def shop(open_shop: OpenShop, sandbox: SandboxServer) -> Any:
    """A shop of that sandbox."""
    return open_shop(sandbox)
