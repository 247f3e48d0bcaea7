"""The JSON that `--json` prints: stable field names, amounts as text and minor units, times in ISO 8601 UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from paycore.cli.render.text import render_time
from paycore.cli.render.timeline import Entry
from paycore.domain.action import Action
from paycore.domain.payment import Failure, Payment, Refund, first_ids, refund_operation

if TYPE_CHECKING:
    from paycore.domain.changes import PaymentChange
    from paycore.ledger.api import Consumer
    from paycore.ledger.audit import Verdict

Document = dict[str, Any]

_encoder = msgspec.json.Encoder()


def encode(document: object) -> bytes:
    """Encode JSON on one line; characters that are not printable are escaped."""
    written = _encoder.encode(document)
    text = written.decode()
    return written if text.isprintable() else "".join(map(_escaped, text)).encode()


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def payment_document(payment: Payment) -> Document:
    """Return a payment as JSON fields."""
    return {
        "id": payment.id,
        "account": payment.account,
        "provider": payment.provider,
        "namespace": payment.namespace,
        "reference": payment.reference,
        "method": payment.method,
        "channel": payment.channel,
        "status": payment.status,
        "uncertain": payment.uncertain,
        "review": payment.review,
        "review_reasons": payment.review_reasons,
        "amount": payment.amount.text,
        "amount_minor": payment.amount.minor,
        "currency": payment.amount.currency,
        "capture": payment.order.capture,
        "authorized_minor": payment.authorized_minor,
        "paid_minor": payment.paid_minor,
        "refunded_minor": payment.refunded_minor,
        "charged_back_minor": payment.charged_back_minor,
        "charge_back_won_minor": payment.charge_back_won_minor,
        "action": _action(payment.action),
        "ignored": payment.ignored,
        "untold": payment.untold,
        "returned": payment.returned,
        "order_number": payment.order_number,
        "provider_id": payment.provider_id,
        "ids": payment.ids,
        "created_at": render_time(payment.created_at),
        "updated_at": render_time(payment.updated_at),
        "authorized_at": payment.authorized_at and render_time(payment.authorized_at),
        "paid_at": payment.paid_at and render_time(payment.paid_at),
        "closed_at": payment.closed_at and render_time(payment.closed_at),
        "expires_at": payment.expires_at and render_time(payment.expires_at),
        "failure": _failure(payment.failure),
        "capture_failure": _failure(payment.capture_failure),
        "refunds": [_refund(payment, refund) for refund in payment.refunds],
    }


def event_document(entry: Entry) -> Document:
    """Return an entry of the timeline as JSON fields."""
    return {**msgspec.structs.asdict(entry), "at": render_time(entry.at)}


def timeline_document(payment: Payment, entries: Sequence[Entry]) -> Document:
    """Return a payment as JSON fields, with its `events`."""
    return {**payment_document(payment), "events": [event_document(entry) for entry in entries]}


def difference_document(verdict: Verdict) -> Document:
    """Return a difference between what is stored and what the events give as JSON fields."""
    difference = verdict.difference
    return {
        "type": "difference",
        "payment_id": verdict.payment_id,
        "where": difference and difference.where,
        "stored": difference and difference.stored,
        "derived": difference and difference.derived,
    }


def change_document(change: PaymentChange) -> Document:
    """Return a change of the change feed as JSON fields."""
    return {
        "key": change.key,
        "position": change.position,
        "kind": change.kind,
        "at": render_time(change.at),
        "refund": change.refund,
        "payment": payment_document(change.payment),
    }


def consumer_document(consumer: Consumer) -> Document:
    """Return a consumer of the change feed as JSON fields."""
    return {
        "consumer": consumer.name,
        "position": consumer.place.position,
        "behind": consumer.behind,
        "oldest_at": consumer.oldest_at and render_time(consumer.oldest_at),
        "acknowledged_at": consumer.acknowledged_at and render_time(consumer.acknowledged_at),
        "created_at": render_time(consumer.created_at),
        "leased_until": consumer.leased_until and render_time(consumer.leased_until),
    }


def _action(action: Action | None) -> Document | None:
    """Include fields at their defaults, so that readers need not know the defaults."""
    if action is None:
        return None
    fields = {name: getattr(action, name) for name in action.__struct_fields__}
    return {"type": action.__struct_config__.tag, **fields}


def _failure(failure: Failure | None) -> Document | None:
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message}


def _refund(payment: Payment, refund: Refund) -> Document:
    return {
        "reference": refund.reference,
        "amount": refund.amount.text,
        "amount_minor": refund.amount.minor,
        "status": refund.status,
        "number": refund.number,
        "provider_id": refund.provider_id,
        "ids": first_ids(refund_operation(payment, refund.reference)),
        "charge_id": refund.charge_id,
        "failure": _failure(refund.failure),
    }
