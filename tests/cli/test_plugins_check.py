"""`plugins check`: a provider against the conformance kit, as an author runs it."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from paycore.cli.render.check_rows import check_rows
from paycore.cli.render.text import Style, width
from paycore.testing.conformance.check import all_checks
from paycore.testing.conformance.report import CheckResult
from tests.cli.conftest import PAYCORE, Cli, install_plugin

CHECK = "paid_order_is_paid_once"
ONLY = ("--only", CHECK)

SANDBOXED = """
import msgspec
from paycore.plugin import Money, hookimpl
from paycore.testing.toy import ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox

class Toy(ToyProvider):
    def create(self, order):
        amount = Money.from_minor(order.amount.minor - {less}, order.amount.currency)
        return (yield from super().create(msgspec.structs.replace(order, amount=amount)))

@hookimpl
def paycore_register_providers():
    return [Toy]

@hookimpl
def paycore_register_sandboxes():
    return [{sandbox}]
"""


@pytest.fixture(autouse=True)
def in_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plugins in the working folder are installed, and imported anew."""
    sys.modules.pop("toy_pay", None)
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    yield
    sys.modules.pop("toy_pay", None)


def install_toy(*, less: int = 0, sandbox: str = "ToySandbox()") -> None:
    """The toy with its sandbox; `less` is how many minor units its orders lack."""
    install_plugin("toy", SANDBOXED.format(less=less, sandbox=sandbox))


def test_check_of_a_right_provider_exits_0(cli: Cli) -> None:
    """A row per check with its verdict on stdout, the counts on stderr."""
    install_toy()
    ran = cli("plugins", "check", "toy", *ONLY)
    assert ran.code == 0, ran
    assert [line.split() for line in ran.out.splitlines()] == [["CHECK", "VERDICT", "WHY"], [CHECK, "passed"]]
    assert ran.err.startswith("toy: 1 passed, 0 failed, 0 not applicable, in ")


def test_failed_check_says_what_to_change_and_exits_3(cli: Cli) -> None:
    """What is required, what was seen, what to change and what to read; no traceback."""
    install_toy(less=1)
    ran = cli("plugins", "check", "toy", *ONLY)
    assert ran.code == 3, ran
    labels = [line.split(":")[0].strip() for line in ran.out.splitlines()[2:]]
    assert labels == ["required", "seen", "change", "read"]
    assert "docs/writing-a-plugin.md#" in ran.out
    assert "Traceback" not in ran.out + ran.err


def test_json_is_one_object(cli: Cli) -> None:
    """With `--json` stdout holds the report as one object and stderr nothing; the exit code is the same."""
    install_toy(less=1)
    ran = cli("plugins", "check", "toy", *ONLY, "--json")
    assert (ran.code, ran.err) == (3, "")
    assert (ran.json["provider"], ran.json["failed"], ran.json["passed"]) == ("toy", 1, 0)
    (result,) = ran.json["checks"]
    fields = {"check", "group", "requirement", "verdict", "why", "advice", "read", "seconds"}
    assert (set(result), result["check"], result["verdict"]) == (fields, CHECK, "failed")


def test_junit_is_written_for_ci(cli: Cli) -> None:
    """`--junit FILE` has a test case per check, the failed one with what to change."""
    install_toy(less=1)
    assert cli("plugins", "check", "toy", *ONLY, "--junit", "report.xml").code == 3
    suite = ET.parse("report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    (case,) = suite
    assert case.get("name") == CHECK
    assert "docs/writing-a-plugin.md#" in (case.findtext("failure") or "")


def test_junit_into_a_missing_folder_is_refused_at_once(cli: Cli) -> None:
    """The checks are not run for a report that can't be written."""
    install_toy()
    ran = cli("plugins", "check", "toy", "--junit", "there/is/none/report.xml")
    assert (ran.code, ran.out) == (2, "")
    assert "there/is/none" in ran.err


def test_list_runs_none(cli: Cli) -> None:
    """`--list` names every check and what it requires; with `--json` one object a line."""
    ran = cli("plugins", "check", "--list")
    assert ran.code == 0
    assert [line for line in ran.out.splitlines() if not line.startswith(" ")] == [
        check.name for check in all_checks()
    ]
    assert cli("plugins", "check", "--list", "--json", *ONLY).json["name"] == CHECK


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "name the provider"),
        (["nobody"], 6, "no plugin offers the provider 'nobody'"),
        (["toy", "--only", "no_such_check"], 2, "no check is called no_such_check"),
        (["toy", "--set", "nokey"], 2, "is not KEY=VALUE"),
        (["toy", "--set", "kye=1"], 6, "did you mean 'key'"),
        (["toy", "--set", "batch=many"], 6, "batch"),
    ],
)
def test_what_is_asked_wrongly_is_named(cli: Cli, words: list[str], code: int, told: str) -> None:
    """No check is run, and one line says what is wrong."""
    install_toy()
    ran = cli("plugins", "check", *words)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("sandbox", "told"),
    [
        ("", "has no sandbox to check it against"),
        (
            "type('S', (), {'name': 'toy', 'open': lambda self, options: 1 / 0})()",
            "ZeroDivisionError at toy_pay.py:",
        ),
        ("ToySandbox(window=1)", "does not open: TypeError"),
    ],
)
def test_sandbox_that_does_not_open_is_told_once(cli: Cli, sandbox: str, told: str) -> None:
    """Not a failure of every check: one line with the author's file and what it raised."""
    install_toy(sandbox=sandbox)
    ran = cli("plugins", "check", "toy")
    assert (ran.code, ran.out) == (6, "")
    assert told in ran.err


def test_settings_are_of_the_type_that_the_provider_wants(cli: Cli) -> None:
    """`--set` gives a number, a truth value or text, whichever the setting is."""
    install_toy()
    assert cli("plugins", "check", "toy", *ONLY, "--set", "batch=3", "--set", "captures=partial").code == 0


def test_missing_setting_says_how_to_give_it(cli: Cli) -> None:
    """A setting that the sandbox does not name is named, and how to give it."""
    source = SANDBOXED.format(less=0, sandbox="ToySandbox()").replace(
        "class Toy(ToyProvider):",
        "class Settings(ToyProvider.info.settings, kw_only=True, frozen=True):\n    region: str\n"
        "class Toy(ToyProvider):\n    info = msgspec.structs.replace(ToyProvider.info, settings=Settings)",
    )
    install_plugin("toy", source)
    ran = cli("plugins", "check", "toy")
    assert ran.code == 6, ran
    assert "its account.region: missing; let the gateway's `settings` name it" in ran.err
    assert "--set KEY=VALUE" in ran.err
    assert cli("plugins", "check", "toy", *ONLY, "--set", "region=hk").code == 0


def test_provider_of_this_project_needs_no_setting(cli: Cli) -> None:
    """Its sandbox names all that an account there needs."""
    for name in ("qfpay-alipay", "stripe-checkout", "paypal-orders"):
        assert cli("plugins", "check", name, "--only", "capabilities_stay_the_same").code == 0


def test_rows_fit_the_terminal() -> None:
    """Words are wrapped under their own column; into a pipe each is one line."""
    words = "word " * 60
    for verdict in ("failed", "not applicable"):
        result = CheckResult(
            check="a_check", group="g", requirement=words, verdict=verdict, why=words, advice=words, read="x"
        )
        narrow = check_rows(result, 30, Style(enabled=False), 100)
        assert max(map(width, narrow)) <= 100
        assert len(narrow) > 5
        assert len(check_rows(result, 30, Style(enabled=False), None)) == (5 if verdict == "failed" else 1)


def test_terminal_shows_what_runs(tmp_path: Path) -> None:
    """On a terminal a line says which check is running, and is gone at the end."""
    install_toy()
    ours, theirs = pty.openpty()
    words = [PAYCORE, "plugins", "check", "toy", *ONLY]
    with subprocess.Popen(words, stdout=theirs, stderr=theirs, cwd=tmp_path) as process:
        assert process.wait(60) == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert f"1 of 1: {CHECK} …" in shown
    assert shown.rstrip().splitlines()[-1].startswith("toy: 1 passed"), shown
