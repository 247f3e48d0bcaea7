"""Secrets and the command line: none on stdout and stderr, plain and as JSON, whatever goes wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore import Status
from paycore.engine.plugins import Plugins
from paycore.errors import (
    AccountRefused,
)
from paycore.sandbox.server import SandboxServer
from paycore.testing.toy import ToyGateway
from tests.cli.conftest import Cli
from tests.hostile.canary import Witness
from tests.hostile.gateway import hostile_gateway
from tests.hostile.leaky import LeakyPlugin, LeakyToy
from tests.hostile.replies import SLOW
from tests.hostile.scenes import (
    AUTH_CODE,
    KEY,
    REPLIES,
    write_config,
)
from tests.hostile.shops import carrier

CREATE = "create --reference order-1 --amount 88.00 --currency HKD --method alipay --channel qr".split()
SCANNED = [*CREATE[:-1], "barcode", "--auth-code", AUTH_CODE]


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("name", REPLIES)
def test_command_prints_no_secret(
    witness: Witness, truth: SandboxServer, cli: Cli, tmp_path: Path, name: str, form: list[str]
) -> None:
    """Payment, error and history, plain and as JSON, whatever the provider answered."""
    answer, expected = REPLIES[name]
    with hostile_gateway(carrier(truth)) as gateway:
        write_config(tmp_path, gateway.url, truth)
        with gateway.answering(answer, "/trade/v1/payment"):
            ran = cli(*SCANNED, *form)
        shown = cli("show", "--reference", "order-1", *form)
        asked = cli("query", "--reference", "order-1", *form)
    exits = {Status.UNKNOWN: 5, Status.FAILED: 3, AccountRefused: 6, Status.PENDING: 0, Status.PAID: 0}
    assert ran.code == (9 if name == "another amount" else exits[expected]), ran
    assert shown.code == 0, shown
    for said in (
        ran,
        shown,
        asked,
        cli("list", *form),
        cli("accounts", *form),
        cli("plugins", "list", *form),
    ):
        witness.hear("printed", said)
    witness.hear_ledger(tmp_path / "paycore.db")


@pytest.fixture
def leaky_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The leaky plugin, as if it were installed."""

    def with_the_leaky_one(self: Plugins, **options: Any) -> None:
        original(self, **{**options, "extra": [("leaky", LeakyPlugin())]})

    original = Plugins.__init__
    monkeypatch.setattr(Plugins, "__init__", with_the_leaky_one)
    yield
    LeakyToy.leaks, LeakyToy.how = "", "raise"


@pytest.mark.usefixtures("leaky_installed")
@pytest.mark.parametrize(
    ("where", "how", "code"),
    [
        ("settings", "raise", 6),
        ("check", "raise", 6),
        ("check", "refuse the field", 2),
        ("create, before it asks", "raise", 6),
        ("create, once it was answered", "raise", 5),
        ("create, once it was answered", "interrupt", 130),
        ("create, link", "-", 5),
        ("create, refusal", "-", 3),
        ("observer", "-", 0),
    ],
)
def test_command_with_a_plugin_that_leaks_prints_no_secret(
    witness: Witness, truth: SandboxServer, cli: Cli, where: str, how: str, code: int
) -> None:
    """A plugin's texts are masked; the exit code says whether money may have moved."""
    LeakyToy.leaks, LeakyToy.how = where, how
    words = (
        "create --account toy --reference order-1 --amount 88.00 --currency HKD --method toy --channel web"
    )
    for form in ([], ["--json"]):
        with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
            write_config(Path.cwd(), gateway.url, truth, ledger=f'"sqlite:///paycore{len(form)}.db"')
            ran = cli(*words.split(), *form)
        assert ran.code == code, ran
        witness.hear("printed", ran)
        witness.hear("printed", cli("list", *form))
        witness.hear_ledger(Path.cwd() / f"paycore{len(form)}.db")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_command_that_is_interrupted_prints_no_secret(
    witness: Witness, truth: SandboxServer, tmp_path: Path, form: list[str]
) -> None:
    """Ctrl-C during a request, in a separate process: exit 130, no traceback, no secret."""
    with hostile_gateway(carrier(truth)) as gateway:
        write_config(tmp_path, gateway.url, truth, timeout_s="30")
        with gateway.answering(SLOW["silence"], "/trade/v1/payment"):
            process = subprocess.Popen(
                [sys.executable, "-m", "paycore.cli", *SCANNED, *form],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=tmp_path,
            )
            until = time.monotonic() + 20
            while not gateway.asked("/trade/v1/payment") and time.monotonic() < until:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    witness.hear("printed", out + err)
    witness.hear_ledger(tmp_path / "paycore.db")
