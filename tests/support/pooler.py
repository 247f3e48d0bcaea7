"""
A connection pooler before a PostgreSQL server, as pgbouncer is: each client is told a backend of the pooler's own.

With `shares` a client has a server connection for a transaction only, whichever was used last, as in pgbouncer's mode
`transaction`; without it for as long as it is connected, as in its mode `session`.
"""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

_TLS_REQUEST = 80877103
_TERMINATE = b"X\x00\x00\x00\x04"


class Pooler:
    """Listens on a port of this machine; `dsn` leads through it."""

    def __init__(self, dsn: str, *, shares: bool) -> None:
        self._server = conninfo_to_dict(dsn)
        self._shares = shares
        self._free: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        user, name = quote(str(self._server["user"])), quote(str(self._server["dbname"]))
        self.dsn = f"postgresql://{user}@127.0.0.1:{self._listening.getsockname()[1]}/{name}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more clients."""
        self._listening.close()
        for server in self._free:
            server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            startup = _packet(client, kind=False)
            if struct.unpack("!I", startup[4:8])[0] == _TLS_REQUEST:
                client.sendall(b"N")
                startup = _packet(client, kind=False)
            server, welcome = self._connect(startup)
            client.sendall(welcome)
            if not self._shares:
                _pass_on(client, server, until_idle=False)
                server.close()
                return
            self._free.append(server)
            while (data := client.recv(65536)) and data != _TERMINATE:
                server = self._free.pop() if self._free else self._connect(startup)[0]
                server.sendall(data)
                _pass_on(client, server, until_idle=True)
                self._free.append(server)

    def _connect(self, startup: bytes) -> tuple[socket.socket, bytes]:
        """A server connection, and its welcome with the pooler's own number for the backend."""
        server = socket.socket(socket.AF_UNIX)
        port = self._server.get("port") or 5432
        server.connect(f"{self._server['host']}/.s.PGSQL.{port}")
        server.sendall(startup)
        welcome = b""
        while not welcome.endswith(b"Z\x00\x00\x00\x05I"):
            packet = _packet(server, kind=True)
            if packet[:1] == b"K":
                packet = packet[:5] + struct.pack("!I", 1) + packet[9:]
            welcome += packet
        return server, welcome


def _packet(sender: socket.socket, *, kind: bool) -> bytes:
    """A message, with a byte before its length that tells its kind, unless it is a client's first."""
    head = _exactly(sender, 4 + kind)
    return head + _exactly(sender, struct.unpack("!I", head[kind:])[0] - 4)


def _exactly(sender: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sender.recv(count - len(data))
        if not more:
            raise OSError("the other side has closed the connection")
        data += more
    return data


def _pass_on(client: socket.socket, server: socket.socket, *, until_idle: bool) -> None:
    """Pass on what both send, until the client leaves or, if so, the server has ended a transaction."""
    while True:
        for sender in select.select([client, server], [], [])[0]:
            if sender is client:
                data = client.recv(65536)
                if not data:
                    return
                server.sendall(data)
                continue
            packet = _packet(server, kind=True)
            client.sendall(packet)
            if until_idle and packet == b"Z\x00\x00\x00\x05I":
                return


@contextlib.contextmanager
def pooler(dsn: str, *, shares: bool) -> Iterator[str]:
    """The address of a pooler before this database."""
    opened = Pooler(dsn, shares=shares)
    try:
        yield opened.dsn
    finally:
        opened.close()
