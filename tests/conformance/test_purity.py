"""What a provider does beside computing is stopped before it happens, and named with its line; computing is not."""

import gc
import io
import logging
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from paycore.testing.conformance.purity import Watched

IMPURE: dict[str, Callable[[], object]] = {
    "reads a clock (time.time)": time.time,
    "reads a clock (time.monotonic)": time.monotonic,
    "reads a clock (datetime.now)": lambda: datetime.now(UTC),
    "reads a clock (date.today)": date.today,
    "reads a clock (time.strftime)": lambda: time.strftime("%Y"),
    "reads a clock (time.gmtime)": lambda: time.gmtime(None),
    "generates a random value (Random.random)": random.random,
    "generates a random value (random.Random)": lambda: random.Random(1).random(),
    "generates a random value (posix.urandom)": lambda: secrets.token_hex(4),
    "generates a random value (uuid.generate_time_safe)": uuid.uuid1,
    "opens a socket": socket.socket,
    "starts a thread or a process": lambda: threading.Thread(target=int).start(),
    "starts a thread or a process (posixsubprocess.fork_exec)": lambda: subprocess.run(["true"], check=False),
    "writes a log": lambda: logging.getLogger("acme").warning("seen"),
    "prints (builtins.print)": lambda: print("seen"),
    "touches a file": lambda: sys.stdout.write("seen"),
    "touches a file (io.open)": lambda: Path(__file__).read_text(),
    "touches a file (posix.stat)": Path(__file__).stat,
    "sleeps (time.sleep)": lambda: time.sleep(0),
}

PURE: dict[str, Callable[[], object]] = {
    "a buffer in memory": lambda: io.BytesIO(b"paid").read(),
    "a time that is given": lambda: time.strftime("%Y", time.gmtime(5)),
    "a date that is given": lambda: datetime.fromtimestamp(5, UTC).strftime("%Y"),
    "a zone": lambda: datetime.fromtimestamp(5, ZoneInfo("Asia/Tokyo")),
    "a lock": lambda: threading.Lock().acquire(),
    "an id of a name": lambda: uuid.uuid5(uuid.NAMESPACE_URL, "order"),
    "an import": lambda: __import__("colorsys"),
}


@pytest.mark.parametrize("what", IMPURE)
def test_what_is_no_computing_is_stopped_and_named(what: str) -> None:
    """It is said what it was and in which line, and nothing came of it."""

    def author() -> object:
        return IMPURE[what]()

    watched = Watched()
    assert watched.call(author) is None
    (impurity,) = watched.impurities
    assert impurity.what.startswith(what)
    assert impurity.place.startswith("test_purity.py:")


@pytest.mark.parametrize("what", PURE)
def test_computing_is_let_be(what: str) -> None:
    """What depends on nothing but its arguments is no impurity, nor is what happens once, such as an import."""
    watched = Watched()
    assert watched.call(PURE[what])
    assert watched.impurities == []


def test_an_error_of_what_is_called_is_raised() -> None:
    """Only what was stopped is kept from the caller."""
    with pytest.raises(ZeroDivisionError):
        Watched().call(lambda: 1 // 0)


def test_other_threads_are_not_watched() -> None:
    """A sandbox's server reads the clock meanwhile, in its own thread."""
    seen: list[object] = []
    begun, ended = threading.Event(), threading.Event()

    def beside() -> None:
        begun.wait(10)
        seen.append(time.gmtime())
        ended.set()

    thread = threading.Thread(target=beside)
    thread.start()

    def wait() -> bool:
        begun.set()
        return ended.wait(10)

    watched = Watched()
    assert watched.call(wait)
    thread.join(10)
    assert (len(seen), watched.impurities) == (1, [])


def test_garbage_that_is_finalized_meanwhile_is_not_the_providers() -> None:
    """A collection by chance, while a provider computes, runs the finalizers of others: they are not told as its."""

    class Closing:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            time.time()

    def compute() -> list[list[int]]:
        gc.set_threshold(10)  # only now, so that the garbage is still there
        return [[number] for number in range(10_000)]

    before, watched = gc.get_threshold(), Watched()
    gc.set_threshold(1_000_000)
    try:
        Closing()
        watched.call(compute)
    finally:
        gc.set_threshold(*before)
    assert watched.impurities == []
