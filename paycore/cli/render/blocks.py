"""Labelled lines of text: a payment, its timeline, a difference that verification found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from paycore.cli.render.text import Style, align, clean, duration, fold, moment, width
from paycore.cli.render.timeline import Entry
from paycore.domain.action import Action, AppCall, ClientCall, Instructions, QRCode, Redirect, WalletCall
from paycore.domain.money import Money
from paycore.domain.payment import Operation, OperationState, Payment, ReviewReason, Status
from paycore.domain.schedule import is_left_to_caller

if TYPE_CHECKING:
    from paycore.ledger.audit import Verdict

_MEANINGS = {
    Status.CREATED: "nothing is confirmed: create it again, same reference",
    Status.UNKNOWN: "it may have arrived: `paycore query` resolves it",
    Status.PENDING: "the payer must act",
    Status.AUTHORIZED: "the payer agreed; the money is about to be taken",
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
        *action_rows(payment.action),
        ("account", f"{payment.account} ({payment.provider}, {_product(payment)})"),
        *_brought_back(payment),
        *_unused(payment),
        ("number", payment.order_number),
        *([("provider id", clean(payment.provider_id))] if payment.provider_id else []),
        *([("ids", clean(_pairs(dict(sorted(payment.ids.items())))))] if payment.ids else []),
        ("created", moment(payment.created_at)),
        *_expiry(payment),
        *_returned(payment),
        *_refund_rows(payment, style),
    ]
    return align([(style(label, "dim"), value) for label, value in rows])


def _amount(payment: Payment) -> str:
    parts = [str(payment.amount)]
    if payment.paid_minor not in (0, payment.amount.minor):
        parts.append(f"paid {_minor(payment, payment.paid_minor)}")
    if payment.refunded_minor:
        parts.append(f"of which {_minor(payment, payment.refunded_minor)} went back")
    if payment.charged_back_minor:
        parts.append(f"charged back {_minor(payment, payment.charged_back_minor)}")
    if payment.charge_back_won_minor:
        parts.append(f"won back {_minor(payment, payment.charge_back_won_minor)}")
    return ", ".join(parts)


def _minor(payment: Payment, minor: int) -> str:
    amount = payment.amount
    return Money.from_minor(minor, amount.currency, exponent=amount.exponent).text


def _status(payment: Payment, style: Style) -> str:
    text = style.status(payment.status)
    meaning = _meaning(payment)
    if meaning:
        text += style(f"  {meaning}", "dim")
    return text


def _meaning(payment: Payment) -> str:
    if payment.status is Status.UNKNOWN and ReviewReason.UNRESOLVABLE in payment.review_reasons:
        return "it may have arrived: `paycore review record` takes what the provider's portal says"
    if payment.status is Status.PENDING:
        return _what_payer_does(payment.action)
    if payment.status is Status.AUTHORIZED and is_left_to_caller(payment):
        return "the payer agreed; `paycore capture` takes the money, `paycore close` lets it go"
    return _MEANINGS[payment.status]


def _what_payer_does(action: Action | None) -> str:
    if is_scanned(action):
        return "the payer must scan the link below as a QR code"
    if isinstance(action, Instructions):
        return "the payer pays elsewhere, with what follows"
    if isinstance(action, ClientCall):
        return "the payer goes on in your page, which loads the script"
    return _MEANINGS[Status.PENDING]


def _warnings(payment: Payment, style: Style) -> list[tuple[str, str]]:
    rows = []
    if payment.review:
        reasons = ", ".join(reason.replace("_", " ") for reason in payment.review_reasons)
        rows.append(("review", style(f"{reasons}: a person must look", "red", "bold")))
    if payment.uncertain and payment.status is not Status.UNKNOWN:
        rows.append(("uncertain", style("an answer of the provider is outstanding", "magenta")))
    if payment.failure is not None:
        rows.append(("failure", clean(f"{payment.failure.code} {payment.failure.message}")))
    if payment.capture_failure is not None and payment.status is not Status.FAILED:
        refusal = payment.capture_failure
        rows.append(("not captured", clean(f"{refusal.code} {refusal.message}")))
    rows += [_waits(operation) for operation in payment.operations if _is_waiting(operation)]
    return rows


def _is_waiting(operation: Operation) -> bool:
    """Return whether nothing of its last attempt moved, and it is to be sent later."""
    is_unsent = operation.state in (OperationState.INTENT, OperationState.UNKNOWN)
    return operation.not_before is not None and is_unsent


def _waits(operation: Operation) -> tuple[str, str]:
    thing = operation.kind.value
    if operation.refund_reference is not None:
        thing += f" {operation.refund_reference}"
    until = "" if operation.not_before is None else f" until {moment(operation.not_before)}"
    return "waits", clean(f"{thing}{until}: {operation.problem}")


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


def is_scanned(action: Action | None) -> bool:
    """Return whether the payer scans it as a QR code."""
    return isinstance(action, QRCode) or (isinstance(action, Redirect) and action.show_as == "qr")


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
