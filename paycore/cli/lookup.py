"""Opens what a command works on: the ledger alone for reading, a client for everything that talks to a provider."""

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


@contextmanager
def open_records(options: GlobalOptions) -> Iterator[ReadOnlyLedger]:
    """The ledger as it is, neither made nor migrated; loads no plugin and nothing that could reach a network."""
    from paycore.engine.config import load_config

    with records_of(load_config(options.config)) as ledger:
        yield ledger


def records_of(config: Config) -> AbstractContextManager[ReadOnlyLedger]:
    """The same where the configuration is loaded already."""
    from paycore.ledger.opening import open_read_only

    return closing(open_read_only(config.ledger))


@contextmanager
def open_client(options: GlobalOptions, output: Output) -> Iterator[Client]:
    """A client on the configuration; what paycore logs meanwhile becomes words on stderr."""
    from paycore.engine.client import Client

    output.show_log()
    with Client(options.config) as pay:
        yield pay


@contextmanager
def open_recorded(
    options: GlobalOptions, payment_id: str | None, reference: str | None
) -> Iterator[tuple[ReadOnlyLedger, Payment]]:
    """The payment a command is about, by its id or by the caller's reference, and the ledger it is in."""
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
    """The payment a command is about, from the ledger alone; `NotFound` where nothing is recorded of it."""
    with open_recorded(options, payment_id, reference) as (_, payment):
        return payment


def find_created(options: GlobalOptions, reference: str) -> Payment:
    """The payment that `create` made or came back with; `NotFound` where nothing is recorded of it."""
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
    """The same where a client has the ledger open."""
    if payment_id is not None:
        return pay.get(payment_id)
    return pay.find(str(reference), account=options.account)


def check_identity(payment_id: str | None, reference: str | None) -> None:
    """Exactly one of the two names a payment."""
    if (payment_id is None) == (reference is None):
        raise UsageProblem("name the payment by its ID or by --reference, not by both or neither")


def only(found: Mapping[str, T], reference: str) -> T:
    """The one thing that was found by this reference; `found` by account."""
    from paycore.errors import NotFound, ReferenceAmbiguous

    if not found:
        raise NotFound(f"no payment has the reference {reference!r}")
    if len(found) > 1:
        raise ReferenceAmbiguous(reference, sorted(found))
    return next(iter(found.values()))
