"""Serves the metrics of a client on an address of their own, for Prometheus to scrape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple, Protocol

from paycore.errors import ConfigError

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry


class Address(NamedTuple):
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


class _Measured(Protocol):
    """A client of either kind."""

    def metrics(self) -> CollectorRegistry: ...


@contextmanager
def scraped(client: _Measured, address: Address | None) -> Iterator[str | None]:
    """
    Serve the metrics meanwhile, from threads of this process; gives their URL, None without an address.

    Raises `ConfigError` where it can't be listened on, or without the extra `metrics`.
    """
    if address is None:
        yield None
        return
    registry = client.metrics()
    from prometheus_client import start_http_server

    host, port = address
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigError(
            f"{host} port {port} can't be listened on for metrics: {error.strerror or error}; port 0 takes a free one"
        ) from None
    name = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{name}:{server.server_port}/metrics"
    finally:
        Thread(target=_end, args=(server,), daemon=True).start()  # which waits for half a second


def _end(server: WSGIServer) -> None:
    server.shutdown()
    server.server_close()
