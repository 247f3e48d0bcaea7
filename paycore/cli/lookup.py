"""Opens the ledger or a client, and finds the payment that a command names by id or reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from paycore.cli.endings import UsageProblem
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client
    from paycore.engine.config import Config
    from paycore.ledger.reads import ReadOnlyLedger

T = TypeVar("T")


def open_records(options: GlobalOptions) -> AbstractContextManager[ReadOnlyLedger]:
    """Open the ledger read-only, neither created nor migrated; imports no plugin and no HTTP client."""
    from paycore.engine.config import load_config

    return records_of(load_config(options.config))


def records_of(config: Config) -> AbstractContextManager[ReadOnlyLedger]:
    """Open the ledger of a loaded configuration read-only."""
    from paycore.ledger.opening import open_read_only

    return closing(open_read_only(config.ledger))


@contextmanager
def open_client(options: GlobalOptions, output: Output) -> Iterator[Client]:
    """Open a client; what paycore logs is printed on stderr."""
    from paycore.engine.client import Client

    output.show_log()
    with Client(options.config) as pay:
        yield pay


@contextmanager
def open_recorded(
    options: GlobalOptions, payment_id: str | None, reference: str | None
) -> Iterator[tuple[ReadOnlyLedger, Payment]]:
    """Open the ledger read-only and find a payment by exactly one of its id and reference."""
    from paycore.errors import LedgerMissing, NotFound

    check_identity(payment_id, reference)
    try:
        with open_records(options) as ledger:
            yield ledger, _look_up(ledger, options, payment_id, reference)
    except LedgerMissing as missing:
        raise NotFound(f"there is no such payment: {missing.message}") from missing


def _look_up(
    ledger: ReadOnlyLedger, options: GlobalOptions, payment_id: str | None, reference: str | None
) -> Payment:
    if payment_id is not None:
        return ledger.get(payment_id).result()
    found = ledger.find(options.account, str(reference)).result()
    return only({payment.account: payment for payment in found}, str(reference))


def find_recorded(options: GlobalOptions, payment_id: str | None, reference: str | None) -> Payment:
    """Find a payment in the ledger; raises `NotFound`."""
    with open_recorded(options, payment_id, reference) as (_, payment):
        return payment


def find_created(options: GlobalOptions, reference: str) -> Payment:
    """Find the payment that `create` with this reference makes or returns; raises `NotFound`."""
    from paycore.domain.decisions import named
    from paycore.engine.config import load_config
    from paycore.errors import LedgerMissing, NotFound

    config = load_config(options.config)
    account = config.account(options.account)
    try:
        with records_of(config) as ledger:
            known = named(ledger.find(None, reference).result(), account.name, account.namespace)
    except LedgerMissing as missing:
        raise NotFound(f"there is no such payment: {missing.message}") from missing
    if known is None:
        raise NotFound(f"no payment has the reference {reference!r}")
    return known


def identify(pay: Client, options: GlobalOptions, payment_id: str | None, reference: str | None) -> Payment:
    """Find a payment with an open client."""
    if payment_id is not None:
        return pay.get(payment_id)
    return pay.find(str(reference), account=options.account)


def check_identity(payment_id: str | None, reference: str | None) -> None:
    """Refuse both and neither."""
    if (payment_id is None) == (reference is None):
        raise UsageProblem("name the payment by its ID or by --reference, not by both or neither")


def only(found: Mapping[str, T], reference: str) -> T:
    """Return the only value of `found`, which is by account; raises `NotFound` and `ReferenceAmbiguous`."""
    from paycore.errors import NotFound, ReferenceAmbiguous

    if not found:
        raise NotFound(f"no payment has the reference {reference!r}")
    if len(found) > 1:
        raise ReferenceAmbiguous(reference, sorted(found))
    return next(iter(found.values()))


def has_config(options: GlobalOptions) -> bool:
    """Return whether there is a configuration; raises `ConfigError` where `--config` names none."""
    from paycore.engine.config import find_config
    from paycore.errors import ConfigError

    try:
        find_config(options.config)
    except ConfigError:
        if options.config is not None:
            raise
        return False
    return True


def blocked_plugins(options: GlobalOptions) -> frozenset[str]:
    """Return the plugins that the configuration blocks; none without a configuration."""
    from paycore.engine.config import load_config

    return load_config(options.config).blocked_plugins if has_config(options) else frozenset()
