"""Accounts as commands need them: a provider made from the account's settings, its base URL and its deadline."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args

import msgspec

from paycore.domain.provider import Attempt, Capabilities, FullProvider, Mode, Provider, Secret
from paycore.engine.config import AccountConfig, Config, resolve_settings
from paycore.engine.contract import ask, misused
from paycore.engine.declared import declared_problem, own_urls_problem
from paycore.engine.hosts import check_mode, resolve_base_urls
from paycore.engine.plugins import Plugins
from paycore.engine.pointers import check_secret_file
from paycore.engine.provider_class import needs_problem
from paycore.engine.secrecy import Secrets, secrets_among, secrets_in
from paycore.engine.telling import Listening
from paycore.engine.timing import Deadline
from paycore.engine.wording import shown, suggest
from paycore.errors import ConfigError
from paycore.ledger.api import Spending

if TYPE_CHECKING:
    import ssl


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """
    One configured account, ready to use; `deadline` is how long one call may take in all.

    `base_urls` are the main one, "", and those of further hosts.
    `secrets` are those of its settings, those of its open `session`, and the `auth_code` of the payment that a call
    is about, where it has one. `default_method` is one of its products', or None. `listening` has who counts its
    requests.
    """

    name: str
    provider: Provider
    provider_name: str
    capabilities: Capabilities
    mode: Mode
    base_urls: Mapping[str, str]
    deadline: timedelta
    namespace: str = ""
    default_method: str | None = None
    secrets: Secrets = Secrets()
    auth_code: Secret | None = None
    session: Any = None
    tls: ssl.SSLContext | None = None
    listening: Listening = msgspec.field(default_factory=Listening)

    @property
    def full(self) -> FullProvider:
        """The provider, of which only the members are there that its capabilities need."""
        return cast("FullProvider", self.provider)

    @property
    def spending(self) -> Spending:
        """What a command of this account is sent within: it waits for its turn for half of its time at most."""
        return Spending(self.name, self.capabilities.budget, self.deadline.total_seconds() / 2)

    def attempt(self, sent_at: datetime, nonce: str) -> Attempt:
        """One attempt to send a flow of this account."""
        return Attempt(
            sent_at=sent_at, nonce=nonce, mode=self.mode, base_urls=self.base_urls, session=self.session
        )

    def call_deadline(self) -> Deadline:
        """By when a call that begins now is over."""
        return Deadline(self.deadline.total_seconds())

    def within(self, seconds: float) -> Account:
        """This account for a call that has so much time left."""
        return msgspec.structs.replace(self, deadline=timedelta(seconds=max(0.0, seconds)))

    def with_code(self, auth_code: Secret | None) -> Account:
        """This account for a call about a payment with this scanned code."""
        if auth_code is None:
            return self
        return msgspec.structs.replace(self, auth_code=auth_code, secrets=Secrets((*self.secrets, auth_code)))

    def in_session(self, session: Any) -> Account:
        """This account with an open session."""
        secrets = Secrets((*self.secrets, *secrets_among([session])))
        return msgspec.structs.replace(self, session=session, secrets=secrets)

    def __repr__(self) -> str:
        return f"Account({self.name!r}, {self.provider_name!r})"


class Accounts:
    """The accounts of one configuration; each is made when it is first asked for."""

    def __init__(self, config: Config, plugins: Plugins, environment: Mapping[str, str] = os.environ) -> None:
        self.config = config
        self.plugins = plugins
        self.listening = Listening()
        self._environment = environment
        self._ready: dict[str | None, Account] = {}
        self._making = threading.Lock()

    def get(self, name: str | None = None) -> Account:
        """The account called `name` (None: the default one); `ConfigError` when it can't be used."""
        ready = self._ready.get(name)
        if ready is not None:
            return ready
        wanted = self.config.account(name).name
        with self._making:
            if wanted not in self._ready:
                self._ready[wanted] = self._make(wanted)
            self._ready[name] = self._ready[wanted]
            return self._ready[wanted]

    def __contains__(self, name: str) -> bool:
        return name in self.config.accounts

    def with_other_references(self, account: Account) -> tuple[str, ...]:
        """The accounts that may be at the same merchant's as this one, and whose references are others: by name."""
        own = self.config.accounts[account.name]
        place = (own.provider, own.mode, own.base_url)
        return tuple(
            name
            for name, other in self.config.accounts.items()
            if other.namespace != own.namespace and (other.provider, other.mode, other.base_url) == place
        )

    def _make(self, name: str) -> Account:
        account = self.config.accounts[name]
        kind = self._provider(account)
        settings = resolve_settings(account, kind.info, self.config.path, self._environment)
        unmade = _Unmade(name, kind.info.name, account.mode, secrets_in(settings))

        def make() -> tuple[Provider, Capabilities]:
            try:
                provider = kind(settings)
            except ValueError as error:
                raise ConfigError(f"{self.config.path}: accounts.{name}: {error}") from None
            return provider, provider.capabilities

        provider, capabilities = ask(unmade, "settings", make, may_raise=(ConfigError,))
        problem = ask(
            unmade,
            "capabilities",
            lambda: declared_problem(capabilities) or needs_problem(kind, capabilities),
        )
        if problem is not None:
            raise misused(unmade, "capabilities", problem)
        self._check_default(account, capabilities)
        return Account(
            name=name,
            provider=provider,
            provider_name=kind.info.name,
            capabilities=capabilities,
            mode=account.mode,
            base_urls=self._base_urls(account, kind, settings, unmade),
            deadline=timedelta(seconds=account.timeout_s),
            namespace=account.namespace,
            default_method=account.default_method,
            secrets=unmade.secrets,
            tls=self._tls(account),
            listening=self.listening,
        )

    def _base_urls(
        self, account: AccountConfig, kind: type[Provider], settings: msgspec.Struct, unmade: _Unmade
    ) -> Mapping[str, str]:
        """Where its requests go; `ConfigError` where that, or its credentials, do not fit its mode."""
        full, path = cast("type[FullProvider]", kind), self.config.path
        shown_mode, own = None, {}
        if hasattr(kind, "mode_of"):
            shown_mode = ask(unmade, "mode_of", lambda: full.mode_of(settings), may_raise=(ConfigError,))
            if shown_mode not in (None, *get_args(Mode)):
                raise misused(unmade, "mode_of", "what it returned is no mode")
            check_mode(account, shown_mode, path)
        if hasattr(kind, "base_urls_of") and account.mode != "sandbox":
            own = ask(unmade, "base_urls_of", lambda: dict(full.base_urls_of(settings, account.mode)))
            problem = own_urls_problem(own, kind.info.hosts)
            if problem is not None:
                raise misused(unmade, "base_urls_of", problem)
        return resolve_base_urls(account, kind.info, path, own=own, shown_mode=shown_mode)

    def _check_default(self, account: AccountConfig, capabilities: Capabilities) -> None:
        """`ConfigError` for a default method that no product of the account has."""
        method, methods = account.default_method, {product.method for product in capabilities.products}
        if method is not None and method not in methods:
            where = f"{self.config.path}: accounts.{account.name}.default_method"
            raise ConfigError(f"{where}: the account has no method {shown(method)}{suggest(method, methods)}")

    def _tls(self, account: AccountConfig) -> ssl.SSLContext | None:
        """What shows its client certificate; None without one."""
        if account.client_certificate is None:
            return None
        where = f"{self.config.path}: accounts.{account.name}.client_certificate"
        check_secret_file(account.client_certificate, where)
        from paycore.engine.tls import showing  # takes a while, and few accounts need it

        try:
            return showing(account.client_certificate)
        except ValueError as error:
            problem = str(error)
        raise ConfigError(f"{where}: {problem}")

    def _provider(self, account: AccountConfig) -> type[Provider]:
        try:
            return self.plugins.provider(account.provider)
        except ConfigError as error:
            problem = error.message
        raise ConfigError(f"{self.config.path}: accounts.{account.name}.provider: {problem}")


class _Unmade(NamedTuple):
    """An account whose provider is still to be made."""

    name: str
    provider_name: str
    mode: Mode
    secrets: Secrets
