"""Receives the commits of other processes through LISTEN, including those made while the connection was lost."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg

from paycore.errors import ConfigError, LedgerUnavailable
from paycore.ledger.clock import to_ms
from paycore.ledger.postgres.server import PgServer

CHANNEL = "paycore_changes"
LISTEN = b"LISTEN paycore_changes"

OVERLAP = timedelta(minutes=1)
"""How far back to search for missed changes: a transaction commits some time after its events' times."""

TELL_EVERY_S = 60.0
"""How often it is logged that the database is away."""

_log = logging.getLogger(__name__)


class Listener:
    """
    A thread that calls `on_change` with the ids of payments that any process has committed changes of.

    `now` is the ledger's clock.
    """

    def __init__(
        self,
        server: PgServer,
        on_change: Callable[[Collection[str]], None],
        now: Callable[[], datetime],
    ) -> None:
        self._server = server
        self._on_change = on_change
        self._now = now
        self._is_stopping = False
        self._wake_read, self._wake_write = os.pipe()
        connection = server.connect(read_only=True)
        connection.execute(LISTEN)
        self._heard_at = now()
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="paycore-listen", daemon=True
        )
        self._thread.start()

    def _run(self, connection: psycopg.Connection[Any]) -> None:
        while not self._is_stopping:
            try:
                self._hear(connection)
            except psycopg.Error:
                connection.close()
                connection = self._return() or connection
        connection.close()

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """Pass on notifications until the listener is stopped."""
        while True:
            for notice in connection.notifies(timeout=0):
                self._heard_at = self._now()
                self._on_change(notice.payload.split())
            select.select([connection.fileno(), self._wake_read], [], [])
            if self._is_stopping:
                return

    def _return(self) -> psycopg.Connection[Any] | None:
        """Listen on a new connection, and pass on what changed since the old one was lost; None when stopped."""
        connection = self._reconnect()
        if connection is None:
            return None
        with suppress(psycopg.Error):  # lost again: handled by the next call
            connection.execute(LISTEN)
            since_ms = to_ms(self._heard_at - OVERLAP)
            rows = connection.execute(
                "SELECT DISTINCT payment_id FROM events WHERE at >= %s", (since_ms,)
            ).fetchall()
            self._heard_at = self._now()
            self._on_change([payment_id for (payment_id,) in rows])
        return connection

    def _reconnect(self) -> psycopg.Connection[Any] | None:
        """Connect once the database is back, however long that takes; None when stopped meanwhile."""
        tell_at, pauses = time.monotonic() + self._server.patience_s, self._server.pauses()
        while not self._is_stopping:
            try:
                return self._server.connect(read_only=True)
            except (LedgerUnavailable, ConfigError) as error:
                if time.monotonic() >= tell_at:
                    _log.warning("not hearing of other processes' changes: %s", error)
                    tell_at = time.monotonic() + TELL_EVERY_S
            select.select([self._wake_read], [], [], next(pauses))
        return None

    def close(self) -> None:
        """Stop listening."""
        self._is_stopping = True
        os.write(self._wake_write, b".")
        if self._thread is not threading.current_thread():
            self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)
