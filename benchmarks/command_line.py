"""
What a command costs the processor, against Python that only imports typer: `python -m benchmarks.command_line`.

Each command is run several times in turn with the baseline; the least of each counts, which has paycore compiled, as
installing it does. `create` has a QFPay sandbox on this machine, whose own cost is not counted. The last row is what
`create` costs without a command line: a script that makes the same payment with `Client`. Most of that is importing
httpx, the entry points' metadata and msgspec, so that `create` can't come near its bar before they do.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import paycore
from benchmarks.table import Row, render
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

TURNS = 7
BASELINE = (sys.executable, "-c", "import typer")
PAYCORE = str(Path(sys.executable).with_name("paycore"))
BARS = {"--version": 0.4, "list": 1.3, "show": 1.5, "create": 3.0}
CONFIG = """
ledger = "sqlite:///{folder}/paycore.db"

[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
region = "hk"
app_code = "{app_code}"
client_key = "{client_key}"
"""
SCRIPT = """
import sys
from paycore import Client, Money
with Client(sys.argv[1]) as pay:
    pay.create(reference=sys.argv[2], amount=Money("88.00", "HKD"), method="alipay", channel="web")
"""
ORDER = ("--amount", "88.00", "--currency", "HKD", "--method", "alipay", "--channel", "web")


def cpu_s(command: Sequence[str]) -> float:
    """The processor time of a command, user and system."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def measure() -> list[Row]:
    """Each command beside the baseline."""
    with tempfile.TemporaryDirectory() as folder, SandboxServer(QFPaySandbox()) as sandbox:
        config = Path(folder) / "paycore.toml"
        config.write_text(CONFIG.format(folder=folder, url=sandbox.url, **sandbox.settings), encoding="utf-8")
        with paycore.Client(config) as pay:
            payment_id = pay.create(
                reference="order-0", amount=paycore.Money("88.00", "HKD"), method="alipay", channel="web"
            ).id
        numbers = iter(range(1, 1_000))
        commands: dict[str, Callable[[], Sequence[str]]] = {
            "--version": lambda: (PAYCORE, "--version"),
            "list": lambda: (PAYCORE, "--config", str(config), "list"),
            "show": lambda: (PAYCORE, "show", payment_id, "--config", str(config)),
            "create": lambda: (
                PAYCORE, "create", "--config", str(config), "--reference", f"order-{next(numbers)}", *ORDER
            ),
            "": lambda: (sys.executable, "-c", SCRIPT, str(config), f"order-{next(numbers)}"),
        }  # fmt: skip
        baseline: list[float] = []
        figures: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(TURNS):
            baseline.append(cpu_s(BASELINE))
            for name, command in commands.items():
                figures[name].append(cpu_s(command()))
    return [_row(name, min(figures[name]), min(baseline)) for name in commands]


def _row(name: str, figure_s: float, baseline_s: float) -> Row:
    ratio = figure_s / baseline_s
    what = f"`paycore {name}`" if name else "a script that creates with `Client`"
    return Row(
        what=f"CPU of {what}, over Python that imports typer",
        figure=f"{figure_s * 1000:.0f} ms",
        baseline=f"{baseline_s * 1000:.0f} ms",
        ratio=f"{ratio:.2f}x",
        bar=f"<= {BARS[name]:g}x" if name else "",
        holds=ratio <= BARS[name] if name else None,
    )


if __name__ == "__main__":
    print(render(measure()))
