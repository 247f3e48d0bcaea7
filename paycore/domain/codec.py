"""How domain values are written as JSON and read back: strict, exact, unable to write a secret."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from paycore.domain.money import Money
from paycore.errors import InvalidMoney

T = TypeVar("T")


def _write(value: object) -> object:
    if isinstance(value, Money):
        return (value.minor, value.currency, value.exponent)
    raise TypeError(f"{type(value).__name__} is never written down")


def _read(kind: type, value: Any) -> object:
    if kind is Money:
        minor, currency, exponent = value
        try:
            return Money.from_minor(minor, currency, exponent=exponent)
        except InvalidMoney as error:
            # msgspec makes a `ValidationError` of it, as of everything else that does not fit.
            raise ValueError(error.message) from error
    raise TypeError(f"{kind.__name__} is never read back")


_encoder = msgspec.json.Encoder(enc_hook=_write)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def encode(value: object) -> bytes:
    """The JSON of a domain value; TypeError for a `Secret` or anything else that must not be stored."""
    return _encoder.encode(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """The value `data` was encoded from; `msgspec.MsgspecError` when it does not fit `kind`."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_read)
    value: T = decoder.decode(data)
    return value
