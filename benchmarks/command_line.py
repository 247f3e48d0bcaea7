"""
What a command costs the processor, against Python that only imports typer: `python -m benchmarks.command_line`.

Each command is run several times in turn with the baseline; the least of each counts. `create` has a QFPay sandbox on
this machine, whose own cost is not counted. Running any typer command costs more than importing typer: it loads
pydantic then, about as much again.
"""

from __future__ import annotations

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
ORDER = ("--amount", "88.00", "--currency", "HKD", "--method", "alipay", "--channel", "web")


def cpu_s(command: Sequence[str]) -> float:
    """The processor time of a command, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
            "--version": lambda: ("--version",),
            "list": lambda: ("--config", str(config), "list"),
            "show": lambda: ("--config", str(config), "show", payment_id),
            "create": lambda: (
                "--config", str(config), "create", "--reference", f"order-{next(numbers)}", *ORDER
            ),
        }  # fmt: skip
        figures: dict[str, list[float]] = {name: [] for name in ("", *commands)}
        for _ in range(TURNS):
            figures[""].append(cpu_s(BASELINE))
            for name, arguments in commands.items():
                figures[name].append(cpu_s((PAYCORE, *arguments())))
    baseline_s = min(figures[""])
    return [_row(name, min(figures[name]), baseline_s) for name in commands]


def _row(name: str, figure_s: float, baseline_s: float) -> Row:
    ratio = figure_s / baseline_s
    return Row(
        what=f"CPU of `paycore {name}`, over Python that imports typer",
        figure=f"{figure_s * 1000:.0f} ms",
        baseline=f"{baseline_s * 1000:.0f} ms",
        ratio=f"{ratio:.2f}x",
        bar=f"<= {BARS[name]:g}x",
        holds=ratio <= BARS[name],
    )


if __name__ == "__main__":
    print(render(measure()))
