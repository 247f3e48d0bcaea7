"""`show` and `list`: their options and help; `paycore.cli.quick` runs them."""

from __future__ import annotations

from typing import Annotated

import typer

from paycore.cli import quick
from paycore.cli.app import PaymentId, Reference, options_of
from paycore.domain.payment import Status


def show(context: typer.Context, payment_id: PaymentId = None, *, reference: Reference = None) -> int:
    """Show a payment and what happened to it."""
    return quick.show(options_of(context), payment_id=payment_id, reference=reference)


def list_payments(
    context: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help=f"One of {', '.join(Status)}.")] = None,
    review: Annotated[bool, typer.Option("--review", help="Those a person must look at.")] = False,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Those with an answer of the provider outstanding.")
    ] = False,
    is_open: Annotated[
        bool, typer.Option("--open", help="Those of which anything is not final, refunds too.")
    ] = False,
    created_before: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Those older than this, in ISO 8601; UTC without a zone."),
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on after this payment, the last one of a list.")
    ] = None,
    limit: Annotated[str, typer.Option(metavar="N", help=f"At most so many, 1 to {quick.LIMIT_MAX}.")] = str(
        quick.LIMIT
    ),
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
