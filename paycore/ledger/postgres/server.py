"""
Connects to one PostgreSQL database, waits for it to come back, and translates its errors.

The password is in the connection's parameters only: no message and no repr contains it.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import chain, repeat
from typing import Any, NamedTuple
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from paycore.errors import (
    ConfigError,
    LedgerCorrupt,
    LedgerFull,
    LedgerReadOnly,
    LedgerUnavailable,
    PaycoreError,
    RequestError,
)

PATIENCE_S = 10.0
"""How long to try to reconnect: longer than a restart or a failover takes."""

PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Pauses between attempts to connect; the last one is repeated."""

_JUST_NOW_S = 0.05
"""Who finds that the database was tried within this time does not try again: a try may take seconds."""

_HEARD_WITHIN_S = 2.0
"""A notification takes milliseconds; who waits in vain for it is refused."""

_DEFAULTS = {
    "connect_timeout": "5",
    "application_name": "paycore",
    "client_encoding": "utf8",
    # Detect a dead connection within seconds.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

# Transactions take milliseconds. The server ends one that a lost client left open, and nobody waits for a lock longer
# than that. A commit must be on disk before it is confirmed.
_SETTINGS = """
SELECT set_config('lock_timeout', '10s', false),
       set_config('idle_in_transaction_session_timeout', '5s', false),
       set_config('synchronous_commit',
                  CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                  ELSE current_setting('synchronous_commit') END, false)
"""


# The meanings of SQLSTATEs by their start (PostgreSQL manual, appendix A).
_MEANINGS: tuple[tuple[tuple[str, ...], type[PaycoreError], str], ...] = (
    (("53100",), LedgerFull, "no space left to write the ledger {name}; free some disk space there"),
    (
        ("25006", "42501"),
        LedgerReadOnly,
        "the ledger {name} can't be written ({said}); grant this user its tables, or name the primary server",
    ),
    (("XX",), LedgerCorrupt, "the ledger {name} is damaged ({said}); restore a backup"),
    (("23",), LedgerCorrupt, "the ledger {name} contradicts itself ({said}); run `paycore ledger verify`"),
    (("22",), RequestError, "the ledger {name} can't store this: {said}"),
    (
        ("42",),
        LedgerCorrupt,
        "the tables in {name} are not paycore's ({said}); give it a database of its own",
    ),
)


_UNKNOWN_PARAMETER = re.compile(r'invalid URI query parameter: "(\w{1,24})"')

_ADVICE = "write postgresql://user@host:5432/database; the password belongs into PGPASSWORD or ~/.pgpass"


class _Away(NamedTuple):
    """A database that can't be reached: since when, when that was last seen, and what was said then."""

    since: float
    seen_at: float
    said: str

    def is_known(self, now: float, patience_s: float) -> bool:
        """Whether it has been away for longer than anybody waits, and was tried just now."""
        return now >= self.since + patience_s and now - self.seen_at < _JUST_NOW_S

    def is_over(self, now: float, patience_s: float) -> bool:
        """Whether it may have been back since: nobody has tried for a while."""
        return now - self.seen_at > patience_s


class PgServer:
    """The database at `dsn`. `patience_s`: how long to wait for one that can't be reached."""

    def __init__(self, dsn: str, *, patience_s: float = PATIENCE_S) -> None:
        self._parameters = _parameters(dsn)
        self.name = _public_name(self._parameters)
        self.patience_s = patience_s
        self._keeps_sessions = False
        self._away: _Away | None = None

    def __repr__(self) -> str:
        return f"PgServer({self.name!r})"

    def connect(self, *, read_only: bool = False) -> psycopg.Connection[Any]:
        """
        Connect; `LedgerUnavailable` at once when that fails.

        `ConfigError` when a pooler is between that gives each transaction another connection.
        """
        try:
            connection = psycopg.connect(**self._parameters, autocommit=True)
            self._check_pooler(connection)  # before any setting, which it would hand to others
            connection.execute(_SETTINGS)
            if read_only:
                connection.execute("SET default_transaction_read_only = on")
        except psycopg.Error as error:
            failure = self.unavailable(error)
        else:
            return connection
        raise failure  # raised here, because the driver's error refers to the parameters with the password

    def _check_pooler(self, connection: psycopg.Connection[Any]) -> None:
        """A backend with another number than it said itself is behind a pooler: see whether it stays the same one."""
        rows = connection.execute("SELECT pg_backend_pid()").fetchall()
        if self._keeps_sessions or rows == [(connection.info.backend_pid,)]:
            return
        try:
            self._keeps_sessions = self._hears(connection)
        except psycopg.Error:
            connection.close()
            raise
        if not self._keeps_sessions:
            connection.close()
            raise ConfigError(
                f"the ledger {self.name} is behind a connection pooler that shares its connections between"
                " transactions (pgbouncer's pool_mode = transaction), where nothing is heard of other processes and"
                " settings reach others' connections; set pool_mode = session there, or name the database itself"
            )

    def _hears(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether it is told what another connection notifies it of: only then its LISTEN stays its own."""
        channel = f"paycore_{secrets.token_hex(8)}"
        connection.execute(f"LISTEN {channel}".encode())
        with psycopg.connect(**self._parameters, autocommit=True) as other:
            other.execute(f"NOTIFY {channel}".encode())
        is_heard = any(True for _ in connection.notifies(timeout=_HEARD_WITHIN_S, stop_after=1))
        connection.execute(f"UNLISTEN {channel}".encode())
        return is_heard

    def reconnect(self, *, read_only: bool = False) -> Any:
        """
        Connect, waiting for the database to come back; gives up once it has been away for `patience_s`.

        So it is the first callers who wait: those that come later in an outage, or queued behind them, hear at once.
        """
        started_at, pauses = time.monotonic(), self.pauses()
        while True:
            away = self._away
            if away is not None and away.is_known(time.monotonic(), self.patience_s):
                raise LedgerUnavailable(away.said)
            try:
                connection = self.connect(read_only=read_only)
            except LedgerUnavailable as error:
                now = time.monotonic()
                since = started_at if away is None or away.is_over(now, self.patience_s) else away.since
                self._away = _Away(since, now, error.message)
                if now >= since + self.patience_s:
                    raise
            else:
                self._away = None
                return connection
            time.sleep(next(pauses))

    @staticmethod
    def pauses() -> Iterator[float]:
        """The seconds to wait after each attempt to connect, without an end."""
        return chain(PAUSES_S, repeat(PAUSES_S[-1]))

    def unavailable(self, error: psycopg.Error) -> LedgerUnavailable:
        """The error for a database that can't be reached, in one line."""
        return LedgerUnavailable(
            f"the ledger {self.name} can't be reached: {_cause(self._without_password(str(error)))};"
            " check that PostgreSQL runs there and accepts this user"
        )

    def typed(self, error: psycopg.Error) -> PaycoreError:
        """The typed error for an error of a database that can be reached, with what to do about it."""
        said = self._without_password(error.diag.message_primary or type(error).__name__)
        for states, kind, meaning in _MEANINGS:
            if (error.sqlstate or "").startswith(states):
                return kind(meaning.format(name=self.name, said=said))
        return LedgerUnavailable(f"the ledger {self.name} can't be used: {said}")

    def _without_password(self, text: str) -> str:
        password = self._parameters.get("password")
        return text.replace(password, "***") if password else text


def is_lost(error: psycopg.Error, connection: psycopg.Connection[Any]) -> bool:
    """Whether the connection is lost: closed, shut down by the server, or broken."""
    if error.sqlstate is None:
        return connection.closed or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return connection.closed or error.sqlstate.startswith(("08", "25P03", "57P"))


def _parameters(dsn: str) -> dict[str, Any]:
    problem = address_problem(dsn)
    if problem is not None:
        raise ConfigError(f"ledger: {problem}")
    return {**_DEFAULTS, **conninfo_to_dict(dsn)}


def address_problem(dsn: str) -> str | None:
    """Why `dsn` is not the address of a PostgreSQL database, and what to write instead; None when it is."""
    try:
        parameters = conninfo_to_dict(dsn)
    except psycopg.Error as error:
        return f"{_unreadable(dsn, str(error))}; {_ADVICE}"
    ports = str(parameters.get("port") or "").split(",")
    # An '@' in a name was written there, or is the rest of a password that was not percent-encoded.
    names = [str(parameters.get(name) or "") for name in ("host", "dbname")]
    if any("@" in name and name in dsn for name in names):
        return f"it contains an extra '@': write %40 for it, and %2F for '/'; {_ADVICE}"
    if not all(port.isdigit() or not port for port in ports):
        return f"its port is not a number; write %2F for a '/' in a password; {_ADVICE}"
    if not parameters.get("sslmode") and not _is_local(parameters):
        return (
            "it leads to another machine and has no sslmode, so a password may go there in clear;"
            " add ?sslmode=verify-full&sslrootcert=system, or another sslmode"
        )
    return None


def _is_local(parameters: dict[str, Any]) -> bool:
    """Whether the database is certainly on this machine; libpq takes what the DSN omits from the environment."""
    places = [parameters.get(name) or os.environ.get(f"PG{name.upper()}") for name in ("host", "hostaddr")]
    is_left_open = not all(places) and (parameters.get("service") or os.environ.get("PGSERVICE"))
    hosts = [host for place in places if place for host in str(place).split(",")]
    return not is_left_open and all(_is_local_host(host) for host in hosts)


def _is_local_host(host: str) -> bool:
    """Whether the host is a socket's folder or abstract name, empty (the default socket), or the local machine."""
    try:
        return host in ("", "localhost") or host[0] in "/@" or ip_address(host).is_loopback
    except ValueError:
        return False


def _unreadable(dsn: str, said: str) -> str:
    """What is wrong with the DSN, without libpq's message, which quotes it and with it the password."""
    unknown = _UNKNOWN_PARAMETER.match(said)
    # A name before an '@' may be part of the password.
    place = -1 if unknown is None else dsn.rfind(unknown[1])
    if unknown is None or place < 0 or "@" in dsn[place:]:
        return "it is not the address of a PostgreSQL database"
    return f"PostgreSQL knows no parameter {unknown[1]!r}"


def _cause(said: str) -> str:
    """The first line of libpq's message; further ones are hints, or repeat it for other addresses."""
    first = " ".join(said.strip().partition("\n")[0].split()).rstrip(" .:?")
    return re.sub(r"^connection (failed|is bad): ", "", first) or "no reason given"


def _public_name(parameters: dict[str, Any]) -> str:
    """The DSN without its password; a socket's folder, several hosts and sslmode are put behind the `?`."""
    user = f"{quote(parameters['user'], safe='')}@" if parameters.get("user") else ""
    host, port = str(parameters.get("host") or ""), str(parameters.get("port") or "")
    tls = f"sslmode={quote(parameters['sslmode'], safe='')}" if parameters.get("sslmode") else ""
    path = f"/{quote(parameters.get('dbname') or '', safe='')}"
    if not host.startswith("/") and "," not in host:
        host = f"[{host}]" if ":" in host else host
        more = f"?{tls}" if tls else ""
        return f"postgresql://{user}{host}{port and ':'}{port}{path}{more}"
    more = "&".join(filter(None, (f"host={quote(host, safe='/,')}", port and f"port={port}", tls)))
    return f"postgresql://{user}{path}?{more}"
