"""
A process keeps its locks on a SQLite file, whatever else it does with that file.

SQLite's locks belong to the process. A process without them is invisible, and the last visible process removes the
journal when it closes. Commits to a removed journal are lost, and their references can be used again.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from paycore.domain.events import Change, Source
from paycore.errors import ConfigError, LedgerUnavailable
from paycore.ledger import open_ledger
from paycore.ledger.opening import open_read_only
from paycore.ledger.sqlite.ledger import SqliteLedger
from tests.ledger.workload import begun, pending_payment

COME_AND_GO = """
import sys
from contextlib import closing
from paycore.ledger import open_ledger
with closing(open_ledger(sys.argv[1])) as ledger:
    rows = ledger.read(lambda tx: tx.execute("SELECT reference FROM payments ORDER BY reference").fetchall()).result()
print(*(reference for (reference,) in rows))
"""

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


def dsn(path: Path) -> str:
    return f"sqlite:///{path}"


def another_process_sees(path: Path) -> list[str]:
    """The references in the ledger, seen by a process that opens and closes it."""
    done = subprocess.run(
        [sys.executable, "-c", COME_AND_GO, dsn(path)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


# --- several connections in one process ----------------------------------------------------------------


def _opens_a_second_ledger(path: Path) -> object:
    return SqliteLedger(path)


def _opens_and_closes_a_second_ledger(path: Path) -> None:
    SqliteLedger(path).close()


def _opens_to_read(path: Path) -> object:
    return open_read_only(dsn(path))


def _opens_to_read_and_closes(path: Path) -> object:
    return open_read_only(dsn(path)).close()


def _watches(path: Path) -> object:
    ledger = SqliteLedger(path)
    ledger.watch(lambda _: None)
    return ledger


@pytest.mark.parametrize(
    "also",
    [
        _opens_a_second_ledger,
        _opens_and_closes_a_second_ledger,
        _opens_to_read,
        _opens_to_read_and_closes,
        _watches,
    ],
)
def test_whatever_else_a_process_opens_others_see_what_it_commits(
    path: Path, also: Callable[[Path], object]
) -> None:
    """Another process that closes the ledger does not remove the journal of one that has it open."""
    with closing(SqliteLedger(path)) as ledger:
        pending_payment(ledger, "before")
        other = also(path)
        assert another_process_sees(path) == ["before"]
        pending_payment(ledger, "after")
        assert another_process_sees(path) == ["after", "before"]
        if other is not None:
            other.close()  # type: ignore[attr-defined]
    assert another_process_sees(path) == ["after", "before"]


# --- forking -----------------------------------------------------------------------------------------


@contextmanager
def forked(child: Callable[[Callable[[], object]], None]) -> Iterator[tuple[Callable[[], object], int]]:
    """
    Run `child` in a forked process. Each side gets a function that waits for the other to call its own.

    Yields this side's and the child's process id; the child must end with 0.
    """
    to_child, to_parent = os.pipe(), os.pipe()

    def meet(ours: int, theirs: int) -> object:
        os.write(theirs, b".")
        return os.read(ours, 1)

    pid = os.fork()
    if pid == 0:
        try:
            child(lambda: meet(to_child[0], to_parent[1]))
            os._exit(0)
        finally:
            os._exit(1)
    yield lambda: meet(to_parent[0], to_child[1]), pid
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_ledger_of_a_forked_process_is_seen_by_others(path: Path) -> None:
    """A child's own ledger keeps its journal when its parent's is closed."""
    parents = SqliteLedger(path)
    parents.watch(lambda _: None)
    pending_payment(parents, "parent")

    def child(meet: Callable[[], object]) -> None:
        with closing(SqliteLedger(path)) as own:
            pending_payment(own, "child-before")
            meet()
            meet()
            pending_payment(own, "child-after")
            meet()
            meet()

    with forked(child) as (meet, _):
        meet()
        parents.close()
        assert another_process_sees(path) == ["child-before", "parent"]
        meet()
        meet()
        assert another_process_sees(path) == ["child-after", "child-before", "parent"]
        meet()
    assert another_process_sees(path) == ["child-after", "child-before", "parent"]


def test_parent_is_seen_after_its_child_has_ended(path: Path) -> None:
    """The end of a child does not affect its parent's locks."""
    with closing(SqliteLedger(path)) as ledger:
        pending_payment(ledger, "before")
        with forked(lambda _: SqliteLedger(path).close()):
            pass
        assert another_process_sees(path) == ["before"]
        pending_payment(ledger, "after")
        assert another_process_sees(path) == ["after", "before"]


def test_forking_in_the_middle_of_commits(path: Path) -> None:
    """Children forked while other threads commit and read work at once, and so does their parent."""
    with closing(SqliteLedger(path)) as ledger:
        ledger.watch(lambda _: None)
        over = threading.Event()

        def keep_busy(name: str) -> None:
            count = 0
            while not over.is_set():
                ledger.get(pending_payment(ledger, f"{name}-{count}").id).result()
                count += 1

        threads = [threading.Thread(target=keep_busy, args=(f"thread-{n}",)) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            for n in range(8):
                with forked(lambda _, n=n: _make_one(path, f"child-{n}")):  # type: ignore[misc]
                    pass
        finally:
            over.set()
            for thread in threads:
                thread.join()
    seen = another_process_sees(path)
    assert [name for name in seen if name.startswith("child")] == [f"child-{n}" for n in range(8)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupted_fork_keeps_parent_and_child_working(path: Path) -> None:
    """Ctrl-C during a fork is raised after it; parent and child keep working."""
    with closing(SqliteLedger(path)) as ledger:
        payment, is_inside = pending_payment(ledger, "before"), threading.Event()

        def take_long(*_: object) -> list[Change]:
            is_inside.set()
            time.sleep(0.5)
            return []

        ledger.change(payment.id, take_long, Source.CALLER)
        is_inside.wait(10)
        main = threading.main_thread().ident
        threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            _fork_and_sleep(lambda: _make_one(path, "child"))
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        pending_payment(ledger, "after")
        with closing(SqliteLedger(path)) as second:
            pending_payment(second, "second")
    assert another_process_sees(path) == ["after", "before", "child", "second"]


def _fork_and_sleep(child: Callable[[], object]) -> None:
    if os.fork() == 0:
        try:
            child()
            os._exit(0)
        finally:
            os._exit(1)
    time.sleep(10)


def _make_one(path: Path, reference: str) -> None:
    with closing(SqliteLedger(path, wait_max_s=10)) as own:
        pending_payment(own, reference)


# --- the file under its names ------------------------------------------------------------------------


def _remove_all(path: Path) -> None:
    for file in path.parent.glob("ledger.db*"):
        file.unlink()


def _remove_database(path: Path) -> None:
    path.unlink()


def _remove_journal(path: Path) -> None:
    path.with_name("ledger.db-wal").unlink()


def _put_a_backup_there(path: Path) -> None:
    backup = path.with_name("backup.db")
    backup.write_bytes(path.read_bytes())
    backup.replace(path)


def _move_away(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


@pytest.mark.parametrize(
    "happens", [_remove_all, _remove_database, _remove_journal, _put_a_backup_there, _move_away]
)
def test_file_that_is_not_there_any_more_takes_nothing_more(
    path: Path, happens: Callable[[Path], object]
) -> None:
    """A removed, replaced or renamed file refuses every write, which would be lost."""
    ledger = SqliteLedger(path)
    payment = pending_payment(ledger, "before")
    happens(path)
    with pytest.raises(LedgerUnavailable, match="removed or replaced"):
        ledger.begin(*begun("after")).result()
    with pytest.raises(LedgerUnavailable, match="removed or replaced"):
        ledger.change(payment.id, lambda *_: (), "reply").result()  # type: ignore[arg-type]
    ledger.close()


def test_ledger_by_a_link_is_the_same_ledger(path: Path) -> None:
    """A symbolic link leads to the same lock and journal, also from another folder."""
    (path.parent / "links").mkdir()
    link = path.parent / "links" / "link.db"
    link.symlink_to(path)
    with closing(SqliteLedger(link)) as by_link, closing(SqliteLedger(path)) as by_name:
        payment = pending_payment(by_link, "order-1")
        assert by_name.get(payment.id).result() == payment
    assert list(link.parent.iterdir()) == [link]


def test_ledger_with_a_second_name_is_refused(path: Path) -> None:
    """A hard link is refused: the journal would have another name."""
    SqliteLedger(path).close()
    second = path.with_name("second.db")
    second.hardlink_to(path)
    for name in (path, second):
        with pytest.raises(ConfigError, match="hard link"):
            SqliteLedger(name)
    second.unlink()
    SqliteLedger(path).close()


def test_relative_path_stays_the_same_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its folder keeps using the opened ledger."""
    monkeypatch.chdir(path.parent)
    with closing(open_ledger("sqlite:///ledger.db")) as ledger:
        (path.parent / "elsewhere").mkdir()
        monkeypatch.chdir(path.parent / "elsewhere")
        changed = threading.Event()
        ledger.watch(lambda _: changed.set())
        pending_payment(ledger, "order-1")
        assert changed.wait(10)
        assert list(Path().iterdir()) == []
