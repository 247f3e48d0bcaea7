"""`paycore demo` is the main job from end to end, by the installed command."""

import json
import time
from pathlib import Path

from tests.cli.conftest import Cli


def test_demo_from_order_to_refund(cli: Cli) -> None:
    """The demo exits 0 in under 15 s and shows created -> pending -> paid -> refunded, and each command."""
    began = time.monotonic()
    ran = cli.installed("demo")
    assert ran.code == 0, ran
    assert time.monotonic() - began < 15
    assert "created -> pending -> paid -> refunded 20.00" in ran.out
    for word in ("create", "query", "await", "refund", "show"):
        assert f"$ paycore {word} " in ran.out
    assert list(Path().iterdir()) == []


def test_demo_as_json_keeps_its_files_and_checks_the_ledger(cli: Cli) -> None:
    """With --json each step prints its one object; run again on the same ledger, the payment is not pending."""
    ran = cli.installed("demo", "--json", "--keep", "kept")
    assert (ran.code, ran.err) == (0, ""), ran
    states = [json.loads(line)["status"] for line in ran.out.splitlines()]
    assert states == ["pending", "pending", "paid", "paid", "paid"]
    assert cli("list", "--config", "kept/paycore.toml", "--json").json["refunded_minor"] == 2000
    again = cli.installed("demo", "--keep", "kept")
    assert (again.code, "the ledger says paid" in again.err) == (1, True), again
