"""`show` and `list`: their options and help; `paycore.cli.quick` runs them."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from paycore.cli import quick
from paycore.cli.app import PaymentId, Reference, options_of
from paycore.domain.payment import Status
from paycore.ledger.api import ListedBy


def show(context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None) -> int:
    """Show a payment and its timeline."""
    return quick.show(options_of(context), payment_id=payment_id, reference=reference)


def list_payments(
    context: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help=f"One of {', '.join(Status)}.")] = None,
    review: Annotated[bool, typer.Option("--review", help="Only payments that need review.")] = False,
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="Only payments that need review for this reason.")
    ] = None,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Only payments with an unknown outcome.")
    ] = False,
    is_open: Annotated[
        bool, typer.Option("--open", help="Only payments that are not final, or have a refund that is not.")
    ] = False,
    reference_prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only references that start with this, ordered by reference."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="TIME", help=f"Order, --since and --until by one of {', '.join(get_args(ListedBy))}."
        ),
    ] = "created",
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only from this time on; ISO 8601, UTC without a zone.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only before this time.")] = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue after this payment, the last one of a list.")
    ] = None,
    limit: Annotated[
        str, typer.Option(metavar="N", help=f"Maximum number of payments, 1 to {quick.LIMIT_MAX}; 0 for all.")
    ] = str(quick.LIMIT),
) -> int:
    """List payments, newest first."""
    return quick.list_payments(
        options_of(context),
        status=status,
        review=review,
        reason=reason,
        uncertain=uncertain,
        open=is_open,
        reference_prefix=reference_prefix,
        by=by,
        since=since,
        until=until,
        after=after,
        limit=limit,
    )
