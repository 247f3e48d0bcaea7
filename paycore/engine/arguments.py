"""
The checks of what the verbs beside `create` are given, by both clients; and of a notification that arrived.

Anything of a wrong type or out of its bounds is an `InvalidField` that names the argument, raised before anything is
recorded or sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import NamedTuple, TypedDict, TypeVar, get_args

from msgspec.structs import replace

from paycore.domain.bounds import ID_MAX
from paycore.domain.changes import ChangeKind
from paycore.domain.codec import encode
from paycore.domain.events import Finding
from paycore.domain.findings import Found
from paycore.domain.payment import Payment, ReviewReason, Status
from paycore.domain.totals import TotalsBy
from paycore.domain.wire import NOTIFICATION_MAX, Notification
from paycore.engine.checks import check_name, check_reference, check_text, is_unicode, plain
from paycore.errors import InvalidField, MalformedNotification
from paycore.ledger.api import Filter, ListedBy, Sort, Summed
from paycore.ledger.lists import time_of

WordT = TypeVar("WordT", bound=StrEnum)

HEADS_MAX = 64 * 1024
"""Bytes of the headers and the query string of a notification."""

LIST_MAX = 1000
PAGE = 50
LISTED_AT_ONCE = 200
"""Payments held at once by who iterates over a list."""

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


class ListArguments(TypedDict, total=False):
    """The arguments that say which payments are listed, and in which order; see `Client.list`."""

    account: str | None
    status: Status | str | None
    review: bool | None
    review_reason: ReviewReason | str | None
    uncertain: bool | None
    open: bool | None
    refunding: bool | None
    reference_prefix: str | None
    by: ListedBy
    sort: Sort | None
    since: datetime | None
    until: datetime | None


def checked_filter(
    given: Mapping[str, object], *, after: str | Payment | None = None, limit: int = PAGE
) -> Filter:
    """Which payments to list, by the arguments of `ListArguments`; TypeError for any other."""
    unknown = given.keys() - ListArguments.__annotations__.keys()
    if unknown:
        raise TypeError(f"list() got an unexpected keyword argument {min(unknown)!r}")
    which = _filter(**given)  # type: ignore[arg-type]  # each is checked
    if type(limit) is not int or not 1 <= limit <= LIST_MAX:
        raise InvalidField("limit", f"must be a whole number from 1 to {LIST_MAX}")
    if after is None:
        return replace(which, limit=limit)
    after_at = time_of(after, which.by) if isinstance(after, Payment) else None
    return replace(which, after=_place(after), after_at=after_at, limit=limit)


def first_page(given: Mapping[str, object]) -> Filter:
    """The first page of all payments that these arguments of `ListArguments` name."""
    return checked_filter(given, limit=LISTED_AT_ONCE)


def _filter(
    *,
    account: str | None = None,
    status: Status | str | None = None,
    review: bool | None = None,
    review_reason: ReviewReason | str | None = None,
    uncertain: bool | None = None,
    open: bool | None = None,
    refunding: bool | None = None,
    reference_prefix: str | None = None,
    by: ListedBy = "created",
    sort: Sort | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Filter:
    for field, text in (("account", account), ("reference_prefix", reference_prefix)):
        if text is not None:
            check_text(field, text)
    flags = {"review": review, "uncertain": uncertain, "open": open, "refunding": refunding}
    for field, flag in flags.items():
        if flag is not None and not isinstance(flag, bool):
            raise InvalidField(field, f"must be True, False or None, not {type(flag).__name__}")
    for field, moment in (("since", since), ("until", until)):
        if moment is not None:
            _check_moment(field, moment)
    if by not in get_args(ListedBy):
        raise InvalidField("by", f"must be one of {', '.join(get_args(ListedBy))}")
    if sort is not None and sort not in get_args(Sort):
        raise InvalidField("sort", f"must be one of {', '.join(get_args(Sort))}, or None")
    return Filter(
        account=account,
        status=None if status is None else _word("status", status, Status),
        review=review,
        review_reason=None if review_reason is None else _word("review_reason", review_reason, ReviewReason),
        uncertain=uncertain,
        open=open,
        refunding=refunding,
        reference_prefix=reference_prefix,
        by=by,
        sort=sort,
        since=since,
        until=until,
    )


def _place(after: str | Payment) -> str:
    """The id of the payment after which a list goes on."""
    payment_id = after.id if isinstance(after, Payment) else after
    if not isinstance(payment_id, str):
        raise InvalidField("after", f"must be a payment or its id, not {type(payment_id).__name__}")
    check_text("after", payment_id)
    return payment_id


def _word(field: str, given: object, words: type[WordT]) -> WordT:
    try:
        return words(given)  # type: ignore[arg-type]  # any other value is a ValueError
    except ValueError:
        raise InvalidField(field, f"must be one of {', '.join(words)}, or None for any") from None


def _check_moment(field: str, moment: datetime) -> None:
    """A moment that is the same everywhere: local time without a zone is hours off elsewhere."""
    if not isinstance(moment, datetime):
        raise InvalidField(field, f"must be a datetime, not {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise InvalidField(field, "must have a time zone, as in datetime(2026, 1, 31, tzinfo=UTC)")


def check_arrived(notification: Notification) -> None:
    """Refuse what could not be kept, before anybody looks at it."""
    heads = notification.query + "".join(name + value for name, value in notification.headers.items())
    if "\x00" in heads:
        raise MalformedNotification("a header or the query string has a NUL character")
    try:
        heads_length = len(heads.encode())
    except UnicodeEncodeError:
        raise MalformedNotification("a header or the query string can't be written as UTF-8") from None
    if len(notification.body) > NOTIFICATION_MAX:
        raise MalformedNotification(f"longer than {NOTIFICATION_MAX} bytes")
    if heads_length > HEADS_MAX:
        raise MalformedNotification(f"its headers and query string are longer than {HEADS_MAX} bytes")


def checked_range(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """A range of time, from `since` to before `until`."""
    for field, moment in (("since", since), ("until", until)):
        _check_moment(field, moment)
    if since >= until:
        raise InvalidField("until", "must be later than `since`")
    return since, until


# --- totals ------------------------------------------------------------------------------------------


class TotalsArguments(TypedDict, total=False):
    """The arguments that say which payments are summed; see `Client.totals`."""

    account: str | None
    time: ListedBy
    since: datetime | None
    until: datetime | None
    timezone: tzinfo


def checked_totals(by: tuple[str, ...], given: Mapping[str, object]) -> Summed:
    """What is summed, by the arguments of `TotalsArguments`; TypeError for any other."""
    unknown = given.keys() - TotalsArguments.__annotations__.keys()
    if unknown:
        raise TypeError(f"totals() got an unexpected keyword argument {min(unknown)!r}")
    for key in by:
        if key not in get_args(TotalsBy):
            raise InvalidField("by", f"must be some of {', '.join(get_args(TotalsBy))}, not {key!r}")
    which = _summed(**given)  # type: ignore[arg-type]  # each is checked
    return replace(which, by=tuple(dict.fromkeys(by)))


def _summed(
    *,
    account: str | None = None,
    time: ListedBy = "created",
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: tzinfo = UTC,
) -> Summed:
    if account is not None:
        check_text("account", account)
    if time not in get_args(ListedBy):
        raise InvalidField("time", f"must be one of {', '.join(get_args(ListedBy))}")
    for field, moment in (("since", since), ("until", until)):
        if moment is not None:
            _check_moment(field, moment)
    if since is not None and until is not None:
        checked_range(since, until)
    if not isinstance(timezone, tzinfo):
        raise InvalidField("timezone", f"must be a tzinfo, such as a ZoneInfo, not {type(timezone).__name__}")
    return Summed(account=account, time=time, since=since, until=until, timezone=timezone)


# --- the change feed ---------------------------------------------------------------------------------

CONSUMER_MAX = 64
"""Characters of a consumer's name."""


def checked_consumer(name: str) -> str:
    """A consumer's name, 1 to 64 printable characters without spaces at its ends."""
    check_name("consumer", name)
    if not 1 <= len(name) <= CONSUMER_MAX:
        raise InvalidField("consumer", f"must be text of 1 to {CONSUMER_MAX} characters")
    return name


def checked_kinds(kinds: Iterable[ChangeKind | str] | None) -> frozenset[ChangeKind] | None:
    """Kinds or their words; None means all."""
    if kinds is None:
        return None
    if isinstance(kinds, str):
        raise InvalidField("kinds", f"must be several words, such as ({kinds!r},)")
    try:
        known = frozenset(ChangeKind(kind) for kind in kinds)
    except (ValueError, TypeError):
        raise InvalidField("kinds", f"must be some of {', '.join(ChangeKind)}, or None for all") from None
    if not known:
        raise InvalidField("kinds", "must name at least one kind, or be None for all")
    return known


# --- what the payer came back with, and what an operator records -------------------------------------

RETURNED_MAX = 16 * 1024
"""Bytes of what a payer comes back with, as it is recorded."""

NOTE_MAX = 1000
"""Characters of an operator's note."""

BY_MAX = 128
"""Characters of an operator's name."""


class FoundByHand(NamedTuple):
    """What an operator records of a payment: what they found at the provider, and of which refund."""

    found: Found
    finding: Finding
    provider_id: str | None
    refund: str | None


def checked_returned(params: Mapping[str, str]) -> dict[str, str]:
    """What the payer came back with: texts by name, at most `RETURNED_MAX` bytes, in the order of the names."""
    if not isinstance(params, Mapping):
        raise InvalidField("params", f"must be a mapping of names to texts, not {type(params).__name__}")
    kept: dict[str, str] = {}
    for name, value in params.items():
        for text in (name, value):
            if not isinstance(text, str):
                raise InvalidField(
                    "params", f"must have texts as names and values, not {type(text).__name__}"
                )
            if not is_unicode(text) or "\x00" in text:
                raise InvalidField("params", "must be valid Unicode text without NUL characters")
        kept[plain(name)] = plain(value)
    if len(encode(kept)) > RETURNED_MAX:
        raise InvalidField("params", f"are longer than {RETURNED_MAX} bytes")
    return {name: kept[name] for name in sorted(kept)}


def checked_reason(reason: ReviewReason | str) -> ReviewReason:
    """A reason for review, or its word."""
    try:
        return ReviewReason(reason)
    except ValueError:
        raise InvalidField("reason", f"must be one of {', '.join(ReviewReason)}") from None


def checked_finding(by: str, note: str) -> Finding:
    """Who records something by hand, and their note; neither may be empty."""
    check_name("by", by)
    check_text("note", note)
    for field, text, length_max in (("by", by, BY_MAX), ("note", note, NOTE_MAX)):
        if not 1 <= len(text.strip()) <= length_max:
            raise InvalidField(field, f"must be text of 1 to {length_max} characters")
    return Finding(by=plain(by), note=plain(note))


def checked_record(
    found: str, *, by: str, note: str, provider_id: str | None, refund: str | None
) -> FoundByHand:
    """What an operator found at the provider: with the id of the charge, or of which refund it is."""
    if found not in get_args(Found):
        raise InvalidField("found", f"must be one of {', '.join(get_args(Found))}")
    if provider_id is not None:
        check_name("provider_id", provider_id)
        if not 1 <= len(provider_id) <= ID_MAX:
            raise InvalidField("provider_id", f"must be text of 1 to {ID_MAX} characters")
    if refund is not None:
        check_reference(refund)
    if found == "paid" and provider_id is None:
        raise InvalidField("provider_id", "is needed: the provider's id of what was paid")
    if found == "refunded" and refund is None:
        raise InvalidField("refund", "is needed: the reference of the refund that was made")
    if found in ("paid", "closed") and refund is not None:
        raise InvalidField("refund", f"is not {found}: that is said of the payment")
    return FoundByHand(found, checked_finding(by, note), plain(provider_id), plain(refund))  # type: ignore[arg-type]
