"""`paycore ledger anchor` and `verify --anchor`: events lost since the anchor was made are reported."""

import json
import os
import stat
from pathlib import Path

import pytest

from paycore.ledger.base import SqlLedger
from tests.cli.conftest import Cli
from tests.cli.ledger.ledgers import configure, lines, one_line, whole_life
from tests.ledger.conftest import Database
from tests.ledger.test_audit import NAMING


def test_anchor_holds_until_a_payment_is_removed(cli: Cli, database: Database) -> None:
    """The anchor of an untouched ledger holds, also when it has grown; a removed payment is reported."""
    ledger = database.open()
    ids = [whole_life(ledger, f"order-{n}") for n in range(2)]
    ran = cli("ledger", "anchor", "--output", "anchor.json")
    assert (ran.code, ran.out, ran.err) == (0, "", "wrote anchor.json: 10 events, 0 notifications\n"), ran
    assert stat.S_IMODE(Path("anchor.json").stat().st_mode) == 0o600
    whole_life(ledger, "later")
    ran = cli("ledger", "verify", "--anchor", "anchor.json")
    assert (ran.code, ran.out) == (0, "everything holds: 3 payments, 15 events\n"), ran
    for table in (*NAMING, "payments"):
        column = "id" if table == "payments" else "payment_id"
        database.tamper(f"DELETE FROM {table} WHERE {column} = '{ids[1]}'")
    ran = cli("ledger", "verify", "--anchor", "anchor.json", "--json")
    *_, difference, summary = lines(ran)
    assert (ran.code, difference["payment_id"]) == (9, None), ran
    assert difference["where"] == "anchor, events up to position 10"
    assert difference["stored"].startswith("5 events")
    assert difference["derived"].startswith("10 events")
    assert summary["payments"] == 2
    told = cli("ledger", "verify", "--anchor", "anchor.json")
    assert "of       the ledger\nwhere    anchor, events up to position 10\n" in told.out


def test_anchor_goes_to_stdout_as_one_object(cli: Cli, ledger: SqlLedger) -> None:
    """Without a file the anchor is one line of JSON, which `verify` accepts as a file."""
    whole_life(ledger, "order-1")
    printed = [cli("ledger", "anchor", *words) for words in ((), ("--json",))]
    for ran in printed:
        assert (ran.code, ran.err, ran.out.count("\n")) == (0, "", 1), ran
        assert ran.json["type"] == "ledger_anchor"
        assert (ran.json["position"], ran.json["events"]) == (5, 5)
    Path("anchor.json").write_text(printed[-1].out)
    assert cli("ledger", "verify", "--anchor", "anchor.json").code == 0
    ran = cli("ledger", "anchor", "--json", "--output", "other.json")
    assert ran.json == {"file": "other.json", "events": 5, "notifications": 0}
    assert json.loads(Path("other.json").read_text())["events"] == 5


def test_anchor_file_is_replaced_only_with_overwrite(cli: Cli, ledger: SqlLedger) -> None:
    """An existing file is kept unless `--overwrite` is given."""
    Path("anchor.json").write_text("mine")
    one_line(cli("ledger", "anchor", "--output", "anchor.json"), "--overwrite", code=2)
    assert Path("anchor.json").read_text() == "mine"
    one_line(cli("ledger", "anchor", "--overwrite"), "--output", code=2)
    assert cli("ledger", "anchor", "--output", "anchor.json", "--overwrite").code == 0
    assert json.loads(Path("anchor.json").read_text())["events"] == 0


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"type": "summary"}', "x" * 100_000])
def test_file_that_is_no_anchor(cli: Cli, ledger: SqlLedger, text: str) -> None:
    """A file that is no anchor is a usage error that names the file and the command that makes one."""
    Path("anchor.json").write_text(text)
    one_line(
        cli("ledger", "verify", "--anchor", "anchor.json"), "anchor.json", "paycore ledger anchor", code=2
    )


def test_anchor_that_is_missing_or_given_for_one_payment(cli: Cli, ledger: SqlLedger) -> None:
    """A missing file and a FIFO are refused at once; an anchor can't verify a single payment."""
    payment_id = whole_life(ledger, "order-1")
    os.mkfifo("fifo")
    for name in ("nowhere.json", "fifo", "."):
        one_line(cli("ledger", "verify", "--anchor", name), name, "not a file", code=2)
    cli("ledger", "anchor", "--output", "anchor.json")
    one_line(cli("ledger", "verify", payment_id, "--anchor", "anchor.json"), "as a whole", code=2)
    one_line(cli("ledger", "anchor", "--account", "hk"), "--account", code=2)


def test_anchor_of_no_ledger(cli: Cli) -> None:
    """Without a ledger no anchor is made."""
    configure("sqlite:///paycore.db")
    one_line(cli("ledger", "anchor"), "no ledger", code=6)
    assert not Path("paycore.db").exists()
