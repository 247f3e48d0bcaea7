"""`resolve` asks once about everything that is open, and ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit, on_ctrl_c
from paycore.cli.lookup import open_client
from paycore.cli.output import Output
from paycore.cli.progress import Progress
from paycore.domain.schedule import is_open

if TYPE_CHECKING:
    from paycore.engine.resolving import Resolved


def resolve(context: typer.Context) -> int:
    """
    Ask once about everything that is open, and end with a table.

    Open payments, refunds and captures, and late checks of closed orders: of all accounts, or of one with --account,
    within their request budgets. For cron, where no worker runs. Exits 0 when every provider answered; 7 when one did
    not, 5 when an outcome is still unknown, 9 when a payment needs review.
    """
    options = options_of(context)
    output = Output(options)
    found: list[Resolved] = []
    with (
        on_ctrl_c("what was answered is recorded; run it again for the rest"),
        _table(found, output),
        open_client(options, output) as pay,
        Progress(output) as progress,
    ):
        for one in pay.resolve(accounts=None if options.account is None else [options.account]):
            found.append(one)
            progress.show(lambda: f"{len(found)} payments")
            if options.json:
                output.json(_document(one))
    return _code(found)


@contextmanager
def _table(found: list[Resolved], output: Output) -> Iterator[None]:
    """Print what was found once that has ended; where an account can't be used, what was found of the others."""
    is_whole = False
    try:
        yield
        is_whole = True
    finally:
        if (found or is_whole) and not output.options.json:
            output.rows(_HEADER, [_row(one) for one in found], ())
            output.say(_summary(found))


_HEADER = ("ID", "REFERENCE", "ACCOUNT", "AMOUNT", "WAS", "NOW", "NOTE")


def _row(one: Resolved) -> list[str]:
    payment = one.payment
    was = str(one.before.status)
    return [
        payment.id,
        payment.reference,
        payment.account,
        str(payment.amount),
        was,
        payment.status,
        _note(one),
    ]


def _note(one: Resolved) -> str:
    if one.problem is not None:
        return f"not answered: {one.problem}"
    if one.payment.review:
        return f"review: {', '.join(why.replace('_', ' ') for why in one.payment.review_reasons)}"
    if one.payment.uncertain:
        return "outcome unknown"
    under_way = [refund.reference for refund in one.payment.refunds if refund.is_open]
    return f"refund under way: {', '.join(under_way)}" if under_way else ""


def _document(one: Resolved) -> dict[str, Any]:
    from paycore.cli.render.documents import payment_document

    return {**payment_document(one.payment), "was": one.before.status, "problem": one.problem}


def _summary(found: list[Resolved]) -> str:
    if not found:
        return "nothing is open"
    settled = sum(not is_open(one.payment) for one in found)
    silent = sum(one.problem is not None for one in found)
    open_left = len(found) - settled
    words = f"asked about {len(found) - silent} of {len(found)}: {settled} final, {open_left} still open"
    return words if not silent else f"{words}; {silent} had no answer, run it again"


def _code(found: list[Resolved]) -> Exit:
    if any(one.payment.review for one in found):
        return Exit.REVIEW
    if any(one.payment.uncertain for one in found):
        return Exit.UNKNOWN
    return Exit.NOT_SENT if any(one.problem is not None for one in found) else Exit.DONE
