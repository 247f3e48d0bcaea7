"""
Recomputes each payment from its events, and compares it with its row.

Trusts only events whose hashes match, and applies them by the rules that the ledger uses.
"""

from __future__ import annotations

from paycore.domain.codec import decode, encode
from paycore.domain.events import GENESIS, Change, chain_hash
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Payment
from paycore.domain.schedule import LATE_CHECKS, due_at
from paycore.ledger.audit.verdicts import Difference, unequal
from paycore.ledger.clock import from_ms
from paycore.ledger.history import History, StoredEvent, StoredPayment
from paycore.ledger.rows import COLUMNS, columns


class Judged:
    """A recomputed payment: its number of events, the payment in its row, and the first difference."""

    def __init__(self, history: History) -> None:
        fold = Fold(history.payment.payment_id)
        self.events = 0
        for event in history.events:
            self.events += 1
            fold.take(event)
        stored = history.payment
        self.payment_id = stored.payment_id
        self.payment = read_body(stored.body)
        self.difference = fold.difference or _row_difference(stored, self.payment, fold)


class Fold:
    """The payment after the events so far, up to the first difference."""

    def __init__(self, payment_id: str) -> None:
        self.payment: Payment | None = None
        self.head = GENESIS
        self.difference: Difference | None = None
        self._payment_id = payment_id
        self._number = 0
        self._position = 0

    def take(self, event: StoredEvent) -> None:
        """Take the next event; ignored after a difference."""
        if self.difference is not None:
            return
        self._number += 1
        self.difference = self._place_difference(event) or self._event_difference(event)
        self.head, self._position = event.hash, event.position

    def _place_difference(self, event: StoredEvent) -> Difference | None:
        where = f"event {self._number}"
        if event.seq != self._number:
            return Difference(where=where, stored=f"seq {event.seq}", derived=f"seq {self._number}")
        if event.position <= self._position:
            after = f"after {self._position}"
            return Difference(where=f"{where} position", stored=str(event.position), derived=after)
        if event.prev_hash != self.head:
            return Difference(
                where=f"{where} prev_hash", stored=event.prev_hash.hex(), derived=self.head.hex()
            )
        own = chain_hash(
            self.head, self._payment_id, event.seq, event.at, event.source, event.change.encode()
        )
        if event.hash != own:
            return Difference(where=f"{where} hash", stored=event.hash.hex(), derived=own.hex())
        return None

    def _event_difference(self, event: StoredEvent) -> Difference | None:
        where, before = f"event {self._number}", self.payment
        folded = _fold(before, event)
        if folded is None:
            return Difference(where=where, stored=event.kind, derived="a change that is possible here")
        self.payment, kind = folded
        derived = {
            "seq": self.payment.version,
            "kind": kind,
            "status_from": before and before.status.value,
            "status_to": self.payment.status.value,
        }
        return unequal({name: getattr(event, name) for name in derived}, derived, prefix=f"{where} ")


def _fold(payment: Payment | None, event: StoredEvent) -> tuple[Payment, str] | None:
    """The payment after this event, and the event's kind; None when the event is not possible here."""
    try:
        change: Change = decode(event.change, Change)  # type: ignore[arg-type]
        return evolve(payment, change, from_ms(event.at)), str(change.__struct_config__.tag)
    except Exception:  # noqa: BLE001 - any error means that it is not a valid event
        return None


def _row_difference(stored: StoredPayment, known: Payment | None, fold: Fold) -> Difference | None:
    payment = fold.payment
    if payment is None:
        return Difference(where="events", stored="none", derived="at least `payment_begun`")
    if stored.head != fold.head:
        return Difference(where="head", stored=stored.head.hex(), derived=fold.head.hex())
    if known is None:
        return Difference(where="body", stored="unreadable", derived="the payment")
    # `due_at` changes with each claim and query; but somebody must look after what time alone does not end.
    if stored.columns["due_at"] is None and due_at(payment, payment.updated_at + LATE_CHECKS[-1]) is not None:
        return Difference(where="due_at", stored="never", derived=f"a time, for it is {payment.status}")
    derived = {name: value for name, value in zip(COLUMNS, columns(payment), strict=True) if name != "due_at"}
    difference = unequal({"id": stored.payment_id, **stored.columns}, {"id": payment.id, **derived})
    return difference or _body_difference(stored, known, payment)


def _body_difference(stored: StoredPayment, known: Payment, payment: Payment) -> Difference | None:
    if stored.body == encode(payment).decode():
        return None
    for name in payment.__struct_fields__:
        was, now = getattr(known, name), getattr(payment, name)
        if was != now:
            return Difference(where=f"body {name}", stored=encode(was).decode(), derived=encode(now).decode())
    return Difference(
        where="body", stored="the same payment, encoded differently", derived="paycore's encoding"
    )


def read_body(body: str) -> Payment | None:
    """The payment in a row; None when it can't be decoded."""
    try:
        return decode(body, Payment)
    except Exception:  # noqa: BLE001 - any error means that it is not a payment
        return None
