"""`paycore.web.metrics` in an application of one's own, with a client of either kind."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from paycore import AsyncClient, Client
from paycore.engine.config import Config
from paycore.serving import HttpServer, listen
from paycore.web import metrics, notifications
from tests.support.toy_http import ToyServer, toy_config, toy_plugins
from tests.web.conftest import Kind


@contextmanager
def served(kind: Kind, config: Config) -> Iterator[str]:
    """The URL of an application that has both mounted, in a thread of its own."""
    listener = listen("127.0.0.1", 0)
    ready = threading.Event()
    servers: list[HttpServer] = []

    async def serve() -> None:
        client = (Client if kind == "sync" else AsyncClient)(config, plugins=toy_plugins())
        try:
            routes = [Mount("/metrics", metrics(client)), Mount("/notify", notifications(client))]
            servers.append(HttpServer(Starlette(routes=routes), on_ready=ready.set, grace_s=1.0))
            await servers[0].serve_on(listener)
        finally:
            if isinstance(client, AsyncClient):
                await client.shutdown()
            else:
                client.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="application")
    thread.start()
    try:
        assert ready.wait(20)
        yield listener.url
    finally:
        servers[0].should_exit = True
        thread.join()


def test_metrics_are_mounted_beside_the_receiver(gateway: ToyServer, kind: Kind, tmp_path: Path) -> None:
    """A GET has the page, in the format that is asked for; another method is refused."""
    config = toy_config(gateway.url, f"sqlite:///{tmp_path / 'paycore.db'}")
    with served(kind, config) as url, httpx2.Client(trust_env=False, timeout=30) as http:
        assert http.post(f"{url}/notify/toy", content=b"{}").status_code == 400
        page = http.get(f"{url}/metrics/")
        assert page.status_code == 200
        assert 'paycore_notifications_total{account="toy",verdict="forged"} 1.0' in page.text.splitlines()
        assert 'paycore_payments{account="toy",status="paid"} 0.0' in page.text.splitlines()
        newer = http.get(f"{url}/metrics/", headers={"accept": "application/openmetrics-text;version=1.0.0"})
        assert newer.headers["content-type"].startswith("application/openmetrics-text")
        refused = http.post(f"{url}/metrics/", content=b"")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
