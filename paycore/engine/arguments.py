"""
What the verbs of both clients are given, checked before the ledger is asked.

Anything of a wrong type or out of its bounds is an `InvalidField` that names the argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from paycore.domain.payment import Payment, Status
from paycore.domain.wire import Notification
from paycore.engine.requests import check_name, check_text
from paycore.errors import InvalidField
from paycore.ledger.api import Filter

LIST_MAX = 1000
OPEN_PAGE = 200
"""Open payments held at once by who iterates over them."""

WAIT_MAX_S = 366 * 24 * 3600
"""Longer than any payment is open, and within what threads and event loops can wait."""


class Name(NamedTuple):
    """What a payment is found by."""

    account: str | None
    reference: str
    namespace: str | None


def checked_id(payment_id: object) -> str:
    """The id, when it is text."""
    if not isinstance(payment_id, str):
        raise InvalidField("payment_id", f"must be the payment's id as text, not {type(payment_id).__name__}")
    check_name("payment_id", payment_id)
    return payment_id


def checked_wait(timeout_s: object) -> float:
    """The seconds to wait, 0 to `WAIT_MAX_S`; 0 takes the payment as it is."""
    is_flag = isinstance(timeout_s, bool)
    if isinstance(timeout_s, int | float) and not is_flag and 0 <= timeout_s <= WAIT_MAX_S:
        return timeout_s
    raise InvalidField("timeout_s", f"must be a number of seconds from 0 to {WAIT_MAX_S}")


def checked_name(account: str | None, reference: str, namespace: str | None) -> Name:
    """What a payment is found by: its account and its namespace, None for any, and its reference."""
    for field, value in (("account", account), ("namespace", namespace)):
        if value is not None:
            check_text(field, value)
    check_text("reference", reference)
    return Name(account, reference, namespace)


def checked_account(account: str) -> str:
    """The account's name, when it is text."""
    check_text("account", account)
    return account


def checked_notification(now: datetime, body: bytes, headers: Mapping[str, str], query: str) -> Notification:
    """What arrived at `now`, header names in lower case. Whether it can be taken is another question."""
    if not isinstance(body, bytes):
        raise InvalidField("body", f"must be the raw bytes, not {type(body).__name__}")
    if not isinstance(query, str):
        raise InvalidField("query", f"must be the raw query string, not {type(query).__name__}")
    if not hasattr(headers, "items"):  # frameworks have mappings of their own, which are no `Mapping`
        raise InvalidField("headers", f"must be a mapping of names to texts, not {type(headers).__name__}")
    fields = dict(headers.items())
    if not all(isinstance(text, str) for field in fields.items() for text in field):
        raise InvalidField("headers", "must have texts as names and values")
    lower = {name.lower(): value for name, value in fields.items()}
    return Notification(body=body, headers=lower, query=query, received_at=now)


def checked_filter(
    *,
    account: str | None,
    status: Status | str | None,
    review: bool | None,
    uncertain: bool | None,
    open: bool | None,
    created_before: datetime | None,
    after: str | Payment | None,
    limit: int,
) -> Filter:
    """Which payments to list; None means any."""
    if account is not None:
        check_text("account", account)
    for field, flag in (("review", review), ("uncertain", uncertain), ("open", open)):
        if flag is not None and not isinstance(flag, bool):
            raise InvalidField(field, f"must be True, False or None, not {type(flag).__name__}")
    if created_before is not None:
        _check_moment("created_before", created_before)
    if type(limit) is not int or not 1 <= limit <= LIST_MAX:
        raise InvalidField("limit", f"must be a whole number from 1 to {LIST_MAX}")
    return Filter(
        account=account,
        status=None if status is None else _status(status),
        review=review,
        uncertain=uncertain,
        open=open,
        created_before=created_before,
        after=None if after is None else _place(after),
        limit=limit,
    )


def open_pages(account: str | None) -> Filter:
    """The first page of all payments of which anything is not final."""
    if account is not None:
        check_text("account", account)
    return Filter(account=account, open=True, limit=OPEN_PAGE)


def next_page(which: Filter, page: Sequence[Payment]) -> Filter | None:
    """The page after this one; None when it was the last."""
    return None if len(page) < which.limit else replace(which, after=page[-1].id)


def _place(after: str | Payment) -> str:
    """The id of the payment after which a list goes on."""
    payment_id = after.id if isinstance(after, Payment) else after
    if not isinstance(payment_id, str):
        raise InvalidField("after", f"must be a payment or its id, not {type(payment_id).__name__}")
    check_text("after", payment_id)
    return payment_id


def _status(status: Status | str) -> Status:
    try:
        return Status(status)
    except ValueError:
        raise InvalidField("status", f"must be one of {', '.join(Status)}, or None for any") from None


def _check_moment(field: str, moment: datetime) -> None:
    """A moment that is the same everywhere: local time without a zone is hours off elsewhere."""
    if not isinstance(moment, datetime):
        raise InvalidField(field, f"must be a datetime, not {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise InvalidField(field, "must have a time zone, as in datetime(2026, 1, 31, tzinfo=UTC)")
