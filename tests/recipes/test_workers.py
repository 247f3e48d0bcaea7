"""The recipe for workers on PostgreSQL: the unit for systemd, run as it says, in two processes."""

import configparser
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from paycore import Client, Payment, Status
from tests.recipes.conftest import COMMANDS, RECIPES, Shop, sell

Process = subprocess.Popen[str]


class Unit:
    """What systemd does with the unit's file, as far as the recipe uses it: start, stop, and start after a death."""

    def __init__(self, shop: Shop, stack: ExitStack) -> None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(RECIPES / "paycore-worker@.service")
        self.service = parser["Service"]
        (shop.folder / ".venv").symlink_to(COMMANDS.parent)
        self._words = self.service["ExecStart"].replace("/srv/shop", str(shop.folder)).split()
        self._folder = self.service["WorkingDirectory"].replace("/srv/shop", str(shop.folder))
        self._stack = stack

    def start(self) -> Process:
        """A process of the unit, which has said that it works."""
        process = subprocess.Popen(self._words, cwd=self._folder, stderr=subprocess.PIPE, text=True)
        self._stack.enter_context(process)  # closes its pipe
        self._stack.callback(process.kill)
        assert process.stderr is not None
        while "looked after" not in (line := process.stderr.readline()):
            assert line, process.wait()
        return process

    def stop(self, process: Process) -> int:
        """The exit code of a process that was asked to end, within the time that the unit gives it."""
        process.terminate()
        return process.wait(float(self.service["TimeoutStopSec"]))


@pytest.fixture
def unit(shop: Shop, postgres_dsn: str) -> Iterator[Unit]:
    """Workers on a ledger in PostgreSQL."""
    shop.configure(ledger=postgres_dsn)
    with ExitStack() as stack:
        yield Unit(shop, stack)


def test_one_of_two_workers_is_killed_and_everything_is_known(shop: Shop, unit: Unit) -> None:
    """What the killed one had claimed is asked about by the other; a new one joins, and both end when asked to."""
    first, second = unit.start(), unit.start()
    with Client(shop.config) as pay:
        payments = [sell(pay, f"order-{number}") for number in range(8)]
        for payment in payments[:4]:
            shop.pay(payment)
        paid(pay, payments[:4])
        first.send_signal(signal.SIGKILL)
        for payment in payments[4:]:
            shop.pay(payment)
        first.wait(5)
        third = unit.start()
        paid(pay, payments[4:])
    assert [unit.stop(process) for process in (second, third)] == [0, 0]


def paid(pay: Client, payments: list[Payment]) -> None:
    """Wait until the ledger says that they are paid; nothing is asked here."""
    give_up_at = time.monotonic() + 20
    while {pay.get(payment.id).status for payment in payments} != {Status.PAID}:
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
