"""Totals as a table, as JSON and as CSV: one group of payments a line, amounts in major units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paycore.cli.render.csv_lines import Cell
from paycore.cli.render.tables import headed
from paycore.cli.render.text import Style, align, clean, width
from paycore.domain.money import render_minor
from paycore.domain.totals import Totals, TotalsBy

KEYS: tuple[TotalsBy, ...] = ("day", "account", "status", "currency")
SUMS = ("amount", "paid", "refunded", "charged_back", "charge_back_won")

_HEADS = {
    "currency": "CCY",
    "charged_back": "CHARGED BACK",
    "charge_back_won": "WON BACK",
}
_RARE = ("charged_back", "charge_back_won")
"""Left out of the table where all are zero."""


def columns_of(by: Sequence[TotalsBy]) -> list[str]:
    """Return the columns of CSV: what is grouped by, the currency in any case, and the sums."""
    return [*dict.fromkeys((*by, "currency")), "count", *SUMS]


def total_cells(total: Totals, columns: Sequence[str]) -> list[Cell]:
    """Return the cells of these columns."""
    return [_cell(total, name) for name in columns]


def total_document(total: Totals) -> dict[str, Any]:
    """Return a group's totals as JSON fields; what it is not grouped by is null."""
    keys: dict[str, Any] = {name: getattr(total, name) for name in KEYS}
    sums: dict[str, Any] = {}
    for name in SUMS:
        sums |= {name: _cell(total, name), f"{name}_minor": getattr(total, f"{name}_minor")}
    return {**keys, "day": _cell(total, "day"), "count": total.count, **sums}


def totals_table(
    totals: Sequence[Totals], by: Sequence[TotalsBy], style: Style, columns: int | None
) -> list[str]:
    """Render one group a line. A window that is too narrow goes without what was to be paid, then what was won back."""
    rare = [name for name in _RARE if any(getattr(total, f"{name}_minor") for total in totals)]
    shown = [name for name in columns_of(by) if name not in _RARE or name in rare]
    lines: list[str] = []
    narrow = [name for name in shown if name != "amount"]
    for layout in (shown, narrow, [name for name in narrow if name != "charge_back_won"]):
        heads = [_HEADS.get(name, name.upper()) for name in layout]
        right = frozenset(place for place, name in enumerate(layout) if name not in KEYS)
        rows = [[_written(total, name, style) for name in layout] for total in totals]
        lines = headed(align([heads, *rows], right=right), style)
        if columns is None or max(map(width, lines)) <= columns:
            break
    return lines


def _written(total: Totals, name: str, style: Style) -> str:
    return style.status(str(total.status)) if name == "status" else clean(str(_cell(total, name)))


def _cell(total: Totals, name: str) -> Cell:
    if name == "day":
        return None if total.day is None else total.day.isoformat()
    if name in SUMS:
        return render_minor(getattr(total, f"{name}_minor"), total.exponent)
    value: Cell = getattr(total, name)
    return value
