"""
What reading a hostile reply costs in time and memory, measured in a separate process.

The gateway, which makes the bombs, is in the parent. The child first makes an ordinary payment, so that everything
is loaded. Then it does what each line on its standard input says (create, query, or allocate 32 MiB), and answers
with one line of JSON: the payment's status, the seconds it took, and by how many MiB its peak memory has grown.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paycore import PaycoreError
from paycore.sandbox.server import SandboxServer
from tests.engine.tills import Kind, Till
from tests.hostile.gateway import HostileGateway
from tests.hostile.shops import config_of, plugins

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 0.8


class Eater:
    """The child: sends requests to a gateway, and reports their cost."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self._answer() == {"came_to": "pending"}, "first a payment as usual"

    def ask(self, verb: str) -> dict[str, Any]:
        """One `create` or `query`; the gateway decides about the reply."""
        assert self._process.stdin is not None
        print(verb, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def eater(kind: Kind, gateway: HostileGateway, sandbox: SandboxServer, folder: Path) -> Iterator[Eater]:
    """A child that uses the QFPay plugin at this gateway."""
    credentials = json.dumps(dict(sandbox.settings))
    command = [sys.executable, "-m", "tests.hostile.appetite", kind, gateway.url, str(folder), credentials]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Eater(process)
        assert process.stdin is not None
        process.stdin.close()


def peak_mib() -> float:
    """The peak memory of this process. `getrusage` would include the parent's."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def main(kind: Kind, url: str, folder: str, credentials: str) -> None:
    """Make payments as the parent says."""
    ledger = Path(folder) / "paycore.db"
    config = config_of("qfpay-alipay", url, ledger, timeout_s=TIMEOUT_S, **json.loads(credentials))
    till = Till(kind, config, plugins())
    order: dict[str, Any] = {"method": "alipay", "channel": "web"}
    pending = till.query(till.create("warm-up", **order))
    print(json.dumps({"came_to": pending.status}), flush=True)
    before = peak_mib()
    for number, line in enumerate(sys.stdin):
        begun = time.monotonic()
        verb, _, size = line.strip().partition(" ")
        try:
            match verb:
                case "create":
                    came_to = str(till.create(f"order-{number}", **order).status)
                case "query":
                    came_to = str(till.query(pending).status)
                case _:
                    came_to = f"{len(b'x' * (int(size.split()[0]) * 1024 * 1024))} eaten"
        except PaycoreError as error:
            came_to = type(error).__name__
        cost = {"came_to": came_to, "took_s": time.monotonic() - begun, "grew_mib": peak_mib() - before}
        print(json.dumps(cost), flush=True)
    till.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], *sys.argv[2:])  # type: ignore[arg-type]
