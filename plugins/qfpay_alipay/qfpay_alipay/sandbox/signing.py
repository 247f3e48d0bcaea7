"""
The sandbox's own signatures, written from QFPay's documentation.

The plugin has code of its own for them, so that each checks the other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

SIGNATURE = "X-QF-SIGN"
"""The header of a signature: of a request, a reply and a notification."""

_DIGESTS = {"MD5": hashlib.md5, "SHA256": hashlib.sha256}


def request_signature(fields: Mapping[str, str], *, key: str, sign_type: str) -> str:
    """
    The upper-case hex digest a request with these fields must carry.

    Names sorted in ASCII order, `name=value` joined with `&`, values as they are (not percent-encoded, not trimmed),
    the key appended, UTF-8. Every field is signed, empty ones too: QFPay's rule text leaves empty fields out, its own
    worked example signs `channel_type=`, so a client that sends an empty field must sign it and a client that leaves
    it out of both agrees with either text.

    Raises `KeyError` for a `sign_type` other than `MD5` and `SHA256`.

    Source: G5-live "Authentication & Signature"; the empty field: G1 `0_Request_method.md`.
    """
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields, key=_ascii)) + key
    return _DIGESTS[sign_type](text.encode()).hexdigest().upper()


def is_request_signed(fields: Mapping[str, str], *, key: str, sign_type: str, signature: str) -> bool:
    """
    Whether `signature` fits, in hex of either case, compared in constant time.

    Source: official samples send either case (G4/G5 code tabs), so the case cannot matter.
    """
    expected = request_signature(fields, key=key, sign_type=sign_type)
    return hmac.compare_digest(expected.encode(), signature.upper().encode())


def body_signature(body: bytes, *, key: str) -> str:
    """
    The upper-case MD5 over the bytes of a reply or notification and the key.

    MD5 whatever the request was signed with. Source: replies G2 section 3.4; notifications G2 section 3.5.3 and
    G4/G5 "Asynchronous Notifications".
    """
    return hashlib.md5(body + key.encode()).hexdigest().upper()  # noqa: S324 -- QFPay's rule


def _ascii(name: str) -> bytes:
    return name.encode()
