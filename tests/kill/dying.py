"""
Kills a process at an exact place, by wrapping the engine's functions in that process.

paycore itself has no such code. Places are named `write N before|inside|after` (ledger transactions that write),
`send before|half|written|answered|after` (the first request), `hook N`, `verify before|after`, `effect N before|after`
and `end`.
"""

import itertools
import os
import signal
from typing import Any

import pytest

from paycore.engine import connections, transport
from paycore.engine.effects import Effect
from paycore.engine.runner import Runner
from paycore.ledger.group import Group
from paycore.ledger.groupcommit import GroupCommit
from paycore.testing.toy import ToyProvider


class Death:
    """Kills this process at `place`."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __call__(self, place: str) -> None:
        """The process has reached `place`."""
        if place == self._place:
            os.kill(os.getpid(), signal.SIGKILL)

    def is_at(self, place: str) -> bool:
        """Whether this is the place to die."""
        return place == self._place


def lie_in_wait(death: Death, patch: pytest.MonkeyPatch) -> None:
    """Make this process die at the place of `death`."""
    _in_the_runner(death, patch)
    _in_the_ledger(death, patch)
    _on_the_wire(death, patch)
    _in_the_provider(death, patch)


def _in_the_runner(death: Death, patch: pytest.MonkeyPatch) -> None:
    perform, numbers = Runner._perform, itertools.count(1)

    def dying_perform(self: Runner, effect: Effect) -> object:
        number = next(numbers)
        death(f"effect {number} before")
        result = perform(self, effect)
        death(f"effect {number} after")
        return result

    patch.setattr(Runner, "_perform", dying_perform)


def _in_the_ledger(death: Death, patch: pytest.MonkeyPatch) -> None:
    submit, flush = GroupCommit.submit, Group.flush
    submitted, flushed = itertools.count(1), itertools.count(1)

    def dying_submit(self: GroupCommit, *args: Any, **options: Any) -> Any:
        number = next(submitted)
        death(f"write {number} before")
        future: Any = submit(self, *args, **options)
        future.exception()  # until it is durable; an error is for whoever takes the result
        death(f"write {number} after")
        return future

    def dying_flush(self: Group) -> None:
        flush(self)
        death(f"write {next(flushed)} inside")

    patch.setattr(GroupCommit, "submit", dying_submit)
    patch.setattr(Group, "flush", dying_flush)


def _on_the_wire(death: Death, patch: pytest.MonkeyPatch) -> None:
    send, stream = transport.Sender.send, connections.DeadlineStream
    write, read = stream.write, stream.read

    def dying_send(self: Any, *args: Any) -> Any:
        death("send before")
        response = send(self, *args)
        death("send after")
        return response

    def dying_write(self: Any, buffer: bytes, timeout: float | None = None) -> None:
        is_body = buffer.startswith(b"{")
        if is_body and death.is_at("send half"):
            write(self, buffer[: len(buffer) // 2], timeout)
            death("send half")
        write(self, buffer, timeout)
        if is_body:
            death("send written")

    def dying_read(self: Any, max_bytes: int, timeout: float | None = None) -> bytes:
        received = read(self, max_bytes, timeout)
        death("send answered")
        return received

    patch.setattr(transport.Sender, "send", dying_send)
    patch.setattr(stream, "write", dying_write)
    patch.setattr(stream, "read", dying_read)


def _in_the_provider(death: Death, patch: pytest.MonkeyPatch) -> None:
    verify = ToyProvider.verify

    def dying_verify(self: ToyProvider, notification: Any) -> Any:
        death("verify before")
        observations = verify(self, notification)
        death("verify after")
        return observations

    patch.setattr(ToyProvider, "verify", dying_verify)
