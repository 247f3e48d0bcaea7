"""`doctor`: all is well, where it is; what it prints, and that it changes nothing."""

import json
from pathlib import Path

from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, ToyShop, write_config
from tests.cli.doctor.conftest import line


def test_all_is_well(cli: Cli, shop: SandboxServer) -> None:
    """With a ledger, a gateway that answers and nothing open every check is passed, and the exit code is 0."""
    assert cli("close", cli.create()["id"]).code == 0
    ran = cli("doctor", "--json")
    assert ran.code == ran.json["exit_code"] == 0, ran
    assert (ran.json["warning"], ran.json["problem"]) == (0, 0), ran
    assert ran.json["ok"] + ran.json["not_checked"] == len(ran.json["checks"])
    for check in ("file", "plugins", "reachable", "schema", "writable", "disk", "sqlite", "wal"):
        assert line(ran.json, check)["verdict"] == "ok"
    for check in ("settings", "dns", "tcp", "answer", "clock", "credentials", "budget"):
        assert line(ran.json, check, "account shop")["verdict"] == "ok"


def test_lines_say_what_and_what_to_do(cli: Cli, shop: SandboxServer) -> None:
    """Without --json: a line each under what it is about, what to do under a problem, and a summary."""
    write_config(shop.url, key="F" * 32)
    ran = cli("doctor")
    assert ran.code == 6, ran
    lines = ran.out.splitlines()
    assert {"configuration", "plugins", "ledger", "account shop"} <= set(lines)
    (at,) = (number for number, text in enumerate(lines) if text.startswith("  problem"))
    assert lines[at].split()[1] == "credentials"
    assert "1108" in lines[at]
    assert lines[at + 1].strip().startswith("to do: correct the account's keys")
    assert "1 problem" in ran.err


def test_nothing_is_made(cli: Cli, shop: SandboxServer) -> None:
    """Where there is no ledger, none is made; the requests have no order and no trace in the working folder."""
    before = set(Path().iterdir())
    ran = cli("doctor", "--json")
    assert ran.code == 0, ran
    assert set(Path().iterdir()) == before
    assert "no ledger yet" in line(ran.json, "schema")["found"]


def test_one_account(cli: Cli, toy_shop: ToyShop) -> None:
    """With --account only that one; one that there is not is a problem of the configuration, and nothing is hidden."""
    assert cli("doctor", "--account", "toy").code == 0
    ran = cli("doctor", "--account", "nobody", "--json")
    assert ran.code == 6
    assert "nobody" in line(ran.json, "file")["found"]
    assert [one["verdict"] for one in ran.json["checks"]][2:] == ["not checked"] * 4


def test_quiet_prints_the_lines(cli: Cli, toy_shop: ToyShop) -> None:
    """The lines are data: --quiet leaves out the summary only."""
    ran = cli("doctor", "--quiet")
    assert ran.err == ""
    assert "account toy" in ran.out
    assert json.loads(cli("doctor", "--quiet", "--json").out)["exit_code"] == 0
