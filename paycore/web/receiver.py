"""
The receiver of notifications as an ASGI application: `POST /{account}`.

A notification is answered with what its provider expects once it is durable; anything else is answered with an
HTTP error, and sent again by a provider that does so.
"""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from paycore.domain.wire import NOTIFICATION_MAX, Reply
from paycore.engine.async_client import AsyncClient
from paycore.engine.client import Client
from paycore.engine.outages import Outages
from paycore.engine.wording import one_of, shown
from paycore.errors import InvalidField, LedgerError, NotificationError, PaycoreError, ProviderError
from paycore.web.bodies import Bodies, BodyTooLarge, BodyTooSlow, SenderGone

BODY_S = 10.0
ANSWER_S = 20.0
AT_ONCE = 64
RETRY_AFTER_S = 10
"""What a sender is asked to wait before it tries again, in seconds."""

Take = Callable[[str, bytes, Mapping[str, str], str], Awaitable[Reply]]
"""Receives one notification: account, body, headers, query string."""


def notifications(
    client: Client | AsyncClient,
    *,
    accounts: Collection[str] | None = None,
    body_s: float = BODY_S,
    answer_s: float = ANSWER_S,
    at_once: int = AT_ONCE,
) -> Starlette:
    """
    An ASGI application that receives notifications at `POST /{account}`, to be mounted anywhere.

    `accounts` are the names it receives for; None takes every account of the configuration. A body may have 1 MiB and
    `body_s` seconds to arrive, and is answered within `answer_s` seconds after that; `at_once` of them are worked on
    at a time, the others wait in turn within that time. A `Client` works in threads of the application's own, an
    `AsyncClient` on its event loop, which must be the server's.

    Answers: the provider's own, after the commit; 400 forged or unreadable; 404 unknown account; 405 another method
    than POST; 408 the body came too slowly; 413 it is too large; 503 with `Retry-After` where the ledger or the
    provider's session can't be reached now, or time ran out; 500 anything else. Only the provider's answer
    acknowledges. The client stays the caller's to close, once the server has stopped.

    Raises `InvalidField` for a name in `accounts` that the configuration does not have.
    """
    names = frozenset(client.account_names if accounts is None else accounts)
    for name in sorted(names.difference(client.account_names)):
        raise InvalidField(
            "accounts", f"no account is called {shown(name)}; there are: {one_of(client.account_names)}"
        )
    receiver = _Receiver(
        _take_with(client, at_once), names, Bodies(NOTIFICATION_MAX, body_s), answer_s, at_once
    )
    app = Starlette(routes=[Route("/{account}", receiver, methods=["POST"])])
    app.router.redirect_slashes = False  # a provider does not follow redirects
    return app


def _take_with(client: Client | AsyncClient, at_once: int) -> Take:
    if isinstance(client, AsyncClient):
        return partial(_take_async, client)
    threads = ThreadPoolExecutor(at_once, thread_name_prefix="paycore-notifications")
    return partial(_take_in_thread, client, threads)


async def _take_async(
    client: AsyncClient, account: str, body: bytes, headers: Mapping[str, str], query: str
) -> Reply:
    return await client.receive(account, body=body, headers=headers, query=query)


async def _take_in_thread(
    client: Client,
    threads: ThreadPoolExecutor,
    account: str,
    body: bytes,
    headers: Mapping[str, str],
    query: str,
) -> Reply:
    received = partial(client.receive, account, body=body, headers=headers, query=query)
    return await asyncio.get_running_loop().run_in_executor(threads, received)


class _Answer(NamedTuple):
    """An HTTP answer; `ends` closes the connection after it, where the rest of the request is not read."""

    status: int
    body: bytes
    content_type: str = "text/plain"
    retry_after_s: int | None = None
    ends: bool = False


_UNKNOWN = _Answer(HTTPStatus.NOT_FOUND, b"unknown account")
_REFUSED = _Answer(HTTPStatus.BAD_REQUEST, b"refused")
_TOO_SLOW = _Answer(HTTPStatus.REQUEST_TIMEOUT, b"too slow", ends=True)
_TOO_LARGE = _Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too large", ends=True)
_FAILED = _Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed")


def _later(after_s: float | None = None) -> _Answer:
    wait_s = RETRY_AFTER_S if after_s is None else max(1, math.ceil(after_s))
    return _Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"send it again later", retry_after_s=wait_s)


class _Receiver:
    """The endpoint: reads the body, hands it to the client, and answers."""

    def __init__(
        self, take: Take, accounts: Collection[str], bodies: Bodies, answer_s: float, at_once: int
    ) -> None:
        self._take = take
        self._accounts = accounts
        self._bodies = bodies
        self._answer_s = answer_s
        self._places = asyncio.Semaphore(at_once)
        self._problems = Outages()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._bodies.read(scope["headers"], receive)
        except SenderGone:
            return
        except BodyTooLarge:
            answer = _TOO_LARGE
        except BodyTooSlow:
            answer = _TOO_SLOW
        else:
            answer = await self._answer(scope["path_params"]["account"], body, scope)
        await _send(send, answer)

    async def _answer(self, account: str, body: bytes, scope: Scope) -> _Answer:
        if account not in self._accounts:
            return _UNKNOWN
        try:
            async with asyncio.timeout(self._answer_s), self._places:
                reply = await self._take(
                    account, body, _headers(scope["headers"]), scope["query_string"].decode("latin-1")
                )
        except Exception as error:  # noqa: BLE001 - a stranger is told nothing but a number
            return self._failed(account, error)
        return _Answer(reply.status, reply.body, reply.content_type)

    def _failed(self, account: str, error: Exception) -> _Answer:
        """What to answer, and one warning a minute about each kind of error."""
        answer, words = _FAILED, _named(error)
        match error:
            case NotificationError():
                answer = _REFUSED
            case LedgerError() | TimeoutError():
                answer = _later()
            case ProviderError():  # it can't be verified now
                answer = _later(getattr(error, "retry_after_s", None))
            case _:
                pass
        what = "refused" if answer is _REFUSED else f"not taken, and answered with {int(answer.status)}"
        kind = f"{account} {type(error).__name__}"
        self._problems.failed(kind, f"account {account}: a notification is {what}: {words}")
        return answer


def _named(error: Exception) -> str:
    """What went wrong, without what a stranger sent: paycore's own words, or the kind of error and its place."""
    if isinstance(error, PaycoreError):
        return error.message
    if isinstance(error, TimeoutError):
        return "no answer in time"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].filename}, line {frames[-1].lineno}"


def _headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name; those that come several times are joined, as HTTP has it."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def _send(send: Send, answer: _Answer) -> None:
    headers = [
        (b"content-type", answer.content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(answer.body)),
    ]
    if answer.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % answer.retry_after_s))
    if answer.ends:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
