"""Checks stored notifications: each matches its digest, and its payment exists."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from paycore.domain.wire import notification_digest
from paycore.ledger.audit.verdicts import Difference, Verdict, unequal
from paycore.ledger.history import Readable, StoredNotification, notifications


def inbox_differences(ledger: Readable) -> Iterator[Verdict]:
    """The first difference of each notification; whether its payment exists is checked elsewhere."""
    for kept in notifications(ledger):
        difference = _first_difference(kept)
        if difference is not None:
            yield Verdict(payment_id=None, events=0, difference=difference)


def _first_difference(kept: StoredNotification) -> Difference | None:
    where = f"inbox {kept.account} {kept.digest}"
    if read_headers(kept.headers) is None:
        return Difference(where=f"{where} headers", stored="unreadable", derived="an object of texts")
    if kept.verdict not in ("evidence", "hint"):
        return Difference(where=f"{where} verdict", stored=kept.verdict, derived="evidence or hint")
    derived = notification_digest(kept.body, kept.query)
    return unequal({"digest": kept.digest}, {"digest": derived}, prefix=f"{where} ")


def read_headers(stored: str) -> dict[str, str] | None:
    """The stored headers; None when they can't be decoded."""
    try:
        return msgspec.json.decode(stored, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError):
        return None
