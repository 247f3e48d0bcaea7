"""A value that is shown by nothing and written by nothing."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """
    A value that only `reveal()` returns: masked in repr and str, refused by every encoder.

    Reveal it only to make a signature. It can be neither copied nor pickled, and has no attribute that an encoder
    would find through `__dict__` or `__slots__`.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself. Never put it into a message, a log or a URL."""
        return self.__value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes_of(self), _bytes_of(other))

    def __hash__(self) -> int:
        return hash(Secret)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised")

    def __getstate__(self) -> NoReturn:
        self.__reduce__()


def _bytes_of(secret: Secret) -> bytes:
    return secret.reveal().encode("utf-8", "surrogatepass")  # a UnicodeEncodeError would contain it
