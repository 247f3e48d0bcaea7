"""A folder as the recipes expect it: paycore.toml, and sandboxes that its accounts lead to."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from paycore import Client, Money, Payment
from paycore.engine.plugins import Plugins
from paycore.sandbox.server import SandboxServer

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
COMMANDS = Path(sys.executable).parent
"""The folder of the installed `paycore`."""

Ran = subprocess.CompletedProcess[str]

HK = """
[accounts.hk]
provider = "qfpay-alipay"
mode = "live"
default_method = "alipay"
region = "hk"
"""


class Shop:
    """A shop's folder, in which the recipes run as files."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.config = folder / "paycore.toml"
        self._stack = stack
        self._sandboxes: dict[str, SandboxServer] = {}

    def sandbox(self, provider: str) -> SandboxServer:
        """The provider's sandbox, served until the test ends."""
        if provider not in self._sandboxes:
            self._serve(provider)
        return self._sandboxes[provider]

    def change_credentials(self, provider: str, settings: Mapping[str, str]) -> None:
        """Serve the same sandbox, with the same orders, with other credentials."""
        server = self._sandboxes[provider]
        server.stop()
        self._serve(provider, port=urlsplit(server.url).port, settings=settings)

    def _serve(self, provider: str, **options: Any) -> None:
        state = self.folder / "sandboxes" / provider
        state.parent.mkdir(exist_ok=True)
        server = SandboxServer(Plugins().sandboxes()[provider], state=state, **options)
        self._sandboxes[provider] = self._stack.enter_context(server)

    def configure(self, text: str = HK, *, ledger: str = "sqlite:///paycore.db", to: str = "") -> None:
        """
        Write a configuration with its live accounts led to sandboxes: `mode`, `base_url` and what is public differ.

        The files that it names for secrets are written with what the sandbox takes.
        """
        document = tomllib.loads(text)
        lines = [
            f"{key} = {json.dumps(value)}"
            for key, value in document.items()
            if key not in ("accounts", "ledger")
        ]
        lines.append(f"ledger = {json.dumps(ledger)}")
        for name, account in document["accounts"].items():
            server = self.sandbox(account["provider"])
            for key, value in account.items():
                for pointer in value if isinstance(value, list) else [value]:
                    self._write_secret(pointer, server.settings.get(key))
            public = {key: value for key, value in server.settings.items() if key.endswith("_id")}
            given = {**server.settings, **account, **public, "mode": "sandbox", "base_url": server.url}
            lines += [f"[accounts.{name}]", *(f"{key} = {toml(value)}" for key, value in given.items())]
        (self.folder / (to or self.config.name)).write_text("\n".join(lines), encoding="utf-8")

    def _write_secret(self, pointer: Any, secret: Any) -> None:
        if not isinstance(pointer, dict) or "file" not in pointer:
            return
        path = self.folder / pointer["file"]
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(f"{secret}\n")
        path.chmod(0o600)

    def run(self, recipe: str, *arguments: str, typed: str = "") -> Ran:
        """Run a recipe in the folder, as its first lines say."""
        return self.shell("sh", str(RECIPES / recipe), *arguments, typed=typed)

    def shell(self, *words: str, typed: str = "", environment: Mapping[str, str] | None = None) -> Ran:
        """Run a command in the folder."""
        found = {**os.environ, "PATH": f"{self.folder}/bin:{COMMANDS}:{os.environ['PATH']}"}
        return subprocess.run(
            words,
            cwd=self.folder,
            env=found if environment is None else environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def instead_of_paycore(self, script: str) -> None:
        """Have the recipes find this script under the name of `paycore`."""
        path = self.folder / "bin" / "paycore"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def client(self) -> Client:
        """A client like a process of its own, closed after the test at the latest."""
        return self._stack.enter_context(Client(self.config))

    def pay(self, payment: Payment) -> None:
        """Be the payer."""
        self.sandbox(payment.provider).gateway.controls.pay(payment.order_number)

    def files(self) -> set[str]:
        """The names of the files in the folder, without those that belong to a ledger."""
        names = {path.name for path in self.folder.iterdir() if path.is_file()}
        return {name for name in names if not name.endswith(("-lock", "-shm", "-wal"))}


class Cron:
    """
    Runs the lines of a crontab as cron does: `sh -c`, the file's own variables, and next to nothing else around them.

    What a line prints is what would be mailed. `/srv/shop` and `/backup` are folders of the test.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        home = shop.folder
        (home / "cron").symlink_to(RECIPES / "cron")
        (home / "back_up.sh").symlink_to(RECIPES / "back_up.sh")
        (home / ".venv").symlink_to(COMMANDS.parent)
        (home / "backup").mkdir(mode=0o700)
        text = recipe("cron/crontab").replace("/srv/shop", str(home)).replace(" /backup", f" {home}/backup")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        variables = dict(line.split("=", 1) for line in lines if line.split()[0].count("="))
        self.jobs = [line.split(None, 5)[5] for line in lines if line[0] in "*0123456789"]
        assert len(variables) + len(self.jobs) == len(lines)
        self._environment = {"SHELL": "/bin/sh", "HOME": str(home), "LOGNAME": "shop", **variables}

    def tick(self, job: str) -> Ran:
        """Run the one line that has this word; what it prints is mailed."""
        (line,) = [line for line in self.jobs if job in line]
        assert "%" not in line  # it ends the command: the rest would be its input
        return self._shop.shell("/bin/sh", "-c", line, environment=self._environment)


def sell(pay: Client, reference: str, account: str | None = None) -> Payment:
    """A payment as the shop of the recipes makes it: it names no provider or method."""
    return pay.create(
        reference=reference,
        account=account,
        amount=Money("88.00", "HKD"),
        channel="web",
        return_url="https://shop.example/thanks",
    )


def recipe(name: str) -> str:
    """The text of a file of examples/recipes."""
    return (RECIPES / name).read_text(encoding="utf-8")


def toml(value: object) -> str:
    """A value of a configuration, written as TOML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(toml(one) for one in value)}]"
    return json.dumps(value)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An empty folder; what is served for it ends with the test."""
    with ExitStack() as stack:
        yield Shop(tmp_path, stack)
