"""
QFPay's signatures of requests, replies and notifications. The client key is revealed only here.

Each is the hex digest of some bytes followed by the key. Pure functions; no error shows a key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from paycore.plugin import Secret

SignType = Literal["MD5", "SHA256"]

_HASHES: Mapping[SignType, Callable[[bytes], Any]] = {"MD5": hashlib.md5, "SHA256": hashlib.sha256}


def render_canonical(fields: Mapping[str, str]) -> str:
    """
    The text that is signed for a request, without the key: `name=value` joined with `&`.

    Sorted by name in ASCII order (`page` < `page_size` < `pay_type`), values raw: not percent-encoded, not
    trimmed. Empty values are left out; the caller must leave them out of the body too (`messages.fields_of`).
    Source: sdk.qfapi.com "Authentication & Signature"; SOURCES.md §2.1, read 2026.
    """
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if fields[name])


def sign_request(fields: Mapping[str, str], *, key: Secret, sign_type: SignType = "MD5") -> str:
    """
    The value of `X-QF-SIGN` for a request with these raw `fields`: upper-case hex.

    UTF-8, key appended without a separator. QFPay seems to accept either case; its own samples send upper.
    Source: sdk.qfapi.com "Authentication & Signature"; SOURCES.md §2.1, vectors V1 to V9.
    """
    return _digest(render_canonical(fields).encode(), key, sign_type)


def sign_body(body: bytes, *, key: Secret, sign_type: SignType = "MD5") -> str:
    """
    The signature of a reply or a notification: upper-case hex over the raw `body` and the key.

    Sign the bytes as they arrived: a re-serialised body has another digest. Notifications are always MD5,
    even where requests use SHA256.
    Source: "QFPay API in Japanese Business" §3.4 and §3.5.3 (2018-07-25), "Asynchronous Notifications"
    (2026); SOURCES.md §2.2 and §2.3, vectors V3, V10, V11.
    """
    return _digest(body, key, sign_type)


def is_signed(body: bytes, signature: str, *, keys: Iterable[Secret], sign_type: SignType = "MD5") -> bool:
    """
    Whether `signature`, hex in either case, is that of `body` under any of `keys`.

    Compares in constant time and always tries every key.
    """
    given = signature.upper().encode("utf-8", "replace")
    matches = [
        hmac.compare_digest(given, sign_body(body, key=key, sign_type=sign_type).encode()) for key in keys
    ]
    return any(matches)


def is_usable_key(key: Secret) -> bool:
    """Whether `key` can sign at all: not empty, printable ASCII without spaces."""
    value = key.reveal()
    return value.isascii() and value.isprintable() and " " not in value and bool(value)


def _digest(content: bytes, key: Secret, sign_type: SignType) -> str:
    digest: str = _HASHES[sign_type](content + key.reveal().encode()).hexdigest()
    return digest.upper()
