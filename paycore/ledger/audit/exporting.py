"""Exports a ledger as text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from paycore.domain.wire import CREDENTIAL_HEADERS
from paycore.ledger.audit.inbox import read_headers
from paycore.ledger.history import Readable, StoredNotification, notifications, pages


def export(ledger: Readable) -> Iterator[str]:
    """
    The ledger as JSON Lines, without line ends; see `records`.

    Contains the personal data that the ledger contains.
    """
    return (render_record(record) for record in records(ledger))


def records(ledger: Readable) -> Iterator[dict[str, Any]]:
    """
    Each payment followed by its events, oldest first, and after all payments the notifications.

    `type` is `payment`, `event` or `notification`. A payment and a change are exported byte for byte, so that
    hashes can be checked; what is not valid JSON is exported as a string. Hashes are in hex, bodies of
    notifications in base64, times in UTC milliseconds. Only reads, in pages; a payment with a long history that
    is changed meanwhile may have more events than its row counts.
    """
    for history in chain.from_iterable(pages(ledger)):
        stored = history.payment
        yield {"type": "payment", "id": stored.payment_id, "payment": _as_stored(stored.body)}
        for event in history.events:
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
    """The stored JSON, or a string when it is not valid or contains line ends."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return text
    return text if "\n" in text else msgspec.Raw(text.encode())


def _shown_headers(notification: StoredNotification) -> dict[str, str] | str:
    headers = read_headers(notification.headers)
    if headers is None:
        return ""  # not written by paycore
    return {name: "***" if name.lower() in CREDENTIAL_HEADERS else value for name, value in headers.items()}
