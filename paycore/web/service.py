"""`paycore serve`: the receiver of notifications on a socket of its own, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Collection
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from paycore.engine.async_client import AsyncClient
from paycore.engine.config import Config
from paycore.engine.scraped import Address, scraped
from paycore.engine.stopping import close_in_time
from paycore.errors import PaycoreError
from paycore.serving import HttpListener, HttpServer
from paycore.web.receiver import notifications

HEALTH_S = 2.0
"""Seconds in which the ledger must be read for `/healthz` to be well."""

GRACE_S = 1.5
CLOSE_S = 1.5
"""Seconds that requests in progress, and then the client, have to end; with uvicorn's own second less than 5."""

if sys.platform != "win32":
    import resource


def serve_notifications(
    config: Config,
    listener: HttpListener,
    *,
    accounts: Collection[str],
    metrics_at: Address | None,
    on_ready: Callable[[str | None], None],
) -> None:
    """
    Receive notifications in the foreground until SIGINT or SIGTERM, then return within 5 s.

    `on_ready` is called once, when requests are served, with the URL of the metrics. These have an address of
    their own, `metrics_at`, since they are not for those who send notifications; None: they are not served. What a
    notification names is looked after in the background. Raises `ConfigError`s and `LedgerError`s as opening a
    client does.
    """
    _allow_connections()
    asyncio.run(_serve(config, listener, accounts, metrics_at, on_ready))


def _allow_connections() -> None:
    """Let this process have all the connections it may: the usual 1,024 are soon taken by those that send nothing."""
    if sys.platform == "win32":
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited", and takes less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    config: Config,
    listener: HttpListener,
    accounts: Collection[str],
    metrics_at: Address | None,
    on_ready: Callable[[str | None], None],
) -> None:
    pay = AsyncClient(config)
    try:
        with scraped(pay, metrics_at) as metrics_url:
            app = notifications(pay, accounts=accounts)
            app.router.routes.append(Route("/healthz", _health_of(pay)))
            ready = partial(on_ready, metrics_url)
            await HttpServer(app, on_ready=ready, grace_s=GRACE_S).serve_on(listener)
    finally:
        await close_in_time(pay, CLOSE_S)


def _health_of(pay: AsyncClient) -> Callable[[Request], object]:
    """An endpoint that says whether the ledger can be read now: 200, or 503."""

    async def health(_request: Request) -> JSONResponse:
        try:
            async with asyncio.timeout(HEALTH_S):
                await pay.list(limit=1)
        except (PaycoreError, TimeoutError) as error:
            return JSONResponse({"status": "unavailable", "problem": type(error).__name__}, status_code=503)
        return JSONResponse({"status": "ok"})

    return health
