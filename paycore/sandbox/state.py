"""
What a sandbox remembers over a restart: a file of JSON lines, one per change, newest last.

Each record is one `write` before the change is answered, so a killed process loses nothing it had answered (a power
failure may: nothing is synced to disk, it is a sandbox). Opening reads the last record of each key and rewrites the
file in that short form, by rename.
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
    Keys and JSON values in `path`, or nowhere when it is `None`.

    `ValueError` when the file belongs to another provider, another version or is not such a file, and when another
    process has it open.
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
        """What was there when the file was opened, in the order of first writing."""
        return self._values

    def put(self, key: str, value: Any) -> None:
        """Remember `value`, anything msgspec encodes, in one write."""
        if self._file is None:
            return
        line = msgspec.json.encode(_Line(key=key, value=msgspec.Raw(msgspec.json.encode(value)))) + b"\n"
        with self._guard:
            if self._file is not None:
                os.write(self._file, line)

    def close(self) -> None:
        """Let the file go; what is put after this is forgotten."""
        with self._guard:
            for handle in (self._file, self._lock):
                if handle is not None:
                    os.close(handle)
            self._file = self._lock = None

    def _load(self, path: Path) -> dict[str, msgspec.Raw]:
        lines = path.read_bytes().split(b"\n")
        # What follows the last line end is a write cut short by a kill: it was never answered.
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
        return None  # no flock there: two sandboxes on one file go unnoticed
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
