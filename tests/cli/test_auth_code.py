"""A payer's scanned code authorises a charge: it can be given unseen by other users, and no error's frames hold it."""

import io
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from paycore.cli import main as entry
from paycore.cli.commands import payments
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, order

CODE = "283854702356157409"
SCANNED = [*order()[:-1], "barcode"]
PACKAGE = str(Path(entry.__file__).parents[1])


@pytest.fixture(autouse=True)
def no_code_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the code from the environment of the test run."""
    monkeypatch.delenv("PAYCORE_AUTH_CODE", raising=False)


@pytest.mark.parametrize("words", [["--auth-code", CODE], [f"--auth-code={CODE}"]])
def test_code_on_the_command_line_is_taken(cli: Cli, shop: SandboxServer, words: list[str]) -> None:
    """As `--auth-code CODE` and `--auth-code=CODE`."""
    ran = cli(*SCANNED, *words, "--json")
    assert (ran.code, ran.json["status"]) == (0, "paid"), ran


@pytest.mark.parametrize("typed", [CODE, f"{CODE}\n", f"{CODE}\r\n", f" {CODE} \nand more"])
def test_code_from_stdin_is_taken(
    cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    """One line, as a scanner types it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    ran = cli(*SCANNED, "--auth-code", "-", "--json")
    assert (ran.code, ran.json["status"]) == (0, "paid"), ran


@pytest.mark.parametrize("typed", ["", "\n", " \n", None])
def test_no_code_on_stdin_2(
    cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch, typed: str | None
) -> None:
    """With an empty or closed stdin nothing is recorded."""
    monkeypatch.setattr(sys, "stdin", None if typed is None else io.StringIO(typed))
    ran = cli(*SCANNED, "--auth-code", "-")
    assert (ran.code, "there is no code on stdin" in ran.err) == (2, True), ran
    assert cli("list").out == ""


def test_code_from_the_environment_is_taken(
    cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`PAYCORE_AUTH_CODE`; the command line takes precedence."""
    monkeypatch.setenv("PAYCORE_AUTH_CODE", CODE)
    assert cli(*SCANNED, "--json").json["status"] == "paid"
    monkeypatch.setenv("PAYCORE_AUTH_CODE", "no code\x01")
    assert cli(*SCANNED, "--auth-code", CODE, "--json").json["status"] == "paid"


def test_code_is_the_same_however_it_comes(
    cli: Cli, shop: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same reference with the same code is the same payment."""
    first = cli(*SCANNED, "--auth-code", CODE, "--json").json
    monkeypatch.setattr(sys, "stdin", io.StringIO(CODE))
    assert cli(*SCANNED, "--auth-code", "-", "--json").json["id"] == first["id"]
    other = cli(*SCANNED, "--auth-code", CODE[::-1])
    assert (other.code, "auth_code differs" in other.err) == (8, True), other


def test_code_given_twice_2(cli: Cli, shop: SandboxServer) -> None:
    """A repeated option is refused, and the error shows neither code."""
    ran = cli(*SCANNED, "--auth-code", CODE, "--auth-code", CODE[::-1])
    assert (ran.code, "--auth-code is given more than once" in ran.err) == (2, True), ran
    assert CODE not in ran.err


def test_help_says_that_others_can_read_it(cli: Cli) -> None:
    """The help warns that other users can read it, and names the alternatives."""
    words = " ".join(cli("create", "--help").out.split())
    assert "Others can read it in the process list: - takes it from stdin." in words
    assert "PAYCORE_AUTH_CODE" in words


@pytest.mark.parametrize("way", ["option", "stdin", "environment"])
def test_no_frame_of_an_error_holds_the_code(
    shop: SandboxServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """What an error tracker sends of an unexpected error: `sys.argv` and our frames' variables lack the code."""

    def broken(*_: object, **__: object) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr(payments, "perform", broken)
    given = {"option": ["--auth-code", CODE], "stdin": ["--auth-code", "-"], "environment": []}[way]
    monkeypatch.setattr(sys, "argv", ["paycore", *SCANNED, *given])
    monkeypatch.setattr(sys, "stdin", io.StringIO(CODE))
    if way == "environment":
        monkeypatch.setenv("PAYCORE_AUTH_CODE", CODE)
    with pytest.raises(RuntimeError) as raised:
        entry.main()
    shown = [repr(sys.argv), *frames(raised.value)]
    assert len(shown) > 5
    assert not [text for text in shown if CODE in text]


def frames(error: BaseException) -> Iterator[str]:
    """The variables of paycore's frames in the error's traceback."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(PACKAGE):
            yield f"{frame.f_code.co_qualname}: {frame.f_locals!r}"
