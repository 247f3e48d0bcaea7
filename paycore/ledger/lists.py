"""
Lists of payments, read in their order from an index, page by page.

SQLite keeps no statistics, and takes the index of whichever column is compared first: a list of an account's payments
under review would read the whole account. So the index is chosen here, and SQLite is kept from the others by a sign
before their columns. PostgreSQL chooses by its statistics, where it is not to read a list's order either.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from paycore.domain.payment import Payment, Status
from paycore.domain.schedule import has_open_refund
from paycore.errors import InvalidField, NotFound
from paycore.ledger.api import Filter, ListedBy
from paycore.ledger.clock import to_ms
from paycore.ledger.rows import check_storable, read_payment
from paycore.ledger.transaction import Row, Transaction

TIMES: Mapping[ListedBy, str] = {"created": "created_at", "updated": "updated_at", "paid": "paid_at"}
"""The column, and attribute, of each time."""

_RARE = ("review", "uncertain", "refunding")
"""Conditions that few payments meet at a time."""

_TIME, _TEXT = "0 + ", "'' || "
"""What keeps a column of this kind from using an index, on any database."""

_SURROGATES = (0xD800, 0xDFFF)


class _Term(NamedTuple):
    """A condition: a column or literal SQL, and the values to bind."""

    sql: str
    values: Row = ()


def list_payments(tx: Transaction, which: Filter) -> tuple[Payment, ...]:
    """See `Ledger.list`."""
    check_storable(account=which.account, after=which.after, reference_prefix=which.reference_prefix)
    if which.review_reason is None and which.refunding is None:
        return _page(tx, which)
    # Reasons and refunds stand in the body alone: few payments need review, or are being refunded, at a time.
    found: list[Payment] = []
    more = _narrowed(which)
    while more is not None:
        page = _page(tx, more)
        found += [payment for payment in page if _is_meant(payment, which)]
        more = next_page(more, page) if len(found) < which.limit else None
    return tuple(found[: which.limit])


def _narrowed(which: Filter) -> Filter | None:
    """The list of which all that `which` names are a part, by what columns tell; None where there are none."""
    if which.review_reason is not None:
        if which.review is False:
            return None
        which = replace(which, review=True)
    if which.refunding:
        if which.open is False or which.status not in (None, Status.PAID):
            return None
        which = replace(which, open=True, status=Status.PAID)
    return which


def _is_meant(payment: Payment, which: Filter) -> bool:
    """Whether the payment meets the conditions that stand in its body alone."""
    is_reason = which.review_reason is None or which.review_reason in payment.review_reasons
    return is_reason and which.refunding in (None, has_open_refund(payment))


def next_page(which: Filter, page: tuple[Payment, ...]) -> Filter | None:
    """The page after this one; None when it was the last."""
    if len(page) < which.limit:
        return None
    return replace(which, after=page[-1].id, after_at=time_of(page[-1], which.by))


def time_of(payment: Payment, by: ListedBy) -> datetime | None:
    """The payment's time that a list is ordered by."""
    at: datetime | None = getattr(payment, TIMES[by])
    return at


def _page(tx: Transaction, which: Filter) -> tuple[Payment, ...]:
    index = _index(which)
    # What is rare is read whole and sorted: in any order but its index's that takes fewer rows.
    is_sorted = index in _RARE and not _is_by_creation(which)
    terms = [*_range(tx, which, is_sorted=is_sorted), *_conditions(which, index, tx.no_index)]
    where = f" WHERE {' AND '.join(term.sql for term in terms)}" if terms else ""
    way = "ASC" if which.sort == "oldest" else "DESC"
    order = f"{_TIME * is_sorted}{TIMES[which.by]} {way}, id {way}"
    if _is_by_reference(which):
        order = f"{_TEXT * is_sorted}reference, account"
    rows = tx.execute(
        f"SELECT id, body FROM payments{where} ORDER BY {order} LIMIT ?",  # noqa: S608 - all ours, values are bound
        (*(value for term in terms for value in term.values), which.limit),
    ).fetchall()
    return tuple(read_payment(*row) for row in rows)


def _is_by_creation(which: Filter) -> bool:
    return which.by == "created" and which.reference_prefix is None


def _is_by_reference(which: Filter) -> bool:
    return which.reference_prefix is not None and which.sort is None


# --- the range in the order of the list --------------------------------------------------------------


def _range(tx: Transaction, which: Filter, *, is_sorted: bool) -> Iterator[_Term]:
    """The bounds in the order of the list; `is_sorted`: not read in this order."""
    since, until = (None if at is None else to_ms(at) for at in (which.since, which.until))
    time = f"{_TIME * (is_sorted or _is_by_reference(which))}{TIMES[which.by]}"
    if which.by == "paid":
        yield _Term(f"{time} IS NOT NULL")  # only they are in its index
    if which.reference_prefix is not None:
        is_rare = _index(which) in _RARE
        yield from _references(tx, which, which.reference_prefix, f"{_TEXT * is_rare}reference")
    if which.after is not None and not _is_by_reference(which):
        place = _place(tx, which)
        # Of two bounds at one end the later one decides, and keeps the other from being read from.
        if which.sort == "oldest" and (since is None or place >= (since, "")):
            yield _Term(f"({time}, id) > (?, ?)", place)
            since = None
        elif which.sort != "oldest" and (until is None or place < (until, "")):
            yield _Term(f"({time}, id) < (?, ?)", place)
            until = None
    yield from _bounds(time, since, until)


def _bounds(column: str, since: int | None, until: int | None) -> Iterator[_Term]:
    if since is not None:
        yield _Term(f"{column} >= ?", (since,))
    if until is not None:
        yield _Term(f"{column} < ?", (until,))


def _references(tx: Transaction, which: Filter, prefix: str, reference: str) -> Iterator[_Term]:
    """References in the order of their code points, from the prefix to the first text beyond all that have it."""
    if which.after is None or not _is_by_reference(which):
        yield _Term(f"{reference} >= ?", (prefix,))
    else:
        place = _stored(tx, which.after, "reference, account")
        yield _Term(f"({reference}, account) > (?, ?)", max(place, (prefix, "")))
    beyond = _beyond(prefix)
    if beyond is not None:
        yield _Term(f"{reference} < ?", (beyond,))


def _beyond(prefix: str) -> str | None:
    """The least text that is greater than all that start with `prefix`; None when there is none."""
    for place in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[place]) + 1
        if following == _SURROGATES[0]:  # no text has them
            following = _SURROGATES[1] + 1
        if following <= sys.maxunicode:
            return prefix[:place] + chr(following)
    return None


def _place(tx: Transaction, which: Filter) -> tuple[Any, ...]:
    """The time and id after which the list goes on: a payment's time of now, or the one it had on its page."""
    after = str(which.after)
    if which.after_at is not None:
        return to_ms(which.after_at), after
    at, payment_id = _stored(tx, after, f"{TIMES[which.by]}, id")
    if at is None:
        raise InvalidField("after", f"names {payment_id}, which was never {which.by}")
    return at, payment_id


def _stored(tx: Transaction, payment_id: str, columns: str) -> Row:
    rows = tx.execute(f"SELECT {columns} FROM payments WHERE id = ?", (payment_id,)).fetchall()  # noqa: S608
    if not rows:
        raise NotFound(f"no payment has the id {payment_id!r}")
    return rows[0]


# --- what is listed ----------------------------------------------------------------------------------


def _conditions(which: Filter, index: str, no_index: str) -> Iterator[_Term]:
    """
    The conditions beside the range, each kept from its index unless that is the one to use.

    Conditions of partial indexes are literals: only such a one is known to hold before it is bound.
    """
    for name in ("review", "uncertain", "open"):
        value = getattr(which, name)
        if value is not None:
            yield _Term(f"{no_index * (name != index)}{name} = {int(value)}")
    if which.status is not None:
        if index == "open" and which.open is None:
            yield _Term("open = 1")  # every pending payment is
        yield _status(which.status, index, no_index)
    if which.account is not None:
        is_used = index in ("account", "account and status")
        yield _Term(f"{no_index * (not is_used)}account = ?", (which.account,))


def _status(status: Status, index: str, no_index: str) -> _Term:
    if index == "refunding":
        return _Term("open = 1 AND status = 'paid'")
    if index in ("status", "account and status"):
        return _Term(f"status = '{status.value}' AND status <> 'pending'")
    return _Term(f"{no_index}status = ?", (status.value,))


def _index(which: Filter) -> str:
    """The condition whose index is to be used; empty for that of the list's order."""
    if which.review or which.uncertain:
        return "review" if which.review else "uncertain"
    if which.open and which.status is Status.PAID:
        return "refunding"
    if not _is_by_creation(which):
        return ""
    if which.status not in (None, Status.PENDING):
        return "status" if which.account is None else "account and status"
    if which.open or which.status is Status.PENDING:
        return "open"
    return "" if which.account is None else "account"
