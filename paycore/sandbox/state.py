"""
The state file of a sandbox: JSON lines, one per change, newest last.

Each record is one `write` before the change is answered, so a killed process loses nothing it had answered. Nothing is
synced to disk, so a power failure may lose records. Opening the file reads the last record of each key and replaces the
file by these.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

if sys.platform != "win32":
    import fcntl

_VERSION = 1


class _FileHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    paycore_sandbox: str
    version: int


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: msgspec.Raw


class StateFile:
    """
    Keys and JSON values in `path`; `None` stores nothing.

    `ValueError` if the file belongs to another provider or version, is no state file, or is open in another process.
    """

    def __init__(self, path: Path | None, *, name: str) -> None:
        self._name = name
        self._guard = threading.Lock()
        self._file: int | None = None
        self._lock: int | None = None
        self._values: dict[str, msgspec.Raw] = {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(path)
        try:
            if path.exists():
                self._values = self._load(path)
            self._rewrite(path)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except BaseException:
            self.close()
            raise

    def values(self) -> Mapping[str, msgspec.Raw]:
        """The values when the file was opened, in the order in which their keys were first written."""
        return self._values

    def put(self, key: str, value: Any) -> None:
        """Store `value`, anything msgspec can encode, in one write."""
        if self._file is None:
            return
        line = msgspec.json.encode(_Line(key=key, value=msgspec.Raw(msgspec.json.encode(value)))) + b"\n"
        with self._guard:
            if self._file is not None:
                os.write(self._file, line)

    def close(self) -> None:
        """Close the file; a later `put` stores nothing."""
        with self._guard:
            for handle in (self._file, self._lock):
                if handle is not None:
                    os.close(handle)
            self._file = self._lock = None

    def _load(self, path: Path) -> dict[str, msgspec.Raw]:
        lines = path.read_bytes().split(b"\n")
        # After the last line end is a write that was interrupted by a kill, and so never answered.
        complete = lines[:-1]
        if not complete:
            return {}
        values: dict[str, msgspec.Raw] = {}
        try:
            head = msgspec.json.decode(complete[0], type=_FileHeader)
            for line in complete[1:]:
                record = msgspec.json.decode(line, type=_Line)
                values[record.key] = msgspec.Raw(bytes(record.value))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path} is not a sandbox state file: {error}") from None
        if (head.paycore_sandbox, head.version) != (self._name, _VERSION):
            raise ValueError(
                f"{path} belongs to sandbox {head.paycore_sandbox} version {head.version}, "
                f"not to {self._name} version {_VERSION}"
            )
        return values

    def _rewrite(self, path: Path) -> None:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(
                    msgspec.json.encode(_FileHeader(paycore_sandbox=self._name, version=_VERSION)) + b"\n"
                )
                for key, value in self._values.items():
                    file.write(msgspec.json.encode(_Line(key=key, value=value)) + b"\n")
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise


def _lock(path: Path) -> int | None:
    if sys.platform == "win32":
        return None  # no flock there: a second sandbox on the file is not detected
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ValueError(f"{path} is in use by another sandbox") from None
    return handle


def records(values: Mapping[str, msgspec.Raw], prefix: str) -> Iterator[msgspec.Raw]:
    """The values whose key begins with `prefix`."""
    return (value for key, value in values.items() if key.startswith(prefix))
