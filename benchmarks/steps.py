"""
How far a call travels: which own files one warm `Client.create` enters, and how often it moves between them.

    python -m benchmarks.steps            45 files, 364 functions, 714 calls, 201 moves between files
    python -m benchmarks.steps --files    and the files, in the order they are first entered

A real client, QFPay's plugin and its sandbox on a socket; the client's thread and the ledger's writer are followed
with `sys.setprofile`, the sandbox's thread is not. A move is a function that is entered in another file than the one
entered before it. What the first calls import, open and cache is not counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType

import paycore
import qfpay_alipay
from benchmarks.table import Row
from paycore import Client, Money
from paycore.engine.config import AccountConfig, Config
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

OWN = tuple(str(Path(module.__file__ or "").parent) + "/" for module in (paycore, qfpay_alipay))
WARM_UP = 3

FILES_MAX, MOVES_MAX = 30, 150


class Trail:
    """The own functions that were entered, in order, whichever thread entered them; a profile function."""

    def __init__(self) -> None:
        self.entered: list[CodeType] = []
        self.is_on = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """See `sys.setprofile`."""
        if self.is_on and event == "call" and frame.f_code.co_filename.startswith(OWN):
            self.entered.append(frame.f_code)

    @property
    def files(self) -> list[str]:
        """The files entered, in the order they were first entered."""
        return list(dict.fromkeys(code.co_filename for code in self.entered))

    @property
    def moves(self) -> int:
        """How often the next function entered stands in another file."""
        return sum(one.co_filename != other.co_filename for one, other in pairwise(self.entered))

    def __str__(self) -> str:
        functions, calls = len(set(self.entered)), len(self.entered)
        return (
            f"{len(self.files)} files, {functions} functions, {calls} calls, {self.moves} moves between files"
        )


def follow_create() -> Trail:
    """The trail of one create by a client that has made a few before."""
    trail = Trail()
    with tempfile.TemporaryDirectory() as folder, SandboxServer(QFPaySandbox()) as sandbox:
        threading.setprofile(trail)  # for threads that begin from here on: the ledger's writer
        try:
            with Client(_config(sandbox, Path(folder))) as pay:
                for turn in range(WARM_UP):
                    _create(pay, f"warm-{turn}")
                sys.setprofile(trail)
                trail.is_on = True
                _create(pay, "order-1")
                trail.is_on = False
                sys.setprofile(None)
        finally:
            threading.setprofile(None)
    return trail


def _config(sandbox: SandboxServer, folder: Path) -> Config:
    account = AccountConfig(
        name="hk",
        provider="qfpay-alipay",
        mode="sandbox",
        base_url=sandbox.url,
        timeout_s=30.0,
        settings={"region": "hk", **sandbox.settings},
    )
    return Config(
        path=folder / "paycore.toml",
        ledger=f"sqlite:///{folder}/paycore.db",
        default_account="hk",
        accounts={"hk": account},
    )


def _create(pay: Client, reference: str) -> None:
    pay.create(
        reference=reference,
        amount=Money("88.00", "HKD"),
        method="alipay",
        channel="web",
        subject="Coffee",
        return_url="https://shop.example/thanks",
    )


def measure() -> list[Row]:
    """The files and the moves of one create."""
    trail = follow_create()
    bars = {
        "own files entered by a warm create": (len(trail.files), FILES_MAX),
        "moves between them": (trail.moves, MOVES_MAX),
    }
    return [
        Row(what=what, figure=f"{count}", baseline="-", ratio="-", bar=f"<= {bar}", holds=count <= bar)
        for what, (count, bar) in bars.items()
    ]


def main() -> None:
    """Print what was counted."""
    parser = argparse.ArgumentParser(description="How many own files one warm create enters.")
    parser.add_argument("--files", action="store_true", help="list the files, in the order they are entered")
    options = parser.parse_args()
    trail = follow_create()
    print(trail)
    if options.files:
        print(*(_from_package(file) for file in trail.files), sep="\n")


def _from_package(file: str) -> str:
    """`paycore/engine/client.py`, wherever it is installed."""
    root = next(root for root in OWN if file.startswith(root))
    return f"{Path(root).name}/{file.removeprefix(root)}"


if __name__ == "__main__":
    main()
