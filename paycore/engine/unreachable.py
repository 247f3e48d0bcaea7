"""Why a provider could not be reached, or gave no answer: in words, with no more of its URL than host and port."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from paycore.domain.safe_text import printable

_PORTS = {"http": 80, "https": 443}
_CAUSE_MAX = 200


def place_of(base_url: str) -> str:
    """Host and port of a base URL: `api.example:443`."""
    parts = urlsplit(base_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def cause_of(error: BaseException, also: Mapping[type[BaseException], str]) -> str:
    """
    What went wrong, as the operating system and TLS say it; else as `also` has it, which is looked through in order.

    The kind of error where nobody says anything.
    """
    for cause in _chain(error):
        words = _words(cause)
        if words is not None:
            return printable(words)[:_CAUSE_MAX]
    return next((words for kind, words in also.items() if isinstance(error, kind)), type(error).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error's causes, the innermost first: the outer ones only repeat them in other classes."""
    causes: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left and len(causes) < 20:
        cause = left.pop(0)
        if cause is None or cause in causes:
            continue
        causes.append(cause)
        if isinstance(cause, BaseExceptionGroup):
            left += cause.exceptions  # one for each address of the host
        left += [inner for inner in cause.args if isinstance(inner, BaseException)]  # as httpcore keeps it
        left.append(cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__))
    return reversed(causes)


def _words(cause: BaseException) -> str | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return f"its TLS certificate is not valid: {cause.verify_message.rstrip('.')}"
        case ssl.SSLError(reason=str(reason)) if reason.endswith(_WANTS_CERTIFICATE):
            return f"it wants another client certificate than the account has ({reason.lower()})"
        case ssl.SSLError():
            return f"no TLS connection could be made: {cause.reason or type(cause).__name__}"
        case socket.gaierror(errno=socket.EAI_AGAIN):
            return "its name can't be looked up now"
        case _:
            pass
    for kind, words in _KINDS:
        if isinstance(cause, kind):
            return words
    number = _errno_of(cause) if isinstance(cause, OSError) else None
    return os.strerror(number).lower() if number else None


def _errno_of(cause: OSError) -> int | None:
    """Its number; asyncio only joins the texts where a host has several addresses, so then that of the first."""
    if cause.errno:
        return cause.errno
    told = re.search(r"\[Errno (\d+)\]", str(cause))
    return int(told[1]) if told else None


_WANTS_CERTIFICATE = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
)
"""How a server says that it does not take our certificate, or our having none."""

_KINDS: Sequence[tuple[type[BaseException], str]] = (
    (socket.gaierror, "its name was not found"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "the connection was broken off"),
    (BrokenPipeError, "the connection was broken off"),
    (TimeoutError, "timed out"),
)
"""The first that fits."""
