"""
`show` and `list`, parsed and run without typer, whose import takes longer than reading the ledger.

Loads no plugin and no httpx either. Only plainly valid arguments are taken; anything else (help, a typing error, an
abbreviation) goes to typer, which has the same options and calls the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import msgspec

from paycore.cli import words
from paycore.cli.endings import Exit
from paycore.cli.lookup import look_up, open_recorded, records_of
from paycore.cli.moments import range_of
from paycore.cli.options import FLAGS, NAMES, GlobalOptions, to_type
from paycore.cli.output import Output, check_format
from paycore.domain.payment import ReviewReason, Status
from paycore.errors import LedgerMissing

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.ledger.api import Filter
    from paycore.ledger.reads import ReadOnlyLedger

LIMIT = 50
AT_ONCE = 500
"""Payments read and printed at once where all are asked for."""

T = TypeVar("T")


def show(options: GlobalOptions, *, payment_id: str | None = None, reference: str | None = None) -> int:
    """Print a payment with its timeline; warn when the stored payment differs from what its events give."""
    from paycore.ledger.audit import verify_payment

    output = Output(options)
    with open_recorded(options, payment_id, reference) as (ledger, payment):
        output.payment_with_events(payment, ledger.events(payment.id).result())
        difference = verify_payment(ledger, payment.id).difference
    if difference is not None:
        verify = to_type(options, "ledger", "verify", payment.id)
        output.warn(f"this payment is not as its history says ({difference.where}); `{verify}` tells more")
    return Exit.DONE


def list_payments(
    options: GlobalOptions,
    *,
    status: str | None = None,
    review: bool = False,
    reason: str | None = None,
    uncertain: bool = False,
    open: bool = False,
    refunding: bool = False,
    reference_prefix: str | None = None,
    by: str = "created",
    sort: str | None = None,
    since: str | None = None,
    until: str | None = None,
    after: str | None = None,
    limit: str = str(LIMIT),
    csv: bool = False,
    with_reasons: bool = False,
) -> int:
    """Print payments in the order asked for; `with_reasons` names the reasons for review of each."""
    from paycore.ledger.api import Filter, ListedBy, Sort

    check_format(options, csv=csv)
    most = words.limit(limit)
    begin, end = range_of(since, until)
    which = Filter(
        account=options.account,
        status=None if status is None else words.word_of("--status", status, Status),
        review=review or None,
        review_reason=None if reason is None else words.word_of("--reason", reason, ReviewReason),
        uncertain=uncertain or None,
        open=open or None,
        refunding=refunding or None,
        reference_prefix=reference_prefix,
        by=words.choice("--by", by, get_args(ListedBy)),
        sort=None if sort is None else words.choice("--sort", sort, get_args(Sort)),
        since=begin,
        until=end,
        after=after,
        limit=most or AT_ONCE,
    )
    output = Output(options)

    def print_pages(ledger: ReadOnlyLedger | None) -> Sequence[Payment]:
        pages = (
            iter(()) if ledger is None else _pages(ledger, _placed(ledger, options, which), is_all=most == 0)
        )
        if csv:
            return output.payments_csv(pages)
        return output.payments(pages, by=which.by, with_reasons=with_reasons)

    listed = read_recorded(output, print_pages)
    if most and len(listed) == most:
        output.say(f"there may be more: the same command with --after {listed[-1].id} goes on")
    return Exit.DONE


def _placed(ledger: ReadOnlyLedger, options: GlobalOptions, which: Filter) -> Filter:
    """The same with the id of the payment that `--after` names, by its id or reference."""
    if which.after is None:
        return which
    return msgspec.structs.replace(which, after=look_up(ledger, options, which.after, None).id)


def read_recorded(output: Output, work: Callable[[ReadOnlyLedger | None], Sequence[T]]) -> Sequence[T]:
    """
    Return what `work` found in the ledger, which it gets as None where there is none yet.

    Where that is nothing, and `--account` names an account that nobody has, a warning says so.
    """
    from paycore.engine.config import load_config

    config, account = load_config(output.options.config), output.options.account
    found: Sequence[T] = ()
    is_known = account is None or account in config.accounts
    try:
        with records_of(config) as ledger:
            found = work(ledger)
            is_known = is_known or bool(found) or _has_any(ledger, account)
    except LedgerMissing as missing:
        output.say(missing.message)
        work(None)
    if not is_known:
        from paycore.engine.wording import one_of

        output.warn(
            f"no account is called {account!r}, in the configuration ({one_of(config.accounts)}) or in the ledger"
        )
    return found


def _pages(ledger: ReadOnlyLedger, which: Filter, *, is_all: bool) -> Iterator[tuple[Payment, ...]]:
    """The page asked for, or every page from there on."""
    from paycore.ledger.lists import next_page

    more: Filter | None = which
    while more is not None:
        page = ledger.list(more).result()
        yield page
        more = next_page(more, page) if is_all else None


def _has_any(ledger: ReadOnlyLedger, account: str | None) -> bool:
    """Return whether the ledger has payments of this account, which may no longer be configured."""
    from paycore.ledger.api import Filter

    return bool(ledger.list(Filter(account=account, limit=1)).result())


# --- without typer -----------------------------------------------------------------------------------

_GLOBAL_VALUES = frozenset(NAMES) - FLAGS


class _Quick(msgspec.Struct, frozen=True):
    run: Callable[..., int]
    has_id: bool
    values: frozenset[str]
    flags: frozenset[str]


COMMANDS = {
    "show": _Quick(show, has_id=True, values=frozenset({"reference"}), flags=frozenset()),
    "list": _Quick(
        list_payments,
        has_id=False,
        values=frozenset(
            {"status", "reason", "reference_prefix", "by", "sort", "since", "until", "after", "limit"}
        ),
        flags=frozenset({"review", "uncertain", "open", "refunding", "csv"}),
    ),
}


_GLOBALS: tuple[frozenset[str], frozenset[str], bool] = (frozenset(), frozenset(), False)
"""The flags and values that stand before the command beside the global ones, and whether an id does: none."""


def parse(arguments: Sequence[str]) -> Callable[[], int] | None:
    """Return the command to run, or None when typer must parse these arguments."""
    command: _Quick | None = None
    given: dict[str, Any] = {}
    rest = iter(arguments)
    for word in rest:
        name = word[2:].replace("-", "_") if word.startswith("--") else ""
        value: Any
        if command is None and not word.startswith("-"):
            command = COMMANDS.get(word)
            if command is None:
                return None
            continue
        flags, values, has_id = (command.flags, command.values, command.has_id) if command else _GLOBALS
        if not word.startswith("-") and has_id:
            name, value = "payment_id", word
        elif name in FLAGS | flags:
            value = True
        elif name in _GLOBAL_VALUES | values:
            value = next(rest, "-")
        else:
            return None
        is_odd = isinstance(value, str) and (not value or value.startswith("-"))
        if is_odd or name in given:
            return None
        given[name] = value
    if command is None:
        return None
    run = command.run
    options = GlobalOptions(**{name: given.pop(name) for name in NAMES if name in given})
    if options.verbose:
        return None
    return lambda: run(options, **given)
