"""`paycore ledger verify`: finds tampering and reports where."""

import re
import signal
import sqlite3
from contextlib import closing

import pytest

from paycore.domain.events import chain_hash
from paycore.errors import LedgerError
from paycore.ledger.base import SqlLedger
from paycore.ledger.opening import open_read_only
from tests.cli.conftest import Cli
from tests.cli.ledger.ledgers import lines, one_line, whole_life
from tests.cli.test_terminal import Terminal
from tests.ledger.conftest import Database
from tests.ledger.workload import begun, paid_payment


def test_verify_untouched_prints_one_line(cli: Cli, database: Database) -> None:
    """An untouched ledger: exit 0, and one line with the numbers of payments and events checked."""
    ledger = database.open()
    for n in range(3):
        whole_life(ledger, f"order-{n}")
    ran = cli("ledger", "verify")
    assert (ran.code, ran.out, ran.err) == (0, "everything holds: 3 payments, 15 events\n", ""), ran
    ran = cli("ledger", "verify", "--json")
    assert ran.json == {"type": "summary", "payments": 3, "events": 15, "differences": 0}


def test_verify_empty_ledger_holds(cli: Cli, ledger: SqlLedger) -> None:
    """A ledger without payments has no differences."""
    assert cli("ledger", "verify").out == "everything holds: 0 payments, 0 events\n"


TAMPERINGS = {
    "row": (("UPDATE payments SET paid_minor = 1 WHERE id = '{id}'",), "paid_minor", "1", "8800"),
    "status": (("UPDATE payments SET status = 'failed' WHERE id = '{id}'",), "status", "failed", "paid"),
    "body": (
        ("UPDATE payments SET body = replace(body, '\"C1-', '\"C2-') WHERE id = '{id}'",),
        "body charges",
        '"C2-',
        '"C1-',
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
    "all events deleted": (
        ("DELETE FROM events WHERE payment_id = '{id}'",),
        "events",
        "none",
        "payment_begun",
    ),
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
            "DELETE FROM charges WHERE payment_id = '{id}'",
            "DELETE FROM payments WHERE id = '{id}'",
        ),
        "payments",
        "no row",
        "`events` names it",
    ),
}


@pytest.mark.parametrize("kind", TAMPERINGS)
def test_verify_tampered_says_where(cli: Cli, database: Database, kind: str) -> None:
    """Any tampering: exit 9, and the payment, the place, the stored and the expected value."""
    statements, where, stored, derived = TAMPERINGS[kind]
    ledger = database.open()
    ids = [whole_life(ledger, f"order-{n}") for n in range(3)]
    database.tamper(
        *(statement.format(id=ids[1]) for statement in statements),
    )
    difference, *more, summary = lines(ran := cli("ledger", "verify", "--json"))
    assert (ran.code, ran.err) == (9, ""), ran
    assert list(difference) == ["type", "payment_id", "where", "stored", "derived"]
    assert (difference["type"], difference["payment_id"], difference["where"]) == (
        "difference",
        ids[1],
        where,
    )
    assert stored in difference["stored"]
    assert derived in difference["derived"]
    assert {line["payment_id"] for line in more} <= {None}
    assert (summary["type"], summary["payments"], summary["differences"]) == ("summary", 3, 1 + len(more))
    told = cli("ledger", "verify")
    assert (told.code, "a person must look" in told.err) == (9, True), told
    block = [line.split(maxsplit=1) for line in told.out.split("\n\n")[0].splitlines()]
    assert block == [
        ["payment", ids[1]],
        ["where", where],
        ["stored", difference["stored"]],
        ["derived", difference["derived"]],
    ]
    assert re.match(r"\d differences?: 3 payments, ", told.out.splitlines()[-1])
    assert cli("ledger", "verify", ids[0]).code == 0
    assert cli("ledger", "verify", ids[1]).code == 9


def test_verify_each_payment_with_a_difference(cli: Cli, ledger: SqlLedger) -> None:
    """Each payment that differs is reported once, with its first difference; --quiet leaves the data alone."""
    ids = [whole_life(ledger, f"order-{n}") for n in range(3)]
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
    """A single payment is verified, found by its id or by the caller's reference."""
    whole, other = whole_life(ledger, "order-1"), whole_life(ledger, "order-2")
    with closing(sqlite3.connect("paycore.db")) as shell:
        shell.execute("UPDATE payments SET paid_minor = 1 WHERE id = ?", (other,))
        shell.commit()
    for words in ([whole], ["--reference", "order-1"]):
        ran = cli("ledger", "verify", *words)
        assert (ran.code, ran.out) == (0, "everything holds: 1 payment, 5 events\n"), ran
    assert cli("ledger", "verify", "--reference", "order-2").code == 9
    one_line(cli("ledger", "verify", "nobody"), "nobody", code=2)
    one_line(cli("ledger", "verify", "--reference", "nobody"), "nobody", code=2)
    one_line(cli("ledger", "verify", whole, "--reference", "order-1"), "not by both", code=2)


def test_verify_reference_in_two_namespaces_needs_the_account(cli: Cli, ledger: SqlLedger) -> None:
    """A reference in two namespaces needs --account; verifying the whole ledger refuses --account."""
    whole_life(ledger, "same")
    paid_payment(ledger, "same", account="till", namespace="till")
    one_line(cli("ledger", "verify", "--reference", "same"), "hk, till; name the account", code=2)
    assert "1 payment, 5 events" in cli("ledger", "verify", "--reference", "same", "--account", "hk").out
    assert "1 payment, 3 events" in cli("ledger", "verify", "--reference", "same", "--account", "till").out
    for word in ("verify", "export"):
        one_line(cli("ledger", word, "--account", "hk"), "--account", code=2)


def test_verify_while_others_write(cli: Cli, database: Database) -> None:
    """A ledger that is written to meanwhile has no differences."""
    ledger = database.open()
    futures = []
    for n in range(10):
        futures += [ledger.begin(*begun(f"order-{n}-{m}")) for m in range(40)]
        ran = cli("ledger", "verify")
        assert ran.code == 0, ran
    assert all(future.result().events for future in futures)


def test_verify_on_a_terminal_shows_progress_and_survives_ctrl_c(ledger: SqlLedger) -> None:
    """A long run shows a progress line; Ctrl-C ends it with exit 130 and one line."""
    futures = [ledger.begin(*begun(f"order-{n}")) for n in range(15_000)]
    assert all(future.result().events for future in futures)
    with Terminal("ledger", "verify") as terminal:
        terminal.read_until(lambda text: "payments, " in text)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
    assert "payments, " in terminal.text
    assert terminal.text.rsplit("\r\x1b[K", 1)[1].endswith("interrupted; nothing was changed\r\n")


@pytest.mark.parametrize("change", ["nonsense", '{"type": "proven_absent", "number": 5}', "[]", "\x00"])
def test_verify_reports_a_forged_event_with_a_valid_hash(cli: Cli, ledger: SqlLedger, change: str) -> None:
    """A forged event with a valid hash is reported as a difference and does not crash."""
    payment_id = whole_life(ledger, "order-1")
    last = ledger.events(payment_id).result()[-1]
    at_ms = round(last.at.timestamp() * 1000)
    forged = chain_hash(last.prev_hash, payment_id, last.seq, at_ms, last.source, change.encode())
    with closing(sqlite3.connect("paycore.db")) as shell:
        shell.execute("DROP TRIGGER events_are_never_updated")
        shell.execute("UPDATE events SET change = ?, hash = ? WHERE seq = ?", (change, forged, last.seq))
        shell.execute("UPDATE payments SET head = ?", (forged,))
        shell.commit()
    ran = cli("ledger", "verify", "--json")
    assert (ran.code, lines(ran)[0]["where"]) == (9, f"event {last.seq}"), ran
    assert cli("ledger", "export").code == 0


def test_unreadable_ids_are_differences_and_do_not_end_the_check(cli: Cli, ledger: SqlLedger) -> None:
    """Payments after an unreadable id are still read, each once, wherever the id is and if it repeats."""
    ids = sorted(whole_life(ledger, f"order-{n}") for n in range(4))
    with closing(sqlite3.connect("paycore.db")) as shell:
        for payment_id, raw in zip(
            ids, (b"\x00\xff", ids[1].encode() + b"\xff", b"\xff", ids[3].encode()), strict=True
        ):
            shell.execute("UPDATE payments SET id = CAST(? AS TEXT) WHERE id = ?", (raw, payment_id))
        shell.commit()
    ran = cli("ledger", "verify", "--json")
    assert ran.code == 9, ran
    assert [line["payment_id"] for line in lines(ran)[:-1]].count("\ufffd") == 1
    exported = cli("ledger", "export")
    assert exported.code == 0, exported
    assert [line["type"] for line in lines(exported)].count("payment") == 4
    listed = cli("list", "--json")
    assert (listed.code, len(lines(listed))) == (0, 4), listed


def test_verify_can_not_write(database: Database) -> None:
    """A ledger opened for reading refuses statements that write."""
    database.open().close()
    with closing(open_read_only(database.dsn)) as ledger:
        deleting = ledger.read(lambda tx: tx.executemany("DELETE FROM meta WHERE schema = ?", [(1,)]))
        with pytest.raises(LedgerError):
            deleting.result()
        assert ledger.applied()


def test_show_warns_of_a_payment_that_differs_from_its_history(cli: Cli, database: Database) -> None:
    """`show` prints a tampered payment, and warns with the place and the command that tells more."""
    payment_id = whole_life(database.open(), "order-1")
    assert cli("show", payment_id).err == ""
    database.run(f"UPDATE payments SET paid_minor = 1 WHERE id = '{payment_id}'")
    ran = cli("show", payment_id)
    assert (ran.code, ran.err.count("\n")) == (0, 1), ran
    assert f"(paid_minor); `paycore ledger verify {payment_id}`" in ran.err
    database.tamper(f"DELETE FROM events WHERE seq = 1 AND payment_id = '{payment_id}'")
    ran = cli("show", payment_id)
    assert (ran.code, "(event 1)" in ran.err, "the provider says paid" in ran.out) == (0, True, True), ran
