"""Labelled lines of text: a payment, its timeline, a difference that verification found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from paycore.cli.render.text import Style, align, clean, duration, fold, moment, width
from paycore.cli.render.timeline import Entry
from paycore.domain.action import Action, AppCall, ClientCall, Instructions, QRCode, Redirect, WalletCall
from paycore.domain.money import Money
from paycore.domain.payment import Payment, Status

if TYPE_CHECKING:
    from paycore.ledger.audit import Verdict

_MEANINGS = {
    Status.CREATED: "nothing is confirmed: create it again, same reference",
    Status.UNKNOWN: "it may have arrived: `paycore query` resolves it",
    Status.PENDING: "the payer must act",
    Status.PAID: "",
    Status.FAILED: "nothing was taken",
    Status.CLOSED: "nobody can pay it any more",
}


def payment_block(payment: Payment, style: Style) -> list[str]:
    """Render a payment, one field a line."""
    rows = [
        ("payment", style(payment.id, "bold")),
        ("reference", clean(payment.reference)),
        *([("namespace", payment.namespace)] if payment.namespace else []),
        ("amount", _amount(payment)),
        ("status", _status(payment, style)),
        *_warnings(payment, style),
        *_action_rows(payment.action),
        ("account", f"{payment.account} ({payment.provider}, {payment.method}/{payment.channel})"),
        ("number", payment.order_number),
        *([("provider id", clean(payment.provider_id))] if payment.provider_id else []),
        ("created", moment(payment.created_at)),
        *_expiry(payment),
        *_refund_rows(payment, style),
    ]
    return align([(style(label, "dim"), value) for label, value in rows])


def _amount(payment: Payment) -> str:
    text = str(payment.amount)
    if payment.refunded_minor:
        text += f", of which {_minor(payment, payment.refunded_minor)} went back"
    if payment.paid_minor not in (0, payment.amount.minor):
        text += f", paid {_minor(payment, payment.paid_minor)}"
    return text


def _minor(payment: Payment, minor: int) -> str:
    amount = payment.amount
    return Money.from_minor(minor, amount.currency, exponent=amount.exponent).text


def _status(payment: Payment, style: Style) -> str:
    text = style.status(payment.status)
    meaning = _MEANINGS[payment.status]
    if payment.status is Status.PENDING and _is_scanned(payment.action):
        meaning = "the payer must scan the link below as a QR code"
    if meaning:
        text += style(f"  {meaning}", "dim")
    return text


def _warnings(payment: Payment, style: Style) -> list[tuple[str, str]]:
    rows = []
    if payment.review:
        reasons = ", ".join(reason.replace("_", " ") for reason in payment.review_reasons)
        rows.append(("review", style(f"{reasons}: a person must look", "red", "bold")))
    if payment.uncertain and payment.status is not Status.UNKNOWN:
        rows.append(("uncertain", style("an answer of the provider is outstanding", "magenta")))
    if payment.failure is not None:
        rows.append(("failure", clean(f"{payment.failure.code} {payment.failure.message}")))
    return rows


def _action_rows(action: Action | None) -> list[tuple[str, str]]:
    match action:
        case None:
            return []
        case Redirect(url=url):
            return [("qr" if _is_scanned(action) else "open", clean(url))]
        case QRCode(content=content):
            return [("qr", clean(content))]
        case WalletCall(call=call, params=params):
            return [("call", clean(f"{call}({_pairs(params)}) on a page inside the wallet"))]
        case AppCall(order=order):
            return [("app order", clean(order))]
        case _:
            return _rows_of_page(action)


def _rows_of_page(action: ClientCall | Instructions) -> list[tuple[str, str]]:
    if isinstance(action, ClientCall):
        return [("script", clean(action.script)), ("with", clean(_pairs(action.params)))]
    return [(clean(name), clean(text)) for name, text in action.fields.items()]


def _is_scanned(action: Action | None) -> bool:
    return isinstance(action, QRCode) or (isinstance(action, Redirect) and action.show_as == "qr")


def _pairs(params: object) -> str:
    items = dict(params).items() if isinstance(params, dict) else ()
    return ", ".join(f"{name}={value}" for name, value in items)


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
        lines += _wrapped(head, clean(entry.what), columns)
        if entry.status_from != entry.status_to:
            lines[-1] += f"  {style('->', 'dim')} {style.status(entry.status_to)}"
    return lines


def _wrapped(head: str, words: str, columns: int | None) -> list[str]:
    """Wrap `words` after `head` with a hanging indent; a word without spaces is not broken."""
    if columns is None:
        return [head + words]
    first, *more = fold(words, max(24, columns - width(head) - 14))
    return [head + first, *(" " * width(head) + line for line in more)]
