"""`show` and `list`: their options and help; `paycore.cli.quick` runs them."""

from __future__ import annotations

from typing import Annotated

import typer

from paycore.cli import quick
from paycore.cli.app import PaymentId, Reference, options_of
from paycore.domain.payment import Status


def show(context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None) -> int:
    """Show a payment and its timeline."""
    return quick.show(options_of(context), payment_id=payment_id, reference=reference)


def list_payments(
    context: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help=f"One of {', '.join(Status)}.")] = None,
    review: Annotated[bool, typer.Option("--review", help="Only payments that need review.")] = False,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Only payments with an unknown outcome.")
    ] = False,
    is_open: Annotated[
        bool, typer.Option("--open", help="Only payments that are not final, or have a refund that is not.")
    ] = False,
    created_before: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only older payments; ISO 8601, UTC without a zone."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue after this payment, the last one of a list.")
    ] = None,
    limit: Annotated[
        str, typer.Option(metavar="N", help=f"Maximum number of payments, 1 to {quick.LIMIT_MAX}.")
    ] = str(quick.LIMIT),
) -> int:
    """List payments, newest first."""
    return quick.list_payments(
        options_of(context),
        status=status,
        review=review,
        uncertain=uncertain,
        open=is_open,
        created_before=created_before,
        after=after,
        limit=limit,
    )
