"""
`shared_client`: the client of this process, the same for all of its threads, and another one after a fork.

A client can't be carried over a fork: its threads do not exist in the child, and its connections are the parent's. So
an application that opens one when it is imported fails in every worker of a server that forks afterwards. Opened at
first use, in whichever process that is, there is nothing to carry.

There is no lock to open one in turn, since a lock may be made before gevent patches threads and waited for afterwards,
which stops all greenlets; or be held by another thread at a fork, and then never released in the child. Whoever comes
first leaves a future, in one step that no thread or greenlet can divide, and the others wait for that.
"""

from __future__ import annotations

import atexit
import os
import threading
from concurrent.futures import CancelledError, Future, thread
from contextlib import suppress
from pathlib import Path

from paycore.engine.client import Client
from paycore.engine.config import Config, load_config
from paycore.errors import ConfigError
from paycore.ledger.sqlite import file


class _Opening(Future[Client]):
    """A client, once it is open; cancelled where whoever opens it was interrupted, and others may try."""

    def __init__(self) -> None:
        super().__init__()
        self.config: Config | None = None
        self._opened_in = threading.get_ident()

    def is_in_hand(self) -> bool:
        """Whether this very thread opens it now: to wait for it would be for ever."""
        return not self.done() and self._opened_in == threading.get_ident()


FORK_WAIT_S = 10.0
"""How long a fork waits for a client that is being opened."""

_openings: dict[int, _Opening] = {}
"""By process, so that a child does not take its parent's for its own."""

_inherited: list[dict[int, _Opening]] = []
"""Those of the processes this one was forked from: kept, so that nothing of them is ended or closed here."""


def shared_client(config: str | Path | Config | None = None) -> Client:
    """
    The client of this process: opened at first use, the same one for all threads and greenlets.

    Call it where you use it, in each request, and keep what it returns in no module: a process that is forked later
    gets a client of its own from its next call, and neither uses nor closes that of its parent. It is closed when the
    process exits. A process that is killed, or ends by `os._exit`, loses nothing.

    `config` is that of `Client`. A process has one client: None takes the one there is, and a configuration other than
    its own is refused.

    Raises what opening a client does, `ConfigError`s and `LedgerError`s, at each call until one succeeds; those that
    wait for the same attempt get the same error. And `ConfigError` where another configuration is in use, and where
    this very thread is opening the client: in a plugin that is loaded, or in a signal's handler. No money moves.

    For sync code: an `AsyncClient` belongs to its event loop, so open that with the server.
    """
    while True:
        opening = _openings.get(os.getpid()) or _open(config)
        if opening.is_in_hand():
            raise ConfigError(
                "shared_client() was called while it opens the client: by a plugin that is loaded, or in a signal's"
                " handler; call it later"
            )
        try:
            client = opening.result()
        except CancelledError:  # the one who opened it was interrupted, this one was not
            continue
        _check_same(config, opening.config)
        return client


def close_shared_client() -> None:
    """
    Close the client of this process, if there is one; the next call of `shared_client` opens another.

    A process that exits does so by itself. This is for tests, for a hook at a worker's end, and to take a changed
    configuration. Whoever uses the client meanwhile gets `LedgerUnavailable`.
    """
    opening = _openings.get(os.getpid())
    if opening is None or opening.is_in_hand():
        return
    _forget(opening)
    try:
        client = opening.result()
    except (Exception, CancelledError):  # noqa: BLE001 - whoever opened it was told
        return
    client.shutdown()


def _open(config: str | Path | Config | None) -> _Opening:
    """Open the client, unless another thread has begun to."""
    mine = _Opening()
    first = _openings.setdefault(os.getpid(), mine)
    if first is not mine:
        return first
    try:
        mine.config = config if isinstance(config, Config) else load_config(config)
        client = Client(mine.config)
    except Exception as error:
        _forget(mine)
        mine.set_exception(error)
        raise
    except BaseException:
        _forget(mine)
        mine.cancel()
        raise
    mine.set_result(client)
    return mine


def _forget(opening: _Opening) -> None:
    if _openings.get(os.getpid()) is opening:
        del _openings[os.getpid()]


def _check_same(config: str | Path | Config | None, own: Config | None) -> None:
    if config is None or own is None or config == own:
        return
    path = config.path if isinstance(config, Config) else Path(config)
    if isinstance(config, Config) or path.absolute() != own.path.absolute():
        raise ConfigError(
            f"the client of this process was opened with {own.path}, and a process has one: call shared_client() with"
            " the same configuration, close it first with close_shared_client(), or open a Client of your own"
        )


def _before_fork() -> None:
    """
    Wait until another thread has opened the client: what it imports meanwhile could never be imported in the child.

    Python locks a module while it is imported, and a child inherits the lock without the thread that holds it.
    """
    opening = _openings.get(os.getpid())
    if opening is not None and not opening.is_in_hand():
        with suppress(CancelledError, TimeoutError):
            opening.exception(FORK_WAIT_S)


def _after_fork_in_child() -> None:
    """Begin without a client, whatever the parent's threads were doing; a process id may come again."""
    global _openings  # noqa: PLW0603 - one step
    _inherited.append(_openings)
    _openings = {}


# What is registered last comes first before a fork: these two hold up whoever opens a ledger, so they come after it.
_HOLD_UP = (file, thread)
os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(close_shared_client)
