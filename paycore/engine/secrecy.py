"""
Secrets stay out of words: what a plugin or a provider says is masked before anybody keeps or shows it.

A provider may repeat what it was sent, and a plugin may put a key into an error. What they say is kept as
evidence, so it is looked through first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from paycore.domain.codec import encode
from paycore.domain.payment import AppCall, QRCode, Redirect, WalletCall
from paycore.domain.provider import Secret

T = TypeVar("T")

MASK = "***"

SECRET_LENGTH_MIN = 8
"""A shorter one can't be told from an ordinary word: masking it would garble what is said."""


def secrets_in(settings: msgspec.Struct) -> tuple[Secret, ...]:
    """Every secret an account's settings hold, those in lists too."""
    return tuple(secrets_among(msgspec.structs.asdict(settings).values()))


def secrets_among(values: Iterable[object]) -> Iterator[Secret]:
    """The secrets among `values`, and among the lists there."""
    for value in values:
        if isinstance(value, Secret):
            yield value
        elif isinstance(value, tuple | list):
            yield from secrets_among(value)


def mask(text: str, secrets: Sequence[Secret]) -> str:
    """`text` with every secret in it replaced by three asterisks, one that was cut off at its end too."""
    for word in _words(secrets):
        text = text.replace(word, MASK)
        for length in range(len(word) - 1, SECRET_LENGTH_MIN - 1, -1):
            if text.endswith(word[:length]):
                text = text[:-length] + MASK
    return text


def holds_secret(value: object, secrets: Sequence[Secret]) -> bool:
    """Whether a text anywhere in `value`, a domain value, holds one of them, or its beginning."""
    words = _words(secrets)
    if not words:
        return False
    written = encode(value)
    # As JSON writes it: a secret may hold characters that are escaped there.
    return any(encode(word[:SECRET_LENGTH_MIN])[1:-1] in written for word in words)


def masked(value: T, secrets: Sequence[Secret]) -> T:
    """A domain value with every secret in its texts masked; the very same object when there is none."""
    if not holds_secret(value, secrets):
        return value
    return _masked(value, secrets)  # type: ignore[return-value]


def _masked(value: object, secrets: Sequence[Secret]) -> object:
    match value:
        case str():
            text = mask(value, secrets)
            return value if text == value else text  # a status is a text too, and must stay a status
        case Redirect() | QRCode() | WalletCall() | AppCall():
            return value  # the payer's to use as it is, or not at all
        case msgspec.Struct():
            fields = {name: _masked(getattr(value, name), secrets) for name in value.__struct_fields__}
            return msgspec.structs.replace(value, **fields)
        case Mapping():
            return {name: _masked(item, secrets) for name, item in value.items()}
        case tuple():
            return tuple(_masked(item, secrets) for item in value)
        case _:
            return value


def _words(secrets: Sequence[Secret]) -> list[str]:
    """The secrets that are masked, the longest first: one may be part of another."""
    words = [secret.reveal() for secret in secrets]
    return sorted((word for word in words if len(word) >= SECRET_LENGTH_MIN), key=len, reverse=True)
