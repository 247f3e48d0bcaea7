"""
A receiver for the toy in a process of its own.

    with receiver_process(dsn) as url: ...
    python -m tests.web.process DSN          # prints one JSON line: {"url"}; ends with standard input
"""

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paycore import AsyncClient
from paycore.serving import HttpServer, listen
from paycore.web import notifications
from tests.support.toy_http import toy_config, toy_plugins

NOWHERE = "http://127.0.0.1:9"
"""The gateway of an account that nobody asks anything."""


@contextmanager
def receiver_process(dsn: str) -> Iterator[str]:
    """The URL of a receiver on this ledger, which ends with the block, or with this process."""
    command = [sys.executable, "-m", "tests.web.process", dsn]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url: str = json.loads(process.stdout.readline())["url"]
            yield url
        finally:
            process.stdin.close()


async def serve(dsn: str) -> None:
    """Serve until standard input ends."""
    listener = listen("127.0.0.1", 0)
    async with AsyncClient(toy_config(NOWHERE, dsn), plugins=toy_plugins()) as pay:

        def announce() -> None:
            print(json.dumps({"url": listener.url}), flush=True)

        server = HttpServer(notifications(pay), on_ready=announce, grace_s=1.0)

        def end() -> None:
            sys.stdin.read()
            server.should_exit = True

        threading.Thread(target=end, daemon=True).start()
        await server.serve_on(listener)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    asyncio.run(serve(sys.argv[1]))
