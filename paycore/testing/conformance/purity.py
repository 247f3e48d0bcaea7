"""
Watches a call into a provider: what it does beside computing is stopped, and named with the author's file and line.

A profile function sees every call of Python and C code in this thread. What only imports a module, or loads a time
zone, is let be: it happens once, and tells nothing of the world that would not be the same tomorrow.
"""

from __future__ import annotations

import gc
import inspect
import io
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_LOG = "writes a log"
_CLOCK = "reads a clock"
_RANDOM = "generates a random value"
_SOCKET = "opens a socket"
_FILE = "touches a file"
_SLEEP = "sleeps"
_BESIDE = "starts a thread or a process"

_C_CALLS: Mapping[tuple[str, str], str] = {
    **{
        ("time", name): _CLOCK
        for name in (
            *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
            *("process_time", "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime"),
        )
    },
    ("time", "sleep"): _SLEEP,
    **{("posix", name): _RANDOM for name in ("urandom", "getrandom")},
    ("nt", "urandom"): _RANDOM,
    ("_uuid", "generate_time_safe"): _RANDOM,
    ("_thread", "start_new_thread"): _BESIDE,
    ("_thread", "start_joinable_thread"): _BESIDE,
    ("_posixsubprocess", "fork_exec"): _BESIDE,
    **{("posix", name): _BESIDE for name in ("fork", "forkpty", "system", "posix_spawn", "posix_spawnp")},
    **{
        ("posix", name): _FILE
        for name in (
            *("open", "read", "write", "stat", "lstat", "listdir", "scandir", "mkdir", "remove", "unlink"),
            *("rename", "replace", "rmdir", "readlink", "access", "statvfs"),
            *("_path_exists", "_path_isfile", "_path_isdir"),
        )
    },
    ("_io", "open"): _FILE,
    ("io", "open"): _FILE,
    ("_io", "open_code"): _FILE,
    ("_sqlite3", "connect"): _FILE,
    ("sqlite3", "connect"): _FILE,
    ("builtins", "print"): "prints",
    ("builtins", "input"): "reads the terminal",
}
"""What functions in C do, by module and name."""

_LOG_CALLS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log", "_log"})
_DATE_CALLS = frozenset({"now", "utcnow", "today"})
_STREAMS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedReader, io.FileIO)
_TIMES = {"localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}
"""Functions of `time` that tell the time now where they are given fewer arguments."""

_LET_BE = ("importlib", "<frozen importlib", "zoneinfo")
"""Modules of the standard library below which files may be read."""

_NOT_THE_AUTHORS = (
    "paycore.domain",
    "paycore.engine",
    "paycore.errors",
    "paycore.testing.conformance",
    "msgspec",
)
_SELF = __name__


class Impurity(msgspec.Struct, frozen=True):
    """What a provider did beside computing, and its author's file and line."""

    what: str
    place: str


class _Stopped(BaseException):
    """Ends a call in the place of what it was about to do; no `except Exception` stops it."""


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage is collected inside the block: what is finalized by chance is not the provider's doing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Watched:
    """Calls what it is given, and keeps in `impurities` what that did beside computing."""

    def __init__(self) -> None:
        self.impurities: list[Impurity] = []

    def call(self, function: Callable[[], T]) -> T | None:
        """What the function returns; None where it was stopped. Whatever it raises is raised."""
        with _uncollected():
            return self._call(function)

    def _call(self, function: Callable[[], T]) -> T | None:
        before = sys.getprofile()
        count = len(self.impurities)
        try:
            with self._clocks_watched():
                sys.setprofile(self._see)
                return function()
        except _Stopped:
            return None
        except BaseException:
            if len(self.impurities) > count:  # it was stopped, and made another error of that
                return None
            raise
        finally:
            sys.setprofile(before)

    def _see(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call":
            what = _what_c(called)
        elif event == "call":
            what = _what_python(frame)
        else:
            return
        if what is not None and not any(_is_let_be(above) for above in _stack(frame)):
            self._stop(what, frame)

    def _stop(self, what: str, frame: FrameType) -> None:
        self.impurities.append(Impurity(what, _place(frame)))
        raise _Stopped

    @contextmanager
    def _clocks_watched(self) -> Iterator[None]:
        """What reads the clock only where it is given no time: a profile function does not see arguments."""
        watching, replaced = threading.get_ident(), {name: getattr(time, name) for name in _TIMES}

        def watched(name: str) -> Callable[..., Any]:
            def called(*given: Any) -> Any:
                is_now = len(given) < _TIMES[name] or given[-1] is None
                frame = inspect.currentframe()
                if (
                    is_now
                    and threading.get_ident() == watching
                    and frame is not None
                    and frame.f_back is not None
                ):
                    self._stop(f"{_CLOCK} (time.{name})", frame.f_back)
                return replaced[name](*given)

            return called

        try:
            for name in _TIMES:
                setattr(time, name, watched(name))
            yield
        finally:
            for name, function in replaced.items():
                setattr(time, name, function)


def _what_c(called: Any) -> str | None:
    """What a function in C does beside computing; None for any other."""
    name, owner = str(getattr(called, "__name__", "")), getattr(called, "__self__", None)
    if isinstance(owner, type):
        is_clock = issubclass(owner, date) and name in _DATE_CALLS
        return f"{_CLOCK} ({owner.__name__}.{name})" if is_clock else None
    module = str(getattr(called, "__module__", None) or getattr(owner, "__name__", ""))
    what = _what_an_object_does(owner) or _C_CALLS.get((module, name))
    if what is None and module in ("_socket", "socket"):
        what = _SOCKET
    return None if what is None else f"{what} ({(module or type(owner).__name__).lstrip('_')}.{name})"


def _what_an_object_does(owner: Any) -> str | None:
    """What every method in C of this object does; None for most."""
    kind = type(owner)
    if owner is not None and owner is getattr(random, "_inst", None):
        return _RANDOM
    if kind.__module__ in ("_socket", "socket", "_ssl"):
        return _SOCKET
    return _FILE if isinstance(owner, _STREAMS) else None


def _what_python(frame: FrameType) -> str | None:
    """What a function in Python does beside computing, where C code does not show it."""
    module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
    if module == "logging" and name in _LOG_CALLS:
        return _LOG
    if module == "socket" and name == "__init__":
        return _SOCKET
    if module == "random" and name == "__init__":
        return f"{_RANDOM} (random.Random)"
    return None


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """The frame and those above it, up to this module's."""
    while frame is not None and frame.f_globals.get("__name__") != _SELF:
        yield frame
        frame = frame.f_back


def _is_let_be(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return module.startswith(_LET_BE) or frame.f_code.co_filename.startswith("<frozen importlib")


def _place(frame: FrameType) -> str:
    """File and line of the innermost frame that is an author's."""
    for above in _stack(frame):
        module = above.f_globals.get("__name__", "")
        if (
            not module.startswith(_NOT_THE_AUTHORS)
            and module.partition(".")[0] not in sys.stdlib_module_names
        ):
            return f"{Path(above.f_code.co_filename).name}:{above.f_lineno}"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
