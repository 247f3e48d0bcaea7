"""The columns of CSV: payments under the names that their JSON has, amounts in major units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paycore.domain.money import render_minor

if TYPE_CHECKING:
    from paycore.cli.render.csv_lines import Cell
    from paycore.domain.payment import Payment

PAYMENT_COLUMNS = (
    "id",
    "account",
    "provider",
    "namespace",
    "reference",
    "method",
    "channel",
    "status",
    "uncertain",
    "review_reasons",
    "currency",
    "amount",
    "paid",
    "refunded",
    "charged_back",
    "charge_back_won",
    "order_number",
    "provider_id",
    "created_at",
    "updated_at",
    "paid_at",
    "closed_at",
    "expires_at",
)


def payment_cells(payment: Payment) -> Sequence[Cell]:
    """Return a payment's cells, in the order of `PAYMENT_COLUMNS`."""
    exponent = payment.amount.exponent
    sums = (
        payment.paid_minor,
        payment.refunded_minor,
        payment.charged_back_minor,
        payment.charge_back_won_minor,
    )
    return (
        payment.id,
        payment.account,
        payment.provider,
        payment.namespace,
        payment.reference,
        payment.method,
        payment.channel,
        payment.status,
        payment.uncertain,
        " ".join(payment.review_reasons),
        payment.amount.currency,
        payment.amount.text,
        *(render_minor(minor, exponent) for minor in sums),
        payment.order_number,
        payment.provider_id,
        payment.created_at,
        payment.updated_at,
        payment.paid_at,
        payment.closed_at,
        payment.expires_at,
    )
