"""Ledgers that can't be read: each command prints the reason in one line, and creates or changes nothing."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from paycore.ledger import open_ledger
from paycore.ledger.base import SqlLedger
from paycore.ledger.sqlite import mounts
from tests.cli.conftest import Cli
from tests.cli.ledger.ledgers import CANARY, configure, files, lines, one_line, whole_life
from tests.ledger.conftest import Database
from tests.support.postgres import PostgresServer

NOBODY = 65534


@pytest.mark.parametrize("word", ["verify", "export"])
def test_missing_ledger_is_not_created(cli: Cli, database: Database, word: str) -> None:
    """Without a ledger: exit 6 and what to do about it; none is created."""
    before = files()
    one_line(
        cli("ledger", word),
        "there is no ledger at",
        "`ledger` in the configuration",
        "`paycore ledger migrate`",
    )
    assert cli("ledger", word, "--json").error["kind"] == "LedgerMissing"
    assert files() == before
    assert not has_tables(database)


def test_missing_ledger_has_no_payments(cli: Cli, database: Database) -> None:
    """Without a ledger `list` is empty and `show` finds nothing; both say so and create none."""
    before = files()
    listed = cli("list")
    assert (listed.code, listed.out) == (0, ""), listed
    assert "there is no ledger at" in listed.err
    assert listed.err.endswith("no payments\n")
    assert (ran := cli("list", "--json")).code == 0, ran
    assert ran.out == ""
    one_line(cli("show", "--reference", "order-1"), "no such payment", "there is no ledger at", code=2)
    assert files() == before
    assert not has_tables(database)


def has_tables(database: Database) -> bool:
    """Whether this PostgreSQL database has any tables."""
    if database.is_sqlite:
        return False  # it would be a file
    with psycopg.connect(database.dsn) as shell:
        row = shell.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    return row != (0,)


WORDS = ("verify", "export", "migrate")


@pytest.mark.parametrize("word", WORDS)
def test_file_that_is_no_ledger(cli: Cli, word: str) -> None:
    """Another kind of file, or another application's database: exit 6 and its path; the file is unchanged."""
    configure("sqlite:///paycore.db")
    Path("paycore.db").write_bytes(b"this is no database" * 100)
    one_line(cli("ledger", word), "paycore.db", "not a ledger")
    assert Path("paycore.db").read_bytes() == b"this is no database" * 100
    Path("paycore.db").unlink()
    with closing(sqlite3.connect("paycore.db")) as other:
        other.execute("CREATE TABLE payments (id)")
    one_line(cli("ledger", word), "paycore.db", "not a ledger")


def test_file_that_is_damaged(cli: Cli, ledger: SqlLedger) -> None:
    """Damage found while reading: exit 6 and what to do, after the output of what could be read."""
    for n in range(60):
        whole_life(ledger, f"order-{n}")
    ledger.close()
    size = Path("paycore.db").stat().st_size
    with Path("paycore.db").open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(size // 2))
    for word in ("verify", "export"):
        ran = cli("ledger", word)
        assert (ran.code, ran.err.count("\n"), "restore a backup" in ran.err) == (6, 1, True), ran


def test_table_that_is_gone(cli: Cli, database: Database) -> None:
    """A missing table is reported as such, not as missing rows: exit 6."""
    database.open().close()
    database.run("DROP TABLE refunds")
    one_line(cli("ledger", "verify"), "not paycore's", "refunds")


def test_invalid_text_is_a_difference(cli: Cli, ledger: SqlLedger) -> None:
    """Invalid bytes in a text column are reported as a difference and do not crash."""
    payment_id = whole_life(ledger, "order-1")
    with closing(sqlite3.connect("paycore.db")) as shell:
        shell.execute("UPDATE payments SET body = CAST(x'7bff' AS TEXT)")
        shell.commit()
    ran = cli("ledger", "verify", "--json")
    assert (ran.code, lines(ran)[0]["payment_id"], lines(ran)[0]["where"]) == (9, payment_id, "body"), ran
    assert cli("ledger", "export").code == 0


@pytest.mark.parametrize("word", WORDS)
def test_network_file_system_is_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """A file system without reliable locks is refused: exit 6 and where to put the ledger instead."""
    configure("sqlite:///paycore.db")
    table = Path("mountinfo")
    table.write_text(f"90 27 0:50 / {tmp_path} rw - nfs4 server:/share rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    one_line(cli("ledger", word), "network file system (nfs4)", "local disk")
    assert not Path("paycore.db").exists()


@contextmanager
def _as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes the right to become another user")
def test_file_of_another_user(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without read access is told so; one with read access only can verify while a writer has it open."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.chdir(folder)
        configure("sqlite:///paycore.db")
        with closing(open_ledger(f"sqlite:///{folder}/paycore.db")) as ledger:
            whole_life(ledger, "order-1")
            for file in Path(folder).iterdir():
                file.chmod(0o644)
            with _as_nobody():
                assert cli("ledger", "verify").code == 0
        with _as_nobody():
            one_line(cli("ledger", "verify"), "can't be read", "run this as the user")
        Path("paycore.db").chmod(0o600)
        with _as_nobody():
            one_line(cli("ledger", "verify"), "can't be read", "Permission denied")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{CANARY}@127.0.0.1:1/pay",
        f"postgresql://u:{CANARY}@no-such-host.invalid/pay",
        f"postgresql://u:{CANARY}@no-such-host.invalid/pay?sslmode=require",
        f"postgresql://u:{CANARY}@127.0.0.1:port/pay",
        f"postgresql://u:{CANARY}%@127.0.0.1/pay",
    ],
)
def test_wrong_dsn_is_one_line_without_the_password(cli: Cli, dsn: str, word: str) -> None:
    """Any error in the DSN: exit 6, one line, no password."""
    configure(dsn)
    ran = cli("ledger", word)
    one_line(ran)
    assert CANARY not in ran.err


def test_database_that_is_missing_or_down(
    cli: Cli, postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    """No such database, or no server: immediately exit 6, with one line that names it."""
    configure(postgres_server.dsn("nowhere"))
    for word in WORDS:
        one_line(cli("ledger", word), "can't be reached", "nowhere")
    configure(postgres_dsn)
    postgres_server.stop("immediate")
    begun_at = time.monotonic()
    try:
        for word in WORDS:
            one_line(cli("ledger", word), "can't be reached", "check that PostgreSQL runs")
    finally:
        postgres_server.start()
    assert time.monotonic() - begun_at < 10


def test_read_only_database_is_verified(cli: Cli, postgres_server: PostgresServer, postgres_dsn: str) -> None:
    """A standby or a read-only user can verify and export; `migrate` says which right is missing."""
    with closing(open_ledger(postgres_dsn)) as ledger:
        whole_life(ledger, "order-1")
    name = psycopg.conninfo.conninfo_to_dict(postgres_dsn)["dbname"]
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    configure(postgres_dsn)
    assert cli("ledger", "verify").out == "everything holds: 1 payment, 5 events\n"
    assert cli("ledger", "export").out.count("\n") == 6
    with psycopg.connect(postgres_dsn, autocommit=True) as shell:
        shell.execute("SET default_transaction_read_only = off")
        shell.execute("DELETE FROM meta")
    one_line(cli("ledger", "migrate"), "can't be written")
