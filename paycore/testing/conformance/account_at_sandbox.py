"""The core's account at the provider's sandbox, and the two clocks: what everything else in a check starts from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import msgspec

from paycore.domain.provider import FullProvider, Lookup, Mode, Product
from paycore.domain.wire import Request
from paycore.engine.accounts import Account, Accounts
from paycore.engine.config import Config, parse_config, resolve_settings
from paycore.engine.contract import request_problem
from paycore.engine.plugins import ENTRY_POINTS, Plugins
from paycore.hookspecs import hookimpl
from paycore.ledger.clock import utc_now, whole_ms
from paycore.sandbox.api import Controls, Gateway
from paycore.testing.conformance.check import NotApplicable
from paycore.testing.conformance.subject import Subject

ACCOUNT = "kit"
"""The name of the account in the configuration."""

CONFIG_FILE = "paycore.toml"

TIMEOUT_S = 2.0
"""The deadline of a call, in real seconds."""


class AccountAtSandbox:
    """
    The account of a subject, whose requests go to the gateway at `url`.

    `account` is the core's, and `provider` was made of its settings. `controls` are what a person at the gateway has.
    Both clocks, the sandbox's and the ledger's, are set ahead by `advance`; nothing waits for real. `folder` is where
    the configuration and the ledgers are.
    """

    def __init__(self, subject: Subject, folder: Path, url: str, gateway: Gateway) -> None:
        self.subject = subject
        self.folder = folder
        self.url = url
        self.gateway = gateway
        self.controls: Controls = gateway.controls
        self.plugins = _only(subject.provider)
        self.account = self.account_with({})
        self._ahead = timedelta()

    # --- the account -------------------------------------------------------------------------------------

    @property
    def provider(self) -> FullProvider:
        """The provider, made of the account's settings."""
        return cast("FullProvider", self.account.provider)

    @property
    def products(self) -> tuple[Product, ...]:
        """What the account offers."""
        return self.account.capabilities.products

    @property
    def settings(self) -> dict[str, Any]:
        """The account's settings, as in paycore.toml."""
        return {**self.gateway.settings, **self.subject.settings}

    def config(self, settings: Mapping[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S) -> Config:
        """A configuration with this one account; `settings` replace some of its own."""
        return self.config_of({**self.settings, **(settings or {})}, timeout_s=timeout_s)

    def config_of(
        self, settings: Mapping[str, Any], *, mode: Mode = "sandbox", timeout_s: float = TIMEOUT_S
    ) -> Config:
        """A configuration with one account of these settings; it is at the sandbox, or where `mode` leads to."""
        table = {"provider": self.subject.name, "mode": mode, "timeout_s": timeout_s}
        place = {"base_url": self.url} if mode == "sandbox" else {}
        accounts = {ACCOUNT: {**table, **place, **settings}}
        document = {"ledger": "sqlite:///kit.db", "default_account": ACCOUNT, "accounts": accounts}
        return parse_config(document, self.folder / CONFIG_FILE)

    def account_with(self, settings: Mapping[str, Any]) -> Account:
        """The account, with these settings in the place of some of its own."""
        return self.account_of({**self.settings, **settings})

    def account_of(self, settings: Mapping[str, Any]) -> Account:
        """An account with these settings and no others."""
        return Accounts(self.config_of(settings), self.plugins).get(ACCOUNT)

    def read_settings(self, settings: Mapping[str, Any] | None = None) -> msgspec.Struct:
        """The account's settings as the provider's own struct; `settings` replace some of them."""
        config = self.config(settings)
        return resolve_settings(config.accounts[ACCOUNT], self.subject.provider.info, config.path)

    def require_lookup_by_number(self) -> None:
        """`NotApplicable` where an order is found by the company's id only."""
        if self.account.capabilities.lookup is not Lookup.BY_NUMBER:
            raise NotApplicable("an order is found by the company's id only: lookup is by_provider_id")

    def request_problem(self, request: Request) -> str | None:
        """Why the core would not send this request, None where it would."""
        return request_problem(self.account, request)

    # --- time --------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time now, as the ledger has it."""
        return whole_ms(utc_now() + self._ahead)

    def advance(self, seconds: float) -> None:
        """Set the sandbox's clock and the ledger's ahead."""
        self._ahead += timedelta(seconds=seconds)
        self.gateway.clock.advance(seconds)


def _only(provider: type) -> Plugins:
    """The one provider, and no plugin that is installed."""
    installed = {entry.name for entry in metadata.entry_points(group=ENTRY_POINTS)}
    return Plugins(blocked=installed, extra=[("kit", _Offering(provider))])


class _Offering:
    """A plugin that offers the one provider."""

    def __init__(self, provider: type) -> None:
        self._provider = provider

    @hookimpl
    def paycore_register_providers(self) -> list[Any]:
        return [self._provider]
