"""SQLite files that can't be used: each is a typed error that says what to do, without partial writes."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from paycore.errors import (
    ConfigError,
    LedgerCorrupt,
    LedgerFull,
    LedgerReadOnly,
    LedgerUnavailable,
)
from paycore.ledger import open_ledger
from paycore.ledger.audit import verify
from paycore.ledger.opening import open_read_only
from paycore.ledger.sqlite import mounts
from paycore.ledger.sqlite.ledger import SqliteLedger
from tests.ledger.workload import begun, paid_payment, pending_payment
from tests.support.unprivileged import unprivileged

HOLD_THE_LOCK = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger will be."""
    return tmp_path / "ledger.db"


def _make(path: Path, payments: int = 1) -> None:
    with closing(SqliteLedger(path)) as ledger:
        for n in range(payments):
            paid_payment(ledger, f"order-{n}")


def test_disk_full_says_so_and_goes_on_once_there_is_room(path: Path) -> None:
    """On a full disk nothing is written; with space again the same ledger works."""
    with closing(SqliteLedger(path, inline=True)) as ledger:
        payment = pending_payment(ledger, "order-1")
        (pages,) = ledger._writer.sqlite.execute("PRAGMA page_count").fetchone()
        ledger._writer.sqlite.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LedgerFull, match="free some disk space") as caught:
            _begin_many(ledger, 200)
        assert caught.value.money_moved == "maybe"
        assert caught.value.who_acts == "operator"
        ledger._writer.sqlite.execute("PRAGMA max_page_count = 1000000")
        assert ledger.begin(*begun("order-2")).result().events
        assert ledger.get(payment.id).result() == payment
        assert all(verdict.difference is None for verdict in verify(ledger))


def _begin_many(ledger: SqliteLedger, count: int) -> None:
    for n in range(count):
        ledger.begin(*begun(f"more-{n}")).result()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can read."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_made_for_its_owner_alone(path: Path) -> None:
    """Whatever the umask, only the owner can read the ledger and its companion files."""
    before = os.umask(0)
    try:
        with closing(SqliteLedger(path)) as ledger:
            paid_payment(ledger, "order-1")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(
        [path.name, f"{path.name}-lock", f"{path.name}-wal", f"{path.name}-shm"], 0o600
    )


def test_read_only_file_and_folder(open_folder: Path) -> None:
    """A ledger without write access is refused when opened, and so is a new one in a read-only folder."""
    _make(open_folder / "ledger.db")
    for name in ("ledger.db", "new.db"):
        with unprivileged(open_folder), pytest.raises(LedgerReadOnly, match="permissions") as caught:
            SqliteLedger(open_folder / name)
        assert caught.value.money_moved == "no"
    with closing(SqliteLedger(open_folder / "ledger.db")) as ledger:
        assert all(verdict.difference is None for verdict in verify(ledger))


def test_file_that_becomes_read_only(path: Path) -> None:
    """A ledger that becomes read-only while open sends nothing more, and says why."""
    with closing(SqliteLedger(path, inline=True)) as ledger:
        ledger._writer.sqlite.execute("PRAGMA query_only = ON")
        with pytest.raises(LedgerReadOnly):
            ledger.begin(*begun("order-1")).result()


def test_not_a_database(path: Path) -> None:
    """Another kind of file is left unchanged."""
    path.write_text("dear diary, " * 1000)
    with pytest.raises(LedgerCorrupt, match="is not a ledger"):
        SqliteLedger(path)
    assert path.read_text().startswith("dear diary")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files")
def test_refused_file_is_closed(path: Path) -> None:
    """A refused ledger leaves no file open."""
    path.write_text("dear diary, " * 1000)
    with pytest.raises(LedgerCorrupt) as caught:
        SqliteLedger(path)
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [file for file in opened if file.name.startswith(path.name)], caught.value


def test_database_of_something_else(path: Path) -> None:
    """Another application's database is left unchanged."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE payments (id)")
    with pytest.raises(LedgerCorrupt, match="not a ledger"):
        SqliteLedger(path)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("payments",)]


def test_damaged_file(path: Path) -> None:
    """Damage is distinguished from other errors, on opening, reading or writing."""
    _make(path, payments=30)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with (
        pytest.raises(LedgerCorrupt, match="restore a backup") as caught,
        closing(SqliteLedger(path)) as ledger,
    ):
        list(verify(ledger))
    assert caught.value.money_moved == "maybe"


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    """The error names the missing path."""
    with pytest.raises(LedgerUnavailable, match=r"nowhere.*check that the folder .*/nowhere exists"):
        open_ledger(f"sqlite:///{tmp_path}/nowhere/ledger.db")


def test_folder_in_the_file_s_place(path: Path) -> None:
    """The error says to name a file in the folder, and nothing is created beside it."""
    path.mkdir()
    for opening in (open_ledger, open_read_only):
        with pytest.raises(ConfigError, match=r"is a folder; name a file in it, such as .*/paycore.db"):
            opening(f"sqlite:///{path}")
    assert list(path.parent.iterdir()) == [path]


def test_lock_held_by_a_stopped_process(path: Path) -> None:
    """A stopped process that holds the lock is waited for, then named; afterwards the ledger works."""
    with closing(SqliteLedger(path, wait_max_s=0.2)) as ledger:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD_THE_LOCK, f"{path}-lock"], stdout=subprocess.PIPE
        )
        with holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            holder.send_signal(signal.SIGSTOP)
            with pytest.raises(LedgerUnavailable, match=r"another process has held .*-lock"):
                ledger.begin(*begun("order-1")).result()
            with pytest.raises(LedgerUnavailable):
                SqliteLedger(path, wait_max_s=0.1)
            holder.kill()
        assert ledger.begin(*begun("order-1")).result().events


def test_file_locked_by_another_program(path: Path) -> None:
    """A database shell's transaction is waited for, then reported."""
    with closing(SqliteLedger(path, wait_max_s=0.2)) as ledger, closing(sqlite3.connect(path)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match=r"kept the ledger .* locked"):
            ledger.begin(*begun("order-1")).result()
        shell.rollback()
        assert ledger.begin(*begun("order-1")).result().events


MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
90 27 0:50 / {point} rw - {kind} server:/share rw
"""


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "fuse.sshfs", "9p"])
def test_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Without reliable locks no ledger is opened, and no file made."""
    share = tmp_path / "share with a space"
    (share / "below").mkdir(parents=True)
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO.format(point=str(share).replace(" ", "\\040"), kind=kind))
    monkeypatch.setattr(mounts, "MOUNTS", table)
    with pytest.raises(ConfigError, match=rf"network file system \({kind}\).*local disk"):
        SqliteLedger(share / "below" / "ledger.db")
    assert list((share / "below").iterdir()) == []
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        assert ledger.begin(*begun("order-1")).result().events


def test_local_mount_below_a_network_one_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's own file system counts, not a parent's."""
    table = tmp_path / "mountinfo"
    table.write_text(
        MOUNTINFO.format(point=tmp_path.parent, kind="nfs")
        + f"91 90 0:51 / {tmp_path} rw - ext4 /dev/vdb rw\n"
    )
    monkeypatch.setattr(mounts, "MOUNTS", table)
    SqliteLedger(tmp_path / "ledger.db").close()


def test_unknown_dsn() -> None:
    """The error lists the known kinds of DSN."""
    with pytest.raises(ConfigError, match=r"sqlite:///file.db or postgresql://"):
        open_ledger("mysql://root:secret@localhost/pay")
