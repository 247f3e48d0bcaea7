"""`doctor`: all is well, where it is; what it prints, and that it changes nothing."""

import json
import re
from pathlib import Path

import pytest

from paycore.cli.doctor.diagnosis import Area
from paycore.cli.doctor.ledger_checks import ROOM_PROBLEM, ROOM_WARNING, WAL_WARNING, OpenedLedger
from paycore.cli.doctor.reach_checks import SKEW_PROBLEM_S, SKEW_WARNING_S
from paycore.cli.doctor.work_checks import LAG_PROBLEM_S, LAG_WARNING_S, OVERDUE_S, UNCERTAIN_PROBLEM_S
from paycore.cli.render.diagnosis_rows import diagnosis_rows
from paycore.cli.render.text import Style
from paycore.engine.presence import SAID_EVERY_S
from paycore.ledger.workers import FORGOTTEN_S, MOVED_S, STALE_S
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


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_lines_fit_the_window(columns: int) -> None:
    """Long words of a provider are wrapped under themselves, in a narrow window on lines of their own."""
    found = Area("account hk").problem("notifications", "it was refused " * 20, "look it up there " * 10)
    lines = diagnosis_rows(found, Style(enabled=False), columns, is_first=True)
    assert lines[0] == "account hk"
    assert max(map(len, lines)) <= max(columns, 44)
    assert " ".join(" ".join(lines).split()).endswith(f"to do: {' '.join(found.advice.split())}")
    assert len(diagnosis_rows(found, Style(enabled=False), None, is_first=False)) == 2


def test_interrupted(cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends it; that nothing was changed is said, and the ledger is closed."""
    closed = list[bool]()
    close = OpenedLedger.close

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def noted(opened: OpenedLedger) -> None:
        closed.append(True)
        close(opened)

    monkeypatch.setattr("paycore.cli.doctor.reach_checks.resolve", interrupt)
    monkeypatch.setattr(OpenedLedger, "close", noted)
    ran = cli("doctor")
    assert ran.code == 130
    assert "nothing was changed" in ran.err
    assert closed


# --- the page -----------------------------------------------------------------------------------------


def test_page_names_every_check_and_bound(cli: Cli, toy_shop: ToyShop) -> None:
    """The page's table has the checks that are made, and the bounds that are used."""
    page = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")
    table = page.partition("## What is checked")[2].partition("\n## ")[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("|")]
    named = {name for row in rows for name in re.findall(r"`([a-z]+)`", row[2])}
    assert cli("ledger", "migrate").code == 0
    made = {one["check"] for one in cli("doctor", "--json").json["checks"]}
    assert made <= named
    assert named - made == {"failure", "server", "connections", "rights", "tls"}
    mib, minute = 1024 * 1024, 60
    for bound, words in (
        (500 * mib == ROOM_WARNING and 20 * mib == ROOM_PROBLEM, "below 500 MiB, a problem below 20 MiB"),
        (128 * mib == WAL_WARNING, "above 128 MiB"),
        (SKEW_WARNING_S == 30 and 5 * minute == SKEW_PROBLEM_S, "over 30 seconds, a problem over 5 minutes"),
        (10 * minute == LAG_WARNING_S and LAG_PROBLEM_S == 86400, "after 10 minutes, a problem after a day"),
        (15 * minute == UNCERTAIN_PROBLEM_S, "a problem after 15 minutes"),
        (15 * minute == OVERDUE_S, "have been due for 15 minutes"),
        (SAID_EVERY_S == 10 and STALE_S == 30, "said nothing for 30 seconds"),
        (60 * minute == MOVED_S and FORGOTTEN_S == 7 * 86400, "after an hour; after a week"),
    ):
        assert bound, words
        assert words in " ".join(page.split())
