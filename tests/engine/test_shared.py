"""`shared_client`: one client a process, for all its threads, and another one after a fork."""

import ctypes
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from unittest import mock

import pytest

import paycore
from paycore import Client, Money, Payment, close_shared_client, load_config, shared_client
from paycore.engine import shared
from paycore.errors import ConfigError, LedgerCorrupt, LedgerUnavailable
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox
from tests.support.forked import begin_child, ended, in_child

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CONFIG = """
ledger = "sqlite:///paycore.db"

[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
region = "hk"
app_code = "{app_code}"
client_key = "{client_key}"
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    """A gateway for all tests here."""
    with SandboxServer(QFPaySandbox()) as server:
        yield server


@pytest.fixture(autouse=True)
def config(sandbox: SandboxServer, tmp_path: Path) -> Iterator[Path]:
    """The `paycore.toml` of the test's folder; what is shared is closed afterwards."""
    path = tmp_path / "paycore.toml"
    path.write_text(CONFIG.format(url=sandbox.url, **sandbox.settings))
    yield path
    close_shared_client()


def create(reference: str) -> Payment:
    """What a view does."""
    return shared_client().create(
        reference=reference, amount=Money("88.00", "HKD"), method="alipay", channel="web"
    )


def test_shared_is_one_for_all_threads() -> None:
    """Threads that race for the first call all get the same open client."""
    clients, start = [], threading.Barrier(16)

    def use() -> None:
        start.wait()
        clients.append(shared_client())

    run_all([use] * 16)
    assert len(clients) == 16
    assert len(set(map(id, clients))) == 1
    assert shared_client() is clients[0]
    assert create("order-1").status == "pending"


def test_shared_in_a_child_is_a_new_one() -> None:
    """A forked child opens its own, and neither uses nor closes its parent's, which goes on."""
    parents, made = shared_client(), create("order-1")

    def use() -> None:
        own = shared_client()
        assert own is not parents
        assert own is shared_client()
        assert own.get(made.id) == made
        create("order-2")
        close_shared_client()

    assert in_child(use) == 0
    assert shared_client() is parents
    assert parents.find("order-2").status == "pending"
    create("order-3")


def test_shared_in_a_grandchild_is_a_new_one() -> None:
    """A child that was forked from a child, whose parent is gone, opens its own."""
    create("order-1")

    def use() -> None:
        create("order-2")
        assert in_child(lambda: create("order-3")) == 0

    assert in_child(use) == 0
    assert [payment.reference for payment in shared_client().list()] == ["order-3", "order-2", "order-1"]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_shared_survives_forks_in_the_middle_of_use(
    database: str, config: Path, request: pytest.FixtureRequest
) -> None:
    """While threads make payments the process forks again and again; each child makes its own, and none is lost."""
    if database == "postgres":
        dsn = request.getfixturevalue("postgres_dsn")
        config.write_text(config.read_text().replace("sqlite:///paycore.db", dsn))
        request.addfinalizer(close_shared_client)  # before its database is dropped
    made: list[str] = []

    def sell(name: str) -> None:
        made.extend(create(f"{name}-{number}").reference for number in range(6))

    sellers = [threading.Thread(target=sell, args=(f"thread-{number}",)) for number in range(3)]
    for seller in sellers:
        seller.start()
    children = [begin_child(partial(create, f"child-{number}")) for number in range(6)]
    codes = [ended(child) for child in children]
    for seller in sellers:
        seller.join()
    assert codes == [0] * 6
    there = {payment.reference for payment in shared_client().list_all()}
    assert there == {*made, *(f"child-{number}" for number in range(6))}
    assert len(made) == 18


def test_shared_is_open_before_a_fork(tmp_path: Path) -> None:
    """A fork waits for another thread that opens the client: what that imports could not be imported in the child."""
    with held(tmp_path / "paycore.db-lock") as let_go:
        opening = threading.Thread(target=shared_client)
        opening.start()
        wait_until(lambda: is_opening(opening))
        threading.Timer(0.2, let_go).start()

        def use() -> None:
            assert shared._inherited[-1][os.getppid()].done()
            create("order-1")

        code = in_child(use)
    opening.join()
    assert code == 0
    assert shared_client().find("order-1").status == "pending"


def test_shared_is_not_waited_for_longer_before_a_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork that has waited long enough goes on, and the child does not wait for the thread it has not got."""
    monkeypatch.setattr(shared, "FORK_WAIT_S", 0.1)
    with held(tmp_path / "paycore.db-lock") as let_go:
        opening = threading.Thread(target=shared_client)
        opening.start()
        wait_until(lambda: is_opening(opening))
        child = begin_child(lambda: create("order-1"))
        let_go()
    opening.join()
    assert ended(child) == 0
    assert shared_client().find("order-1").status == "pending"


def test_shared_of_a_dead_process_is_not_taken_for_ones_own() -> None:
    """A child that gets the process id of a dead ancestor, which ids come round to, opens a client of its own."""
    parents = shared_client()
    ours = shared._openings[os.getpid()]
    with mock.patch.dict(shared._openings, dict.fromkeys(range(2, os.getpid() + 10_000), ours)):

        def use() -> None:
            assert shared_client() is not parents
            create("order-1")

        code = in_child(use)
    assert code == 0
    assert shared_client() is parents


def test_shared_works_in_a_prefork_pool() -> None:
    """Workers of a pool that are forked from a process that uses it have a client each."""
    create("order-0")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        ids = pool.map(_in_pool, range(12), chunksize=1)
    assert len({process for process, _ in ids} - {os.getpid()}) >= 1
    assert {shared_client().get(payment_id).reference for _, payment_id in ids} == {
        f"pool-{number}" for number in range(12)
    }


def _in_pool(number: int) -> tuple[int, str]:
    return os.getpid(), create(f"pool-{number}").id


def test_shared_says_each_time_why_it_does_not_open(config: Path, tmp_path: Path) -> None:
    """An error at opening is raised at each call, and forgotten: once its cause is gone it opens."""
    good = config.read_text()
    config.unlink()
    for _ in range(2):
        with pytest.raises(ConfigError, match="no configuration found"):
            shared_client()
    config.write_text(good.replace("paycore.db", "away/paycore.db"))
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="check that the folder"):
            shared_client()
    (tmp_path / "away").mkdir()
    assert create("order-1").status == "pending"


def test_shared_tells_those_who_wait_of_the_failure(tmp_path: Path) -> None:
    """Threads that wait for an attempt get its error, instead of one attempt after the other."""
    errors: list[BaseException] = []

    def use() -> None:
        try:
            shared_client()
        except LedgerCorrupt as error:
            errors.append(error)

    with held(tmp_path / "paycore.db-lock") as let_go:
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: sum(map(is_opening, threads)) == 1 and sum(map(is_waiting, threads)) == 7)
        (tmp_path / "paycore.db").write_bytes(b"no database" * 100)
        (tmp_path / "paycore.db").chmod(0o600)
        let_go()
    for thread in threads:
        thread.join()
    assert len(errors) == 8
    assert len(set(map(id, errors))) == 1


def test_shared_is_opened_by_another_where_the_first_was_interrupted(tmp_path: Path) -> None:
    """A thread that is interrupted while it opens (Ctrl-C, a timeout of gevent) does not interrupt the others."""
    with held(tmp_path / "paycore.db-lock") as let_go:
        first, clients = threading.Thread(target=interrupted), []
        first.start()
        wait_until(lambda: is_opening(first))
        second = threading.Thread(target=lambda: clients.append(shared_client()))
        second.start()
        wait_until(lambda: is_waiting(second))
        assert first.ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(first.ident), ctypes.py_object(KeyboardInterrupt)
        )
        first.join()
        wait_until(lambda: is_opening(second))
        let_go()
    second.join()
    assert clients == [shared_client()]


def interrupted() -> None:
    """Open it, and be interrupted."""
    with pytest.raises(KeyboardInterrupt):
        shared_client()


def test_shared_does_not_wait_for_itself(tmp_path: Path) -> None:
    """Called while the same thread opens it, as a signal's handler may, it refuses instead of waiting for ever."""
    refused: list[str] = []

    with held(tmp_path / "paycore.db-lock") as let_go:

        def handler(number: int, frame: FrameType | None) -> None:
            try:
                shared_client()
            except ConfigError as error:
                refused.append(error.message)
            close_shared_client()
            let_go()

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            assert shared_client() is shared_client()
        finally:
            signal.signal(signal.SIGALRM, before)
    assert [message[:42] for message in refused] == ["shared_client() was called while it opens "]


def test_shared_has_one_configuration(config: Path, tmp_path: Path) -> None:
    """The same configuration, however it is named, gives the one client; another is refused until that is closed."""
    other = tmp_path / "other.toml"
    other.write_text(config.read_text().replace("paycore.db", "other.db"))
    client = shared_client(config)
    for same in (None, str(config), config, Path("paycore.toml"), load_config(config)):
        assert shared_client(same) is client
    for another in (other, str(other), load_config(other)):
        with pytest.raises(ConfigError, match=r"opened with .*paycore\.toml.* close_shared_client"):
            shared_client(another)
    close_shared_client()
    assert shared_client(other) is not client
    with pytest.raises(LedgerUnavailable, match="closed"):
        client.list()


def test_shared_is_closed_when_the_process_exits(tmp_path: Path) -> None:
    """An exit closes it, that of a forked child its own only; the last one to close leaves no `-wal` file."""
    code = """
import os, sys
import paycore

def create(reference):
    paycore.shared_client().create(
        reference=reference, amount=paycore.Money("88.00", "HKD"), method="alipay", channel="web"
    )

create("order-1")
child = os.fork()
if child == 0:
    create("order-2")
    sys.exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
assert os.path.exists("paycore.db-wal")
create("order-3")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "paycore.db-wal").exists()
    with Client("paycore.toml") as pay:
        assert len(pay.list()) == 3


def test_shared_twice_closed_is_closed() -> None:
    """Closing what is not open is no error, and it opens again."""
    close_shared_client()
    first = shared_client()
    close_shared_client()
    close_shared_client()
    assert shared_client() is not first
    assert paycore.shared_client is shared_client


# --- helpers -------------------------------------------------------------------------------------------


@contextmanager
def held(path: Path) -> Iterator[Callable[[], None]]:
    """Hold a ledger's lock file, so that opening it takes until what is yielded is called."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield lambda: fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def names_of(thread: threading.Thread) -> set[str]:
    """The functions that a thread is in."""
    frame, names = sys._current_frames().get(thread.ident or 0), set()
    while frame is not None:
        names.add(frame.f_code.co_qualname)
        frame = frame.f_back
    return names


def is_opening(thread: threading.Thread) -> bool:
    """Whether it waits for the ledger's lock file."""
    return "FileLock._acquire" in names_of(thread)


def is_waiting(thread: threading.Thread) -> bool:
    """Whether it waits for another thread's attempt."""
    return "Future.result" in names_of(thread)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for it, at most ten seconds."""
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def run_all(work: list[Callable[[], None]]) -> None:
    """Run these in a thread each."""
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
