"""An echo sandbox on a real socket."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from paycore.sandbox.server import SandboxServer
from tests.sandbox.echo import EchoGateway, EchoSandbox


@pytest.fixture(scope="module")
def _server() -> Iterator[SandboxServer]:
    with SandboxServer(EchoSandbox()) as server:
        yield server


@pytest.fixture
def gateway(_server: SandboxServer) -> EchoGateway:
    assert isinstance(_server.gateway, EchoGateway)
    _server.gateway.faults.clear()
    _server.gateway.seen.clear()
    return _server.gateway


@pytest.fixture
def http(_server: SandboxServer, gateway: EchoGateway) -> Iterator[httpx2.Client]:
    """A client of the echo sandbox that takes relative URLs, follows nothing and gives up after 1 s."""
    with httpx2.Client(base_url=_server.url, timeout=1.0) as client:
        yield client
