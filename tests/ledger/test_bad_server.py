"""PostgreSQL that can't be reached, or goes away: typed errors without the password, and each change made once."""

import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import conninfo_to_dict

from paycore import Status
from paycore.domain.events import Source
from paycore.errors import ConfigError, LedgerCorrupt, LedgerReadOnly, LedgerUnavailable, PaycoreError
from paycore.ledger import open_ledger
from paycore.ledger.api import Filter
from paycore.ledger.audit import verify
from paycore.ledger.opening import dsn_problem
from paycore.ledger.postgres.ledger import PostgresLedger
from paycore.ledger.postgres.server import PgServer
from tests.ledger.workload import begun, paid_payment, pending_payment, refunding, seen
from tests.support.postgres import PostgresServer

CANARY = "c4n4ry-p4ssw0rd"


@pytest.fixture
def ledger(postgres_dsn: str) -> Iterator[PostgresLedger]:
    """A ledger on an empty database."""
    with closing(PostgresLedger(postgres_dsn)) as opened:
        yield opened


def _everything_said(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def test_database_that_does_not_store_every_text_is_refused(postgres_server: PostgresServer) -> None:
    """A database whose encoding is not UTF-8 could not record every provider's message."""
    postgres_server.execute("CREATE DATABASE latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(ConfigError, match="stores text as LATIN1"):
        open_ledger(postgres_server.dsn("latin1"))
    postgres_server.execute("DROP DATABASE latin1")


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{CANARY}@127.0.0.1:1/pay",
        f"postgresql://u:{CANARY}@no-such-host.invalid/pay?sslmode=require",
        f"postgresql://u:{CANARY}@no-such-host.invalid/pay",
        f"postgresql://u:{CANARY}@127.0.0.1:port/pay",
        f"postgresql://u:{CANARY}%@127.0.0.1/pay",
        f"postgresql://u:{CANARY}@127.0.0.1/pay?no_such_option=1",
        f"postgresql://u:{CANARY}@/pay?host=/nowhere",
    ],
)
def test_wrong_dsn_is_one_clear_line_without_the_password(dsn: str) -> None:
    """Any error in the DSN is typed, short, and without the password."""
    with pytest.raises((ConfigError, LedgerUnavailable)) as caught:
        open_ledger(dsn)
    assert "\n" not in caught.value.message
    assert CANARY not in _everything_said(caught.value)


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        (
            "postgresql://u@h/pay?no_such_option=1",
            "PostgreSQL knows no parameter 'no_such_option'; write postgresql:",
        ),
        ("postgresql://u@h/pay?%6eo_such_option=1", "it is not the address of a PostgreSQL database"),
        ("postgresql://u@h:port/pay", "its port is not a number"),
        ("postgresql://u@h/pay?sslmode", "it is not the address of a PostgreSQL database"),
    ],
)
def test_unreadable_dsn_says_what_is_wrong_and_where_the_password_goes(dsn: str, words: str) -> None:
    """libpq's reason is given, and the advice not to write the password into the file."""
    with pytest.raises(ConfigError, match=r"belongs into PGPASSWORD or ~/.pgpass") as caught:
        open_ledger(dsn)
    assert caught.value.message.startswith(f"ledger: {words}")


@pytest.mark.parametrize(
    "password", ["{0}/s3cret", "{0}@s3cret", "12/s3cret", "{0}%s3cret", "{0}/x?s3cret=1", "/s3cret?"]
)
def test_password_that_splits_the_dsn_is_in_no_message(password: str) -> None:
    """No part of a password that is not percent-encoded is shown as host, database or parameter."""
    with pytest.raises(ConfigError) as caught:
        open_ledger(f"postgresql://u:{password.format(CANARY)}@h/pay")
    assert CANARY not in _everything_said(caught.value)
    assert "s3cret" not in caught.value.message


def test_password_is_in_no_repr(postgres_dsn: str) -> None:
    """Neither the ledger nor its server shows the password."""
    dsn = postgres_dsn.replace("postgres@", f"postgres:{CANARY}@")
    with closing(PostgresLedger(dsn)) as ledger:
        assert CANARY not in repr(ledger) + repr(ledger._server) + ledger._server.name


@pytest.mark.parametrize(
    ("dsn", "cause"),
    [
        ("postgresql://u@127.0.0.1:1/pay", r'127.0.0.1", port 1 failed: Connection refused; check'),
        (
            "postgresql://u@/pay?host=/nowhere",
            r'socket "/nowhere/.*" failed: No such file or directory; check',
        ),
        ("postgresql://u@127.0.0.1:1,127.0.0.1:2/pay", r"failed: Connection refused; check"),
        ("postgresql://u@127.0.0.1/pay?sslmode=wat", r'reached: invalid sslmode value: "wat"; check'),
    ],
)
def test_unreachable_database_says_why(dsn: str, cause: str) -> None:
    """The error has the cause, and nothing about a reference: it may be a read."""
    with pytest.raises(LedgerUnavailable, match=cause) as caught:
        open_ledger(dsn)
    assert caught.value.message.startswith(f"the ledger {PgServer(dsn).name} can't be reached: ")
    assert "reference" not in caught.value.message


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("postgresql://u:p@h:5433/pay?sslmode=require", "postgresql://u@h:5433/pay?sslmode=require"),
        ("postgresql://u:p@localhost:5433/pay", "postgresql://u@localhost:5433/pay"),
        ("postgresql://localhost", "postgresql://localhost/"),
        ("postgresql://u@/pay?host=/run/pg&port=5433", "postgresql://u@/pay?host=/run/pg&port=5433"),
        (
            "postgresql://a:1,b:2/pay?sslmode=verify-full",
            "postgresql:///pay?host=a,b&port=1,2&sslmode=verify-full",
        ),
        ("postgresql://[::1]:5433/pay", "postgresql://[::1]:5433/pay"),
        ("postgresql://u%40x:p@[::1]/a%20b", "postgresql://u%40x@[::1]/a%20b"),
    ],
)
def test_name_is_an_address_without_the_password(dsn: str, name: str) -> None:
    """A ledger's name is a usable address of the same database."""
    assert PgServer(dsn).name == name
    given, named = (conninfo_to_dict(one) for one in (dsn, name))
    assert {**given, "password": None} == {**named, "password": None}


FAR = [
    "postgresql://u:{0}@db.example/pay",
    "postgresql://db.example",
    "postgresql://u@10.0.0.1:5433/pay",
    "postgresql://u@localhost,db.example/pay",
    "postgresql:///pay?host=db.example",
    "postgresql://localhost/pay?hostaddr=10.0.0.1",
    "postgresql://u@/pay?host=/run/pg,db.example",
    "postgresql://u@localhost.example/pay",
    "postgresql://u@127.0.0.1.example/pay",
    "postgresql:///pay?service=shop",
]
NEAR = [
    "postgresql:///pay",
    "postgresql://u@localhost/pay",
    "postgresql://u@127.0.0.1:5433/pay",
    "postgresql://[::1]/pay",
    "postgresql://u@/pay?host=/run/pg",
    "postgresql://u@localhost,127.0.0.2/pay",
]


@pytest.mark.parametrize("dsn", FAR)
def test_database_on_another_machine_needs_an_sslmode(dsn: str) -> None:
    """libpq's default may send the password in clear text, so an explicit sslmode is required."""
    dsn = dsn.format(CANARY)
    with pytest.raises(
        ConfigError, match=r"ledger: it leads to another machine and has no sslmode"
    ) as caught:
        PgServer(dsn)
    assert CANARY not in _everything_said(caught.value)
    assert dsn_problem(dsn) is not None
    for mode in ("verify-full", "require", "disable"):
        assert dsn_problem(f"{dsn}{'&' if '?' in dsn else '?'}sslmode={mode}") is None


@pytest.mark.parametrize("dsn", NEAR)
def test_database_on_this_machine_needs_none(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless libpq's environment variables name another host."""
    assert dsn_problem(dsn) is None
    monkeypatch.setenv("PGHOSTADDR", "10.0.0.1")
    assert dsn_problem(dsn) is not None
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    assert dsn_problem(dsn) is None
    monkeypatch.delenv("PGHOSTADDR")
    monkeypatch.setenv("PGSERVICE", "shop")
    assert dsn_problem(dsn) is not None
    assert dsn_problem(f"{dsn}{'&' if '?' in dsn else '?'}sslmode=require") is None


@pytest.mark.parametrize("host", ["db.example", "10.0.0.1"])
def test_host_of_the_environment_needs_an_sslmode_too(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGSSLMODE does not count: the DSN must have it."""
    monkeypatch.setenv("PGHOST", host)
    monkeypatch.setenv("PGSSLMODE", "prefer")
    assert dsn_problem("postgresql:///pay") is not None


def test_database_that_does_not_exist(postgres_server: PostgresServer) -> None:
    """PostgreSQL's own message names the database."""
    with pytest.raises(LedgerUnavailable, match="nowhere"):
        open_ledger(postgres_server.dsn("nowhere"))


def test_extra_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg the error says what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "paycore.ledger.postgres.ledger")
    monkeypatch.delitem(sys.modules, "paycore.ledger.postgres.server")
    with pytest.raises(ConfigError, match=r"pip install 'paycore\[postgres\]'"):
        open_ledger("postgresql://localhost/pay")


def test_database_of_something_else(postgres_dsn: str) -> None:
    """Another application's tables are left unchanged, and nothing is added."""
    with psycopg.connect(postgres_dsn, autocommit=True) as shell:
        shell.execute("CREATE TABLE payments (id int)")
        with pytest.raises(LedgerCorrupt, match="not paycore's"):
            open_ledger(postgres_dsn)
        tables = shell.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("payments",)]


def test_read_only_database(ledger: PostgresLedger, postgres_dsn: str) -> None:
    """On a standby, or without rights, nothing is written, and the error says so."""
    name = psycopg.conninfo.conninfo_to_dict(postgres_dsn)["dbname"]
    with psycopg.connect(postgres_dsn, autocommit=True) as shell:
        shell.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    with closing(PostgresLedger(postgres_dsn)) as other:
        with pytest.raises(LedgerReadOnly) as caught:
            other.begin(*begun("order-1")).result()
        assert caught.value.money_moved == "no"
        assert other.find(None, "order-1").result() == ()


def test_server_down_and_back(postgres_server: PostgresServer, postgres_dsn: str) -> None:
    """While the server is down every verb raises after the patience; once it is back the same ledger works."""
    with closing(PostgresLedger(postgres_dsn, patience_s=0.2)) as ledger:
        payment = paid_payment(ledger, "order-1")
        postgres_server.stop("immediate")
        try:
            calls: list[Future[Any]] = [
                ledger.begin(*begun("order-2")),
                ledger.change(payment.id, refunding("r1"), Source.CALLER),
                ledger.get(payment.id),
            ]
            for call in calls:
                with pytest.raises(LedgerUnavailable, match="check that PostgreSQL runs") as caught:
                    call.result()
                assert caught.value.money_moved == "maybe"
                assert "\n" not in caught.value.message
            with pytest.raises(LedgerUnavailable):
                open_ledger(postgres_dsn)
        finally:
            postgres_server.start()
        assert ledger.begin(*begun("order-2")).result().events
        assert ledger.get(payment.id).result() == payment


def test_outage_is_waited_out_once_and_not_by_each_in_turn(
    postgres_server: PostgresServer, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Calls that queue behind the first ones hear at once that the server is away.

    A few threads read: were each call to wait for itself, the last of many would wait for minutes.
    """
    tries: list[PgServer] = []
    connect = PgServer.connect

    def counted(server: PgServer, *, read_only: bool = False) -> psycopg.Connection[Any]:
        tries.append(server)
        return connect(server, read_only=read_only)

    with closing(PostgresLedger(postgres_dsn, patience_s=0.3)) as ledger:
        payment = paid_payment(ledger, "order-1")
        monkeypatch.setattr(PgServer, "connect", counted)
        postgres_server.stop("immediate")
        try:
            calls: list[Future[Any]] = [ledger.get(payment.id) for _ in range(200)]
            calls += [ledger.begin(*begun(f"order-{n}")) for n in range(2, 50)]
            errors = [call.exception(30) for call in calls]
            assert {type(error) for error in errors} == {LedgerUnavailable}
            assert len(tries) < 100, "each of 200 reads would try several times"
        finally:
            postgres_server.start()
        assert ledger.begin(*begun("order-2")).result().events
        assert ledger.get(payment.id).result() == payment


def test_outage_is_told_once_and_what_was_missed_is_heard_after_it(
    postgres_server: PostgresServer, postgres_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in a minute, however often it is tried and whoever else fails meanwhile; then changes wake again."""
    heard: list[str] = []
    with closing(PostgresLedger(postgres_dsn, patience_s=0.1)) as ledger:
        ledger.watch(heard.extend)
        payment = paid_payment(ledger, "order-1")
        postgres_server.stop("immediate")
        try:
            give_up_at = time.monotonic() + 30
            while not caplog.messages and time.monotonic() < give_up_at:
                ledger.get(payment.id).exception()
            for _ in range(200):
                assert isinstance(ledger.get(payment.id).exception(), LedgerUnavailable)
                time.sleep(0.01)
        finally:
            postgres_server.start()
        assert [line.split(":")[0] for line in caplog.messages] == ["not hearing of other processes' changes"]
        with closing(PostgresLedger(postgres_dsn)) as other:
            theirs = paid_payment(other, "order-2")
        while theirs.id not in heard and time.monotonic() < give_up_at:
            time.sleep(0.01)
        assert theirs.id in heard


def test_restart_within_the_patience_is_not_noticed(
    ledger: PostgresLedger, postgres_server: PostgresServer
) -> None:
    """A call during a restart only takes longer."""
    payment = pending_payment(ledger, "order-1")
    postgres_server.stop("immediate")
    calls: list[Future[Any]] = [ledger.begin(*begun("order-2")), ledger.get(payment.id)]
    postgres_server.start()
    assert calls[0].result().events
    assert calls[1].result() == payment


class _Unreliable:
    """The writer's connection, whose next COMMIT fails just before or just after the server does it."""

    def __init__(self, connection: psycopg.Connection[Any], error: psycopg.Error, *, is_heard: bool) -> None:
        self._connection = connection
        self._error: psycopg.Error | None = error
        self._is_heard = is_heard

    def execute(self, statement: Any, *parameters: Any) -> Any:
        if statement != "COMMIT" or self._error is None:
            return self._connection.execute(statement, *parameters)
        error, self._error = self._error, None
        if self._is_heard:
            self._connection.execute("COMMIT")
        if error.sqlstate is None:
            self._connection.close()
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


LOST = psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("is_heard", [True, False])
def test_commit_without_an_answer_is_looked_up(ledger: PostgresLedger, is_heard: bool) -> None:
    """Committed or not, every caller gets the result of its own change, made once."""
    payment = paid_payment(ledger, "order-1")
    ledger._writer = _Unreliable(ledger._writer, LOST, is_heard=is_heard)  # type: ignore[arg-type, assignment]
    futures = [ledger.begin(*begun(f"more-{n}")) for n in range(20)]
    refund = ledger.change(payment.id, refunding("r1"), Source.CALLER)
    assert all(future.result().events for future in futures)
    assert refund.result().events
    assert refund.result().payment == ledger.get(payment.id).result()
    assert len(ledger.events(payment.id).result()) == 4
    assert all(verdict.difference is None for verdict in verify(ledger))


def test_lost_commit_that_is_still_under_way_is_waited_for(ledger: PostgresLedger, postgres_dsn: str) -> None:
    """The ledger waits until the server has finished the commit."""
    assert ledger.begin(*begun("order-1")).result().events
    number = ledger._commit_number
    with psycopg.connect(postgres_dsn) as zombie:
        zombie.execute("UPDATE writers SET commits = %s WHERE id = %s", (number + 1, ledger._id))
        timer = threading.Timer(0.3, zombie.commit)
        timer.start()
        assert ledger._was_committed(number + 1)
        timer.join()


def test_loser_of_a_deadlock_is_run_again(ledger: PostgresLedger) -> None:
    """A transaction that PostgreSQL ends is repeated, without an error."""
    deadlock = psycopg.errors.DeadlockDetected("deadlock detected")
    ledger.begin(*begun("order-1")).result()
    ledger._writer = _Unreliable(ledger._writer, deadlock, is_heard=False)  # type: ignore[arg-type, assignment]
    assert ledger.begin(*begun("order-2")).result().events
    assert all(verdict.difference is None for verdict in verify(ledger))


def test_two_processes_that_want_the_same_payments_both_get_through(postgres_dsn: str) -> None:
    """Groups in opposite orders: every change is made, without a deadlock."""
    with closing(PostgresLedger(postgres_dsn)) as here, closing(PostgresLedger(postgres_dsn)) as there:
        payments = [paid_payment(here, f"order-{n}") for n in range(6)]
        futures: list[Future[Any]] = []
        for turn in range(30):
            for ledger, order in ((here, payments), (there, payments[::-1])):
                futures += [
                    ledger.observe("hk", [_total(payment.order_number, turn)], Source.POLL)
                    for payment in order
                ]
        errors = [future.exception() for future in futures]
        assert [error for error in errors if isinstance(error, PaycoreError)] == []
        assert {payment.refunded_minor for payment in here.list(Filter()).result()} == {30}


def _total(number: str, turn: int) -> Any:
    return replace(seen(number, Status.PAID), refunded_minor=turn + 1)
