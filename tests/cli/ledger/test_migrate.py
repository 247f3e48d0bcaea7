"""`paycore ledger migrate`: creates or upgrades a ledger, forward only."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paycore.ledger import migrations
from paycore.ledger.migrations import Migration, load_migrations
from tests.cli.conftest import Cli
from tests.cli.ledger.ledgers import CANARY, configure, one_line, whole_life
from tests.ledger.conftest import Database


def test_migrate_creates_the_ledger_and_leaves_a_current_one(cli: Cli, database: Database) -> None:
    """A missing ledger is created, a current one is left unchanged; both schema versions are printed."""
    newest = load_migrations("sqlite")[-1].number
    ran = cli("ledger", "migrate", "--json")
    assert (ran.code, ran.err) == (0, ""), ran
    assert ran.json == {"ledger": ran.json["ledger"], "from": None, "to": newest, "namespaces": {}}
    again = cli("ledger", "migrate")
    assert (again.code, again.out) == (0, f"{ran.json['ledger']} is up to date: schema {newest}\n"), again
    assert cli("ledger", "migrate", "--json").json["from"] == newest
    assert cli("ledger", "verify").out == "everything holds: 0 payments, 0 events\n"


def test_migrate_names_the_new_ledger(cli: Cli, tmp_path: Path) -> None:
    """A new ledger is named, without the password of its DSN."""
    newest = load_migrations("sqlite")[-1].number
    configure("sqlite:///paycore.db")
    assert cli("ledger", "migrate").out == f"made {tmp_path}/paycore.db with schema {newest}\n"
    assert Path("paycore.db").exists()


def test_migrate_shows_no_password(cli: Cli, postgres_dsn: str) -> None:
    """The ledger is named without the DSN's password."""
    configure(postgres_dsn.replace("postgres@", f"postgres:{CANARY}@"))
    for words in (("migrate",), ("migrate",), ("migrate", "--json"), ("verify",)):
        ran = cli("ledger", *words)
        assert (ran.code, CANARY in ran.out + ran.err) == (0, False), ran


def test_older_schema_is_refused_by_reads_and_upgraded_by_migrate(
    cli: Cli, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading commands refuse an older schema and name `migrate`, which upgrades it and prints both versions."""
    whole_life(database.open(), "order-1")
    known = load_migrations("sqlite" if database.is_sqlite else "postgres")
    later = Migration(number=known[-1].number + 1, sql="ALTER TABLE inbox ADD COLUMN extra TEXT;", sha256="y")
    monkeypatch.setattr(migrations, "load_migrations", lambda _: (*known, later))
    for words in ("ledger verify", "ledger export", "list", "show --reference order-1"):
        one_line(cli(*words.split()), f"schema {known[-1].number}", "`paycore ledger migrate`")
    ran = cli("ledger", "migrate")
    assert ran.out.endswith(f": schema {known[-1].number} -> {later.number}\n"), ran
    assert cli("ledger", "verify").out == "everything holds: 1 payment, 5 events\n"


@pytest.mark.parametrize("word", ["verify", "export", "migrate"])
def test_newer_schema_is_refused(cli: Cli, database: Database, word: str) -> None:
    """All three commands refuse a ledger of a newer schema: exit 6, and the advice to upgrade."""
    database.open().close()
    database.run("INSERT INTO meta VALUES (9999, 'x', 0)")
    one_line(cli("ledger", word), "9999", "upgrade paycore")
    assert cli("ledger", word, "--json").error["kind"] == "LedgerTooNew"


def test_migrate_says_which_namespaces_to_write(cli: Cli, tmp_path: Path) -> None:
    """Where references repeat over accounts, each run of `migrate` prints the namespaces to configure."""
    saved = Path(__file__).parents[2] / "ledger" / "saved" / "repeats_0004.sql"
    with closing(sqlite3.connect("old.db")) as old:
        old.executescript(saved.read_text())
    configure("sqlite:///old.db")
    for _ in range(2):
        ran = cli("ledger", "migrate")
        assert (ran.code, ran.err.count("\n")) == (0, 2), ran
        assert 'write namespace = "cn" under [accounts.cn]' in ran.err
        assert 'write namespace = "sg" under [accounts.sg]' in ran.err
    assert cli("ledger", "migrate", "--json").json["namespaces"] == {"cn": 2, "sg": 1}
    assert cli("ledger", "verify").code == 0
    one_line(cli("show", "--reference", "order-1"), "each of cn, hk, sg", code=2)
    shown = cli("show", "--reference", "order-1", "--account", "cn")
    assert "namespace    cn" in shown.out, shown
    assert cli("show", "--reference", "order-1", "--account", "cn", "--json").json["namespace"] == "cn"
