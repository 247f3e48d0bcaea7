"""`show` and `list`: their options and help; `paycore.cli.quick` runs them."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from paycore.cli import quick
from paycore.cli.app import PaymentId, Reference, options_of
from paycore.cli.moments import METAVAR
from paycore.cli.words import LIMIT_MAX
from paycore.domain.payment import ReviewReason, Status
from paycore.ledger.api import ListedBy, Sort

Sorted = Annotated[
    str | None,
    typer.Option(
        metavar="ORDER", help=f"One of {', '.join(get_args(Sort))}: which come first; newest unless given."
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]


def show(context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None) -> int:
    """Show a payment and its timeline."""
    return quick.show(options_of(context), payment_id=payment_id, reference=reference)


def list_payments(
    context: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help=f"One of {', '.join(Status)}.")] = None,
    review: Annotated[bool, typer.Option("--review", help="Only payments that need review.")] = False,
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help=f"Only payments that need review for one of {', '.join(ReviewReason)}."
        ),
    ] = None,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Only payments with an unknown outcome.")
    ] = False,
    is_open: Annotated[
        bool, typer.Option("--open", help="Only payments that are not final, or have a refund that is not.")
    ] = False,
    refunding: Annotated[
        bool, typer.Option("--refunding", help="Only payments with a refund that is not final.")
    ] = False,
    reference_prefix: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Only references that start with this, by reference unless --sort is given."
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="TIME", help=f"Order, --since and --until by one of {', '.join(get_args(ListedBy))}."
        ),
    ] = "created",
    sort: Sorted = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar=METAVAR,
            help="Only from this time on; ISO 8601, UTC without a zone, or how long ago: 90m, 2d.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar=METAVAR, help="Only before this time.")] = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue after this payment, the last one of a list.")
    ] = None,
    limit: Annotated[
        str, typer.Option(metavar="N", help=f"Maximum number of payments, 1 to {LIMIT_MAX}; 0 for all.")
    ] = str(quick.LIMIT),
    csv: Csv = False,
) -> int:
    """List payments, newest first."""
    return quick.list_payments(
        options_of(context),
        status=status,
        review=review,
        reason=reason,
        uncertain=uncertain,
        open=is_open,
        refunding=refunding,
        reference_prefix=reference_prefix,
        by=by,
        sort=sort,
        since=since,
        until=until,
        after=after,
        limit=limit,
        csv=csv,
    )
