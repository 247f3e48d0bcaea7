"""Sandboxes of every provider, started when they are first used, and a paycore.toml with an account at each."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.providers import bank_transfer
from paycore.engine.plugins import Plugins
from paycore.sandbox.api import NotPossible
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import install_plugin

PROVIDERS = {
    "qfpay": "qfpay-alipay",
    "stripe": "stripe-checkout",
    "paypal": "paypal-orders",
    "bank": "bank-transfer",
}
"""By the name of the account."""

CREATING = {
    "qfpay": "/trade/v1/payment",
    "stripe": "/v1/checkout/sessions",
    "paypal": "/v2/checkout/orders",
}
"""The path to which each sends its orders."""


class Shops:
    """The sandboxes by the names of their accounts."""

    def __init__(self) -> None:
        self._servers: dict[str, SandboxServer] = {}

    def __getitem__(self, account: str) -> SandboxServer:
        if account not in self._servers:
            known = Plugins(extra=[("bank-transfer", bank_transfer)]).sandboxes()
            self._servers[account] = server = SandboxServer(known[PROVIDERS[account]])
            server.start()
        return self._servers[account]

    def configure(self, *accounts: str, ledger: str = "sqlite:///paycore.db", **changes: Any) -> None:
        """Write a paycore.toml with these accounts; `changes` are other settings of all of them."""
        lines = [f'ledger = "{ledger}"']
        for account in accounts:
            server = self[account]
            settings = {"provider": PROVIDERS[account], "mode": "sandbox", "base_url": server.url}
            settings |= dict(server.settings) | changes
            lines += [f"[accounts.{account}]", *(f"{k} = {json.dumps(v)}" for k, v in settings.items())]
        Path("paycore.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if "bank" in accounts:
            install_plugin("bank", "from examples.providers.bank_transfer import *\n")

    def orders(self, account: str) -> Sequence[Mapping[str, Any]]:
        """Every order of the sandbox, oldest first, as its control shows it."""
        controls = self[account].gateway.controls
        return [controls.show_order(name_of(order)) for order in reversed(controls.list_orders(1000))]

    def payable(self, account: str) -> list[str]:
        """The orders that somebody can still pay: each is tried."""
        left = []
        for order in self.orders(account):
            try:
                self[account].gateway.controls.pay(name_of(order))
            except NotPossible:
                continue
            left.append(name_of(order))
        return left

    def clear_faults(self) -> None:
        """Remove what a test planted and no request met."""
        for server in self._servers.values():
            server.gateway.faults.clear()

    def stop(self) -> None:
        """Stop all of them."""
        for server in self._servers.values():
            server.stop()
        self._servers.clear()


def name_of(order: Mapping[str, Any]) -> str:
    """A number by which its sandbox knows the order."""
    return str(order.get("id") or order.get("syssn") or order["number"])
