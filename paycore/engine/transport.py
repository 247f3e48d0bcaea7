"""
The only place that sends: httpx, a total deadline, a size cap, and the table of what was certainly not sent.

Redirects are not followed, cookies not kept; proxies, .netrc, certificates and SSLKEYLOGFILE of the environment not
used. TLS is always verified, and only identity encoding is asked for and taken.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar

import httpcore2
import httpx2

from paycore.domain.wire import Request, Response
from paycore.engine.connections import AsyncConnections, Connections, Place, until
from paycore.engine.timing import Deadline
from paycore.engine.tls import trusting
from paycore.engine.unreachable import cause_of, place_of
from paycore.errors import MaybeSent, NotSent

BODY_MAX = 1024 * 1024
"""Bytes of a reply that are read; a longer one counts as no usable answer."""

CONNECT_MAX_S = 5.0

CERTAINLY_NOT_SENT: Mapping[type[Exception], bool] = {
    httpx2.ConnectError: True,
    httpx2.ConnectTimeout: True,
    httpx2.PoolTimeout: True,
    httpx2.UnsupportedProtocol: True,
    httpx2.InvalidURL: True,
    httpx2.HTTPError: False,
    httpx2.RequestError: False,
    httpx2.TransportError: False,
    httpx2.TimeoutException: False,
    httpx2.ReadTimeout: False,
    httpx2.WriteTimeout: False,
    httpx2.NetworkError: False,
    httpx2.ReadError: False,
    httpx2.WriteError: False,
    httpx2.CloseError: False,
    httpx2.ProxyError: False,
    httpx2.ProtocolError: False,
    httpx2.LocalProtocolError: False,
    httpx2.RemoteProtocolError: False,
    httpx2.DecodingError: False,
    httpx2.TooManyRedirects: False,
    httpx2.HTTPStatusError: False,
    httpx2.SSEError: False,
    httpx2.StreamError: False,
    httpx2.StreamConsumed: False,
    httpx2.StreamClosed: False,
    httpx2.ResponseNotRead: False,
    httpx2.RequestNotRead: False,
    httpx2.CookieConflict: False,
}
"""Every exception httpx can raise: True only where no byte of the request can have left. A test fails when
httpx gains one that is missing."""

_CAUSES: Mapping[type[BaseException], str] = {
    httpx2.PoolTimeout: "all connections are in use",
    httpx2.TimeoutException: "timed out",
    httpx2.RemoteProtocolError: "the answer broke off, or is no HTTP",
}
"""What httpx itself finds out, in words."""


# --- logs of the HTTP client ---------------------------------------------------------------------------

_sending: ContextVar[bool] = ContextVar("paycore_sending", default=False)


def _is_not_ours(_record: logging.LogRecord) -> bool:
    """Httpx logs URLs and httpcore headers; both may hold what must not be logged."""
    return not _sending.get()


for _name in ("httpx2", "httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy"):
    logging.getLogger(_name).addFilter(_is_not_ours)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Nothing of what is sent inside the block is logged; other users of the same client log as ever."""
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


def _judge(error: Exception, base_url: str) -> NotSent | MaybeSent:
    """What `error` says about the request, in words; without `error` itself, which carries URL and body."""
    place, cause = place_of(base_url), cause_of(error, _CAUSES)
    if CERTAINLY_NOT_SENT.get(type(error), False):
        return NotSent(f"the provider could not be reached at {place}: {cause}")
    return MaybeSent(f"the request may have arrived at {place}, but no answer came: {cause}")


class _Reader:
    """Collects a reply's body up to `BODY_MAX`."""

    def __init__(self, reply: httpx2.Response) -> None:
        if not getattr(reply.extensions.get("network_stream"), "was_read", True):
            raise MaybeSent("an answer was there before it was asked for, so it is not this request's")
        if reply.headers.get("content-encoding", "identity").lower() != "identity":
            raise MaybeSent("the reply came in an encoding that was not asked for")
        self._reply = reply
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        if len(self._body) + len(chunk) > BODY_MAX:
            raise MaybeSent(f"the reply is longer than {BODY_MAX} bytes")
        self._body += chunk

    def response(self) -> Response:
        headers = {name.lower(): value for name, value in self._reply.headers.items()}
        return Response(status=self._reply.status_code, headers=headers, body=bytes(self._body))


def _time_left(deadline: Deadline) -> float:
    """In seconds. Past its deadline a request must not leave: others may have found it missing, and sent it again."""
    left_s = deadline.left_s
    if left_s <= 0:
        raise NotSent("its time had passed before anything was sent")
    return left_s


def _build(base_url: str, request: Request, left_s: float) -> httpx2.Request:
    """The request as httpx sends it; `NotSent` when the plugin made one that can't be written."""
    headers = {"accept": ("accept", "*/*"), "user-agent": ("user-agent", "paycore")}
    try:
        headers |= {name.lower(): (name, value) for name, value in request.headers.items()}
        headers["accept-encoding"] = ("accept-encoding", "identity")
        return httpx2.Request(
            request.method,
            _url(base_url + request.path),
            content=request.body,
            headers=list(headers.values()),
            extensions={"timeout": _timeout(left_s).as_dict()},
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing has left yet
        problem = type(error).__name__
    raise NotSent(f"the request the plugin made can't be written as HTTP ({problem})")


_url = functools.lru_cache(maxsize=64)(httpx2.URL)


def _timeout(left_s: float) -> httpx2.Timeout:
    return httpx2.Timeout(left_s, connect=min(CONNECT_MAX_S, left_s / 2), pool=left_s / 2)


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all senders without a client certificate: reading whom to trust takes longer than a payment."""
    return trusting()


def _place(base_url: str, tls: ssl.SSLContext | None) -> Place:
    """Where `base_url` is, as httpx reads it; TLS is set up for https only."""
    url = httpx2.URL(base_url)
    full = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/")
    return Place(full.origin, (tls or _tls()) if url.scheme == "https" else None)


class Transport(httpx2.HTTPTransport):
    """httpx's own, over connections of ours."""

    def __init__(self, connections: Connections) -> None:
        self._pool = connections  # type: ignore[assignment]


class AsyncTransport(httpx2.AsyncHTTPTransport):
    """httpx's own, over connections of ours."""

    def __init__(self, connections: AsyncConnections) -> None:
        self._pool = connections  # type: ignore[assignment]


class Sender:
    """
    Sends requests to one account's base URL from sync code; safe to share between threads.

    Uses httpx's transport, and not its client: that reads a redirect it does not follow, and keeps cookies.
    """

    def __init__(self, base_url: str, tls: ssl.SSLContext | None = None) -> None:
        self._base_url = base_url
        self._transport = Transport(Connections(_place(base_url, tls)))

    def send(self, request: Request, deadline: Deadline) -> Response:
        """The reply to `request`; `NotSent` or `MaybeSent` when there is none by `deadline`."""
        left_s = _time_left(deadline)
        failure: Exception
        with until(deadline), _unlogged():
            try:
                return self._exchange(request, left_s)
            except (NotSent, MaybeSent) as error:
                failure = error.with_traceback(None)
            except Exception as error:  # noqa: BLE001 - whatever it is, the request may have arrived
                failure = _judge(error, self._base_url)
        raise failure from None  # out here, where nothing that holds the request hangs on it

    def _exchange(self, request: Request, left_s: float) -> Response:
        built = _build(self._base_url, request, left_s)
        with closing(self._transport.handle_request(built)) as reply:
            reader = _Reader(reply)
            for chunk in reply.iter_raw():
                reader.add(chunk)
            return reader.response()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


class AsyncSender:
    """Sends requests to one account's base URL from one event loop; otherwise as `Sender`."""

    def __init__(self, base_url: str, tls: ssl.SSLContext | None = None) -> None:
        self._base_url = base_url
        self._transport = AsyncTransport(AsyncConnections(_place(base_url, tls)))

    async def send(self, request: Request, deadline: Deadline) -> Response:
        """The reply to `request`; `NotSent` or `MaybeSent` when there is none by `deadline`."""
        left_s = _time_left(deadline)
        failure: Exception
        with _unlogged():
            try:
                async with asyncio.timeout(left_s):
                    return await self._exchange(request, left_s)
            except TimeoutError:
                failure = _judge(httpx2.ReadTimeout("in all"), self._base_url)
            except (NotSent, MaybeSent) as error:
                failure = error.with_traceback(None)
            except Exception as error:  # noqa: BLE001 - whatever it is, the request may have arrived
                failure = _judge(error, self._base_url)
        raise failure from None

    async def _exchange(self, request: Request, left_s: float) -> Response:
        built = _build(self._base_url, request, left_s)
        async with aclosing(await self._transport.handle_async_request(built)) as reply:
            reader = _Reader(reply)
            async for chunk in reply.aiter_raw():
                reader.add(chunk)
            return reader.response()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()
