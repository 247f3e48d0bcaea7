"""
A proxy between PostgreSQL and its clients whose connections can be cut: answers under way are lost.

    with cable(server.dsn("ledger")) as line:
        ledger = open_ledger(line.dsn)
        line.cut()      # the server still carries out what it received; no answer arrives
"""

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

SOCKET = ".s.PGSQL.5432"
CUT_DELAY_S = 0.003
"""How long answers are dropped before the connections close: longer than a commit takes."""


class _Wire:
    """One connection: two sockets, and a thread for each direction."""

    def __init__(self, client: socket.socket, server_path: str) -> None:
        self.is_cut = False
        self._client = client
        self._server = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):  # the server is down: the client gets a closed connection
            self._server.connect(server_path)
        for source, sink in ((self._client, self._server), (self._server, self._client)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not (self.is_cut and source is self._server):
                    sink.sendall(data)
        self.end()

    def end(self) -> None:
        """Close both sides."""
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Cable:
    """Forwards connections to the database at `dsn` over sockets of its own; made by `cable`."""

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = urlsplit(dsn)
        self.dsn = f"{parts.scheme}://{parts.netloc}{parts.path}?host={quote(str(folder), safe='')}"
        self._server_path = f"{parse_qs(parts.query)['host'][0]}/{SOCKET}"
        self._wires: list[_Wire] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._wires.append(_Wire(client, self._server_path))

    def cut(self) -> int:
        """Drop the server's answers, then close every connection; return how many there were."""
        wires, self._wires = self._wires, []
        for wire in wires:
            wire.is_cut = True
        time.sleep(CUT_DELAY_S)
        for wire in wires:
            wire.end()
        return len(wires)

    def close(self) -> None:
        """Accept no more connections, and close the open ones."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


@contextlib.contextmanager
def cable(dsn: str) -> Iterator[Cable]:
    """A cable to the database at `dsn`, for the length of a `with` block."""
    with tempfile.TemporaryDirectory(prefix="paycore-cable-", dir="/tmp") as folder:
        line = Cable(dsn, Path(folder))
        try:
            yield line
        finally:
            line.close()
