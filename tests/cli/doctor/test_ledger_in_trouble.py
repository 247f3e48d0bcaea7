"""`doctor` names what is wrong with a ledger, and leaves it as it is."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from paycore.errors import LedgerUnavailable
from paycore.ledger import condition, open_ledger
from paycore.ledger.migrations import META, load_migrations
from paycore.ledger.postgres import server
from paycore.ledger.sqlite import mounts
from tests.cli.conftest import Cli, ToyShop
from tests.cli.doctor.conftest import line
from tests.support.pooler import pooler
from tests.support.unprivileged import unprivileged

MIB = 1024 * 1024


class Usage(NamedTuple):
    """As `shutil.disk_usage` tells it, in bytes."""

    total: int
    used: int
    free: int


NEWEST = load_migrations("sqlite")[-1].number


def examined(cli: Cli, code: int = 6) -> Any:
    """What `doctor` found; it exits with this code."""
    ran = cli("doctor", "--json")
    assert ran.code == ran.json["exit_code"] == code, ran
    return ran.json


def at(dsn: str) -> None:
    """Have the configuration name this ledger."""
    config = Path("paycore.toml")
    config.write_text(config.read_text().replace("sqlite:///paycore.db", dsn))


def make_old(path: Path, schema: int) -> None:
    """A SQLite ledger with this schema."""
    with closing(sqlite3.connect(path)) as old:
        old.execute(META["sqlite"])
        for migration in load_migrations("sqlite")[:schema]:
            old.executescript(migration.sql)
            old.execute("INSERT INTO meta VALUES (?, ?, 0)", (migration.number, migration.sha256))
        old.commit()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_old_schema_is_not_migrated(cli: Cli, toy_shop: ToyShop) -> None:
    """A ledger of an older paycore: what to run is said, the file stays as it is, and what needs it is not checked."""
    path = Path("paycore.db")
    make_old(path, NEWEST - 1)
    before = digest(path)
    found = examined(cli)
    told = line(found, "schema")
    assert told["found"] == f"schema {NEWEST - 1}, this paycore has {NEWEST}"
    assert "`paycore ledger migrate`" in told["advice"]
    assert digest(path) == before
    for check in ("writable", "budget", "workers", "feed", "review", "uncertain"):
        assert line(found, check)["verdict"] == "not checked"
    assert line(found, "credentials")["verdict"] == "ok"
    assert cli("ledger", "migrate").code == 0
    assert line(examined(cli, 0), "schema")["verdict"] == "ok"


@pytest.mark.parametrize("schema", [None, NEWEST - 1])
def test_opening_makes_and_migrates_nothing(tmp_path: Path, schema: int | None) -> None:
    """Whoever upgrades it meanwhile, or has not made it yet: it is not opened to write."""
    path = tmp_path / "ledger.db"
    if schema is not None:
        make_old(path, schema)
    before = set(tmp_path.iterdir())
    with pytest.raises(LedgerUnavailable, match="stays as it is"):
        condition.open_without_migrating(f"sqlite:///{path}")
    assert set(tmp_path.iterdir()) == before
    assert condition.schema_found(f"sqlite:///{path}").schema == (schema or 0)


def test_newer_schema(cli: Cli, toy_shop: ToyShop) -> None:
    """A ledger that a newer paycore has upgraded."""
    make_old(Path("paycore.db"), NEWEST)
    with closing(sqlite3.connect("paycore.db")) as shell, shell:
        shell.execute("INSERT INTO meta VALUES (?, 'x', 0)", (NEWEST + 1,))
    told = line(examined(cli), "schema")
    assert (told["verdict"], told["exit_code"]) == ("problem", 6)
    assert "upgrade this one too" in told["advice"]


def test_damaged_file(cli: Cli, toy_shop: ToyShop) -> None:
    """A file that is no database, and one that is another program's."""
    Path("paycore.db").write_bytes(b"no database " * 1000)
    assert "damaged" in line(examined(cli), "reachable")["found"]
    Path("paycore.db").unlink()
    with closing(sqlite3.connect("paycore.db")) as shell, shell:
        shell.execute("CREATE TABLE theirs (id)")
    assert "not a ledger" in line(examined(cli), "reachable")["found"]


def test_network_file_system(cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locks do not hold no ledger is used."""
    listed = Path("mountinfo")
    listed.write_text("36 35 98:0 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", listed.absolute())
    assert "network file system (nfs4)" in line(examined(cli), "reachable")["found"]


def test_folder_that_is_not_there(cli: Cli, toy_shop: ToyShop) -> None:
    """The first payment could make no file: that is said before it is tried."""
    at("sqlite:///nowhere/paycore.db")
    found = examined(cli)
    assert "check that the folder" in line(found, "disk")["found"]
    assert line(found, "writable")["verdict"] == "problem"


# --- not writable -------------------------------------------------------------------------------------


@pytest.fixture
def open_folder(cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder that other users can read; what `doctor` imports is imported, for they may not read that."""
    assert cli("doctor").code == 0
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for entry in Path.cwd().iterdir():
            (shutil.copytree if entry.is_dir() else shutil.copy)(entry, folder / entry.name)
        for entry in folder.rglob("*"):
            entry.chmod(0o755 if entry.is_dir() else 0o644)
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(folder)
        yield folder


def test_read_only_ledger(cli: Cli, open_folder: Path) -> None:
    """A ledger without the right to write: read where somebody has it open, and never written."""
    with closing(open_ledger(f"sqlite:///{open_folder}/paycore.db")):
        for name in ("paycore.db", "paycore.db-wal", "paycore.db-shm"):
            (open_folder / name).chmod(0o644)
        with unprivileged(open_folder):
            found = examined(cli)
    assert line(found, "schema")["verdict"] == "ok"
    told = line(found, "writable")
    assert (told["verdict"], told["exit_code"]) == ("problem", 6)
    assert "can't be written" in told["found"]
    assert "as the user that paycore runs as" in told["advice"]
    assert line(found, "review")["verdict"] == "ok"


def test_read_only_folder(cli: Cli, open_folder: Path) -> None:
    """Where there is no ledger yet, none could be made."""
    with unprivileged(open_folder):
        told = line(examined(cli), "writable")
    assert told["verdict"] == "problem"
    assert told["found"].startswith("no file can be made in")


# --- room ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_full_disk(cli: Cli, toy_shop: ToyShop, small_disk: Path) -> None:
    """Both the room that is left and the write that fails are named; nothing is damaged by it."""
    at(f"sqlite:///{small_disk}/paycore.db")
    assert cli("ledger", "migrate").code == 0
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    found = examined(cli)
    told = line(found, "disk")
    assert told["verdict"] == "problem"
    assert told["found"].startswith("0 B left of 2.0 MiB")
    assert {line(found, check)["verdict"] for check in ("reachable", "writable")} >= {"problem"}
    filler.unlink()
    found = examined(cli)  # 2 MiB are still too few
    assert line(found, "writable")["verdict"] == "ok"
    assert line(found, "disk")["verdict"] == "problem"
    assert cli("ledger", "verify").code == 0


@pytest.mark.parametrize(
    ("room", "verdict", "code"),
    [(10 * MIB, "problem", 6), (100 * MIB, "warning", 0), (10_000 * MIB, "ok", 0)],
)
def test_room_that_gets_little(
    cli: Cli, toy_shop: ToyShop, monkeypatch: pytest.MonkeyPatch, *, room: int, verdict: str, code: int
) -> None:
    """How much is left is said in time: a warning first, and a problem while the last payments can still be written."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(20_000 * MIB, 0, room))
    assert line(examined(cli, code), "disk")["verdict"] == verdict


def test_long_wal(cli: Cli, toy_shop: ToyShop) -> None:
    """A -wal file that nobody could empty for long."""
    assert cli("ledger", "migrate").code == 0
    with closing(open_ledger(f"sqlite:///{Path.cwd()}/paycore.db")):
        os.truncate("paycore.db-wal", 200 * 1024 * 1024)  # beyond its frames nothing is read
        told = line(examined(cli, 0), "wal")
        os.truncate("paycore.db-wal", 0)
    assert told["verdict"] == "warning"
    assert "200.0 MiB" in told["found"]


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
        ("3.53.1", False),
    ],
)
def test_versions_of_sqlite_with_the_bug(version: str, *, is_affected: bool) -> None:
    """From 3.7.0 on, but for the releases that mended it in three branches (https://sqlite.org/wal.html#walresetbug)."""
    assert condition.has_wal_reset_bug(version) is is_affected


# --- PostgreSQL ---------------------------------------------------------------------------------------


def test_postgres(cli: Cli, toy_shop: ToyShop, postgres_dsn: str) -> None:
    """Server, connections, rights, schema and a write; where a user may not write a table, which."""
    at(postgres_dsn)
    assert line(examined(cli, 0), "schema")["found"].startswith("there is no ledger yet")
    assert cli("ledger", "migrate").code == 0
    found = examined(cli, 0)
    for check in ("reachable", "connections", "rights", "schema", "writable"):
        assert line(found, check)["verdict"] == "ok"
    assert line(found, "clock", "ledger")["verdict"] == "ok"
    assert "PostgreSQL 1" in line(found, "server")["found"]
    assert line(found, "disk")["verdict"] == "not checked"


def test_postgres_user_without_rights(cli: Cli, toy_shop: ToyShop, postgres_dsn: str) -> None:
    """A user that may read everything, and not write two tables."""
    at(postgres_dsn)
    assert cli("ledger", "migrate").code == 0
    role = f"reader_{os.getpid()}"
    with psycopg.connect(postgres_dsn, autocommit=True) as session:
        session.execute(
            f"CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
            f" REVOKE INSERT ON events FROM {role}; REVOKE UPDATE ON payments FROM {role}".encode()
        )
        try:
            user = session.info.user
            config = Path("paycore.toml")
            config.write_text(config.read_text().replace(f"//{user}@", f"//{role}@"))
            found = examined(cli)
        finally:
            session.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
    told = line(found, "rights")
    assert told["verdict"] == "problem"
    assert told["found"] == "this user may not read and write events, payments"


def test_postgres_that_is_away(cli: Cli, toy_shop: ToyShop, tmp_path: Path) -> None:
    """No server there: what needs the ledger is not checked, and the provider is."""
    at(f"postgresql:///paycore?host={tmp_path}")
    found = examined(cli)
    assert "can't be reached" in line(found, "reachable")["found"]
    assert line(found, "schema")["verdict"] == line(found, "workers")["verdict"] == "not checked"
    assert line(found, "credentials")["verdict"] == "ok"


def test_postgres_behind_a_pooler_of_transactions(
    cli: Cli, toy_shop: ToyShop, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler that gives each transaction another connection is named, and what to set there."""
    monkeypatch.setattr(server, "_HEARD_WITHIN_S", 0.2)
    with pooler(postgres_dsn, shares=True) as dsn:
        at(dsn)
        told = line(examined(cli), "reachable")
    assert "pool_mode = session" in told["found"]
