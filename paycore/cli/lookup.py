"""Opens the ledger or a client, and finds the payment that a command names by id or reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from paycore.cli.endings import UsageProblem
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client
    from paycore.engine.config import Config
    from paycore.errors import NotFound
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
def open_client(options: GlobalOptions, output: Output, config: Config | None = None) -> Iterator[Client]:
    """Open a client, of a configuration that is loaded already where one is given; its log is printed on stderr."""
    from paycore.engine.client import Client

    output.show_log()
    with Client(config or options.config) as pay:
        yield pay


@contextmanager
def open_recorded(
    options: GlobalOptions, name: str | None, reference: str | None
) -> Iterator[tuple[ReadOnlyLedger, Payment]]:
    """Open the ledger read-only and find a payment; `name` and `reference` are those of `Named`."""
    from paycore.errors import LedgerMissing, NotFound

    check_identity(name, reference)
    try:
        with open_records(options) as ledger:
            yield ledger, look_up(ledger, options, name, reference)
    except LedgerMissing as missing:
        raise NotFound(f"there is no such payment: {missing.message}") from missing


def look_up(
    ledger: ReadOnlyLedger, options: GlobalOptions, name: str | None, reference: str | None
) -> Payment:
    """Find a payment in an open ledger."""

    def find(reference: str) -> Payment:
        found = ledger.find(options.account, reference).result()
        return only({payment.account: payment for payment in found}, reference)

    if name is None:
        return find(str(reference))
    return _by_either(name, options, lambda payment_id: ledger.get(payment_id).result(), find)


def find_recorded(options: GlobalOptions, name: str | None, reference: str | None) -> Payment:
    """Find a payment in the ledger; raises `NotFound`."""
    with open_recorded(options, name, reference) as (_, payment):
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


class Named:
    """
    The payment that a command names: by ID, which is its id or its reference, or by `--reference`.

    Refuses both and neither. Once found it stays that payment.
    """

    def __init__(self, options: GlobalOptions, name: str | None, reference: str | None) -> None:
        check_identity(name, reference)
        self._options = options
        self._name = name
        self._reference = reference
        self._id: str | None = None

    def find(self, pay: Client) -> Payment:
        """Find it with an open client; raises `NotFound` and `ReferenceAmbiguous`."""

        def find(reference: str) -> Payment:
            return pay.find(reference, account=self._options.account)

        if self._id is not None:
            return pay.get(self._id)
        if self._name is None:
            payment = find(str(self._reference))
        else:
            payment = _by_either(self._name, self._options, pay.get, find)
        self._id = payment.id
        return payment

    def id(self) -> str:
        """Return its id, from the ledger where it was not found before."""
        return self._id or find_recorded(self._options, self._name, self._reference).id


def _by_either(
    name: str, options: GlobalOptions, get: Callable[[str], Payment], find: Callable[[str], Payment]
) -> Payment:
    """Find the payment with this id or reference; refuses a name that is the id of one and the reference of another."""
    from paycore.errors import NotFound

    try:
        by_id = get(name)
    except NotFound:
        by_id = None
    try:
        by_reference = find(name)
    except NotFound:
        by_reference = None
    if by_id is not None and by_reference is not None and by_id.id != by_reference.id:
        raise clash((by_id.id, by_id.account, by_id.reference), (by_reference.id, by_reference.account))
    found = by_id or by_reference
    if found is None:
        raise nobody(name, options)
    return found


def nobody(name: str, options: GlobalOptions) -> NotFound:
    """The error for a name that is neither an id nor a reference."""
    from paycore.errors import NotFound

    where = "" if options.account is None else f", and none on account {options.account} the reference"
    what = "the id or the reference" if options.account is None else "the id"
    return NotFound(f"no payment has {what} {name!r}{where}")


def clash(by_id: tuple[str, str, str], by_reference: tuple[str, str]) -> UsageProblem:
    """The error for a name that is an id (with its account and reference) and a reference (of id, on account)."""
    (name, account, reference), (other, other_account) = by_id, by_reference
    return UsageProblem(
        f"{name} is the id of a payment on account {account}, and the reference of another one on account"
        f" {other_account}; name the first by --reference {reference}, or the other by its id {other}"
    )


def check_identity(name: str | None, reference: str | None) -> None:
    """Refuse both and neither."""
    if name is None and reference is None:
        raise UsageProblem("missing ID: the payment's id, or your own reference of it")
    if name is not None and reference is not None:
        raise UsageProblem("name the payment by its ID or by --reference, not by both")


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
