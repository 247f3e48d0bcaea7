"""The ledger: reachable, of this schema, writable, and with room left."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path

from paycore.cli.doctor.diagnosis import Area, Checks, Diagnosis
from paycore.cli.options import GlobalOptions, to_type
from paycore.cli.render.text import duration
from paycore.errors import (
    ConfigError,
    LedgerFull,
    LedgerReadOnly,
    LedgerTooNew,
    LedgerUnavailable,
    PaycoreError,
)
from paycore.ledger.base import SqlLedger
from paycore.ledger.clock import utc_now
from paycore.ledger.condition import (
    file_condition,
    has_wal_reset_bug,
    open_without_migrating,
    schema_found,
    server_condition,
)
from paycore.ledger.opening import SQLITE, is_sqlite, open_read_only
from paycore.ledger.reads import LedgerReads

MIB = 1024 * 1024
ROOM_WARNING, ROOM_PROBLEM = 500 * MIB, 20 * MIB
"""Bytes left on the ledger's disk."""

WAL_WARNING = 128 * MIB
"""Bytes of the `-wal` file: it is emptied at a few MiB, unless a reader holds on to it."""

SKEW_S = 30.0
"""Seconds that the ledger's time may differ from this machine's."""

CONNECTIONS_WARNING = 0.8
"""The part of PostgreSQL's connections that may be taken."""

AREA = Area("ledger")


class OpenedLedger:
    """The ledger as far as it could be opened: to write, and to read; None where not."""

    def __init__(self) -> None:
        self.to_write: SqlLedger | None = None
        self.to_read: LedgerReads | None = None
        self.why_not = "there is no ledger that can be read"
        self._opened = ExitStack()

    def open(self, dsn: str) -> None:
        """Open it to write, or to read where it can't be written: then raises the error of writing."""
        try:
            self.to_write = self._opened.enter_context(closing(open_without_migrating(dsn)))
            self.to_read = self.to_write
        except PaycoreError:
            with suppress(PaycoreError):
                self.to_read = self._opened.enter_context(closing(open_read_only(dsn)))
            raise

    def now(self) -> datetime:
        """The ledger's time, as far as it is known."""
        return utc_now() if self.to_write is None else self.to_write.now()

    def close(self) -> None:
        """Close it."""
        self._opened.close()


def check_ledger(dsn: str, options: GlobalOptions, opened: OpenedLedger) -> Checks:
    """The ledger at `dsn`; one that can be used is opened, and neither made nor migrated."""
    try:
        is_file = is_sqlite(dsn)
        found = schema_found(dsn)
    except PaycoreError as error:
        yield AREA.problem("reachable", error.message, _advice(error))
        yield from _room(dsn)
        yield from _unchecked("the ledger can't be read", "schema", "writable")
        return
    yield AREA.ok("reachable", found.name if found.schema else f"{found.name}, where no ledger is yet")
    if is_file:
        yield from _room(dsn)
    else:
        yield from _server(dsn)
    migrate = to_type(options, "ledger", "migrate")
    if not found.schema:
        opened.why_not = "there is no ledger yet"
        yield AREA.ok(
            "schema", f"there is no ledger yet: the first payment makes one, and so does `{migrate}`"
        )
        yield from _folder(dsn) if is_file else _unchecked("there is no ledger yet", "writable")
    elif found.schema < found.newest:
        yield AREA.problem(
            "schema",
            f"schema {found.schema}, this paycore has {found.newest}",
            f"end the processes of the older paycore, make a backup, then run `{migrate}`",
        )
        yield AREA.unchecked("writable", "writing would migrate it")
    elif found.schema > found.newest:
        newer = f"schema {found.schema}, this paycore knows {found.newest}"
        yield AREA.problem("schema", newer, "a newer paycore has upgraded it: upgrade this one too")
        yield AREA.unchecked("writable", "this paycore is too old for it")
    else:
        yield AREA.ok("schema", f"schema {found.schema}, that of this paycore")
        yield from _writable(dsn, opened)
        if opened.to_write is not None:
            yield _clock(opened.to_write, is_file=is_file)


def _writable(dsn: str, opened: OpenedLedger) -> Checks:
    try:
        opened.open(dsn)
    except PaycoreError as error:
        yield AREA.problem("writable", error.message, _advice(error))
        return
    yield AREA.ok("writable", "a transaction was written, which left nothing behind")


def _clock(ledger: SqlLedger, *, is_file: bool) -> Diagnosis:
    """The ledger's time, which decides what is due and what requests are signed with, against this machine's."""
    ahead_s = (ledger.now() - utc_now()).total_seconds()
    if abs(ahead_s) <= SKEW_S:
        return AREA.ok("clock", "the ledger's time is this machine's")
    found = f"the ledger's time is {duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    if is_file:
        found += (
            ": the clock was set back, and the ledger's never is; it comes back by itself, a little slower"
        )
        return AREA.warning("clock", found, "keep this machine's clock set by NTP")
    return AREA.warning("clock", found, "set the clocks of this machine and of the database's by NTP")


def _folder(dsn: str) -> Checks:
    """Whether a file can be made where there is none yet."""
    folder = Path(dsn.removeprefix(SQLITE)).resolve().parent
    if os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        yield AREA.ok("writable", f"a file can be made in {folder}")
    else:
        yield AREA.problem("writable", f"no file can be made in {folder}", _advice(LedgerReadOnly("")))


def _unchecked(why: str, *checks: str) -> Checks:
    yield from (AREA.unchecked(check, why) for check in checks)


def _advice(error: PaycoreError) -> str:
    """What to do, by the kind of error; its message says more."""
    match error:
        case LedgerFull():
            return "make room on its disk; nothing new is sent until then"
        case LedgerReadOnly():
            return (
                "run this as the user that paycore runs as; if it is, give that user the right to write there, on a"
                " file system that is not mounted read-only"
            )
        case LedgerTooNew():
            return "upgrade this paycore"
        case ConfigError():
            return "correct `ledger` in the configuration"
        case LedgerUnavailable():
            return "bring the file or the database back; nothing new is sent until then"
        case _:
            return 'stop every process that uses it, then see docs/ledger.md, "When it can\'t be used"'


# --- SQLite ------------------------------------------------------------------------------------------


def _room(dsn: str) -> Checks:
    """What the file's SQLite and disk are like, also where the file can't be read."""
    if not dsn.startswith(SQLITE):
        return
    try:
        file = file_condition(dsn)
    except PaycoreError as error:
        yield AREA.problem("disk", error.message, _advice(error))
        return
    bug = ""
    if has_wal_reset_bug(file.sqlite_version):
        bug = (
            " has the WAL-reset bug (fixed in 3.51.3, 3.50.7 and 3.44.6); paycore's lock file keeps it away,"
            " as long as no other program writes to the file"
        )
    yield AREA.ok("sqlite", f"SQLite {file.sqlite_version}{bug}")
    left = f"{_bytes(file.room)} left of {_bytes(file.disk_size)}; the ledger has {_bytes(file.size)}"
    advice = "make room on this disk: when it is full, nothing new is sent"
    if file.room < ROOM_PROBLEM:
        yield AREA.problem("disk", left, advice)
    elif file.room < ROOM_WARNING:
        yield AREA.warning("disk", left, advice)
    else:
        yield AREA.ok("disk", left)
    if file.wal_size > WAL_WARNING:
        yield AREA.warning(
            "wal",
            f"the -wal file has {_bytes(file.wal_size)}: it is emptied once no reader holds on to it",
            "find who keeps a transaction open on the ledger (`fuser` its -wal file), and end that",
        )
    else:
        yield AREA.ok("wal", f"the -wal file has {_bytes(file.wal_size)}")


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


# --- PostgreSQL --------------------------------------------------------------------------------------


def _server(dsn: str) -> Checks:
    try:
        server = server_condition(dsn)
    except PaycoreError as error:
        yield AREA.problem("server", error.message, _advice(error))
        return
    said = f"PostgreSQL {server.version}, the database has {_bytes(server.size)}"
    unsafe = [
        name
        for name, on in (("fsync", server.fsync), ("full_page_writes", server.full_page_writes))
        if not on
    ]
    if server.is_standby:
        yield AREA.problem("server", f"{said}; it is a standby", "name the primary server in `ledger`")
    elif unsafe:
        yield AREA.warning(
            "server",
            f"{said}; {' and '.join(unsafe)} is off, so a crash of its machine may lose payments",
            f"switch {' and '.join(unsafe)} on there",
        )
    else:
        yield AREA.ok("server", said)
    taken = f"{server.connections} of {server.connections_max} connections are taken"
    if server.connections > CONNECTIONS_WARNING * server.connections_max:
        yield AREA.warning("connections", taken, "raise max_connections there, or run fewer processes")
    else:
        yield AREA.ok("connections", taken)
    if server.missing_rights:
        tables = ", ".join(server.missing_rights)
        yield AREA.problem(
            "rights",
            f"this user may not read and write {tables}",
            "grant it SELECT, INSERT and UPDATE on them",
        )
    else:
        yield AREA.ok("rights", "this user may read and write all its tables")
    yield AREA.unchecked("disk", "it is on the server: watch the room there")
