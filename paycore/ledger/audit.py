"""
Re-deriving every payment from its history, and handing the whole ledger out as text.

`verify` trusts nothing but the events, and of those only what their hashes vouch for: it folds them again
by the rules the ledger used, and compares what comes out with what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from paycore.domain.codec import decode, encode
from paycore.domain.events import GENESIS, Change, chain_hash
from paycore.domain.lifecycle import evolve
from paycore.domain.payment import Operation, Payment
from paycore.domain.wire import CREDENTIAL_HEADERS
from paycore.errors import NotFound
from paycore.ledger.clock import from_ms, to_ms
from paycore.ledger.history import (
    History,
    Orphan,
    Readable,
    StoredEvent,
    StoredNotification,
    StoredPayment,
    notifications,
    one,
    orphans,
    pages,
)
from paycore.ledger.session import Row, Transaction, columns


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """
    The first thing about a payment that is not as its history says.

    `where` is `event 3` (and the column, where one differs), a column of the payment's row, a field of its
    `body`, or the table in which a row is missing or wrong; `stored` and `derived` are what stands there and
    what should.
    """

    where: str
    stored: str
    derived: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One payment, how many events it has, and what is wrong with it; None when everything holds."""

    payment_id: str
    events: int
    difference: Difference | None


def verify(ledger: Readable) -> Iterator[Verdict]:
    """
    Re-derive every payment from its events; yields one verdict for each, in the order of their ids.

    After them comes one for each payment that has no row, while something still names it. Reads only, a
    page at a time; other processes may go on writing. Raises `LedgerError`s when the ledger can't be read.
    """
    for page in pages(ledger):
        yield from _verdicts(ledger, page)
    for orphan in orphans(ledger):
        yield _without_row(orphan)


def verify_payment(ledger: Readable, payment_id: str) -> Verdict:
    """The verdict on one payment; `NotFound` when nothing in the ledger names it."""
    for verdict in _verdicts(ledger, one(ledger, payment_id)):
        return verdict
    for orphan in orphans(ledger, payment_id):
        return _without_row(orphan)
    raise NotFound(f"no payment has the id {payment_id!r}")


def _verdicts(ledger: Readable, page: list[History]) -> Iterator[Verdict]:
    known = [_readable(stored) for stored, _ in page]
    found = _names(ledger, [payment for payment in known if payment is not None])
    for (stored, events), payment in zip(page, known, strict=True):
        difference = _first_difference(stored, events, payment)
        if difference is None and payment is not None:
            difference = _wrong_name(payment, found)
        yield Verdict(payment_id=stored.payment_id, events=len(events), difference=difference)


def _without_row(orphan: Orphan) -> Verdict:
    gone = Difference(where="payments", stored="no row", derived=f"a row, for `{orphan.table}` names it")
    return Verdict(payment_id=orphan.payment_id, events=0, difference=gone)


# --- comparing ---------------------------------------------------------------------------------------


def _first_difference(
    stored: StoredPayment, events: list[StoredEvent], known: Payment | None
) -> Difference | None:
    """What of the events, then of the row, is not as it should be; `known` is the payment the row tells."""
    payment: Payment | None = None
    head = GENESIS
    for number, event in enumerate(events, start=1):
        difference = _chain_difference(stored.payment_id, number, event, head)
        if difference is not None:
            return difference
        before, folded = payment, _fold(payment, event)
        if folded is None:
            return Difference(where=f"event {number}", stored=event.kind, derived="a change that fits here")
        payment, kind = folded
        difference = _event_difference(number, event, before, payment, kind)
        if difference is not None:
            return difference
        head = event.hash
    if payment is None:
        return Difference(where="events", stored="none", derived="at least the payment's beginning")
    return _row_difference(stored, payment, head) or _body_difference(stored, known, payment)


def _fold(payment: Payment | None, event: StoredEvent) -> tuple[Payment, str] | None:
    """The payment after this event and the event's kind; None when it can't have happened."""
    try:
        change: Change = decode(event.change, Change)  # type: ignore[arg-type]
        return evolve(payment, change, from_ms(event.at)), str(change.__struct_config__.tag)
    except Exception:  # noqa: BLE001 - whatever somebody wrote there, and however it fails: it is no history
        return None


def _chain_difference(payment_id: str, number: int, event: StoredEvent, head: bytes) -> Difference | None:
    where = f"event {number}"
    if event.seq != number:
        return Difference(where=where, stored=f"seq {event.seq}", derived=f"seq {number}")
    if event.prev_hash != head:
        return Difference(where=f"{where} prev_hash", stored=event.prev_hash.hex(), derived=head.hex())
    own = chain_hash(head, payment_id, event.seq, event.at, event.source, event.change.encode())
    if event.hash != own:
        return Difference(where=f"{where} hash", stored=event.hash.hex(), derived=own.hex())
    return None


def _event_difference(
    number: int, event: StoredEvent, before: Payment | None, payment: Payment, kind: str
) -> Difference | None:
    derived = {
        "seq": payment.version,
        "kind": kind,
        "status_from": before and before.status.value,
        "status_to": payment.status.value,
    }
    stored = {name: getattr(event, name) for name in derived}
    return _unequal(stored, derived, prefix=f"event {number} ")


def _row_difference(stored: StoredPayment, payment: Payment, head: bytes) -> Difference | None:
    if stored.head != head:
        return Difference(where="head", stored=stored.head.hex(), derived=head.hex())
    # When to look next moves with every lease and look; no fact follows from it.
    derived = {name: value for name, value in columns(payment).items() if name != "due_at"}
    return _unequal({"id": stored.payment_id, **stored.columns}, {"id": payment.id, **derived})


def _body_difference(stored: StoredPayment, known: Payment | None, payment: Payment) -> Difference | None:
    if stored.body == encode(payment).decode():
        return None
    if known is None:
        return Difference(where="body", stored="unreadable", derived="the payment")
    for name in payment.__struct_fields__:
        was, now = getattr(known, name), getattr(payment, name)
        if was != now:
            return Difference(where=f"body {name}", stored=encode(was).decode(), derived=encode(now).decode())
    return Difference(where="body", stored="the same payment in other words", derived="as paycore writes it")


def _unequal(
    stored: Mapping[str, object], derived: Mapping[str, object], *, prefix: str = ""
) -> Difference | None:
    """The first of `derived` that is not what is stored under its name."""
    for name, value in derived.items():
        if stored[name] != value:
            return Difference(where=f"{prefix}{name}", stored=str(stored[name]), derived=str(value))
    return None


def _readable(stored: StoredPayment) -> Payment | None:
    try:
        return decode(stored.body, Payment)
    except Exception:  # noqa: BLE001 - whatever somebody wrote there, it is no payment
        return None


# --- the names a payment is found by -----------------------------------------------------------------

_OPERATION = ("id", "payment_id", "account", "kind", "number", "begun_at")


class _Names(NamedTuple):
    """Rows of operations by their id; payments by account and a refund's reference, or a charge's provider id."""

    operations: dict[str, dict[str, object]]
    refunds: dict[tuple[str, str], str]
    charges: dict[tuple[str, str], str]


def _names(ledger: Readable, payments: list[Payment]) -> _Names:
    """What leads to the payments of a page. Read after them, so that nothing of theirs can be missing yet."""
    operations = [operation.id for payment in payments for operation in payment.operations]
    references = [refund.reference for payment in payments for refund in payment.refunds]
    charged = [charge.provider_id for payment in payments for charge in payment.charges]

    def rows(tx: Transaction) -> tuple[list[Row], list[Row], list[Row]]:
        by_id, ids = tx.in_list(operations)
        by_reference, given = tx.in_list(references)
        by_provider_id, told = tx.in_list(charged)
        numbers = f"SELECT {', '.join(_OPERATION)} FROM operations WHERE id {by_id}"  # noqa: S608
        names = f"SELECT account, reference, payment_id FROM refunds WHERE reference {by_reference}"  # noqa: S608
        owners = f"SELECT account, provider_id, payment_id FROM charges WHERE provider_id {by_provider_id}"  # noqa: S608
        return tx.all(numbers, (ids,)), tx.all(names, (given,)), tx.all(owners, (told,))

    numbered, refunded, paid = ledger.read(rows).result()
    return _Names(
        {row[0]: dict(zip(_OPERATION, row, strict=True)) for row in numbered},
        {(account, reference): payment_id for account, reference, payment_id in refunded},
        {(account, provider_id): payment_id for account, provider_id, payment_id in paid},
    )


def _wrong_name(payment: Payment, found: _Names) -> Difference | None:
    """A number or reference of this payment that does not lead to it: what is said of it would go unheard."""
    for operation in payment.operations:
        row = found.operations.get(operation.id)
        if row is None:
            return Difference(where="operations", stored="no row", derived=f"number {operation.number}")
        difference = _unequal(row, _operation_row(payment, operation), prefix="operations ")
        if difference is not None:
            return difference
    for refund in payment.refunds:
        owner = found.refunds.get((payment.account, refund.reference), "no row")
        if owner == "no row":
            return Difference(where="refunds", stored=owner, derived=f"reference {refund.reference}")
        if owner != payment.id:
            return Difference(where="refunds payment_id", stored=owner, derived=payment.id)
    for charge in payment.charges:
        # Which of several payments an id of an old ledger went to is told by the table alone.
        if (payment.account, charge.provider_id) not in found.charges:
            return Difference(where="charges", stored="no row", derived=f"provider id {charge.provider_id}")
    return None


def _operation_row(payment: Payment, operation: Operation) -> dict[str, object]:
    return {
        "payment_id": payment.id,
        "account": payment.account,
        "kind": operation.kind.value,
        "number": operation.number,
        "begun_at": to_ms(operation.begun_at),
    }


# --- handing it out ----------------------------------------------------------------------------------


def export(ledger: Readable) -> Iterator[str]:
    """
    The whole ledger as JSON Lines, without line ends: each payment and its events, then the notifications.

    See `records`. Holds personal data where the ledger does.
    """
    return (render_record(record) for record in records(ledger))


def records(ledger: Readable) -> Iterator[dict[str, Any]]:
    """
    Everything in the ledger: each payment, then its events, oldest first; after all payments the notifications.

    `type` is `payment`, `event` or `notification`. A payment and a change are what is stored, byte for
    byte, so that hashes can be checked; what is no JSON is given as text. Hashes are in hex, bodies of
    notifications in base64, times in UTC milliseconds. Reads only, a page at a time.
    """
    for stored, events in chain.from_iterable(pages(ledger)):
        yield {"type": "payment", "id": stored.payment_id, "payment": _as_stored(stored.body)}
        for event in events:
            fields: dict[str, Any] = event._asdict()
            fields["change"] = _as_stored(event.change)
            fields["prev_hash"], fields["hash"] = event.prev_hash.hex(), event.hash.hex()
            yield {"type": "event", "payment_id": stored.payment_id, **fields}
    for notification in notifications(ledger):
        yield {"type": "notification", **notification._asdict(), "headers": _shown_headers(notification)}


def render_record(record: dict[str, Any]) -> str:
    """A record as one line of JSON."""
    return msgspec.json.encode(record).decode()


def _as_stored(text: str) -> msgspec.Raw | str:
    """The JSON as it stands, unless it would break the line."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return text
    return text if "\n" in text else msgspec.Raw(text.encode())


def _shown_headers(notification: StoredNotification) -> dict[str, str] | str:
    try:
        headers = msgspec.json.decode(notification.headers, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError):
        return ""  # whatever stands there, it is not what paycore wrote
    return {name: "***" if name.lower() in CREDENTIAL_HEADERS else value for name, value in headers.items()}
