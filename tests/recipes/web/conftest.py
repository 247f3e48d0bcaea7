"""The shops of the web recipes, served by real servers as their first lines say, and a visitor who buys and pays."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

RECIPES = Path(__file__).parents[3] / "examples" / "recipes"

CONFIG = """
ledger = "sqlite:///paycore.db"

[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
default_method = "alipay"
region = "hk"
app_code = "{app_code}"
client_key = "{client_key}"
"""


class Shop:
    """A folder with a paycore.toml, in which a recipe's server and commands run as processes."""

    def __init__(self, folder: Path, port: int, sandbox: SandboxServer) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.sandbox = sandbox

    @contextmanager
    def process(self, *words: str, recipe: str = "", **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run `python -m WORDS` beside the block; it ends by SIGTERM and leaves a log without a traceback."""
        log = self.folder / f"{words[0]}.log"
        with log.open("ab") as said, self._started(words, recipe, environment, said.fileno()) as process:
            try:
                yield process
            except BaseException:
                print(log.read_text())  # shown by pytest where the test fails
                raise
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(40)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
        told = log.read_text()
        assert "Traceback" not in told, told

    def _started(
        self, words: Sequence[str], recipe: str, environment: dict[str, str], log: int
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(RECIPES / recipe),
                "PYTHONDONTWRITEBYTECODE": "1",
                "SHOP_SECRET": "a-secret",
                **environment,
            },
            stdout=log,
            stderr=log,
        )

    def wait_until_open(self) -> None:
        """Until it takes connections."""
        wait_until(self._is_open)

    def _is_open(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def answers(self) -> bool:
        """Whether it answers; a socket of an older process may still take connections."""
        try:
            return httpx2.get(self.url, trust_env=False, timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def sell(self, visitors: int = 4) -> list[str]:
        """Visitors who come at once each buy, pay and see that their order is paid; returns the references."""
        with ThreadPoolExecutor(visitors) as pool:
            return list(pool.map(lambda _: self._visit(), range(visitors)))

    def _visit(self) -> str:
        with httpx2.Client(base_url=self.url, trust_env=False, timeout=20) as http:
            page = http.get("/").raise_for_status().text
            found = re.search(r'action="(/orders/(web-[\w-]+)[^"]*)"', page)
            assert found, page
            form = dict(re.findall(r'name="(\w+)" value="([^"]+)"', page))
            links = {http.post(found[1], data=form).headers["location"] for _ in range(2)}  # a double click
            assert len(links) == 1
            link = links.pop()
            assert link.startswith(self.sandbox.url)
            reference = found[2]
            order = f"/orders/{reference}"
            assert "is pending" in http.get(order).raise_for_status().text
            self.sandbox.gateway.controls.pay(parse_qs(urlsplit(link).query)["out_trade_no"][0])
            wait_until(lambda: "is paid" in http.get(order).raise_for_status().text)
            assert http.get(f"{order}/back", params={"status": "failed"}).headers["location"] == order
            assert "is paid" in http.get(order).text
            with httpx2.Client(base_url=self.url, trust_env=False) as stranger:
                assert stranger.get(order).status_code == 404
            return reference

    def refuses(self) -> list[int]:
        """What it answers to a forged notification, and to one for nobody."""
        with httpx2.Client(base_url=self.url, trust_env=False) as http:
            return [
                http.post(f"/notifications/{name}", content=b"{}").status_code for name in ("hk", "nobody")
            ]

    def notified(self) -> int:
        """How many notifications of the sandbox it has acknowledged."""
        return int(self.sandbox.gateway.controls.stats()["accepted"])

    def is_closed(self) -> bool:
        """Whether every process has closed its ledger: the last one removes this file."""
        return not (self.folder / "paycore.db-wal").exists()

    def parcels(self, table: str = "parcels") -> list[str]:
        """The orders that parcels were packed for."""
        with closing(sqlite3.connect(self.folder / "shop.db")) as shop, suppress(sqlite3.OperationalError):
            return [reference for (reference,) in shop.execute(f"SELECT reference FROM {table}")]
        return []  # there is no such table yet


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait for it."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop's folder, and a sandbox that notifies the shop."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    notify_url = f"http://127.0.0.1:{port}/notifications/hk"
    with SandboxServer(QFPaySandbox(), settings={"notify_url": notify_url}) as sandbox:
        config = CONFIG.format(url=sandbox.url, **sandbox.settings)
        (tmp_path / "paycore.toml").write_text(config)
        yield Shop(tmp_path, port, sandbox)
