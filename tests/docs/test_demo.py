"""What the README says `make demo` prints is what it prints."""

import re
import subprocess
import sys

from tests.docs.pages import ROOT, blocks


def told(text: str) -> list[str]:
    """Its lines, joined where they were wrapped, without what differs from run to run."""
    text = re.sub(r"\n {24}", " ", text)
    text = re.sub(r"\b[0-9A-Z]{26}\b", "ID", text)
    text = re.sub(r"\b[0-9]{24}\b", "PROVIDER_ID", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\d UTC", "DATE", text)
    return re.sub(r"\b\d\d:\d\d:\d\d\.\d{3}", "TIME", text).splitlines()


def test_readme_demo_prints_what_is_shown() -> None:
    """Each line of the README's sample is printed by the demo, in that order."""
    command = [sys.executable, "-m", "paycore.cli", "demo", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    printed = iter(told(done.stdout))
    _, sample = blocks(ROOT / "README.md", "text")[0]
    missing = [line for line in told(sample) if line and line not in printed]
    assert not missing
