"""A shop with a sandbox account, and the command line to run in it: in this process, or as the installed command."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore.cli.main import main
from paycore.engine.plugins import Plugins
from paycore.sandbox.server import SandboxServer

PAYCORE = str(Path(sys.executable).with_name("paycore"))


class Ran:
    """Exit code and output of a command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """The single JSON object on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The single JSON object on stderr."""
        assert self.err.count("\n") == 1
        return json.loads(self.err)["error"]

    def __repr__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


class Cli:
    """Runs commands."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Ran:
        """Run in this process, which is faster."""
        self._capsys.readouterr()
        logger = logging.getLogger("paycore")
        handlers = list(logger.handlers)
        try:
            code = main([str(argument) for argument in arguments])
        finally:  # what a process of its own takes along with it
            logger.handlers[:] = handlers
            logger.setLevel(logging.NOTSET)
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)

    def installed(self, *arguments: object, **environment: str) -> Ran:
        """Run the installed command in a separate process."""
        words = [PAYCORE, *(str(argument) for argument in arguments)]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **environment},
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def create(self, reference: str = "order-1", *more: object, amount: str = "88.00") -> Any:
        """Make a payment and return its JSON."""
        ran = self(*order(reference, amount), "--json", *more)
        assert ran.code == 0, ran
        return ran.json


def order(reference: str = "order-1", amount: str = "88.00") -> list[str]:
    """The arguments of an ordinary `create`."""
    words = f"create --reference {reference} --amount {amount} --currency HKD --method alipay --channel web"
    return words.split()


def write_config(
    url: str, *, more: str = "", key: str = "", region: str = "hk", path: str = "paycore.toml"
) -> None:
    """A paycore.toml in the working folder, for the account `shop`."""
    from qfpay_alipay.sandbox.sandbox_settings import APP_CODE, CLIENT_KEY

    Path(path).write_text(
        f"""
ledger = "sqlite:///paycore.db"

[accounts.shop]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
region = "{region}"
app_code = "{APP_CODE}"
client_key = "{key or CLIENT_KEY}"
{more}
""",
        encoding="utf-8",
    )


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line."""
    return Cli(capsys)


@pytest.fixture
def gateway() -> Iterator[SandboxServer]:
    """QFPay's sandbox on a free port."""
    with SandboxServer(Plugins().sandboxes()["qfpay-alipay"]) as server:
        yield server


@pytest.fixture
def shop(gateway: SandboxServer) -> SandboxServer:
    """The gateway, with a paycore.toml in the working folder that points at it."""
    write_config(gateway.url, more="timeout_s = 2")
    return gateway
