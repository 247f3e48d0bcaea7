"""`paycore sandbox serve --all`: every provider's sandbox in one process, and a configuration for them."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paycore import Client, Money
from tests.switching.conftest import METHODS

PAYCORE = str(Path(sys.executable).with_name("paycore"))


def test_all_sandboxes_are_served_with_one_command(
    tmp_path: Path, installed_bank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A line of JSON for each, a configuration that works as it is, and rules that hold for all; SIGTERM ends them.

    Those that can keep their orders do so in a file each; a bank of one file is served beside them.
    """
    monkeypatch.syspath_prepend(installed_bank)
    config, state = tmp_path / "paycore.toml", tmp_path / "state"
    words = [PAYCORE, "sandbox", "serve", "--all", "--port", "0", "--json"]
    words += ["--write-config", str(config), "--state", str(state), "--set", "qfpay-alipay.mchid=M1"]
    words += ["--auto-pay", "amount:9.00=off", "--auto-pay", "0"]
    environment = {**os.environ, "PYTHONPATH": str(installed_bank)}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as served:
        assert served.stdout is not None
        ready = [json.loads(served.stdout.readline()) for _ in METHODS]
        try:
            assert [one["provider"] for one in ready] == sorted(METHODS)
            assert next(one for one in ready if one["provider"] == "qfpay-alipay")["mchid"] == "M1"
            assert stat.S_IMODE(config.stat().st_mode) == 0o600
            urls = {one["provider"]: one["url"] for one in ready}
            with Client(config) as pay:
                assert pay.create(**order("first", "bank-transfer")).account == "bank-transfer"
                for provider, url in urls.items():
                    paid = pay.create(**order(provider, provider), account=provider)
                    left = pay.create(**order(f"{provider}-9", provider, "9.00"), account=provider)
                    assert becomes(f"{url}/_sandbox/orders/{paid.order_number}", {"paid", "approved"})
                    assert not becomes(f"{url}/_sandbox/orders/{left.order_number}", {"paid", "approved"}, 0)
        finally:
            served.send_signal(signal.SIGTERM)
            _, said = served.communicate(timeout=20)
    assert (served.returncode, said) == (0, "")
    kept = {path.stem for path in state.glob("*.jsonl")}
    assert kept == set(METHODS) - {"bank-transfer"}


def order(reference: str, provider: str, amount: str = "8.00") -> Any:
    """What every product takes."""
    return {
        "reference": reference,
        "amount": Money(amount, "EUR"),
        "method": METHODS[provider],
        "channel": "web",
        "return_url": "https://shop.example/",
    }


def becomes(url: str, states: set[str], within_s: float = 3.0) -> bool:
    """Whether the order at this control endpoint gets into one of these states in time."""
    end = time.monotonic() + within_s
    while httpx2.get(url).json()["state"] not in states:
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True
