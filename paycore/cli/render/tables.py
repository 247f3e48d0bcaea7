"""Tables that are fitted to the width of the terminal: payments one a line, and any other rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from paycore.cli.render.text import Style, align, clean, fold, moment, shorten, width
from paycore.domain.payment import Payment, Status
from paycore.domain.schedule import has_open_refund

if TYPE_CHECKING:
    from paycore.ledger.api import ListedBy

REFERENCE_MAX = 32
REFERENCE_MIN = 8
"""Width of a reference in columns, at most and, in a narrow terminal, at least."""

LAST_MIN = 16
"""Narrower than this, the last column is not wrapped."""


class _Column(NamedTuple):
    head: str
    cell: Callable[[Payment, Style], str]


def _flags(payment: Payment, style: Style) -> str:
    return " ".join(_each_flag(payment, style))


def _first_flag(payment: Payment, style: Style) -> str:
    first, *more = _each_flag(payment, style) or [""]
    return f"{first} +{len(more)}" if more else first


def _each_flag(payment: Payment, style: Style) -> list[str]:
    """What is out of the ordinary, what a person must look at first."""
    flags = []
    if payment.review:
        flags.append(style("review", "red", "bold"))
    if payment.uncertain and payment.status is not Status.UNKNOWN:
        flags.append(style("uncertain", "magenta"))
    if has_open_refund(payment):
        flags.append("refunding")
    if payment.refunded_minor:
        flags.append("refunded" if payment.refunded_minor >= payment.paid_minor else "partly refunded")
    if payment.charged_back_minor > payment.charge_back_won_minor:
        flags.append(style("charged back", "red"))
    return flags


_ID = _Column("ID", lambda payment, _: payment.id)
_REFERENCE = _Column("REFERENCE", lambda payment, _: shorten(clean(payment.reference), REFERENCE_MAX))
_ACCOUNT = _Column("ACCOUNT", lambda payment, _: payment.account)
_AMOUNT = _Column("AMOUNT", lambda payment, _: str(payment.amount))
_STATUS = _Column("STATUS", lambda payment, style: style.status(payment.status))
_FLAGS = _Column("", _flags)
_FIRST_FLAG = _Column("", _first_flag)
_REASONS = _Column(
    "REASONS", lambda payment, _: ", ".join(why.replace("_", " ") for why in payment.review_reasons)
)
_TIME = _Column("TIME", lambda *_: "")
_BRIEFLY = _Column("TIME UTC", lambda *_: "")
"""Replaced by the time that the list is ordered by."""

# From the widest to the narrowest.
_LAYOUTS = (
    (_ID, _REFERENCE, _ACCOUNT, _AMOUNT, _STATUS, _FLAGS, _TIME),
    (_ID, _REFERENCE, _ACCOUNT, _AMOUNT, _STATUS, _FLAGS, _BRIEFLY),
    (_ID, _REFERENCE, _AMOUNT, _STATUS, _FLAGS, _BRIEFLY),
    (_ID, _REFERENCE, _AMOUNT, _STATUS, _FLAGS),
    (_ID, _REFERENCE, _AMOUNT, _STATUS, _FIRST_FLAG),
    (_ID, _STATUS, _FLAGS),
    (_ID, _STATUS, _FIRST_FLAG),
    (_ID, _STATUS),
)


_LAYOUTS_OF_REVIEWS = (
    (_ID, _REFERENCE, _ACCOUNT, _AMOUNT, _STATUS, _REASONS),
    (_ID, _REFERENCE, _AMOUNT, _STATUS, _REASONS),
    (_ID, _REFERENCE, _REASONS),
    (_ID, _REASONS),
)


def payment_table(
    payments: Sequence[Payment],
    style: Style,
    columns: int | None,
    *,
    by: ListedBy = "created",
    with_reasons: bool = False,
) -> list[str]:
    """
    Render one payment a line in the widest layout that fits in `columns`; None means no limit.

    `by` is the time that is shown.
    """
    layouts = [_timed(layout, by) for layout in (_LAYOUTS_OF_REVIEWS if with_reasons else _LAYOUTS)]
    if columns is None:
        return _laid_out(layouts[0], payments, style, columns)
    has_flags = any(_flags(payment, style) for payment in payments)
    lines: list[str] = []
    for layout in layouts:
        said = [column for column in layout if has_flags or column.head]
        lines = _laid_out(said, payments, style, columns)
        if _width(lines) <= columns:
            break
    return lines


def _timed(layout: Sequence[_Column], by: ListedBy) -> list[_Column]:
    """Put a time of the payment into the columns for it."""

    def at(payment: Payment) -> datetime:
        moment: datetime = getattr(payment, f"{by}_at")
        return moment

    head = by.upper()
    times = {
        _TIME: _Column(head, lambda payment, _: moment(at(payment))),
        _BRIEFLY: _Column(f"{head} UTC", lambda payment, _: f"{at(payment).astimezone(UTC):%m-%d %H:%M}"),
    }
    return [times.get(column, column) for column in layout]


def _laid_out(
    layout: Sequence[_Column], payments: Sequence[Payment], style: Style, columns: int | None
) -> list[str]:
    """Render a layout; references are shortened where it is too wide."""
    rows = [[column.cell(payment, style) for column in layout] for payment in payments]
    rows.insert(0, [column.head for column in layout])
    right = frozenset({layout.index(_AMOUNT)} if _AMOUNT in layout else ())
    lines = align(rows, right=right)
    if columns is not None and _REFERENCE in layout:
        place = layout.index(_REFERENCE)
        longest = max(width(row[place]) for row in rows)
        room = max(REFERENCE_MIN, longest - max(0, _width(lines) - columns))
        lines = align(
            [[*row[:place], shorten(row[place], room), *row[place + 1 :]] for row in rows], right=right
        )
    return headed(lines, style)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], style: Style, columns: int | None
) -> list[str]:
    """
    Render rows; the last column is wrapped to fit in `columns`, None means no limit.

    A column AMOUNT is aligned to the right.
    """
    cleaned = [header, *([clean(cell) for cell in row] for row in rows)]
    right = frozenset(index for index, head in enumerate(header) if head == _AMOUNT.head)
    lines = align(cleaned, right=right)
    indent = _width(lines) - max(width(row[-1]) for row in cleaned)
    if columns is not None and _width(lines) > columns and columns - indent >= LAST_MIN:
        lines = align([part for row in cleaned for part in _parts(row, columns - indent)], right=right)
    return headed(lines, style)


def _parts(row: Sequence[str], room: int) -> list[list[str]]:
    """Split a row into several lines, with the rest of its last cell under it."""
    first, *more = fold(row[-1], room)
    return [[*row[:-1], first], *([""] * (len(row) - 1) + [line] for line in more)]


def headed(lines: Sequence[str], style: Style) -> list[str]:
    """Render the first line as the heads of the others."""
    head, *rest = lines
    return [style(head, "dim"), *rest]


def _width(lines: Sequence[str]) -> int:
    return max(width(line) for line in lines)
