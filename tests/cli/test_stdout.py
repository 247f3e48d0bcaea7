"""An stdout that can't be written: one line that says so, and no payment is lost."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, Ran, order, write_config

FULL = "stdout can't be written: No space left on device"


def redirected(where: str, *words: str) -> Ran:
    """The command with a shell redirection, its output buffered as a user's is."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", f'"$@" {where}', "bash", PAYCORE, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "list --json",
        "show --reference order-1",
        "show --reference order-1 --json",
        "ledger verify",
        "ledger export",
        "accounts",
        "plugins list",
        "init --config other.toml",
        "sandbox serve qfpay-alipay --port 0",
        "demo",
        "--help",
        "create --help",
        "--version",
        "",
    ],
)
def test_stdout_full_2(cli: Cli, shop: SandboxServer, words: str) -> None:
    """Data that can't be written: one line, exit 2, and no traceback."""
    cli.create()
    ran = redirected("> /dev/full", *words.split())
    assert (ran.code, ran.err.count("\n"), FULL in ran.err) == (2, 1, True), ran


def test_version_into_a_closed_pipe_0(cli: Cli) -> None:
    """A reader that has gone is no error, also where what was not read is still buffered."""
    ran = redirected("| (exec <&-; sleep 0.5); exit ${PIPESTATUS[0]}", "--version")
    assert (ran.code, ran.err) == (0, ""), ran


def test_stdout_full_as_json(cli: Cli, shop: SandboxServer) -> None:
    """Where no request was sent the error says that no money moved, and names no payment."""
    cli.create()
    error = redirected("> /dev/full", "list", "--json").error
    assert (error["kind"], error["money_moved"], error["payment_id"]) == ("Unwritable", "no", None)


@pytest.mark.parametrize("words", ["list", "create", "--version", "--help"])
def test_stdout_closed_2_before_anything_is_sent(cli: Cli, shop: SandboxServer, words: str) -> None:
    """A closed stdout is refused before anything is sent."""
    cli.create("order-0")
    before = shop.gateway.controls.stats()["requests"]
    ran = redirected(">&-", *(order() if words == "create" else words.split()))
    assert (ran.code, ran.err) == (2, "error: stdout can't be written: it is closed\n"), ran
    assert shop.gateway.controls.stats()["requests"] == before


def test_stdout_full_the_payment_is_named(cli: Cli, shop: SandboxServer) -> None:
    """A payment that could not be printed: its id, the command that prints it, and not exit code 2."""
    ran = redirected("> /dev/full", *order(), "--config", "paycore.toml")
    payment = cli("show", "--reference", "order-1", "--json").json
    assert (ran.code, ran.err.count("\n"), FULL in ran.err) == (5, 1, True), ran
    assert f"payment {payment['id']} is recorded as pending" in ran.err
    assert f"`paycore show {payment['id']} --config paycore.toml`" in ran.err
    error = redirected("> /dev/full", "query", payment["id"], "--json").error
    assert (error["kind"], error["money_moved"]) == ("Unwritable", "maybe")
    assert error["payment_id"] == payment["id"]
    for words in ("await --timeout 0.1", "close"):
        ran = redirected("> /dev/full", *words.split(), payment["id"])
        assert (ran.code, payment["id"] in ran.err) == (5, True), ran


def test_stdout_full_the_first_error_decides(cli: Cli, shop: SandboxServer) -> None:
    """A command that failed before keeps its own error and exit code."""
    write_config("http://127.0.0.1:1")
    ran = redirected("> /dev/full", *order())
    assert (ran.code, FULL in ran.err, "run the same command again" in ran.err) == (7, True, True), ran
    ran = redirected("> /dev/full", *order(), "--json")
    assert (ran.code, ran.error["kind"]) == (7, "NotSent"), ran


@pytest.mark.parametrize("where", ["2> /dev/full", "2>&-"])
def test_stderr_unwritable_changes_nothing(cli: Cli, shop: SandboxServer, where: str) -> None:
    """With stderr unwritable the data and the exit code are unchanged."""
    payment = cli.create()
    ran = redirected(where, "await", payment["id"], "--timeout", "0.1")
    assert (ran.code, payment["id"] in ran.out) == (4, True), ran
    assert redirected(where, "show", "nobody").code == 2


def test_stdin_and_stderr_closed_leave_the_ledger_intact(cli: Cli, shop: SandboxServer) -> None:
    """Closed streams: their descriptors do not become the ledger's file."""
    ran = redirected("<&- 2>&-", *order(), "--json")
    assert json.loads(ran.out)["status"] == "pending", ran
    assert Path("paycore.db").read_bytes().startswith(b"SQLite format 3\0")
    assert cli("ledger", "verify").code == 0
