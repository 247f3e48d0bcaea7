"""
What a command asks of the outside, as values: so that one command serves sync and async callers.

A command is a `Program`: a generator that yields effects, is sent what came of them, and returns its
result. The runner performs the effects; it comes in a sync and an async twin.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from paycore.domain.wire import Request
from paycore.engine.signals import Signal
from paycore.engine.timing import Deadline
from paycore.ledger.api import Ledger

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")


class InLedger(msgspec.Struct, frozen=True):
    """
    One ledger transaction; comes back with its result.

    With a deadline, of a read alone: a ledger that can't be reached is tried again until then.
    """

    verb: Callable[[Ledger], Future[Any]]
    deadline: Deadline | None = None


class OnWire(msgspec.Struct, frozen=True):
    """
    One request to an account's provider; comes back with the `Response`, or raises what became of it.

    `tls` has the account's client certificate, None without one.
    """

    account: str
    base_url: str
    request: Request
    deadline: Deadline
    tls: ssl.SSLContext | None = None


class UntilChanged(msgspec.Struct, frozen=True):
    """
    Until this payment is no longer at `version`, at most `timeout_s` seconds; comes back with nothing.

    Where its account is named, a worker of this client looks after it meanwhile.
    """

    payment_id: str
    version: int
    timeout_s: float
    account: str | None = None


class UntilReady(msgspec.Struct, frozen=True):
    """Until somebody else has what `ready` stands for, at most `timeout_s`; comes back with nothing."""

    ready: Future[Any]
    timeout_s: float


class UntilSignalled(msgspec.Struct, frozen=True):
    """
    Until the signal was given more than `seen` times, at most `timeout_s` seconds (None: for ever).

    Comes back with nothing.
    """

    signal: Signal
    seen: int
    timeout_s: float | None


class Pause(msgspec.Struct, frozen=True):
    """So many seconds; comes back with nothing."""

    seconds: float


def in_ledger(verb: Callable[[Ledger], Future[T]], deadline: Deadline | None = None) -> Program[T]:
    """What one ledger transaction returns, with its type."""
    result: T = yield InLedger(verb, deadline)
    return result


Effect = InLedger | OnWire | Pause | UntilChanged | UntilReady | UntilSignalled
Program = Generator[Effect, Any, T]
