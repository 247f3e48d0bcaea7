"""docs/http.md: its bounds are the code's, and its reason against httpx-aiohttp is still one."""

import asyncio
import re
import socket
import threading
from contextlib import closing

import httpx
import httpx_aiohttp
import pytest

from paycore.engine import connections, transport
from tests.docs.pages import ROOT

TEXT = " ".join((ROOT / "docs/http.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (r"At most (\d+) MiB of a reply", transport.BODY_MAX / 1024 / 1024),
        (r"Connecting takes at most (\d+) s", transport.CONNECT_MAX_S),
        (r"at most (\d+) open at once", connections.CONNECTIONS_MAX),
        (r"kept for (\d+) s", connections.KEEP_S),
        (r"tried after ([\d.]+) s", connections.HAPPY_EYEBALLS_S),
    ],
)
def test_bounds_are_those_of_the_code(words: str, value: float) -> None:
    """Each number is the constant's."""
    found = re.search(words, TEXT)
    assert found is not None
    assert float(found[1]) == value


def test_httpx_aiohttp_calls_a_hang_up_a_failure_to_connect() -> None:
    """The request was read, and the error says that there was no connection: it can't tell what was not sent."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                assert connection.recv(65536).startswith(b"POST")

        server = threading.Thread(target=hang_up)
        server.start()

        async def post() -> None:
            async with httpx_aiohttp.HttpxAiohttpClient(trust_env=False) as client:
                await client.post(f"http://127.0.0.1:{listener.getsockname()[1]}/")

        with pytest.raises(httpx.ConnectTimeout):
            asyncio.run(post())
        server.join()
