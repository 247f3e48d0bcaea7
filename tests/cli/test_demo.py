"""`paycore demo` as the installed command, from create to refund."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import PAYCORE, Cli


@contextmanager
def waiting(*options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo while it waits for its payer, with its temporary files in `tmp` of the working folder."""
    temporary = Path("tmp")
    temporary.mkdir()
    words = ["env", f"TMPDIR={temporary.absolute()}", PAYCORE, "demo", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting" in process.stderr.readline()
        yield process


def test_demo_from_order_to_refund(cli: Cli) -> None:
    """The demo exits 0 and shows created -> pending -> paid -> refunded, and each command."""
    ran = cli.installed("demo")
    assert ran.code == 0, ran
    assert "created -> pending -> paid -> refunded 20.00" in ran.out
    for word in ("create", "query", "await", "refund", "show"):
        assert f"$ paycore {word} " in ran.out
    assert list(Path().iterdir()) == []


def test_demo_as_json_keeps_its_files(cli: Cli) -> None:
    """With --json each step prints one object; --keep keeps the ledger, and refuses a folder that was used before."""
    ran = cli.installed("demo", "--json", "--keep", "kept")
    assert (ran.code, ran.err) == (0, ""), ran
    states = [json.loads(line)["status"] for line in ran.out.splitlines()]
    assert states == ["pending", "pending", "paid", "paid", "paid"]
    assert cli("list", "--config", "kept/paycore.toml", "--json").json["refunded_minor"] == 2000
    again = cli("demo", "--keep", "kept")
    assert (again.code, again.out, again.err.count("\n")) == (2, "", 1), again
    assert "kept has a paycore.toml, which stays as it is" in again.err


def test_demo_never_overwrites(cli: Cli) -> None:
    """An existing configuration, or a file in place of the folder, is left unchanged."""
    Path("paycore.toml").write_text("# mine\n", encoding="utf-8")
    assert cli("demo", "--keep", ".").code == 2
    ran = cli("demo", "--keep", "paycore.toml")
    assert (ran.code, "--keep: paycore.toml can't be made" in ran.err) == (2, True), ran
    assert Path("paycore.toml").read_text(encoding="utf-8") == "# mine\n"


@pytest.mark.parametrize("words", ["demo --config nofile", "--account foo demo"])
def test_demo_takes_no_configuration(cli: Cli, words: str) -> None:
    """--config and --account are refused: the demo has its own configuration."""
    ran = cli(*words.split())
    assert (ran.code, ran.out, "has no meaning here" in ran.err) == (2, "", True), ran


def test_demo_checks_the_ledger(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step with an unexpected result ends the demo, and is named."""
    from paycore.cli.commands import demo

    monkeypatch.setattr(demo, "_CREATE", demo._CREATE.replace("88.00", "0.00"))
    ran = cli("demo", "--quiet")
    assert (ran.code, "`paycore create` ended with exit code 2" in ran.err) == (1, True), ran


@pytest.mark.parametrize("options", [(), ("--keep", "kept")])
def test_demo_interrupted_says_what_is_left(cli: Cli, options: tuple[str, ...]) -> None:
    """Ctrl-C: exit 130, one line about what is left, and no temporary files."""
    with waiting(*options) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    told = "what was done so far is in kept" if options else "nothing of the demo is left"
    assert (process.returncode, err.splitlines()[-1]) == (130, f"error: interrupted; {told}"), err
    assert "Traceback" not in err
    assert list(Path("tmp").iterdir()) == []


def test_demo_ended_by_sigterm_leaves_no_files(cli: Cli) -> None:
    """SIGTERM also removes the temporary files."""
    with waiting() as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in err) == (128 + signal.SIGTERM, False), err
    assert list(Path("tmp").iterdir()) == []
