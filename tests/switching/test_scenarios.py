"""Rules of a sandbox reach the orders of every provider: told once by each gateway, carried out in one place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.providers import bank_transfer
from paycore import Client, Config, Money
from paycore.engine.config import AccountConfig
from paycore.engine.plugins import Plugins
from paycore.sandbox.scenario import read_auto_pay
from paycore.sandbox.server import SandboxServer
from tests.switching.conftest import METHODS

PLUGINS = Plugins(extra=[("bank-transfer", bank_transfer)])


@pytest.fixture(params=sorted(METHODS))
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider there is."""
    found: str = request.param
    return found


def opened(provider: str, folder: Path, **options: Any) -> tuple[SandboxServer, Client]:
    """A sandbox, and a shop that has an account at it."""
    server = SandboxServer(PLUGINS.sandboxes()[provider], **options)
    server.start()
    account = AccountConfig(
        name="shop",
        provider=provider,
        mode="sandbox",
        base_url=server.url,
        timeout_s=5.0,
        default_method=METHODS[provider],
        settings=dict(server.settings),
    )
    config = Config(
        path=folder / "paycore.toml",
        ledger=f"sqlite:///{folder / 'paycore.db'}",
        default_account="shop",
        accounts={"shop": account},
    )
    return server, Client(config, plugins=PLUGINS)


@pytest.fixture
def shop(provider: str, tmp_path: Path) -> Iterator[tuple[SandboxServer, Client]]:
    """Every order is paid after ten seconds, but for some."""
    rules = ["10", "reference:close-=off", "amount:9.99=off", f"method:{METHODS[provider]},amount:7=2"]
    server, pay = opened(provider, tmp_path, scenario=read_auto_pay(rules))
    with pay:
        yield server, pay
    server.stop()


def test_rules_by_reference_amount_and_method(provider: str, shop: tuple[SandboxServer, Client]) -> None:
    """Where an order does not carry the reference, what it is for says the same; a transfer carries neither."""
    server, pay = shop
    wanted = {"order-1": "8.00", "close-1": "8.00", "order-2": "9.99", "order-3": "7.00"}
    numbers = {
        reference: pay.create(
            reference=reference,
            amount=Money(amount, "EUR"),
            channel="web",
            subject=reference,
            return_url="https://shop.example/",
        ).order_number
        for reference, amount in wanted.items()
    }
    controls = server.gateway.controls

    def states() -> dict[str, str]:
        return {reference: controls.show_order(number)["state"] for reference, number in numbers.items()}

    before = states()
    changed = []
    for seconds in (3, 8):
        server.gateway.clock.advance(seconds)
        now = states()
        changed.append({reference for reference in wanted if now[reference] != before[reference]})
    unnamed = {"close-1"} if provider == "bank-transfer" else set()
    assert changed == [{"order-3"}, {"order-1", "order-3"} | unnamed]
