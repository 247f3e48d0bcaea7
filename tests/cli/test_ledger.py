"""`paycore ledger`: verify finds what was tampered with, export hands everything out, migrate goes forward only."""

import hashlib
import itertools
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from paycore import Status
from paycore.cli.files import whole_file
from paycore.cli.options import GlobalOptions, UsageProblem
from paycore.cli.output import LINES_AT_ONCE, Output
from paycore.domain.events import GENESIS, Source, chain_hash
from paycore.errors import LedgerError
from paycore.ledger import migrations, mounts, open_ledger
from paycore.ledger.base import SqlLedger
from paycore.ledger.migrations import Migration, load_migrations
from paycore.ledger.reading import open_read_only
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import PAYCORE, Cli, Ran, order
from tests.cli.test_terminal import Terminal
from tests.ledger.conftest import Database
from tests.ledger.test_audit import FREE_EVENTS, FREE_PAYMENTS
from tests.ledger.workload import begun, notice, observe, paid_payment, refund_seen, refunding, seen
from tests.support.postgres import PostgresServer

CANARY = "c4n4ry-p4ssw0rd"
NOBODY = 65534


def _configure(ledger: str, path: str = "paycore.toml") -> None:
    Path(path).write_text(f'ledger = "{ledger}"\n', encoding="utf-8")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind, and a paycore.toml that names it."""
    is_sqlite = request.param == "sqlite"
    dsn = f"sqlite:///{tmp_path}/paycore.db" if is_sqlite else request.getfixturevalue("postgres_dsn")
    _configure(dsn)
    with ExitStack() as stack:
        yield Database(dsn, stack)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    """A new SQLite ledger, and a paycore.toml that names it."""
    _configure("sqlite:///paycore.db")
    with closing(open_ledger(f"sqlite:///{tmp_path}/paycore.db")) as opened:
        yield opened


def _whole_life(ledger: SqlLedger, reference: str, *, account: str = "hk") -> str:
    """A payment that was paid and given back: five events, two numbers, one refund."""
    payment = paid_payment(ledger, reference, account=account)
    refund = refunding(f"refund of {reference}")
    refunded = ledger.change(payment.id, refund, Source.CALLER).result().payment
    observe(ledger, refund_seen(refunded.refunds[0].number), account=account)
    return payment.id


def _lines(ran: Ran) -> list[Any]:
    return [json.loads(line) for line in ran.out.splitlines()]


def _one_line(ran: Ran, *words: str, code: int = 6) -> None:
    """Failed with this code and one line, which has these words and no traceback."""
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran
    assert ran.err.startswith("error: "), ran
    for word in words:
        assert word in ran.err, ran


def _files() -> set[str]:
    return {file.name for file in Path().iterdir()}


# --- verify ------------------------------------------------------------------------------------------


def test_verify_untouched_one_line(cli: Cli, database: Database) -> None:
    """A ledger nobody touched holds: exit 0, and one line that says how much was looked at."""
    ledger = database.open()
    for n in range(3):
        _whole_life(ledger, f"order-{n}")
    ran = cli("ledger", "verify")
    assert (ran.code, ran.out, ran.err) == (0, "everything holds: 3 payments, 15 events\n", ""), ran
    ran = cli("ledger", "verify", "--json")
    assert ran.json == {"type": "summary", "payments": 3, "events": 15, "differences": 0}


def test_verify_empty_ledger_holds(cli: Cli, ledger: SqlLedger) -> None:
    """A ledger without payments has nothing that differs."""
    assert cli("ledger", "verify").out == "everything holds: 0 payments, 0 events\n"


TAMPERINGS = {
    "row": (("UPDATE payments SET paid_minor = 1 WHERE id = '{id}'",), "paid_minor", "1", "8800"),
    "status": (("UPDATE payments SET status = 'failed' WHERE id = '{id}'",), "status", "failed", "paid"),
    "body": (
        ("UPDATE payments SET body = replace(body, '\"C1\"', '\"C2\"') WHERE id = '{id}'",),
        "body charges",
        '"C2"',
        '"C1"',
    ),
    "event": (
        ("UPDATE events SET status_to = 'failed' WHERE seq = 2 AND payment_id = '{id}'",),
        "event 2 status_to",
        "failed",
        "pending",
    ),
    "deleted event": (
        ("DELETE FROM events WHERE seq = 2 AND payment_id = '{id}'",),
        "event 2",
        "seq 3",
        "seq 2",
    ),
    "all events deleted": (("DELETE FROM events WHERE payment_id = '{id}'",), "events", "none", "beginning"),
    "missing number": (
        ("DELETE FROM operations WHERE payment_id = '{id}'",),
        "operations",
        "no row",
        "number ",
    ),
    "missing refund": (
        ("DELETE FROM refunds WHERE payment_id = '{id}'",),
        "refunds",
        "no row",
        "refund of order-1",
    ),
    "orphan events": (
        (
            "DELETE FROM operations WHERE payment_id = '{id}'",
            "DELETE FROM refunds WHERE payment_id = '{id}'",
            "DELETE FROM payments WHERE id = '{id}'",
        ),
        "payments",
        "no row",
        "`events` names it",
    ),
}


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_verify_tampered_says_where(cli: Cli, database: Database, kind: str) -> None:
    """Whatever was tampered with: exit 9, and the payment, the place, what stands there and what should."""
    statements, where, stored, derived = TAMPERINGS[kind]
    ledger = database.open()
    ids = [_whole_life(ledger, f"order-{n}") for n in range(3)]
    database.run(
        *FREE_EVENTS[database.is_sqlite],
        *FREE_PAYMENTS[database.is_sqlite],
        *(statement.format(id=ids[1]) for statement in statements),
    )
    difference, summary = _lines(ran := cli("ledger", "verify", "--json"))
    assert (ran.code, ran.err) == (9, ""), ran
    assert list(difference) == ["type", "payment_id", "where", "stored", "derived"]
    assert (difference["type"], difference["payment_id"], difference["where"]) == (
        "difference",
        ids[1],
        where,
    )
    assert stored in difference["stored"]
    assert derived in difference["derived"]
    assert (summary["type"], summary["payments"], summary["differences"]) == ("summary", 3, 1)
    told = cli("ledger", "verify")
    assert (told.code, "a person must look" in told.err) == (9, True), told
    block = [line.split(maxsplit=1) for line in told.out.split("\n\n")[0].splitlines()]
    assert block == [
        ["payment", ids[1]],
        ["where", where],
        ["stored", difference["stored"]],
        ["derived", difference["derived"]],
    ]
    assert told.out.splitlines()[-1].startswith("1 difference: 3 payments, ")
    assert cli("ledger", "verify", ids[0]).code == 0
    assert cli("ledger", "verify", ids[1]).code == 9


def test_verify_each_payment_with_a_difference(cli: Cli, ledger: SqlLedger) -> None:
    """Each payment that differs is reported once, with its first difference; --quiet leaves the data alone."""
    ids = [_whole_life(ledger, f"order-{n}") for n in range(3)]
    with closing(sqlite3.connect("paycore.db")) as shell:
        shell.execute("UPDATE payments SET paid_minor = 1, refunded_minor = 1 WHERE id <> ?", (ids[1],))
        shell.commit()
    ran = cli("ledger", "verify", "--quiet")
    assert (ran.code, ran.err) == (9, ""), ran
    assert [line.split()[1] for line in ran.out.splitlines() if line.startswith("payment ")] == [
        ids[0],
        ids[2],
    ]
    assert ran.out.count("paid_minor") == 2
    assert "refunded_minor" not in ran.out
    assert ran.out.endswith("2 differences: 3 payments, 15 events\n")


def test_verify_one_payment_by_id_or_reference(cli: Cli, ledger: SqlLedger) -> None:
    """A payment that is named is verified alone, found by its id or by the caller's reference."""
    whole, other = _whole_life(ledger, "order-1"), _whole_life(ledger, "order-2")
    with closing(sqlite3.connect("paycore.db")) as shell:
        shell.execute("UPDATE payments SET paid_minor = 1 WHERE id = ?", (other,))
        shell.commit()
    for words in ([whole], ["--reference", "order-1"]):
        ran = cli("ledger", "verify", *words)
        assert (ran.code, ran.out) == (0, "everything holds: 1 payment, 5 events\n"), ran
    assert cli("ledger", "verify", "--reference", "order-2").code == 9
    _one_line(cli("ledger", "verify", "nobody"), "nobody", code=2)
    _one_line(cli("ledger", "verify", "--reference", "nobody"), "nobody", code=2)
    _one_line(cli("ledger", "verify", whole, "--reference", "order-1"), "not by both", code=2)


def test_verify_reference_on_two_accounts_needs_the_account(cli: Cli, ledger: SqlLedger) -> None:
    """A reference two accounts know is verified on the one that is named; the ledger as a whole takes no account."""
    _whole_life(ledger, "same")
    paid_payment(ledger, "same", account="till")
    _one_line(cli("ledger", "verify", "--reference", "same"), "hk, till", "--account", code=2)
    assert "1 payment, 5 events" in cli("ledger", "verify", "--reference", "same", "--account", "hk").out
    assert "1 payment, 3 events" in cli("ledger", "verify", "--reference", "same", "--account", "till").out
    for word in ("verify", "export"):
        _one_line(cli("ledger", word, "--account", "hk"), "--account", code=2)


def test_verify_while_others_write(cli: Cli, database: Database) -> None:
    """A ledger that is written to meanwhile holds at every moment."""
    ledger = database.open()
    futures = []
    for n in range(10):
        futures += [ledger.begin(begun(f"order-{n}-{m}")) for m in range(40)]
        ran = cli("ledger", "verify")
        assert ran.code == 0, ran
    assert all(future.result().changed for future in futures)


def test_verify_on_a_terminal_moves_a_line_and_ctrl_c_harms_nothing(ledger: SqlLedger) -> None:
    """A long one shows how far it has come on a line that moves; Ctrl-C ends it with exit 130 and one line."""
    futures = [ledger.begin(begun(f"order-{n}")) for n in range(15_000)]
    assert all(future.result().changed for future in futures)
    with Terminal("ledger", "verify") as terminal:
        terminal.read_until(lambda text: "verified" in text)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
    assert "payments, " in terminal.text
    assert terminal.text.rsplit("\r\x1b[K", 1)[1].endswith("interrupted; nothing was changed\r\n")


@pytest.mark.parametrize("change", ["nonsense", '{"type": "proven_absent", "number": 5}', "[]", "\x00"])
def test_verify_forged_with_fitting_hashes_says_it_can_not_have_happened(
    cli: Cli, ledger: SqlLedger, change: str
) -> None:
    """An event that is no change, under a hash that fits, is a difference and not a crash."""
    payment_id = _whole_life(ledger, "order-1")
    last = ledger.events(payment_id).result()[-1]
    at_ms = round(last.at.timestamp() * 1000)
    forged = chain_hash(last.prev_hash, payment_id, last.seq, at_ms, last.source, change.encode())
    with closing(sqlite3.connect("paycore.db")) as shell:
        shell.execute("DROP TRIGGER events_are_never_updated")
        shell.execute("UPDATE events SET change = ?, hash = ? WHERE seq = ?", (change, forged, last.seq))
        shell.execute("UPDATE payments SET head = ?", (forged,))
        shell.commit()
    ran = cli("ledger", "verify", "--json")
    assert (ran.code, _lines(ran)[0]["where"]) == (9, f"event {last.seq}"), ran
    assert cli("ledger", "export").code == 0


def test_verify_can_not_write(database: Database) -> None:
    """A ledger that is opened to be read takes no statement that writes."""
    database.open().close()
    with closing(open_read_only(database.dsn)) as ledger:
        deleting = ledger.read(lambda tx: tx.many("DELETE FROM meta WHERE schema = ?", [(1,)]))
        with pytest.raises(LedgerError):
            deleting.result()
        assert ledger.applied()


# --- export ------------------------------------------------------------------------------------------


def test_export_is_everything_and_can_be_checked(cli: Cli, database: Database) -> None:
    """One JSON object a line: payments with their events, then notifications; the hashes hold from the lines alone."""
    ledger = database.open()
    ids = [_whole_life(ledger, f"bestellung-{name}") for name in ("tee", "茶", "🍵")]
    observation = seen(ledger.get(ids[0]).result().order_number, Status.PAID)
    ledger.record_notification("hk", notice(b"paid", ledger.now()), [observation], is_evidence=True).result()
    ran = cli("ledger", "export")
    assert (ran.code, ran.err) == (0, ""), ran
    records = _lines(ran)
    assert [r["type"] for r in records] == (["payment"] + ["event"] * 5) * 3 + ["notification"]
    assert sorted(r["id"] for r in records if r["type"] == "payment") == sorted(ids)
    assert "bestellung-🍵" in {r["payment"]["order"]["reference"] for r in records if r["type"] == "payment"}
    for line in ran.out.splitlines():
        _check_hash(line)


def _check_hash(line: str) -> None:
    """As docs/ledger.md describes it, with nothing of paycore's."""
    event = json.loads(line)
    if event["type"] == "event":
        change = line.partition('"change":')[2].rpartition(',"prev_hash":')[0]
        fields = (event["payment_id"], event["seq"], event["at"], event["source"])
        head = "".join(f"{field}\n" for field in fields)
        digest = hashlib.sha256(bytes.fromhex(event["prev_hash"]) + head.encode() + change.encode())
        assert digest.hexdigest() == event["hash"]
        assert event["seq"] > 1 or event["prev_hash"] == GENESIS.hex()


def test_export_holds_no_secret(cli: Cli, shop: SandboxServer) -> None:
    """Neither keys nor a scanned code are in an export, whatever was recorded with them."""
    from qfpay_alipay.sandbox.settings import CLIENT_KEY

    code = "280000000000001143"
    cli.create("scanned", "--channel", "barcode", "--auth-code", code)
    shop.gateway.faults.add("lose_reply")
    assert cli(*order("lost")).code == 5
    out = cli("ledger", "export").out
    assert '"scanned"' in out
    assert CLIENT_KEY not in out
    assert code not in out


def test_export_to_a_file_is_whole_and_private(cli: Cli, ledger: SqlLedger) -> None:
    """`--output` writes the same bytes into a file that only its owner can read, and leaves nothing beside it."""
    for n in range(3):
        _whole_life(ledger, f"order-{n}")
    before = _files()
    ran = cli("ledger", "export", "--output", "out.jsonl")
    assert (ran.code, ran.out, ran.err) == (
        (0, "", "wrote out.jsonl: 3 payments, 15 events, 0 notifications\n")
    )
    assert Path("out.jsonl").read_text(encoding="utf-8") == cli("ledger", "export").out
    assert stat.S_IMODE(Path("out.jsonl").stat().st_mode) == 0o600
    assert _files() == before | {"out.jsonl"}
    told = cli("ledger", "export", "--output", "other.jsonl", "--json")
    assert told.json == {"file": "other.jsonl", "payments": 3, "events": 15, "notifications": 0}
    assert cli("ledger", "export", "--output", "-").out == cli("ledger", "export").out


def test_export_never_overwrites_unless_told_to(cli: Cli, ledger: SqlLedger) -> None:
    """A file that is there stays; with --overwrite it is replaced as a whole, through a link too, and kept private."""
    _whole_life(ledger, "order-1")
    Path("out.jsonl").write_text("mine")
    _one_line(cli("ledger", "export", "--output", "out.jsonl"), "out.jsonl", "--overwrite", code=2)
    assert Path("out.jsonl").read_text() == "mine"
    Path("link.jsonl").symlink_to("out.jsonl")
    assert cli("ledger", "export", "--output", "link.jsonl", "--overwrite").code == 0
    assert Path("link.jsonl").is_symlink()
    assert Path("out.jsonl").read_text() == cli("ledger", "export").out
    assert stat.S_IMODE(Path("out.jsonl").stat().st_mode) == 0o600
    _one_line(cli("ledger", "export", "--overwrite"), "--output", code=2)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("paycore.db", "is a database"),
        ("/dev/null", "is not a file"),
        (".", "is not a file"),
        ("no/where", "No such"),
    ],
)
def test_export_refuses_what_it_must_not_replace(cli: Cli, ledger: SqlLedger, file: str, words: str) -> None:
    """The ledger itself, devices and folders are never replaced, whatever the options say."""
    payment_id = _whole_life(ledger, "order-1")
    _one_line(cli("ledger", "export", "--output", file, "--overwrite"), file, words, code=2)
    assert cli("ledger", "verify", payment_id).code == 0
    assert Path("/dev/null").is_char_device()


def test_export_without_room_leaves_nothing(cli: Cli, ledger: SqlLedger) -> None:
    """A disk that fills up half-way: one line, exit 2, no half export, and the old one as it was."""
    for n in range(40):
        _whole_life(ledger, f"order-{n}")
    Path("out.jsonl").write_text("the last one")
    before = _files()
    words = f"ulimit -f 100; {PAYCORE} ledger export --output out.jsonl --overwrite"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    assert "out.jsonl can't be written" in done.stderr
    assert Path("out.jsonl").read_text() == "the last one"
    assert _files() - before <= {"paycore.db-wal", "paycore.db-shm"}
    full = subprocess.run(
        ["bash", "-c", f"{PAYCORE} ledger export > /dev/full"], capture_output=True, text=True, check=False
    )
    assert (full.returncode, full.stderr.count("\n"), "No space" in full.stderr) == (2, 1, True), full


def test_whole_file_fails_and_nothing_is_there(tmp_path: Path) -> None:
    """Until a file is whole nothing has its name; when writing it fails nothing is left of it."""

    def write_half() -> None:
        with whole_file("--output", "new", overwrite=False) as file:
            file.write(b"half")
            (hidden,) = _files()
            assert (hidden.startswith(".new."), stat.S_IMODE(Path(hidden).stat().st_mode)) == (True, 0o600)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert _files() == set()
    with pytest.raises(UsageProblem, match=r"--output: no/new can't be written"):
        whole_file("--output", "no/new", overwrite=False).__enter__()


def test_export_reader_who_leaves_ends_it(ledger: SqlLedger) -> None:
    """`| head` prints no traceback, keeps the exit code, and ends the reading."""
    for future in [ledger.begin(begun(f"order-{n}")) for n in range(2000)]:
        future.result()
    words = f"({PAYCORE} ledger export; echo $? >&2) | head -1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert (done.stdout.count("\n"), done.stderr) == (1, "0\n"), done


def test_export_reads_no_further_than_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once nobody reads the lines, no more of them are made."""
    reading, writing = os.pipe()
    os.close(reading)
    lines = (f"line {n}" for n in itertools.count())
    with open(writing, "w", encoding="utf-8") as nobody:  # noqa: PTH123 - a descriptor, not a path
        monkeypatch.setattr(sys, "stdout", nobody)
        Output(GlobalOptions()).stream(lines)
        monkeypatch.undo()
    assert next(lines) == f"line {LINES_AT_ONCE}"


def test_export_is_utf_8_whatever_the_terminal_takes(cli: Cli, ledger: SqlLedger) -> None:
    """JSON is UTF-8, also where Python would print ASCII; words lose the characters there and do not fail."""
    _whole_life(ledger, "茶")
    assert '"茶"' in cli.installed("ledger", "export", PYTHONIOENCODING="ascii").out
    assert '"茶"' in cli.installed("show", "--reference", "茶", "--json", PYTHONIOENCODING="ascii").out
    ran = cli.installed("show", "--reference", "茶", PYTHONIOENCODING="ascii")
    assert (ran.code, "reference  ?" in ran.out, ran.err) == (0, True, ""), ran


# --- migrate -----------------------------------------------------------------------------------------


def test_migrate_makes_the_ledger_and_then_says_it_is_up_to_date(cli: Cli, database: Database) -> None:
    """Where there is no ledger one is made; where it has this schema already nothing is done. It tells from and to."""
    newest = load_migrations("sqlite")[-1].number
    ran = cli("ledger", "migrate", "--json")
    assert (ran.code, ran.err) == (0, ""), ran
    assert ran.json == {"ledger": ran.json["ledger"], "from": None, "to": newest}
    again = cli("ledger", "migrate")
    assert (again.code, again.out) == (0, f"{ran.json['ledger']} is up to date: schema {newest}\n"), again
    assert cli("ledger", "migrate", "--json").json["from"] == newest
    assert cli("ledger", "verify").out == "everything holds: 0 payments, 0 events\n"


def test_migrate_says_what_it_made(cli: Cli, tmp_path: Path) -> None:
    """A new ledger is named, without its password where it has one."""
    newest = load_migrations("sqlite")[-1].number
    _configure("sqlite:///paycore.db")
    assert cli("ledger", "migrate").out == f"made {tmp_path}/paycore.db with schema {newest}\n"
    assert Path("paycore.db").exists()


def test_migrate_shows_no_password(cli: Cli, postgres_dsn: str) -> None:
    """The ledger is named without the DSN's password."""
    _configure(postgres_dsn.replace("postgres@", f"postgres:{CANARY}@"))
    for words in (("migrate",), ("migrate",), ("migrate", "--json"), ("verify",)):
        ran = cli("ledger", *words)
        assert (ran.code, CANARY in ran.out + ran.err) == (0, False), ran


def test_older_schema_is_read_by_nobody_and_upgraded_by_migrate(
    cli: Cli, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """verify and export upgrade nothing: they name the command that does, and it tells from and to."""
    _whole_life(database.open(), "order-1")
    known = load_migrations("sqlite" if database.is_sqlite else "postgres")
    later = Migration(number=known[-1].number + 1, sql="ALTER TABLE inbox ADD COLUMN extra TEXT;", sha256="y")
    monkeypatch.setattr(migrations, "load_migrations", lambda _: (*known, later))
    for word in ("verify", "export"):
        _one_line(cli("ledger", word), f"schema {known[-1].number}", "`paycore ledger migrate`")
    ran = cli("ledger", "migrate")
    assert ran.out.endswith(f": schema {known[-1].number} -> {later.number}\n"), ran
    assert cli("ledger", "verify").out == "everything holds: 1 payment, 5 events\n"


@pytest.mark.parametrize("word", ["verify", "export", "migrate"])
def test_newer_schema_is_refused(cli: Cli, database: Database, word: str) -> None:
    """A ledger a newer paycore has upgraded is left alone, by all three: exit 6, and it says to upgrade."""
    database.open().close()
    database.run("INSERT INTO meta VALUES (9999, 'x', 0)")
    _one_line(cli("ledger", word), "9999", "upgrade paycore")
    assert cli("ledger", word, "--json").error["kind"] == "LedgerTooNew"


# --- ledgers that can't be used ----------------------------------------------------------------------


@pytest.mark.parametrize("word", ["verify", "export"])
def test_no_ledger_none_is_made(cli: Cli, database: Database, word: str) -> None:
    """Where there is no ledger: exit 6, what to do about it, and still none afterwards."""
    before = _files()
    _one_line(
        cli("ledger", word),
        "there is no ledger at",
        "`ledger` in the configuration",
        "`paycore ledger migrate`",
    )
    assert cli("ledger", word, "--json").error["kind"] == "LedgerUnavailable"
    assert _files() == before
    if not database.is_sqlite:
        with psycopg.connect(database.dsn) as shell:
            assert shell.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (
                0,
            )


WORDS = ("verify", "export", "migrate")


@pytest.mark.parametrize("word", WORDS)
def test_file_that_is_no_ledger(cli: Cli, word: str) -> None:
    """A file of something else, or another application's database: exit 6, its path, and it stays as it is."""
    _configure("sqlite:///paycore.db")
    Path("paycore.db").write_bytes(b"this is no database" * 100)
    _one_line(cli("ledger", word), "paycore.db", "not a ledger")
    assert Path("paycore.db").read_bytes() == b"this is no database" * 100
    Path("paycore.db").unlink()
    with closing(sqlite3.connect("paycore.db")) as other:
        other.execute("CREATE TABLE payments (id)")
    _one_line(cli("ledger", word), "paycore.db", "not a ledger")


def test_file_that_is_damaged(cli: Cli, ledger: SqlLedger) -> None:
    """Damage is met while reading: exit 6 and what to do, after what could be read."""
    for n in range(60):
        _whole_life(ledger, f"order-{n}")
    ledger.close()
    size = Path("paycore.db").stat().st_size
    with Path("paycore.db").open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(size // 2))
    for word in ("verify", "export"):
        ran = cli("ledger", word)
        assert (ran.code, ran.err.count("\n"), "restore a backup" in ran.err) == (6, 1, True), ran


def test_table_that_is_gone(cli: Cli, database: Database) -> None:
    """A ledger that has lost a table is told from one that has lost rows: exit 6."""
    database.open().close()
    database.run("DROP TABLE refunds")
    _one_line(cli("ledger", "verify"), "not paycore's", "refunds")


def test_text_that_is_none_is_a_difference(cli: Cli, ledger: SqlLedger) -> None:
    """Bytes that are no text, where text should be, end up as a difference and not as a crash."""
    payment_id = _whole_life(ledger, "order-1")
    with closing(sqlite3.connect("paycore.db")) as shell:
        shell.execute("UPDATE payments SET body = CAST(x'7bff' AS TEXT)")
        shell.commit()
    ran = cli("ledger", "verify", "--json")
    assert (ran.code, _lines(ran)[0]["payment_id"], _lines(ran)[0]["where"]) == (9, payment_id, "body"), ran
    assert cli("ledger", "export").code == 0


@pytest.mark.parametrize("word", WORDS)
def test_network_file_system_is_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """Where locks do not hold nothing is opened: exit 6, and where to put it instead."""
    _configure("sqlite:///paycore.db")
    table = Path("mountinfo")
    table.write_text(f"90 27 0:50 / {tmp_path} rw - nfs4 server:/share rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    _one_line(cli("ledger", word), "network file system (nfs4)", "local disk")
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
    """Who may not read it is told so; who may only read it verifies it while somebody has it open."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.chdir(folder)
        _configure("sqlite:///paycore.db")
        with closing(open_ledger(f"sqlite:///{folder}/paycore.db")) as ledger:
            _whole_life(ledger, "order-1")
            for file in Path(folder).iterdir():
                file.chmod(0o644)
            with _as_nobody():
                assert cli("ledger", "verify").code == 0
        with _as_nobody():
            _one_line(cli("ledger", "verify"), "can't be read", "run this as the user")
        Path("paycore.db").chmod(0o600)
        with _as_nobody():
            _one_line(cli("ledger", "verify"), "can't be read", "Permission denied")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{CANARY}@127.0.0.1:1/pay",
        f"postgresql://u:{CANARY}@no-such-host.invalid/pay",
        f"postgresql://u:{CANARY}@127.0.0.1:port/pay",
        f"postgresql://u:{CANARY}%@127.0.0.1/pay",
    ],
)
def test_wrong_dsn_is_one_line_without_the_password(cli: Cli, dsn: str, word: str) -> None:
    """Whatever is wrong with the DSN: exit 6, one line, no password."""
    _configure(dsn)
    ran = cli("ledger", word)
    _one_line(ran)
    assert CANARY not in ran.err


def test_database_that_is_not_there_or_down(
    cli: Cli, postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    """No such database, or no server: at once, exit 6, in one line that names it."""
    _configure(postgres_server.dsn("nowhere"))
    for word in WORDS:
        _one_line(cli("ledger", word), "can't be reached", "nowhere")
    _configure(postgres_dsn)
    postgres_server.stop("immediate")
    begun_at = time.monotonic()
    try:
        for word in WORDS:
            _one_line(cli("ledger", word), "can't be reached", "check that PostgreSQL runs")
    finally:
        postgres_server.start()
    assert time.monotonic() - begun_at < 10


def test_read_only_database_is_verified(cli: Cli, postgres_server: PostgresServer, postgres_dsn: str) -> None:
    """A standby, or a user who may only read, is enough to verify and export; to migrate it says what is missing."""
    with closing(open_ledger(postgres_dsn)) as ledger:
        _whole_life(ledger, "order-1")
    name = psycopg.conninfo.conninfo_to_dict(postgres_dsn)["dbname"]
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    _configure(postgres_dsn)
    assert cli("ledger", "verify").out == "everything holds: 1 payment, 5 events\n"
    assert cli("ledger", "export").out.count("\n") == 6
    with psycopg.connect(postgres_dsn, autocommit=True) as shell:
        shell.execute("SET default_transaction_read_only = off")
        shell.execute("DELETE FROM meta")
    _one_line(cli("ledger", "migrate"), "can't be written")


# --- show --------------------------------------------------------------------------------------------


def test_show_says_when_the_payment_is_not_as_its_history_says(cli: Cli, database: Database) -> None:
    """`show` tells what it can of a tampered payment, and warns with the place and the command that tells more."""
    payment_id = _whole_life(database.open(), "order-1")
    assert cli("show", payment_id).err == ""
    database.run(f"UPDATE payments SET paid_minor = 1 WHERE id = '{payment_id}'")
    ran = cli("show", payment_id)
    assert (ran.code, ran.err.count("\n")) == (0, 1), ran
    assert f"(paid_minor); `paycore ledger verify {payment_id}`" in ran.err
    database.run(
        *FREE_EVENTS[database.is_sqlite], f"DELETE FROM events WHERE seq = 1 AND payment_id = '{payment_id}'"
    )
    ran = cli("show", payment_id)
    assert (ran.code, "(event 1)" in ran.err, "the provider says paid" in ran.out) == (0, True, True), ran
