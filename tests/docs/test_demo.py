"""The output of commands shown on the pages is what they print."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox
from tests.docs.conftest import CONFIG
from tests.docs.pages import ROOT, blocks


def told(text: str) -> list[str]:
    """Its lines, joined where they were wrapped, without what differs from run to run."""
    text = re.sub(r"\n {20,}", " ", text)
    text = re.sub(r"\b[0-9A-Z]{26}\b", "ID", text)
    text = re.sub(r"\b127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\b[0-9]{24}\b", "PROVIDER_ID", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\d UTC", "DATE", text)
    return re.sub(r"\b\d\d:\d\d:\d\d\.\d{3}", "TIME", text).splitlines()


def paycore(*words: str) -> str:
    """What a command prints on stdout, whatever its exit code."""
    command = [sys.executable, "-m", "paycore.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.fixture
def patient_sandbox(tmp_path: Path) -> Iterator[SandboxServer]:
    """A sandbox whose payer never pays, and the paycore.toml that points at it."""
    with SandboxServer(QFPaySandbox()) as server:
        (tmp_path / "paycore.toml").write_text(CONFIG.format(url=server.url, **server.settings))
        yield server


def test_sandbox_page_shows_what_show_prints(patient_sandbox: SandboxServer) -> None:
    """The lost reply in docs/sandbox.md is shown as its commands print it."""
    patient_sandbox.gateway.faults.add("lose_reply")
    scripts = [text for _, text in blocks(ROOT / "docs/sandbox.md", "sh")]
    made = next(text for text in scripts if "sandbox fault lose_reply" in text).splitlines()
    shown = [paycore(*line.split()[1:]) for line in made[1:]][-1]
    texts = [text for _, text in blocks(ROOT / "docs/sandbox.md", "text")]
    sample = re.sub(r"\n {10}", " ", next(text for text in texts if "recorded the intent" in text))
    printed = iter(line.removeprefix("  TIME  ") for line in told(shown))
    missing = [line for line in told(sample) if line not in printed]
    assert not missing


def test_readme_demo_prints_what_is_shown() -> None:
    """Each line of the README's sample is printed by the demo, in that order."""
    command = [sys.executable, "-m", "paycore.cli", "demo", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    printed = iter(told(done.stdout))
    _, sample = blocks(ROOT / "README.md", "text")[0]
    missing = [line for line in told(sample) if line and line not in printed]
    assert not missing
