"""`reconcile` compares the ledger with a provider's own list, and brings back what the ledger has lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit, UsageProblem, on_ctrl_c
from paycore.cli.lookup import open_client
from paycore.cli.moments import METAVAR, moment_of
from paycore.cli.output import Output, check_format

if TYPE_CHECKING:
    from paycore.domain.reconciliation import Reconciliation


def reconcile(
    context: typer.Context,
    *,
    since: Annotated[
        str,
        typer.Option(
            metavar=METAVAR,
            help="From this time on: before the oldest that may differ. ISO 8601, UTC without a zone; or 2h ago.",
        ),
    ],
    until: Annotated[
        str | None,
        typer.Option(metavar=METAVAR, help="Until before this time.", show_default="now"),
    ] = None,
    bring_back: Annotated[
        bool | None,
        typer.Option(
            "--bring-back/--no-bring-back",
            help="Record what is lost anew, or only tell of it.",
            show_default="unless another ledger seems to have made it",
        ),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> int:
    """
    Compare the ledger with the provider's own list, and bring back what the ledger has lost.

    Of the default account, or of one with --account. Prints what differs and what to do about it. Sends questions
    only; run it again at will. After an old backup was restored run it before payments are made. Exits 0 when all it
    found is settled, 9 when a person must look at some of it.
    """
    options = options_of(context)
    check_format(options, csv=csv)
    output = Output(options)
    now = datetime.now(UTC)
    begins = moment_of("--since", since, now)
    ends = None if until is None else moment_of("--until", until, now)
    if begins >= (now if ends is None else ends):
        raise UsageProblem("--since must be before --until" if until else "--since must be in the past")
    with (
        on_ctrl_c("what was found until then is recorded; run it again for the rest"),
        open_client(options, output) as pay,
    ):
        output.say("reading the provider's list; this takes a while where it is long")
        found = pay.reconcile(options.account, since=begins, until=ends, bring_back=bring_back)
    _print(found, output, csv=csv)
    return Exit.REVIEW if found.needs_person else Exit.DONE


def _print(found: Reconciliation, output: Output, *, csv: bool) -> None:
    from paycore.cli.render import discrepancies

    if csv:
        output.csv(discrepancies.COLUMNS, map(discrepancies.cells, found.discrepancies))
    elif output.options.json:
        output.json(discrepancies.document(found))
    else:
        output.data(*discrepancies.block(found, output.style, output.columns))
    output.say(discrepancies.summary(found))
