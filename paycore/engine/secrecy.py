"""
What a plugin or a provider says is made harmless before anybody keeps or shows it: one line, and without secrets.

A provider may repeat what it was sent, and a plugin may put a key into an error. What they say is kept as
evidence, so it is looked through first; and what it says may hold a new line that looks like one of a log, or turn the
reading direction. Only words are altered; an id, a number or a link is either as it is, or not
taken at all: one that was altered would never be found again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeVar
from urllib.parse import quote, quote_plus

import msgspec

from paycore.domain.codec import encode
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Failure
from paycore.domain.provider import NotNow, Secret, Unknown
from paycore.domain.safe_text import printable

T = TypeVar("T")

MASK = "***"

SECRET_LENGTH_MIN = 8
"""A shorter one can't be told from an ordinary word: masking it would garble what is said."""

_ESCAPED = frozenset(b"\\\x7f")
"""Bytes without which JSON in ASCII holds no control character."""

_WORDS: Mapping[type, frozenset[str]] = {
    Failure: frozenset({"code", "message", "advice"}),
    NotNow: frozenset({"problem"}),
    PaymentObservation: frozenset({"words"}),
    RefundObservation: frozenset({"words"}),
    Unknown: frozenset({"problem"}),
}
"""The fields that are for people to read. Every other text is an id, a number, a link or a word of ours."""


class Secrets(tuple[Secret, ...]):  # noqa: SLOT001 - the forms are kept in its `__dict__`
    """The secrets of an account, with the forms to look for computed once."""

    @classmethod
    def of(cls, secrets: Sequence[Secret]) -> Secrets:
        """These secrets, with their forms."""
        return secrets if isinstance(secrets, cls) else cls(secrets)

    @cached_property
    def forms(self) -> list[str]:
        """Those that are masked, also as URLs, JSON and errors have them; the longest first: one may hold another."""
        words = (secret.reveal() for secret in self)
        forms = {
            form
            for word in words
            if len(word) >= SECRET_LENGTH_MIN
            for form in (word, quote(word), quote(word, safe=""), quote_plus(word), _in_json(word).decode())
        }
        return sorted(forms, key=len, reverse=True)

    @cached_property
    def beginnings(self) -> frozenset[bytes]:
        """How each form begins, as JSON writes it."""
        return frozenset(_in_json(form[:SECRET_LENGTH_MIN]) for form in self.forms)


def secrets_in(settings: msgspec.Struct) -> Secrets:
    """Every secret an account's settings hold, those in lists too."""
    return Secrets(secrets_among(msgspec.structs.asdict(settings).values()))


def secrets_among(values: Iterable[object]) -> Iterator[Secret]:
    """The secrets among `values`, and in the lists, tables and structs there."""
    for value in values:
        if isinstance(value, Secret):
            yield value
        elif isinstance(value, tuple | list | set | frozenset):
            yield from secrets_among(value)
        elif isinstance(value, Mapping):
            yield from secrets_among(value.keys())
            yield from secrets_among(value.values())
        elif isinstance(value, msgspec.Struct):
            yield from secrets_among(getattr(value, name) for name in value.__struct_fields__)
        else:
            # What `dataclasses.fields` reads; importing that takes as long as listing payments.
            fields = getattr(type(value), "__dataclass_fields__", ())
            yield from secrets_among(getattr(value, name, None) for name in fields)


def mask(text: str, secrets: Sequence[Secret]) -> str:
    """`text` with every secret in it replaced by three asterisks, one that was cut off at its end too."""
    for form in _forms(secrets):
        text = text.replace(form, MASK)
        for length in range(len(form) - 1, SECRET_LENGTH_MIN - 1, -1):
            if text.endswith(form[:length]):
                text = text[:-length] + MASK
    return text


def holds_secret(value: object, secrets: Sequence[Secret]) -> bool:
    """Whether a text anywhere in `value`, a domain value, holds a whole secret."""
    forms = _forms(secrets)
    written = encode(value) if forms else b""
    return any(_in_json(form) in written for form in forms)


def holds_short_secret(text: str, secrets: Sequence[Secret]) -> bool:
    """Whether `text` holds a secret that is too short to be masked."""
    words = (secret.reveal() for secret in secrets)
    return any(word in text for word in words if 0 < len(word) < SECRET_LENGTH_MIN)


def harmless(text: str, secrets: Sequence[Secret]) -> str:
    """Somebody else's words on one line, without secrets, and with nothing that moves a cursor, turns or hides."""
    return printable(mask(text, secrets))


def masked(value: T, secrets: Sequence[Secret]) -> T:
    """A domain value with all its words harmless; the very same object when they are."""
    return value if is_harmless(encode(value), secrets) else _masked(value, secrets)  # type: ignore[return-value]


def is_harmless(written: bytes, secrets: Sequence[Secret]) -> bool:
    """Whether a value, as JSON, certainly has nothing in it to mask: plain ASCII, and no beginning of a secret."""
    if not written.isascii() or not _ESCAPED.isdisjoint(written):
        return False
    return not any(map(written.__contains__, Secrets.of(secrets).beginnings))


def _masked(value: object, secrets: Sequence[Secret]) -> object:
    match value:
        case msgspec.Struct():
            words = _WORDS.get(type(value), frozenset())
            fields = {
                name: (_mask_words if name in words else _masked)(getattr(value, name), secrets)
                for name in value.__struct_fields__
            }
            return msgspec.structs.replace(value, **fields)
        case tuple():
            return tuple(_masked(item, secrets) for item in value)
        case _:
            return value


def _mask_words(words: str | Mapping[str, str], secrets: Sequence[Secret]) -> object:
    if isinstance(words, str):
        return harmless(words, secrets)
    return {harmless(name, secrets): harmless(text, secrets) for name, text in words.items()}


def _in_json(text: str) -> bytes:
    """As JSON writes it: a secret may hold characters that are escaped there."""
    return encode(text)[1:-1]


def _forms(secrets: Sequence[Secret]) -> list[str]:
    return Secrets.of(secrets).forms
