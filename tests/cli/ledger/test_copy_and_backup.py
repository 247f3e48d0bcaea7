"""`paycore ledger copy` and `backup`: another ledger with the same history, whole and verified, or none."""

import sqlite3
import stat
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from paycore.domain.codec import encode
from paycore.ledger import backup, open_ledger
from paycore.ledger.opening import open_read_only
from paycore.ledger.sqlite import mounts
from tests.cli.conftest import Cli
from tests.cli.ledger.ledgers import CANARY, configure, files, one_line, whole_life
from tests.ledger.conftest import Database
from tests.ledger.test_saved import SAVED, lay
from tests.ledger.workload import paid_payment


def test_copy_says_what_was_copied(cli: Cli, database: Database, tmp_path: Path) -> None:
    """The numbers of payments, events and notifications; the copy then is a ledger like any other."""
    payment_id = whole_life(database.open(), "order-1")
    target = f"sqlite:///{tmp_path}/copy.db"
    ran = cli("ledger", "copy", database.dsn, target, "--json")
    assert (ran.code, ran.err) == (0, ""), ran
    assert ran.json["target"] == f"{tmp_path}/copy.db"
    assert {name: ran.json[name] for name in ("payments", "events", "notifications", "missed_events")} == {
        "payments": 1, "events": 5, "notifications": 0, "missed_events": 0,
    }  # fmt: skip
    configure(target)
    assert cli("ledger", "verify").out == "everything holds: 1 payment, 5 events\n"
    assert cli("show", payment_id, "--json").json["refunded_minor"] == 8800
    configure(database.dsn)
    again = cli("ledger", "copy", database.dsn, f"sqlite:///{tmp_path}/again.db")
    assert again.out.endswith(", and verified it: 1 payment, 5 events, 0 notifications\n"), again


def test_copy_into_what_is_not_empty_is_refused(cli: Cli, database: Database, tmp_path: Path) -> None:
    """With one line, and nothing written."""
    whole_life(database.open(), "order-1")
    target = f"sqlite:///{tmp_path}/copy.db"
    assert cli("ledger", "copy", database.dsn, target).code == 0
    one_line(cli("ledger", "copy", database.dsn, target), "must be an empty ledger", code=2)
    one_line(cli("ledger", "copy", f"sqlite:///{tmp_path}/none.db", target), "there is no ledger at")
    one_line(cli("ledger", "copy", "paycore.db", target), "write sqlite:///file.db or postgresql://")
    assert not Path("none.db").exists()


def test_copy_names_no_password(cli: Cli, postgres_dsn: str, tmp_path: Path) -> None:
    """Ledgers are named without the passwords of their addresses."""
    dsn = postgres_dsn.replace("postgres@", f"postgres:{CANARY}@")
    with closing(open_ledger(postgres_dsn)) as ledger:
        whole_life(ledger, "order-1")
    for words in ((dsn, f"sqlite:///{tmp_path}/copy.db"), (dsn, dsn), (f"{dsn}x", dsn)):
        ran = cli("ledger", "copy", *words)
        assert CANARY not in ran.out + ran.err, ran


def test_backup_is_one_private_file_that_is_a_ledger(cli: Cli, database: Database) -> None:
    """Nothing is left beside it; it can be put in the ledger's place."""
    ledger = database.open()
    payment_id = whole_life(ledger, "order-1")
    before = files()
    ran = cli("ledger", "backup", "backup.db", "--json")
    assert (ran.code, ran.err) == (0, ""), ran
    assert ran.json == {
        "file": str(Path("backup.db").resolve()),
        "payments": 1,
        "events": 5,
        "differences": 0,
    }
    assert files() == before | {"backup.db"}
    assert stat.S_IMODE(Path("backup.db").stat().st_mode) == 0o600
    with closing(open_ledger("sqlite:///backup.db")) as restored:
        assert encode(restored.get(payment_id).result()) == encode(ledger.get(payment_id).result())
        paid_payment(restored, "made after restoring")
    configure("sqlite:///backup.db")
    assert cli("ledger", "verify").code == 0


def test_backup_leaves_a_file_that_is_there(cli: Cli, database: Database) -> None:
    """An older backup is not replaced, and a folder that is missing is named."""
    whole_life(database.open(), "order-1")
    Path("backup.db").write_text("older", encoding="utf-8")
    one_line(cli("ledger", "backup", "backup.db"), "is there already", code=2)
    one_line(cli("ledger", "backup", "missing/backup.db"), "can't be written: No such file", code=2)
    assert Path("backup.db").read_text(encoding="utf-8") == "older"


def test_backup_onto_a_network_file_system_is_refused(
    cli: Cli, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's locks do not hold there; the words say what to do instead."""
    whole_life(database.open(), "order-1")
    (tmp_path / "far").mkdir()
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / {tmp_path}/far rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    one_line(
        cli("ledger", "backup", "far/backup.db"), "network file system (nfs4)", "and copy the file", code=2
    )
    assert list((tmp_path / "far").iterdir()) == []


def test_backup_of_no_ledger_is_none(cli: Cli) -> None:
    """There is nothing to back up, and no empty file to take for a backup."""
    configure("sqlite:///paycore.db")
    one_line(cli("ledger", "backup", "backup.db"), "there is no ledger at", "nothing to back up")
    assert files() == {"paycore.toml"}


def test_backup_has_what_is_committed_while_others_write(cli: Cli, database: Database) -> None:
    """It is of one moment: everything committed before it began, and whole payments only."""
    ledger = database.open()
    early = [paid_payment(ledger, f"early-{n}") for n in range(20)]
    is_over = threading.Event()

    def write_on() -> None:
        for n in range(10_000):
            if is_over.is_set():
                return
            paid_payment(ledger, f"later-{n}")

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        ran = cli("ledger", "backup", "backup.db", "--json")
    finally:
        is_over.set()
        writer.join()
    assert (ran.code, ran.json["differences"]) == (0, 0), ran
    with closing(open_read_only("sqlite:///backup.db")) as copy:
        assert [copy.get(payment.id).result() for payment in early] == early


def test_backup_of_an_older_schema_is_made_before_the_upgrade(cli: Cli, tmp_path: Path) -> None:
    """The moment before an upgrade is when it is wanted: it is made, though not verified."""
    database = Database(f"sqlite:///{tmp_path}/paycore.db", ExitStack())
    configure(database.dsn)
    lay(SAVED[-1], database, tmp_path)
    ran = cli("ledger", "backup", "backup.db")
    assert (ran.code, "can't verify a ledger of another schema" in ran.err) == (0, True), ran
    assert cli("ledger", "backup", "again.db", "--json").json["differences"] is None
    with closing(sqlite3.connect("backup.db")) as copy:
        assert copy.execute("SELECT max(schema) FROM meta").fetchall() == [(int(SAVED[-1].stem[-4:]),)]


def test_backup_tells_of_differences(cli: Cli, tmp_path: Path) -> None:
    """What `verify` finds in the ledger it finds in the backup, which is made all the same."""
    database = Database(f"sqlite:///{tmp_path}/paycore.db", ExitStack())
    configure(database.dsn)
    with closing(open_ledger(database.dsn)) as ledger:
        whole_life(ledger, "order-1")
    database.tamper("UPDATE payments SET paid_minor = 1")
    ran = cli("ledger", "backup", "backup.db")
    assert (ran.code, "it has 1 difference" in ran.err, Path("backup.db").exists()) == (9, True, True), ran


def test_backup_that_fails_leaves_nothing(
    cli: Cli, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it fails at the very end."""
    whole_life(database.open(), "order-1")
    before = files()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_rename", fail)
    with pytest.raises(OSError, match="No space"):
        backup.back_up(database.dsn, "backup.db")
    assert files() == before
