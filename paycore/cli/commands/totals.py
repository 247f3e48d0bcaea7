"""`totals`: counts and sums of payments, read from the ledger alone; nothing is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from paycore.cli import words
from paycore.cli.app import options_of
from paycore.cli.commands.show import Csv
from paycore.cli.endings import Exit, UsageProblem
from paycore.cli.moments import METAVAR, range_of
from paycore.cli.output import Output, check_format
from paycore.cli.quick import read_recorded
from paycore.domain.totals import TotalsBy
from paycore.ledger.api import ListedBy

if TYPE_CHECKING:
    from paycore.domain.totals import Totals
    from paycore.ledger.api import Summed
    from paycore.ledger.reads import ReadOnlyLedger


def totals(
    context: typer.Context,
    *,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEYS",
            help=f"Group by one of {', '.join(get_args(TotalsBy))}; several with commas, or repeated.",
        ),
    ] = None,
    time: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help=f"One of {', '.join(get_args(ListedBy))}: which time --since, --until and day are of.",
        ),
    ] = "created",
    since: Annotated[
        str | None,
        typer.Option(
            metavar=METAVAR, help="Only from this time on; ISO 8601, or how long ago, such as 90m or 2d."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar=METAVAR, help="Only before this time.")] = None,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Of the days, and of a WHEN without one: Asia/Hong_Kong.")
    ] = "UTC",
    csv: Csv = False,
) -> int:
    """
    Count payments and add up their amounts.

    By currency in any case: amounts of two are never added up. Amounts are those of the payments as they are now; a
    refund counts on the day of its payment.
    """
    from paycore.ledger.api import Summed

    options = options_of(context)
    check_format(options, csv=csv)
    zone = _zone(timezone)
    begin, end = range_of(since, until, zone)
    which = Summed(
        by=tuple(_keys(by or ())),
        account=options.account,
        time=words.choice("--time", time, get_args(ListedBy)),
        since=begin,
        until=end,
        timezone=zone,
    )
    output = Output(options)
    found = read_recorded(output, lambda ledger: _read(ledger, which))
    _print(output, found, which.by, csv=csv)
    return Exit.DONE


def _read(ledger: ReadOnlyLedger | None, which: Summed) -> Sequence[Totals]:
    return () if ledger is None else ledger.totals(which).result()


def _print(output: Output, found: Sequence[Totals], by: Sequence[TotalsBy], *, csv: bool) -> None:
    from paycore.cli.render.total_rows import columns_of, total_cells, total_document, totals_table

    if csv:
        columns = columns_of(by)
        output.csv(columns, (total_cells(total, columns) for total in found))
    elif output.options.json:
        output.json(*map(total_document, found))
    elif found:
        output.data(*totals_table(found, by, output.style, output.columns))
    if not found:
        output.say("no payments")


def _keys(given: Iterable[str]) -> Iterator[TotalsBy]:
    """Each key once, in the order given."""
    texts = (text.strip() for option in given for text in option.split(","))
    return iter(dict.fromkeys(words.choice("--by", text, get_args(TotalsBy)) for text in texts))


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise UsageProblem(
            f"--timezone: this machine knows no time zone {name!r}; they are called as Asia/Hong_Kong is"
        ) from None
