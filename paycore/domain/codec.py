"""Domain values as JSON: strict and exact in both directions, and a `Secret` can't be encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec

from paycore.domain.money import Money
from paycore.errors import InvalidMoney

T = TypeVar("T")


def _write(value: object) -> object:
    """What is encoded for a value of a type that msgspec does not know."""
    match value:
        case Money():
            return (value.minor, value.currency, value.exponent)
        case datetime():
            return _plain_datetime(value)
        case str():
            return str.__str__(value)
        case int():
            return int.__int__(value)
        case _:
            raise TypeError(f"{type(value).__name__} can't be encoded")


def _plain_datetime(value: datetime) -> datetime:
    """The same moment as a plain `datetime`: libraries that freeze time in tests return subclasses."""
    fields = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return _plain(type(value))(*fields, tzinfo=value.tzinfo, fold=value.fold)


def _plain(kind: type[datetime]) -> type[datetime]:
    """The standard library's base class of `kind`, found by its module: the name `datetime` may be patched."""
    return next(cast("type[datetime]", base) for base in kind.__mro__ if base.__module__ == "datetime")


def _read(kind: type, value: Any) -> object:
    if kind is Money:
        minor, currency, exponent = value
        try:
            return Money.from_minor(minor, currency, exponent=exponent)
        except InvalidMoney as error:
            # msgspec turns it into a `ValidationError`, as for any other value that does not fit.
            raise ValueError(error.message) from error
    if issubclass(kind, datetime):
        return msgspec.convert(value, _plain(kind))
    raise TypeError(f"{kind.__name__} can't be decoded")


encode: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=_write).encode
"""
The JSON of a domain value; TypeError for a `Secret` or anything else that must not be stored.

A subclass of `datetime`, `str` or `int` is encoded as its base class.
"""

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode(data: bytes | str, kind: type[T]) -> T:
    """The value `data` was encoded from; `msgspec.MsgspecError` when it does not fit `kind`."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=_read)
    value: T = decoder.decode(data)
    return value


def read_ahead(package: str) -> None:
    """
    Have msgspec know the structs of a package, before several threads decode their first ones at once.

    msgspec 0.22 shares what it knows of a struct before that is complete: a thread that decodes meanwhile ends the
    process by a segmentation fault.
    """
    for kind in _structs(msgspec.Struct):
        if kind not in _read_ahead and f"{kind.__module__}.".startswith(f"{package}."):
            with suppress(Exception):  # one that can't be decoded is none that is
                msgspec.json.Decoder(kind)
            _read_ahead.add(kind)


_read_ahead: set[type] = set()


def _structs(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for own in kind.__subclasses__():
        yield own
        yield from _structs(own)
