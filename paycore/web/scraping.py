"""The metrics of a client as an ASGI application, for Prometheus to scrape."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from paycore.engine.async_client import AsyncClient
from paycore.engine.client import Client


def metrics(client: Client | AsyncClient) -> ASGIApp:
    """
    An ASGI application that answers every GET with the client's metrics, to be mounted at `/metrics`.

    Counting begins here. The figures are the merchant's own: mount it where strangers do not get. Needs the extra
    `metrics`; raises `ConfigError` without it.
    """
    registry = client.metrics()
    from paycore.engine.metrics import page

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            answer: Response = PlainTextResponse(
                "GET only", HTTPStatus.METHOD_NOT_ALLOWED, {"allow": "GET, HEAD"}
            )
        else:
            body, content_type = await asyncio.to_thread(page, registry, request.headers.get("accept", ""))
            answer = Response(body, headers={"content-type": content_type})
        await answer(scope, receive, send)

    return app
