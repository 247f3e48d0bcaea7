"""
The connections to one base URL: opened, kept while they are good, and used again, the last one first.

They stand under httpx's transports in place of its own pool. That walks every connection for each request, and asks
the operating system about each idle one; here a request takes one connection, whatever their number.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Generic, TypeVar, cast

import httpcore2
import msgspec

from paycore.engine.timing import Deadline

CONNECTIONS_MAX = 100
"""Open at once; a request more waits for one of them."""

KEEP_S = 5.0
"""How long an idle one is kept: a server that closes it just as a request leaves makes that request uncertain."""

READ_AHEAD_MAX = 64 * 1024
"""Bytes that may have arrived and not been read before an async connection stops taking more."""

HAPPY_EYEBALLS_S = 0.25
"""After so long without a connection the host's next address is tried as well (RFC 8305)."""

AnyConnection = TypeVar("AnyConnection", bound=httpcore2.HTTP11Connection | httpcore2.AsyncHTTP11Connection)


class Place(msgspec.Struct, frozen=True):
    """Where to connect: scheme, host and port, and `tls` for https."""

    origin: httpcore2.Origin
    tls: ssl.SSLContext | None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.origin.host.decode("ascii"), self.origin.port


class _Kept(Generic[AnyConnection]):
    """The open connections: those in use, and the idle ones with the time each was last used, the last at the end."""

    def __init__(self) -> None:
        self.in_use: set[AnyConnection] = set()
        self._idle: deque[tuple[AnyConnection, float]] = deque()
        self._is_closed = False
        self._lock = threading.Lock()

    def take(self) -> AnyConnection | None:
        """The one that was used last, None when none is idle; it may be bad."""
        with self._lock:
            if not self._idle:
                return None
            connection, _ = self._idle.pop()
            self.in_use.add(connection)
            return connection

    def add(self, connection: AnyConnection) -> None:
        """A new one, in use."""
        with self._lock:
            self.in_use.add(connection)

    def give_back(self, connection: AnyConnection) -> list[AnyConnection]:
        """No longer in use. Returns those to close: what has been idle for too long, and what can't be used again."""
        now = time.monotonic()
        with self._lock:
            self.in_use.discard(connection)
            if self._is_closed or not connection.is_idle():
                return [connection]
            self._idle.append((connection, now))
            old: list[AnyConnection] = []
            while self._idle[0][1] < now - KEEP_S:
                old.append(self._idle.popleft()[0])
            return old

    def end(self) -> list[AnyConnection]:
        """From here on none is kept; returns all there are."""
        with self._lock:
            self._is_closed = True
            left = [*self.in_use, *(connection for connection, _ in self._idle)]
            self._idle.clear()
            return left


# --- sync ----------------------------------------------------------------------------------------------


class Connections:
    """For httpx's sync transport; safe to share between threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._kept: _Kept[httpcore2.HTTP11Connection] = _Kept()
        self._free = threading.Semaphore(CONNECTIONS_MAX)

    def handle_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send on an idle connection or a new one. Raises httpcore's errors."""
        timeouts = request.extensions["timeout"]
        if not self._free.acquire(timeout=timeouts["pool"]):
            raise httpcore2.PoolTimeout
        connection: httpcore2.HTTP11Connection | None = None
        try:
            connection = self._good() or self._open(timeouts["connect"])
            response = connection.handle_request(request)
        except BaseException:
            self._give_back(connection)
            raise
        response.stream = _Body(cast("Iterator[bytes]", response.stream), lambda: self._give_back(connection))
        return response

    def _good(self) -> httpcore2.HTTP11Connection | None:
        """An idle connection that the server has neither closed nor written to."""
        while (connection := self._kept.take()) is not None:
            if not connection.has_expired():
                return connection
            connection.close()
            self._kept.give_back(connection)
        return None

    def _open(self, timeout_s: float) -> httpcore2.HTTP11Connection:
        connection = httpcore2.HTTP11Connection(
            origin=self._place.origin, stream=_connect(self._place, timeout_s), keepalive_expiry=KEEP_S
        )
        self._kept.add(connection)
        return connection

    def _give_back(self, connection: httpcore2.HTTP11Connection | None) -> None:
        try:
            for surplus in self._kept.give_back(connection) if connection is not None else ():
                surplus.close()
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the connections, those in use too."""
        for connection in self._kept.end():
            connection.close()


class _Body:
    """A reply's body; once it is closed its connection is given back."""

    def __init__(self, stream: Any, give_back: Callable[[], None]) -> None:
        self._stream = stream
        self._give_back = give_back

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._give_back()


def _connect(place: Place, timeout_s: float) -> DeadlineStream:
    """A connection, over TLS where the place has it; the thread's deadline holds for all of it."""
    host, port = place.address
    stream = httpcore2.SyncBackend().connect_tcp(host, port, _at_most(timeout_s, httpcore2.ConnectTimeout))
    try:
        # Looking up the name has no timeout of its own.
        left_s = _at_most(timeout_s, httpcore2.ConnectTimeout)
        if place.tls is not None:
            stream = stream.start_tls(place.tls, host, left_s)
    except BaseException:
        stream.close()
        raise
    return DeadlineStream(stream)


_until: ContextVar[float | None] = ContextVar("_until", default=None)
"""Of a thread, or of a greenlet: a `threading.local` that is made before gevent patches threads is shared by them."""


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """
    Whatever this thread connects, reads or writes inside the block ends at `deadline`.

    httpx has timeouts per read only; a reply dripped byte by byte would outlive any of them.
    """
    before = _until.set(deadline.at)
    try:
        yield
    finally:
        _until.reset(before)


def _at_most(timeout: float | None, too_late: type[Exception]) -> float | None:
    """`timeout`, or what is left when that is less; raises `too_late` when nothing is."""
    at = _until.get()
    if at is None:
        return timeout
    left_s = at - time.monotonic()
    if left_s <= 0:
        raise too_late("the call's time has passed")
    return left_s if timeout is None else min(timeout, left_s)


class DeadlineStream(httpcore2.NetworkStream):
    """
    A stream whose every read and write ends at the thread's deadline.

    `was_read`: since the last write. An answer that took no read was left over from the request before.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self.was_read = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.was_read = True
        return self._stream.read(max_bytes, _at_most(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.was_read = False
        self._stream.write(buffer, _at_most(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


# --- async: the deadline is the task's -------------------------------------------------------------------


class AsyncConnections:
    """For httpx's async transport, on one event loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._kept: _Kept[httpcore2.AsyncHTTP11Connection] = _Kept()
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send on an idle connection or a new one. Raises httpcore's errors."""
        timeouts = request.extensions["timeout"]
        await self._wait_for_free(timeouts["pool"])
        connection: httpcore2.AsyncHTTP11Connection | None = None
        try:
            connection = await self._good() or await self._open(timeouts["connect"])
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._give_back(connection)
            raise
        response.stream = _AsyncBody(response.stream, lambda: self._give_back(connection))
        return response

    async def _wait_for_free(self, timeout_s: float) -> None:
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._free.acquire()
                return
        raise httpcore2.PoolTimeout

    async def _good(self) -> httpcore2.AsyncHTTP11Connection | None:
        """An idle connection that the server has neither closed nor written to."""
        while (connection := self._kept.take()) is not None:
            if not connection.has_expired():
                return connection
            await connection.aclose()
            self._kept.give_back(connection)
        return None

    async def _open(self, timeout_s: float) -> httpcore2.AsyncHTTP11Connection:
        stream = await _connect_async(self._place, timeout_s)
        connection = httpcore2.AsyncHTTP11Connection(
            origin=self._place.origin, stream=stream, keepalive_expiry=KEEP_S
        )
        self._kept.add(connection)
        return connection

    async def _give_back(self, connection: httpcore2.AsyncHTTP11Connection | None) -> None:
        try:
            for surplus in self._kept.give_back(connection) if connection is not None else ():
                await surplus.aclose()
        finally:
            self._free.release()

    async def aclose(self) -> None:
        """Close the connections, those in use too."""
        for connection in self._kept.end():
            await connection.aclose()
        await asyncio.sleep(0)  # the loop closes the sockets at its next turn


class _AsyncBody:
    """A reply's body; once it is closed its connection is given back."""

    def __init__(self, stream: Any, give_back: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream
        self._give_back = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return cast("AsyncIterator[bytes]", self._stream.__aiter__())

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            await self._give_back()


def _is_address(host: str) -> bool:
    """Whether it is an IP address: no name ends with a digit (RFC 3696) or has a colon."""
    return ":" in host or host[-1:].isdigit()


async def _connect_async(place: Place, timeout_s: float) -> AsyncStream:
    """A connection, over TLS where the place has it."""
    loop, (host, port) = asyncio.get_running_loop(), place.address
    connect = partial(loop.create_connection, AsyncStream, host, port, ssl=place.tls)
    # A name may have several addresses; uvloop's loop has no such option. Where such a race is cancelled just as it is
    # won, asyncio leaves the socket to the garbage collector.
    if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(host):
        connect = partial(connect, happy_eyeballs_delay=HAPPY_EYEBALLS_S)
    try:
        async with asyncio.timeout(timeout_s):
            _, protocol = await connect()
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(error) from error
    except Exception as error:  # whatever it is, nothing was sent yet
        raise httpcore2.ConnectError(error) from error
    return cast("AsyncStream", protocol)


class AsyncStream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """
    A socket of the event loop. Timeouts are not looked at: whoever calls has a deadline for the whole call.

    `was_read`: since the last write, as in `DeadlineStream`.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.was_read = False
        self._arrived = bytearray()
        self._is_over = False
        self._error: Exception | None = None
        self._is_paused = False
        self._something: asyncio.Future[None] | None = None
        """There while somebody waits for bytes, or for the end."""
        self._room: asyncio.Future[None] | None = None
        """There while the peer takes no more bytes."""

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        if len(self._arrived) > READ_AHEAD_MAX and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        _wake(self._something)

    def eof_received(self) -> None:
        self._is_over = True
        _wake(self._something)

    def connection_lost(self, error: Exception | None) -> None:
        self._is_over, self._error = True, error
        _wake(self._something)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        _wake(self._room)
        self._room = None

    # What httpcore calls.

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109, ARG002
        self.was_read = True
        if self._arrived or self._is_over:
            await asyncio.sleep(
                0
            )  # a reply of many small parts takes long to read, and the deadline is the loop's
        else:
            self._something = asyncio.get_running_loop().create_future()
            try:
                await self._something
            finally:
                self._something = None
        if not self._arrived and self._error is not None:
            raise httpcore2.ReadError(self._error) from self._error
        data = bytes(self._arrived[:max_bytes])
        del self._arrived[:max_bytes]
        if self._is_paused and not self._is_over and len(self._arrived) <= READ_AHEAD_MAX:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109, ARG002
        self.was_read = False
        if not self._is_over:
            self._transport.write(buffer)
            if self._room is not None:
                await self._room
        if self._is_over:
            raise httpcore2.WriteError(self._error or "the connection is closed")

    async def aclose(self) -> None:
        self._transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`: the peer has closed the connection, or written what nobody asked for."""
        if info == "is_readable":
            return bool(self._arrived) or self._is_over or self._has_more()
        return self._transport.get_extra_info(info)

    def _has_more(self) -> bool:
        """Whether something is there that the loop has not come to yet."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
