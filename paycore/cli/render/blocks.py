"""Labelled lines of text: a payment, its timeline, a difference that verification found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never

import msgspec

from paycore.cli.render.standing import ToType, advice, is_scanned, next_steps, plainly, sentence
from paycore.cli.render.text import Style, align, clean, duration, fold, major, moment, width
from paycore.cli.render.timeline import Entry
from paycore.domain.action import Action, AppCall, ClientCall, Instructions, QRCode, Redirect, WalletCall
from paycore.domain.payment import Payment, Status

if TYPE_CHECKING:
    from paycore.ledger.audit import Verdict

_WORDS_MIN = 40
"""Words are not wrapped to less than so many columns."""

_COMMAND = re.compile(r"`[^`]+`")
_STICKY = "\u00a0"
"""Stands for a space at which nothing is wrapped."""


class _Line(NamedTuple):
    """A labelled line; `is_words`: it may be wrapped."""

    label: str
    text: str
    is_words: bool = False


def payment_block(
    payment: Payment, style: Style, columns: int | None = None, *, to_type: ToType = plainly
) -> list[str]:
    """
    Render a payment, one field a line, in the order in which it is read.

    How it stands and what is owed next, what a person must look at, how the payer pays; then its names and details.
    Words are wrapped to `columns`, None means no limit. `to_type` makes the commands that are suggested.
    """
    rows = [
        _Line("status", f"{style.status(payment.status)}: {sentence(payment)}", is_words=True),
        *(_Line("next", clean(step), is_words=True) for step in next_steps(payment, to_type)),
        *_reviews(payment, style, to_type),
        *_refusals(payment),
        *(_Line(*row) for row in action_rows(payment.action)),
        _Line("payment", style(payment.id, "bold")),
        _Line("reference", clean(payment.reference)),
        *(_Line(*row) for row in _details(payment)),
        *(_Line(*row) for row in _refund_rows(payment, style)),
    ]
    return _labelled(rows, style, columns)


def _labelled(rows: Sequence[_Line], style: Style, columns: int | None) -> list[str]:
    """Put the labels before the texts; one that is that of the line above is left out before words."""
    room = None if columns is None else columns - max(width(row.label) for row in rows) - 2
    lines: list[tuple[str, str]] = []
    label = ""
    for row in rows:
        is_repeated, label = row.is_words and row.label == label, row.label
        first, *more = _folded(row.text, room) if row.is_words else [row.text]
        lines.append(("" if is_repeated else style(row.label, "dim"), first))
        lines += (("", line) for line in more)
    return align(lines)


def _folded(words: str, columns: int | None) -> list[str]:
    """Wrap words, but not within a command: it is there to be copied."""
    if columns is None:
        return [words.replace(_STICKY, " ")]
    whole = _COMMAND.sub(lambda command: command[0].replace(" ", _STICKY), words)
    return [line.replace(_STICKY, " ") for line in fold(whole, max(_WORDS_MIN, columns))]


def _details(payment: Payment) -> list[tuple[str, str]]:
    return [
        *([("namespace", payment.namespace)] if payment.namespace else []),
        ("account", f"{payment.account} ({payment.provider}, {_product(payment)})"),
        *_brought_back(payment),
        *_unused(payment),
        ("number", payment.order_number),
        *([("provider id", clean(payment.provider_id))] if payment.provider_id else []),
        *([("ids", clean(_pairs(dict(sorted(payment.ids.items())))))] if payment.ids else []),
        *_charges(payment),
        ("created", moment(payment.created_at)),
        *_expiry(payment),
        *_returned(payment),
    ]


def _charges(payment: Payment) -> list[tuple[str, str]]:
    """Each charge, where there are several; of one the provider's id stands above."""
    if len(payment.charges) < 2:
        return []
    rows = [(clean(charge.provider_id), major(payment, charge.amount_minor)) for charge in payment.charges]
    return [("charge", line) for line in align(rows, right=frozenset({1}))]


def _reviews(payment: Payment, style: Style, to_type: ToType) -> Iterator[_Line]:
    """Each reason with what a person does about it."""
    for reason in payment.review_reasons:
        name = style(reason.replace("_", _STICKY), "red", "bold")
        yield _Line("review", f"{name}: {clean(advice(payment, reason, to_type))}", is_words=True)


def _refusals(payment: Payment) -> Iterator[_Line]:
    if payment.failure is not None:
        yield _Line("failure", clean(f"{payment.failure.code} {payment.failure.message}"))
    if payment.capture_failure is not None and payment.status is not Status.FAILED:
        refusal = payment.capture_failure
        yield _Line("not captured", clean(f"{refusal.code} {refusal.message}"))


def _product(payment: Payment) -> str:
    """What it is paid with and where, as far as that is told."""
    return f"{payment.method or '(not told)'}/{payment.channel or '(not told)'}"


def _brought_back(payment: Payment) -> list[tuple[str, str]]:
    if not payment.is_brought_back:
        return []
    return [("brought back", f"from the provider's list; not told: {', '.join(payment.untold)}")]


def _unused(payment: Payment) -> list[tuple[str, str]]:
    if not payment.ignored:
        return []
    return [
        ("ignored", f"{', '.join(payment.ignored)}: {payment.method}/{payment.channel} has no use for it")
    ]


def _returned(payment: Payment) -> list[tuple[str, str]]:
    if not payment.returned:
        return []
    return [("returned", clean(f"the payer came back with {', '.join(sorted(payment.returned))}"))]


# --- the action ----------------------------------------------------------------------------------


def action_rows(action: Action | None) -> list[tuple[str, str]]:
    """Render what the payer must do, as labels and texts."""
    match action:
        case None:
            return []
        case Redirect(url=url):
            return [("qr" if is_scanned(action) else "open", clean(url))]
        case QRCode(content=content):
            return [("qr", clean(content))]
        case WalletCall(call=call, params=params):
            return [("call", clean(f"{call}({_pairs(params)}) on a page inside the wallet"))]
        case AppCall(order=order):
            return [("app order", clean(order))]
        case ClientCall() | Instructions():
            return _rows_of_page(action)
        case _:
            assert_never(action)


def _rows_of_page(action: ClientCall | Instructions) -> list[tuple[str, str]]:
    if isinstance(action, ClientCall):
        params = [("with", clean(_pairs(action.params)))] if action.params else []
        return [("script", clean(action.script)), *params]
    # All under one label: a field may be called as a row of the payment is.
    fields = [(f"{clean(name)}:", clean(text)) for name, text in action.fields.items()]
    return [("pay with", line) for line in (align(fields) if fields else [])]


def _pairs(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_one(value)}" for name, value in params.items())


def _one(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# --- further rows --------------------------------------------------------------------------------


def _expiry(payment: Payment) -> list[tuple[str, str]]:
    if payment.expires_at is None or payment.status.is_final:
        return []
    left_s = (payment.expires_at - datetime.now(UTC)).total_seconds()
    when = f"in {duration(left_s)}" if left_s > 0 else "over"
    return [("expires", f"{moment(payment.expires_at)} ({when})")]


def _refund_rows(payment: Payment, style: Style) -> list[tuple[str, str]]:
    rows = [
        (
            clean(refund.reference),
            str(refund.amount),
            style.status(refund.status),
            "" if refund.failure is None else clean(f"{refund.failure.code} {refund.failure.message}"),
        )
        for refund in payment.refunds
    ]
    return [("refund", line) for line in align(rows, right=frozenset({1}))]


def difference_block(verdict: Verdict, style: Style) -> list[str]:
    """Render a difference between what is stored and what the events give."""
    difference = verdict.difference
    if difference is None:
        return []
    whose = "the ledger" if verdict.payment_id is None else style(clean(verdict.payment_id), "bold")
    rows = [
        ("payment" if verdict.payment_id is not None else "of", whose),
        ("where", style(clean(difference.where), "red")),
        ("stored", clean(difference.stored)),
        ("derived", clean(difference.derived)),
    ]
    return align([(style(label, "dim"), value) for label, value in rows])


def timeline_block(entries: Sequence[Entry], style: Style, columns: int | None) -> list[str]:
    """
    Render the timeline, oldest first: time, source, what happened and the status it led to.

    Text is wrapped to `columns`; None leaves each entry on one line.
    """
    lines, day = [], ""
    source_width = max((width(entry.source) for entry in entries), default=0)
    for entry in entries:
        at = entry.at.astimezone(UTC)
        if f"{at:%Y-%m-%d}" != day:
            day = f"{at:%Y-%m-%d}"
            lines.append(style(f"{day} UTC", "dim"))
        head = f"  {at:%H:%M:%S}.{at.microsecond // 1000:03d}  {entry.source.ljust(source_width)}  "
        led_to = ""
        if entry.status_from != entry.status_to:
            led_to = f" {_STICKY}{style('->', 'dim')}{_STICKY}{style.status(entry.status_to)}"
        lines += _wrapped(head, clean(entry.what) + led_to, columns)
    return lines


def _wrapped(head: str, words: str, columns: int | None) -> list[str]:
    """Wrap `words` after `head` with a hanging indent; a word without spaces is not broken."""
    indent = " " * width(head)
    first, *more = [words] if columns is None else fold(words, max(24, columns - width(head)))
    return [line.replace(_STICKY, " ") for line in (head + first, *(indent + line for line in more))]
