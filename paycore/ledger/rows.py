"""What a payment is in the tables: its columns, the statements that write it, and its body, which is read back."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from paycore.domain.bounds import ID_MAX
from paycore.domain.codec import decode
from paycore.domain.payment import Charge, Payment
from paycore.domain.schedule import due_at, is_listed, is_open
from paycore.errors import InvalidField, LedgerCorrupt
from paycore.ledger.clock import to_ms
from paycore.ledger.transaction import Row

COLUMNS = tuple(
    "status version paid_minor refunded_minor uncertain review open namespace due_at listed updated_at"
    " authorized_at paid_at closed_at"
    " account provider reference amount_minor currency exponent created_at".split()
)
"""The columns of a payment's row that repeat parts of its body, to be searched."""

CHANGING = COLUMNS.index("account")
"""The number of columns that may change; they come first."""

_UNLESS_HINTED = "due_at = CASE WHEN hinted = 0 THEN ? ELSE due_at END"
"""What is recorded may be older than the hint, so whoever claims the payment next has to ask."""

INSERT_PAYMENT = (
    f"INSERT INTO payments ({', '.join(COLUMNS)}, head, body, id)"  # noqa: S608
    f" VALUES ({', '.join('?' * (len(COLUMNS) + 3))}) ON CONFLICT DO NOTHING"
)
_SET = ", ".join(f"{name} = ?" for name in COLUMNS[:CHANGING])
UPDATE_PAYMENT = (
    f"UPDATE payments SET {_SET.replace('due_at = ?', _UNLESS_HINTED)}, head = ?, body = ?"  # noqa: S608
    " WHERE id = ? AND version = ?"
)
INSERT_OPERATION = (
    "INSERT INTO operations (id, payment_id, account, kind, number, begun_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_REFUND = (
    "INSERT INTO refunds (account, reference, payment_id, namespace)"
    " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_CHARGE = (
    "INSERT INTO charges (account, provider_id, payment_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_PROVIDER_ID = (
    "INSERT INTO provider_ids (account, provider_id, payment_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_EVENT = (
    "INSERT INTO events (payment_id, seq, at, source, kind, status_from, status_to, change, prev_hash, hash)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_NOTIFICATION = (
    "INSERT INTO inbox (account, digest, received_at, headers, query, body, verdict, payment_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
INSERT_SPENT = "INSERT INTO budgets (account, body) VALUES (?, ?) ON CONFLICT DO NOTHING"
UPDATE_SPENT = "UPDATE budgets SET body = ? WHERE account = ?"
EMPTY = "{}"
"""The body of an account that has spent nothing yet."""

HINT = "UPDATE payments SET due_at = CASE WHEN asked_at > ? THEN asked_at + ? ELSE ? END, hinted = 1 WHERE id = ?"
"""Due now, unless it was asked about a moment ago: whoever mentions it again and again causes no more questions."""

POSTPONE = (
    "UPDATE payments SET due_at = ?, asked_at = coalesce(?, asked_at), hinted = CASE WHEN ? = 1 THEN 0 ELSE hinted END"
    " WHERE id = ? AND version = ? AND due_at > ? AND hinted <> 1 AND coalesce(asked_at, 0) <= ?"
)
"""`hinted` is 1 from a hint until somebody asks, and 2 from then until there is an answer: meanwhile it stays due."""


def new_charges(before: Payment | None, payment: Payment) -> Iterator[Charge]:
    """The charges that `payment` has and `before` does not."""
    known = set(before.charges) if before is not None else set()
    return (charge for charge in payment.charges if charge not in known)


def provider_ids(payment: Payment) -> set[str]:
    """What the provider calls the payment's orders, refunds and charges, as far as it may be looked for."""
    return set(filter(_is_looked_for, _told_ids(payment)))


def new_provider_ids(before: Payment | None, payment: Payment) -> set[str]:
    """The ids of the provider's that `payment` has and `before` does not."""
    told = _told_ids(payment)
    if before is not None:
        told -= _told_ids(before)
    return set(filter(_is_looked_for, told))


def _told_ids(payment: Payment) -> set[str]:
    told = {charge.provider_id for charge in payment.charges}
    for operation in payment.operations:
        told |= operation.provider_ids
    return told


def _is_looked_for(provider_id: str) -> bool:
    """Whether a notification may name it: neither empty, nor longer than ids are, which no index would take."""
    return 0 < len(provider_id) <= ID_MAX and is_storable(provider_id)


def is_storable(text: str) -> bool:
    """Whether every database can store the text: no NUL characters, and valid as UTF-8."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def check_storable(**texts: str | None) -> None:
    """Raise `InvalidField` for text that not every database can store."""
    for field, text in texts.items():
        if text is not None and not is_storable(text):
            raise InvalidField(field, "must be text without NUL characters that can be written as UTF-8")


def read_payment(payment_id: str, body: str) -> Payment:
    """The payment in a row; `LedgerCorrupt` when it can't be decoded."""
    try:
        return decode(body, Payment)
    except (msgspec.MsgspecError, ValueError) as error:
        raise LedgerCorrupt(
            f"the row of payment {payment_id} can't be read; restore a backup, then run `paycore ledger verify`",
            payment_id=payment_id,
        ) from error


def columns(payment: Payment) -> Row:
    """The values of `COLUMNS` for this payment."""
    due, order = due_at(payment, payment.updated_at), payment.order
    is_in_lists, is_unfinished = is_listed(payment), is_open(payment)
    return (
        payment.status.value,
        payment.version,
        payment.paid_minor,
        payment.refunded_minor,
        int(payment.uncertain),
        int(payment.review),
        int(is_unfinished),
        payment.namespace,
        to_ms(due),
        int(is_in_lists),
        to_ms(payment.updated_at),
        to_ms(payment.authorized_at),
        to_ms(payment.paid_at),
        to_ms(payment.closed_at),
        payment.account,
        payment.provider,
        order.reference,
        order.amount.minor,
        order.amount.currency,
        order.amount.exponent,
        to_ms(payment.created_at),
    )
