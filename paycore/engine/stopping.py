"""Ends a process that has a client, in time, whatever holds the client up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading

from paycore.engine.async_client import AsyncClient

MARGIN_S = 0.3
"""Seconds that are left to what was cancelled, until the process is ended."""

_log = logging.getLogger(__name__)


async def close_in_time(pay: AsyncClient, close_s: float) -> None:
    """
    Close the client within `close_s` seconds, or end the process: a request or a database that is away may hold it up.

    Whatever was acknowledged is committed by then; the rest goes on in another process, as after any kill. For commands
    that end with their client: the exit code is 0, or 1 where an error is on its way.
    """
    code = 0 if sys.exc_info()[0] is None else 1
    ending = threading.Timer(close_s + MARGIN_S, _end, (code,))
    ending.daemon = True
    ending.start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(pay.shutdown(), close_s)
    await asyncio.get_running_loop().shutdown_default_executor()  # what closes the ledger may still be at it
    ending.cancel()


def _end(code: int) -> None:
    _log.warning("the client did not close in time; what it had begun goes on in the next process")
    os._exit(code)
