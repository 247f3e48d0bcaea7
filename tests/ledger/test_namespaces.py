"""One reference is one payment in the whole ledger, or in its account's namespace."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paycore import Payment
from paycore.domain.events import NamespaceGiven, Source
from paycore.errors import ReferenceConflict
from paycore.ledger import migrations, open_ledger
from paycore.ledger.audit import verify
from paycore.ledger.base import SqlLedger
from paycore.ledger.migrations import load_migrations
from paycore.ledger.opening import migrate, open_read_only
from tests.ledger.conftest import Database
from tests.ledger.workload import begun, paid_payment, refunding

REPEATS = Path(__file__).parent / "saved" / "repeats_0004.sql"
"""References of hk, then of cn, then of sg: `order-1` on all three, `order-2` on hk and cn, `only-...` on one each."""

OF_SCHEMA_4 = 4


def begin(ledger: SqlLedger, reference: str, account: str, namespace: str = "", *, is_new: bool) -> Payment:
    committed = ledger.begin(*begun(reference, account=account, namespace=namespace)).result()
    assert bool(committed.events) is is_new
    return committed.payment


# --- begin -------------------------------------------------------------------------------------------


def test_begin_reference_of_another_account_returns_its_payment(database: Database) -> None:
    """By any account one reference is one payment."""
    one = begin(database.open(), "order-1", "a", is_new=True)
    ledger = database.open()
    assert begin(ledger, "order-1", "b", is_new=False) == one
    assert ledger.find(None, "order-1").result() == (one,)
    assert ledger.find("a", "order-1").result() == (one,)
    assert ledger.find("b", "order-1").result() == ()


def test_begin_same_reference_in_another_namespace_is_another_payment(ledger: SqlLedger) -> None:
    """Accounts whose references may collide have namespaces."""
    one = begin(ledger, "order-1", "a", is_new=True)
    other = begin(ledger, "order-1", "b", "shop-b", is_new=True)
    assert (one.namespace, other.namespace) == ("", "shop-b")
    assert begin(ledger, "order-1", "c", "shop-b", is_new=False) == other
    assert ledger.find(None, "order-1").result() == (one, other)


def test_begin_own_reference_after_the_namespace_changed_is_the_same_payment(ledger: SqlLedger) -> None:
    """A namespace configured later never makes an account's payment a second time."""
    one = begin(ledger, "order-1", "a", is_new=True)
    begin(ledger, "order-1", "b", "shop", is_new=True)
    assert begin(ledger, "order-1", "a", "shop", is_new=False) == one
    assert begin(ledger, "order-1", "c", "shop", is_new=False).account == "b"


def test_begin_by_many_accounts_at_once_makes_one_payment(database: Database) -> None:
    """Of many callers over two ledgers and four accounts one begins; the others get its payment."""
    ledgers = [database.open(), database.open()]
    for turn in range(5):
        futures = [ledgers[n % 2].begin(*begun(f"order-{turn}", account=f"a{n % 4}")) for n in range(40)]
        results = [future.result() for future in futures]
        assert len({committed.payment.id for committed in results}) == 1
        assert sum(bool(committed.events) for committed in results) == 1


def test_verify_knows_the_namespace(database: Database) -> None:
    """A wrong namespace of a payment or a refund is a difference."""
    ledger = database.open()
    payment = paid_payment(ledger, "order-1", namespace="shop-a")
    ledger.change(payment.id, refunding("back-1"), Source.CALLER).result()
    assert [verdict.difference for verdict in verify(ledger)] == [None]
    for table, where in (("payments", "namespace"), ("refunds", "refunds namespace")):
        for other in ("'shop-b'", "NULL"):
            database.run(f"UPDATE {table} SET namespace = {other}")
            (verdict,) = verify(ledger)
            assert verdict.difference is not None
            assert (verdict.difference.where, verdict.difference.derived) == (where, "shop-a")
        database.run(f"UPDATE {table} SET namespace = 'shop-a'")


# --- ledgers of before -------------------------------------------------------------------------------


@pytest.fixture
def repeats(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The ledger of schema 4 with references repeated over accounts, not opened since, on either database."""
    return restore_schema_4(REPEATS, database, tmp_path, monkeypatch)


def restore_schema_4(
    saved: Path, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """Restore a saved ledger of schema 4."""
    file = Path(database.dsn.removeprefix("sqlite:///")) if database.is_sqlite else folder / "saved.db"
    with closing(sqlite3.connect(file)) as old:
        old.executescript(saved.read_text())
        if not database.is_sqlite:
            known = load_migrations("postgres")[:OF_SCHEMA_4]
            with monkeypatch.context() as patch:
                patch.setattr(migrations, "load_migrations", lambda _: known)
                patch.setattr(SqlLedger, "_finish_upgrade", lambda _: None)
                open_ledger(database.dsn).close()
            for table in ("payments", "operations", "refunds", "events", "inbox"):
                database.copy(table, old)
    return database


def test_upgrade_keeps_repeated_references_findable(
    repeats: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The first payment keeps the reference; the others get their account's name as namespace; all are found."""
    ledger = repeats.open()
    found = {payment.account: payment.namespace for payment in ledger.find(None, "order-1").result()}
    assert found == {"hk": "", "cn": "cn", "sg": "sg"}
    for account in found:
        (payment,) = ledger.find(account, "order-1").result()
        assert payment.account == account
    assert {p.namespace for p in ledger.find(None, "only-cn").result()} == {""}
    (renamed,) = ledger.find("sg", "order-1").result()
    (given,) = [e for e in ledger.events(renamed.id).result() if isinstance(e.change, NamespaceGiven)]
    assert given.source is Source.OPERATOR
    assert [verdict.difference for verdict in verify(ledger)] == [None] * 8
    told = [record.getMessage() for record in caplog.records]
    assert ["[accounts.cn]" in told[0], "[accounts.sg]" in told[1], len(told)] == [True, True, 2]


@pytest.mark.parametrize("is_written", [False, True], ids=["as it was", "as advised"])
def test_upgrade_never_makes_a_second_payment(repeats: Database, is_written: bool) -> None:
    """With or without configured namespaces every account gets its own payment."""
    ledger = repeats.open()
    namespaces = {"hk": "", "cn": "cn", "sg": "sg"} if is_written else dict.fromkeys(("hk", "cn", "sg"), "")
    for account, namespace in namespaces.items():
        for reference in ("order-1", f"only-{account}"):
            known = begin(ledger, reference, account, namespace, is_new=False)
            assert known.account == account
    assert begin(ledger, "order-2", "sg", "", is_new=False).account == "hk"
    assert begin(ledger, "only-cn", "another", "", is_new=False).account == "cn"


def test_upgrade_keeps_refunds_apart(repeats: Database) -> None:
    """Repeated refund references stay with their payments, and are free in other namespaces."""
    ledger = repeats.open()
    (only,) = ledger.find("sg", "only-sg").result()
    for reference in ("back-order-1", "back-only-cn"):
        with pytest.raises(ReferenceConflict):
            ledger.change(only.id, refunding(reference), Source.CALLER).result()
    assert ledger.change(only.id, refunding("back-only-sg"), Source.CALLER).result().events
    assert all(verdict.difference is None for verdict in verify(ledger))


def test_upgrade_of_refunds_that_repeat_alone(repeats: Database) -> None:
    """Where only a refund's reference repeats, payments keep theirs and the first refund keeps its own."""
    repeats.run("UPDATE refunds SET reference = 'back-only' WHERE reference LIKE 'back-only-%'")
    ledger = repeats.open()
    names = ledger.read(
        lambda tx: tx.execute(
            "SELECT account, namespace FROM refunds WHERE reference = 'back-only' ORDER BY account"
        ).fetchall()
    ).result()
    assert names == [("cn", ""), ("hk", None)]


def test_migrate_tells_the_namespaces(repeats: Database) -> None:
    """Every run of `migrate` reports the assigned namespaces."""
    assert migrate(repeats.dsn).namespaces == {"cn": 2, "sg": 1}
    assert migrate(repeats.dsn).namespaces == {"cn": 2, "sg": 1}


def test_killed_upgrade_is_finished_by_the_next(repeats: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration killed before it filled its columns is finished by the next opening."""
    with monkeypatch.context() as patch:
        patch.setattr(SqlLedger, "_finish_upgrade", lambda _: None)
        repeats.open().close()
    with closing(open_read_only(repeats.dsn)) as reader:
        assert any(verdict.difference is not None for verdict in verify(reader))
    assert all(verdict.difference is None for verdict in verify(repeats.open()))
