"""The examples run as a reader starts them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(name: str) -> str:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_example_sync_pays_and_refunds() -> None:
    """One payment is paid and partly refunded, and the ledger has each step."""
    started = time.monotonic()
    told = run("checkout_sync.py")
    assert "paid: 88.00 HKD" in told
    assert "refund succeeded: 2000 of 8800" in told
    assert [line.split()[0] for line in told.partition("ledger says:\n")[2].splitlines()] == list("12345")
    assert time.monotonic() - started < 10


def test_example_async_pays_ten() -> None:
    """Ten concurrent payments are all paid."""
    told = run("checkout_async.py")
    assert told.count("paid  88.00 HKD") == 10


@pytest.mark.slow
def test_example_delivers_once_whatever_is_killed() -> None:
    """Both processes are killed; every order has one parcel."""
    told = run("delivering_once.py")
    assert told.startswith("killed both processes after ")
    assert told.endswith(" changes handed over, 10 parcels for 10 orders\n")


@pytest.mark.parametrize(
    "name", ["checkout_sync.py", "checkout_async.py", "delivering_once.py", "web_shop/shop.py"]
)
def test_example_says_how_to_run_it(name: str) -> None:
    """Each example states its own command."""
    assert f"python examples/{name}" in (ROOT / "examples" / name).read_text()
