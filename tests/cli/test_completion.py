"""What a shell offers when TAB is pressed, asked of paycore and of the shells themselves."""

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from paycore.cli.app import COMMANDS
from paycore.cli.shells.candidates import Candidates, candidates
from paycore.cli.shells.scripts import SCRIPTS
from paycore.domain.changes import ChangeKind
from paycore.domain.payment import ReviewReason, Status
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli


def offered(*words: str) -> list[str]:
    """The words that may stand in place of the last one."""
    return [word for word, _ in candidates(words, described=False).words]


def test_commands_are_offered_with_what_they_do() -> None:
    """Every command, those of a group, and those that begin as typed, each with its help."""
    assert offered("") == list(COMMANDS)
    assert offered("cr") == ["create"]
    assert offered("--json", "ledger", "") == list(COMMANDS["ledger"])
    assert candidates(["clo"]).words == (("close", "Cancel an unpaid payment."),)
    assert offered("nothing-of-this-name", "") == list(COMMANDS)


def test_options_are_offered_until_they_are_given() -> None:
    """Long options that begin as typed: a flag or value given before is left out, what may be repeated is not."""
    assert offered("create", "--cu") == ["--currency"]
    assert offered("create", "--currency", "HKD", "--cu") == []
    assert offered("create", "--currency=HKD", "--cu") == []
    assert offered("create", "--extra", "a=1", "--ex") == ["--expires-in", "--extra"]
    assert {"--config", "--account", "--json", "--help"} <= set(offered("show", "-"))
    assert "--version" in offered("-")
    assert offered("show", "--", "-") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("list --status ", list(Status)),
        ("list --status=pa", ["paid"]),
        ("changes --kind ", list(ChangeKind)),
        ("review acknowledge --reason ", list(ReviewReason)),
        ("create --channel ", ["web", "wap", "jsapi", "qr", "barcode", "app"]),
        ("create --capture a", ["automatic"]),
        ("list --by ", ["created", "updated", "paid"]),
        ("completion ", list(SCRIPTS)),
        ("create --amount ", []),
        ("list --status --json --status ", list(Status)),
        ("list --no-such-option=", []),
        ("list ", []),
    ],
)
def test_words_of_a_choice_are_offered(words: str, expected: list[str]) -> None:
    """An option or argument whose help says "one of" offers these words."""
    assert offered(*words.split(" ")) == expected


def test_paths_are_left_to_the_shell() -> None:
    """A file or a folder is completed by the shell."""
    assert candidates(["--config", ""]) == Candidates("files")
    assert candidates(["demo", "--keep", "x"]) == Candidates("folders")


def test_accounts_and_payments_are_those_of_the_configuration(cli: Cli, shop: SandboxServer) -> None:
    """`--account` offers the accounts, ID the newest payments by reference, also of the file that --config names."""
    for reference in ("order-1", "order-2", "other", "two words"):
        cli(
            "create",
            "--reference",
            reference,
            *"--amount 1 --currency HKD --method alipay --channel web".split(),
        )
    Path("paycore.toml").rename("other.toml")
    assert offered("--account", "") == []
    assert offered("show", "") == []
    config = ("--config", "other.toml")
    assert candidates([*config, "--account", ""]).words == (("shop", "qfpay-alipay"),)
    assert offered(*config, "show", "") == ["other", "order-2", "order-1"]
    assert candidates(["refund", "--config=other.toml", "oth"]).words == (("other", "1.00 HKD pending"),)
    assert offered("show", "order-1", *config, "") == []
    assert offered("sandbox", "serve", "q") == ["qfpay-alipay"]


def test_answer_is_what_the_scripts_read(cli: Cli) -> None:
    """The kind first, then a word a line; bash gets no help and is not confused by words taken apart at "="."""
    assert cli("__complete", "zsh", "clo").out == "words\nclose\tCancel an unpaid payment.\n"
    assert cli("__complete", "bash", "clo").out == "words\nclose\n"
    assert cli("__complete", "bash", "list", "--status", "=", "pa").out == "words\npaid\n"
    assert cli("__complete", "bash", "list", "--status", "=").out == "words\n" + "\n".join(Status) + "\n"
    assert cli("__complete", "fish", "list", "--status=pa").out == "words\n--status=paid\t\n"
    assert cli("__complete", "fish", "--config", "").out == "files\n"
    assert cli("__complete").out.startswith("words\ninit\n")


def test_script_of_an_unknown_shell_2(cli: Cli) -> None:
    """A shell without a script is refused, and the others are named."""
    ran = cli("completion", "tcsh")
    assert (ran.code, ran.out, ran.err) == (2, "", "error: SHELL: 'tcsh' is not one of bash, zsh, fish\n"), (
        ran
    )
    assert cli("completion", "fish", "--json").json == {
        "shell": "fish",
        "script": SCRIPTS["fish"].rstrip("\n"),
    }


# --- in the shells ----------------------------------------------------------------------------------------


@pytest.fixture
def environment() -> dict[str, str]:
    """Finds the installed command."""
    return {
        **os.environ,
        "PATH": f"{Path(PAYCORE).parent}:{os.environ['PATH']}",
        "TERM": "dumb",
        "HOME": str(Path.cwd()),
    }


BASH = """
eval "$(paycore completion bash)"
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _paycore paycore; echo "${COMPREPLY[*]}"; }
try paycore ledger ""
try paycore create --chan
try paycore list --status = pa
try paycore list --config ./a
try paycore ledger backup ./
"""


def test_bash(environment: dict[str, str]) -> None:
    """bash completes commands, options, values and files, also with spaces in their names."""
    Path("a file").touch()
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    commands = " ".join(COMMANDS["ledger"])
    assert done.stdout.splitlines() == [commands, "--channel", "paid", "./a file", "./a file"], done


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(environment: dict[str, str]) -> None:
    """fish completes commands, values and files."""
    Path("a file").touch()
    lines = ["paycore clo", "paycore list --status=pa", "paycore --config ./a"]
    code = "paycore completion fish | source; " + "; ".join(f"complete -C {line!r}" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["close\tCancel an unpaid payment.", "--status=paid", "./a file"], done


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh(environment: dict[str, str]) -> None:
    """zsh completes a command, an option and a value as they are typed."""
    main, side = pty.openpty()
    begin = """PS1=; autoload -Uz compinit; compinit -u -D; eval "$(paycore completion zsh)"; echo ready"""
    with subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True
    ) as shell:
        os.close(side)
        try:
            assert "ready\r\n" in _typed(main, f"{begin}\n", "ready\r\n")
            assert "paycore close " in _typed(main, "paycore clo\t", "close ")
            assert "--chan" in _typed(main, "\x15paycore create --chan\t", "--channel ")
            assert "paid " in _typed(main, "\x15paycore list --status=pai\t", "--status=paid ")
        finally:
            shell.kill()
            os.close(main)


def _typed(terminal: int, keys: str, until: str, timeout_s: float = 20) -> str:
    """What the terminal shows after these keys; fails where that never has `until`."""
    os.write(terminal, keys.encode())
    shown, give_up_at = "", time.monotonic() + timeout_s
    while until not in shown and time.monotonic() < give_up_at:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    assert until in shown, shown
    return shown
