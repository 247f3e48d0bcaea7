"""Says in the ledger that a worker runs, so that others can see whether anybody looks after what is due."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from concurrent.futures import Future

from paycore.engine.effects import Program, UntilSignalled, in_ledger
from paycore.engine.outages import Outages
from paycore.engine.signals import Signal
from paycore.errors import LedgerError
from paycore.ledger.api import Ledger

SAID_EVERY_S = 10.0
"""Seconds between two times that a worker says that it runs: three times before it counts as not running."""


class Presence:
    """One worker of these accounts; `program` is run beside its lanes, until `end`."""

    def __init__(self, accounts: tuple[str, ...]) -> None:
        self._id = secrets.token_hex(16)
        self._accounts = accounts
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._signal = Signal()
        self._is_over = False
        self._outages = Outages()

    def end(self) -> None:
        """It runs no more."""
        self._is_over = True
        self._signal.give()

    def program(self) -> Program[None]:
        """Say that it runs, now and again, and at the end that it has ended."""
        while True:
            seen = self._signal.count
            if self._is_over:
                break
            yield from self._say(self._noted)
            yield UntilSignalled(self._signal, seen, SAID_EVERY_S)
        yield from self._say(lambda ledger: ledger.forget_worker(self._id))

    def _noted(self, ledger: Ledger) -> Future[None]:
        return ledger.note_worker(self._id, host=self._host, pid=self._pid, accounts=self._accounts)

    def _say(self, verb: Callable[[Ledger], Future[None]]) -> Program[None]:
        try:
            yield from in_ledger(verb)
        except LedgerError as error:  # nothing depends on it
            if not self._is_over:
                self._outages.failed("the worker", f"could not say that it runs: {error}")
        else:
            self._outages.answered("the worker")
