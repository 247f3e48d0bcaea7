"""The kit in a plugin's own pytest suite: one test per check, told in the author's words."""

import subprocess
import sys
from pathlib import Path

import pytest

from paycore.testing.conformance.check import all_checks
from tests.cli.conftest import install_plugin
from tests.cli.test_plugins_check import CHECK, SANDBOXED

MODULE = f"""
from paycore.testing import conformance_of
test_conformance = conformance_of("toy", only=["{CHECK}"])
"""


def run_pytest(*words: str) -> str:
    """What pytest prints of the suite in the working folder, where the toy is installed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-v", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path.cwd(),
        env={"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin"},
    )
    return done.stdout + done.stderr


def install_toy(less: int = 0) -> None:
    """The toy with its sandbox, its orders less by so many minor units."""
    install_plugin("toy", SANDBOXED.format(less=less, sandbox="ToySandbox()"))


def test_one_line_makes_a_test_per_check() -> None:
    """A right provider passes, each check under its own name."""
    install_toy()
    Path("test_toy.py").write_text(MODULE, encoding="utf-8")
    assert f"test_toy.py::test_conformance[{CHECK}] PASSED" in run_pytest()


def test_failed_check_has_no_traceback() -> None:
    """The report is what was required, what was seen, what to change and what to read."""
    install_toy(less=1)
    Path("test_toy.py").write_text(MODULE, encoding="utf-8")
    told = run_pytest()
    assert f"test_toy.py::test_conformance[{CHECK}] FAILED" in told
    for label in ("required:", "seen:", "change:", "read:"):
        assert label in told
    assert "pytest_plugin.py" not in told


def test_provider_that_is_not_there_fails_with_what_to_do() -> None:
    """A suite whose plugin is not installed fails, it is not skipped."""
    Path("test_toy.py").write_text(MODULE, encoding="utf-8")
    told = run_pytest()
    assert "no plugin offers the provider 'toy'" in told
    assert "1 failed" in told


def test_line_in_the_ini_file_needs_no_module() -> None:
    """Its tests run with the whole suite, can be chosen by `-k`, and are left out where pytest is given paths."""
    install_toy()
    Path("pytest.ini").write_text("[pytest]\npaycore_conformance = toy batch=3\n", encoding="utf-8")
    Path("test_own.py").write_text("def test_own(): pass\n", encoding="utf-8")
    told = run_pytest("-k", f"{CHECK} or test_own")
    assert f"paycore_conformance::toy::{CHECK} PASSED" in told
    assert "2 passed" in told
    listed = run_pytest("--collect-only")
    assert all(check.name in listed for check in all_checks())
    assert "1 passed" in run_pytest("test_own.py")


@pytest.mark.parametrize("line", ["toy batch", "toy kye=1"])
def test_wrong_line_in_the_ini_file_is_named(line: str) -> None:
    """A setting that is none is told as an error of use, or by the tests; no traceback of ours."""
    install_toy()
    Path("pytest.ini").write_text(f"[pytest]\npaycore_conformance = {line}\n", encoding="utf-8")
    told = run_pytest("-k", CHECK)
    assert "batch" in told if line.endswith("batch") else "did you mean 'key'" in told
    assert "pytest_plugin.py" not in told
