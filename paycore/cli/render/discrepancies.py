"""What reconciling found: as blocks to read, as the cells of CSV, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paycore.cli.render.tables import table
from paycore.cli.render.text import Style, clean, count, fold, moment, render_time

if TYPE_CHECKING:
    from datetime import datetime

    from paycore.domain.money import Money
    from paycore.domain.reconciliation import Discrepancy, Reconciliation

COLUMNS = (
    "kind",
    "settled",
    "refund_of_payment",
    "payment_id",
    "reference",
    "refund",
    "number",
    "provider_id",
    "amount_here",
    "amount_there",
    "currency",
    "status_here",
    "status_there",
    "at",
    "advice",
)

_INDENT = "  "


def block(found: Reconciliation, style: Style, columns: int | None) -> list[str]:
    """A table of all that differs, what a person must look at first; then, of each of those, what to do."""
    if not found.discrepancies:
        return []
    ordered = sorted(found.discrepancies, key=lambda one: one.is_settled)
    rows = [
        [
            "settled" if one.is_settled else "look",
            _kind(one),
            clean(_name(one)),
            _amounts(one),
            _statuses(one),
        ]
        for one in ordered
    ]
    lines = table(_HEADER, rows, style, columns)
    for one in ordered:
        if not one.is_settled:
            lines += ["", *_lines(one, style, columns)]
    return lines


_HEADER = ("", "WHAT", "REFERENCE", "AMOUNT", "STATUS")


def _kind(one: Discrepancy) -> str:
    return one.kind.value.replace("_", " ")


def _lines(one: Discrepancy, style: Style, columns: int | None) -> list[str]:
    thing = "refund" if one.is_refund else "payment"
    head = f"{style(_kind(one), 'red', 'bold')}: {thing} {clean(_name(one))}"
    made = "" if one.at is None else f"made {moment(one.at)}"
    facts = ", ".join(filter(None, (_amounts(one), _statuses(one), made)))
    ids = [f"number {one.number}" if one.number else "", f"the provider's id {one.provider_id or '-'}"]
    ids += [f"payment {one.payment_id}" if one.payment_id else ""]
    rows = [facts, clean(", ".join(filter(None, ids))), clean(one.advice)]
    wide = None if columns is None else max(20, columns - len(_INDENT))
    below = [f"{_INDENT}{line}" for row in rows if row for line in _folded(row, wide)]
    return [head, *below]


def _folded(row: str, columns: int | None) -> Sequence[str]:
    return [row] if columns is None else fold(row, columns)


def _name(one: Discrepancy) -> str:
    if not one.is_refund:
        return one.reference or "without a reference"
    of = f" of {one.reference}" if one.reference else ""
    return f"{one.refund or 'without a reference'}{of}"


def _amounts(one: Discrepancy) -> str:
    here, there = one.amount_here, one.amount_there
    if here is None or there is None or here == there:
        return str(there or here or "")
    return f"here {here}, there {there}"


def _statuses(one: Discrepancy) -> str:
    here, there = one.status_here, one.status_there
    if here is not None and there is not None:
        return there if here == there else f"here {here}, there {there}"
    return f"{there} there" if there is not None else f"{here} here" if here is not None else ""


def cells(one: Discrepancy) -> list[str | bool | datetime | None]:
    """The cells of `COLUMNS`."""
    return [
        one.kind.value,
        one.is_settled,
        one.is_refund,
        one.payment_id,
        one.reference,
        one.refund,
        one.number,
        one.provider_id,
        _text(one.amount_here),
        _text(one.amount_there),
        _currency(one),
        one.status_here,
        one.status_there,
        one.at,
        one.advice,
    ]


def _text(amount: Money | None) -> str | None:
    return None if amount is None else amount.text


def _currency(one: Discrepancy) -> str | None:
    amount = one.amount_there or one.amount_here
    return None if amount is None else amount.currency


def document(found: Reconciliation) -> dict[str, Any]:
    """The JSON of the whole."""
    return {
        "account": found.account,
        "since": render_time(found.since),
        "until": render_time(found.until),
        "orders": found.orders,
        "refunds": found.refunds,
        "foreign": found.foreign,
        "needs_person": found.needs_person,
        "discrepancies": [_document(one) for one in found.discrepancies],
    }


def _document(one: Discrepancy) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "settled": one.is_settled,
        "is_refund": one.is_refund,
        "payment_id": one.payment_id,
        "reference": one.reference,
        "refund": one.refund,
        "number": one.number,
        "provider_id": one.provider_id,
        "ids": dict(one.ids),
        "amount_here": _text(one.amount_here),
        "amount_here_minor": None if one.amount_here is None else one.amount_here.minor,
        "amount_there": _text(one.amount_there),
        "amount_there_minor": None if one.amount_there is None else one.amount_there.minor,
        "currency": _currency(one),
        "status_here": one.status_here,
        "status_there": one.status_there,
        "at": None if one.at is None else render_time(one.at),
        "advice": one.advice,
    }


def summary(found: Reconciliation) -> str:
    """How much was compared, and how much a person must look at."""
    foreign = f", {found.foreign} of them not made here" if found.foreign else ""
    compared = f"compared {count(found.orders, 'order')} and {count(found.refunds, 'refund')}{foreign}"
    open_left = sum(not one.is_settled for one in found.discrepancies)
    settled = len(found.discrepancies) - open_left
    if not found.discrepancies:
        return f"{compared}: nothing differs"
    words = f"{compared}: {count(settled, 'difference')} settled"
    return f"{words}, {open_left} to look at" if open_left else words
