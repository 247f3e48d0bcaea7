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
from paycore.testing.toy import ToyGateway
from tests.support.toy_http import KEY, ToyServer, toy_server

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


# --- the toy, installed as a plugin of its own ----------------------------------------------------


def install_plugin(name: str, source: str, *, version: str = "1") -> None:
    """A distribution in the working folder, whose plugin has this source."""
    installed = Path(f"{name}_pay-{version}.dist-info")
    installed.mkdir()
    (installed / "METADATA").write_text(f"Name: {name}-pay\nVersion: {version}\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text(f"[paycore]\n{name} = {name}_pay\n", encoding="utf-8")
    Path(f"{name}_pay.py").write_text(source, encoding="utf-8")


TOY_PLUGIN = (
    "from paycore.plugin import hookimpl\nfrom paycore.testing.toy import ToyProvider\n"
    "@hookimpl\ndef paycore_register_providers():\n    return [ToyProvider]\n"
)


class ToyShop:
    """A toy gateway, and a paycore.toml in the working folder with the account `toy` at it."""

    def __init__(self, server: ToyServer) -> None:
        self.server = server
        self.gateway = server.gateway
        self.configure()

    def configure(self, url: str = "", *, timeout_s: float = 1, **settings: object) -> None:
        """Write the configuration; `settings` are `ToySettings`."""
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        Path("paycore.toml").write_text(
            "\n".join(
                [
                    'ledger = "sqlite:///paycore.db"',
                    "[accounts.toy]",
                    'provider = "toy"',
                    'mode = "sandbox"',
                    f'base_url = "{url or self.server.url}"',
                    f"timeout_s = {timeout_s}",
                    f'key = "{KEY}"',
                    "proof_s = 0.1",
                    *lines,
                ]
            ),
            encoding="utf-8",
        )


@pytest.fixture
def toy_shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyShop]:
    """A shop at the toy's gateway; the toy's plugin is installed in the working folder."""
    install_plugin("toy", TOY_PLUGIN)
    monkeypatch.syspath_prepend(Path.cwd())
    with toy_server(ToyGateway(key=KEY)) as server:
        yield ToyShop(server)


def toy_order(channel: str = "hold", reference: str = "order-1") -> list[str]:
    """The arguments of a `create` at the toy."""
    words = f"create --reference {reference} --amount 88.00 --currency HKD --method toy --channel {channel}"
    return words.split()


# --- the command line -----------------------------------------------------------------------------


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
