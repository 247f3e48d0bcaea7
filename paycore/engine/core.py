"""What the two clients share: configuration, accounts, ledger, commands and worker, and how they read the ledger."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from paycore.domain import codec
from paycore.domain.payment import Payment
from paycore.engine.accounts import Accounts
from paycore.engine.arguments import checked_account
from paycore.engine.attempts import Attempts
from paycore.engine.checks import CreateFields
from paycore.engine.commands import Commands
from paycore.engine.config import Config, load_config
from paycore.engine.orders import new_id
from paycore.engine.plugins import Plugins
from paycore.engine.recovery import Recovery
from paycore.engine.resolving import Pass
from paycore.engine.worker import Worker
from paycore.errors import ConfigError, InvalidField, NotFound, PaycoreError, ReferenceAmbiguous
from paycore.ledger import open_ledger
from paycore.ledger.base import SqlLedger

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from paycore.engine.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")

WAIT_S = 300.0


class ClientCore:
    """What both clients consist of: configuration, accounts, ledger, commands, worker."""

    def __init__(
        self, config: str | Path | Config | None, plugins: Plugins | None, ledger: SqlLedger | None
    ) -> None:
        self.config = config if isinstance(config, Config) else load_config(config)
        self.plugins = plugins or Plugins(blocked=self.config.blocked_plugins)
        self.accounts = Accounts(self.config, self.plugins)
        _read_ahead(self.config, self.plugins)
        self.ledger = ledger or _open(self.config)
        attempts = Attempts(
            self.plugins.observers,
            now=self.ledger.now,
            new_id=new_id,
            listening=self.accounts.listening,
        )
        recovery = Recovery(attempts)
        self.commands = Commands(self.accounts, attempts, recovery)
        self._metrics: Metrics | None = None
        self._metering = threading.Lock()
        self.worker = Worker(recovery, self.accounts, now=self.ledger.now, now_for=self.ledger.now_for)

    def metrics(self) -> CollectorRegistry:
        """The registry of what is counted, from the first call on; `ConfigError` without the extra `metrics`."""
        with self._metering:
            if self._metrics is None:
                try:
                    from paycore.engine.metrics import Metrics
                except ImportError as error:
                    if error.name != "prometheus_client":
                        raise
                    raise ConfigError(
                        "metrics need the package prometheus-client: pip install 'paycore[metrics]'"
                    ) from None
                self._metrics = self.accounts.listening.counter = Metrics(self.ledger, self.accounts)
            return self._metrics.registry

    def account_names(self, chosen: Sequence[str] | None) -> tuple[str, ...]:
        """These accounts, None: all; raises `RequestError`s and `ConfigError`s for those that there are not."""
        if chosen is not None and not chosen:
            raise InvalidField("accounts", "names none; leave it out for all")
        names = self.config.accounts if chosen is None else map(checked_account, chosen)
        return tuple(self.config.account(name).name for name in names)

    def passes(self, names: Iterable[str]) -> Iterator[Pass]:
        """A pass over all that is open of each account; then `ConfigError` for one of them that can't be used."""
        problem: ConfigError | None = None
        for name in names:
            try:
                account = self.accounts.get(name)
            except ConfigError as error:
                problem = error
            else:
                yield Pass(self.worker, account)
        if problem is not None:
            raise problem


def _read_ahead(config: Config, plugins: Plugins) -> None:
    """Before several threads decode their first messages at once: those of the core and of the providers in use."""
    codec.read_ahead("paycore.domain")
    used = {account.provider for account in config.accounts.values()}
    for name, kind in plugins.providers().items():
        if name in used:
            codec.read_ahead(kind.__module__.partition(".")[0])


def _open(config: Config) -> SqlLedger:
    """Open the ledger. Errors carry no traceback or cause that holds the DSN, which may include a password."""
    try:
        with nothing_moves():
            return open_ledger(config.ledger)
    except PaycoreError as error:
        error.__cause__ = error.__context__ = None
        failure = error.with_traceback(None)
    raise failure from None


@contextmanager
def nothing_moves() -> Iterator[None]:
    """Mark errors raised inside the block, which only opens or reads the ledger, as `money_moved = "no"`."""
    try:
        yield
    except PaycoreError as error:
        error.money_moved = "no"
        raise


def only_one(found: tuple[Payment, ...], reference: str, namespace: str | None) -> Payment:
    left = [payment for payment in found if namespace in (None, payment.namespace)]
    if not left:
        raise NotFound(f"no payment has the reference {reference!r}")
    if len(left) > 1:
        raise ReferenceAmbiguous(reference, sorted(payment.account for payment in left))
    return left[0]


def with_keywords_of_create(verb: Callable[P, T]) -> Callable[P, T]:
    """Have `help()` and `inspect` show the keywords themselves, in place of `**fields`."""
    own = inspect.signature(verb)
    keywords = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if name in CreateFields.__required_keys__ else None,
            annotation=kind.__forward_arg__,
        )
        for name, kind in CreateFields.__annotations__.items()
    ]
    shown = own.replace(parameters=[own.parameters["self"], *keywords])
    setattr(verb, "__signature__", shown)  # noqa: B010 - not declared for functions
    return verb
