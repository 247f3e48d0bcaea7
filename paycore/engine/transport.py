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
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from paycore.domain.wire import Request, Response
from paycore.engine.timing import Deadline
from paycore.engine.tls import trusting
from paycore.engine.unreachable import cause_of, place_of
from paycore.errors import MaybeSent, NotSent

BODY_MAX = 1024 * 1024
"""Bytes of a reply that are read; a longer one counts as no usable answer."""

CONNECT_MAX_S = 5.0
CONNECTIONS_MAX = 100

CERTAINLY_NOT_SENT: Mapping[type[Exception], bool] = {
    httpx.ConnectError: True,
    httpx.ConnectTimeout: True,
    httpx.PoolTimeout: True,
    httpx.UnsupportedProtocol: True,
    httpx.InvalidURL: True,
    httpx.HTTPError: False,
    httpx.RequestError: False,
    httpx.TransportError: False,
    httpx.TimeoutException: False,
    httpx.ReadTimeout: False,
    httpx.WriteTimeout: False,
    httpx.NetworkError: False,
    httpx.ReadError: False,
    httpx.WriteError: False,
    httpx.CloseError: False,
    httpx.ProxyError: False,
    httpx.ProtocolError: False,
    httpx.LocalProtocolError: False,
    httpx.RemoteProtocolError: False,
    httpx.DecodingError: False,
    httpx.TooManyRedirects: False,
    httpx.HTTPStatusError: False,
    httpx.StreamError: False,
    httpx.StreamConsumed: False,
    httpx.StreamClosed: False,
    httpx.ResponseNotRead: False,
    httpx.RequestNotRead: False,
    httpx.CookieConflict: False,
}
"""Every exception httpx can raise: True only where no byte of the request can have left. A test fails when
httpx gains one that is missing."""

_CAUSES: Mapping[type[BaseException], str] = {
    httpx.PoolTimeout: "all connections are in use",
    httpx.TimeoutException: "timed out",
    httpx.RemoteProtocolError: "the answer broke off, or is no HTTP",
}
"""What httpx itself finds out, in words."""


# --- logs of the HTTP client ---------------------------------------------------------------------------

_sending: ContextVar[bool] = ContextVar("paycore_sending", default=False)


def _is_not_ours(_record: logging.LogRecord) -> bool:
    """Httpx logs URLs and httpcore headers; both may hold what must not be logged."""
    return not _sending.get()


for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy"):
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

    def __init__(self, reply: httpx.Response) -> None:
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


def _check_time(deadline: Deadline) -> None:
    """Past its deadline a request must not leave: others may have found it missing, and sent it again."""
    if deadline.left_s <= 0:
        raise NotSent("its time had passed before anything was sent")


def _build(base_url: str, request: Request, deadline: Deadline) -> httpx.Request:
    """The request as httpx sends it; `NotSent` when the plugin made one that can't be written."""
    headers = {"accept": ("accept", "*/*"), "user-agent": ("user-agent", "paycore")}
    try:
        headers |= {name.lower(): (name, value) for name, value in request.headers.items()}
        headers["accept-encoding"] = ("accept-encoding", "identity")
        return httpx.Request(
            request.method,
            _url(base_url + request.path),
            content=request.body,
            headers=list(headers.values()),
            extensions={"timeout": _timeout(deadline).as_dict()},
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing has left yet
        problem = type(error).__name__
    raise NotSent(f"the request the plugin made can't be written as HTTP ({problem})")


_url = functools.lru_cache(maxsize=64)(httpx.URL)


def _timeout(deadline: Deadline) -> httpx.Timeout:
    left_s = max(deadline.left_s, 0.001)
    return httpx.Timeout(left_s, connect=min(CONNECT_MAX_S, left_s / 2))


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all senders without a client certificate: reading whom to trust takes longer than a payment."""
    return trusting()


_LIMITS = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)


class Sender:
    """
    Sends requests to one account's base URL from sync code; safe to share between threads.

    Uses httpx's transport, and not its client: that reads a redirect it does not follow, and keeps cookies.
    """

    def __init__(self, base_url: str, tls: ssl.SSLContext | None = None) -> None:
        self._base_url = base_url
        self._transport = httpx.HTTPTransport(verify=tls or _tls(), trust_env=False, limits=_LIMITS)
        # httpx has timeouts per read only; a reply dripped byte by byte would outlive any of them.
        pool = self._transport._pool  # noqa: SLF001
        pool._network_backend = _DeadlineBackend(pool._network_backend)  # noqa: SLF001

    def send(self, request: Request, deadline: Deadline) -> Response:
        """The reply to `request`; `NotSent` or `MaybeSent` when there is none by `deadline`."""
        _check_time(deadline)
        failure: Exception
        with _unlogged(), _until(deadline):
            try:
                return self._exchange(request, deadline)
            except (NotSent, MaybeSent) as error:
                failure = error.with_traceback(None)
            except Exception as error:  # noqa: BLE001 - whatever it is, the request may have arrived
                failure = _judge(error, self._base_url)
        raise failure from None  # out here, where nothing that holds the request hangs on it

    def _exchange(self, request: Request, deadline: Deadline) -> Response:
        built = _build(self._base_url, request, deadline)
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
        self._transport = httpx.AsyncHTTPTransport(verify=tls or _tls(), trust_env=False, limits=_LIMITS)
        pool = self._transport._pool  # noqa: SLF001
        pool._network_backend = _AsyncBackend(pool._network_backend)  # noqa: SLF001

    async def send(self, request: Request, deadline: Deadline) -> Response:
        """The reply to `request`; `NotSent` or `MaybeSent` when there is none by `deadline`."""
        _check_time(deadline)
        failure: Exception
        with _unlogged():
            try:
                async with asyncio.timeout(max(deadline.left_s, 0.001)):
                    return await self._exchange(request, deadline)
            except TimeoutError:
                failure = _judge(httpx.ReadTimeout("in all"), self._base_url)
            except (NotSent, MaybeSent) as error:
                failure = error.with_traceback(None)
            except Exception as error:  # noqa: BLE001 - whatever it is, the request may have arrived
                failure = _judge(error, self._base_url)
        raise failure from None

    async def _exchange(self, request: Request, deadline: Deadline) -> Response:
        built = _build(self._base_url, request, deadline)
        async with aclosing(await self._transport.handle_async_request(built)) as reply:
            reader = _Reader(reply)
            async for chunk in reply.aiter_raw():
                reader.add(chunk)
            return reader.response()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


# --- a total deadline for sync sockets ---------------------------------------------------------------

_deadline = threading.local()


@contextmanager
def _until(deadline: Deadline) -> Iterator[None]:
    _deadline.at = deadline.at
    try:
        yield
    finally:
        _deadline.at = None


def _at_most(timeout: float | None, too_late: type[Exception]) -> float | None:
    """`timeout`, or what is left when that is less; raises `too_late` when nothing is."""
    at: float | None = getattr(_deadline, "at", None)
    if at is None:
        return timeout
    left_s = at - time.monotonic()
    if left_s <= 0:
        raise too_late("the call's time has passed")
    return left_s if timeout is None else min(timeout, left_s)


class _DeadlineStream(httpcore.NetworkStream):
    """
    A stream whose every read and write ends at the thread's deadline.

    `was_read`: since the last write. An answer that took no read was left over from the request before.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self.was_read = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.was_read = True
        return self._stream.read(max_bytes, _at_most(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.was_read = False
        self._stream.write(buffer, _at_most(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = _at_most(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore.NetworkBackend):
    """Opens `_DeadlineStream`s; keeps the pool's own way of connecting."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        left_s = _at_most(timeout, httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, left_s, local_address, socket_options)
        try:
            _at_most(None, httpcore.ConnectTimeout)  # looking up the name has no timeout of its own
        except httpcore.ConnectTimeout:
            stream.close()
            raise
        return _DeadlineStream(stream)


# --- async sockets: their deadline is the task's; the timeouts are of httpcore's signatures -------------


class _AsyncStream(httpcore.AsyncNetworkStream):
    """A stream that knows whether it `was_read` since the last write."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self.was_read = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        self.was_read = True
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self.was_read = False
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: Any,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    """Opens `_AsyncStream`s; keeps the pool's own way of connecting."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        return _AsyncStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )
