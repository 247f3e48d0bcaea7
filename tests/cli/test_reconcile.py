"""`paycore reconcile` prints what differs, says what to do about it, and exits 9 while a person must look."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.engine.reconcile.shops import Shop, shop_at

CONFIG = """
ledger = "sqlite:///ledger-0.db"

[accounts.shop]
provider = "stripe-checkout"
mode = "sandbox"
base_url = "{url}"
api_key = "{api_key}"
webhook_secret = "{webhook_secret}"
"""


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop at Stripe's sandbox whose restored ledger has lost a payment, and a second order of another."""
    with shop_at("stripe-checkout", tmp_path) as shop:
        (tmp_path / "paycore.toml").write_text(CONFIG.format(url=shop.sandbox.url, **shop.sandbox.settings))
        monkeypatch.chdir(tmp_path)
        with shop.open() as pay:
            pay.list()
        backup = shop.backup()
        with shop.open() as pay:
            shop.paid(pay, "=cmd|order")
            shop.paid(pay, "twice")
        shutil.copy(backup, shop.file)
        for rest in tmp_path.glob("ledger-0.db-*"):
            rest.unlink()
        with shop.open() as pay:
            shop.paid(pay, "twice")
        yield shop


def test_tells_a_person_first_what_to_do(cli: Cli, lost: Shop) -> None:
    """What must be looked at comes first, with number and advice; the exit code says so; nothing is overwritten."""
    ran = cli("reconcile", "--since", "2h")
    assert ran.code == 9
    head, twice, back = ran.out.splitlines()[:3]
    assert head.split() == ["WHAT", "REFERENCE", "AMOUNT", "STATUS"]
    assert twice.split()[:4] == ["look", "paid", "twice", "twice"]
    assert back.split()[:4] == ["settled", "missing", "here", "=cmd|order"]
    assert "has taken the money too: give one of the two back" in ran.out
    assert "compared 3 orders and 0 refunds: 1 difference settled, 1 to look at" in ran.err
    shown = cli("show", "--reference", "=cmd|order")
    assert "brought back" in shown.out
    assert "brought back from the provider's list: 25.99 EUR" in shown.out
    assert "subject" in cli("show", "--reference", "=cmd|order", "--json").json["untold"]


def test_csv_and_json_have_the_same(cli: Cli, lost: Shop) -> None:
    """CSV opens in a spreadsheet without a formula; JSON has both amounts in minor units."""
    ran = cli("reconcile", "--since", "2h", "--csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    by_kind = {row["kind"]: row for row in rows}
    assert (ran.code, len(rows)) == (9, 2)
    assert (by_kind["missing_here"]["settled"], by_kind["missing_here"]["reference"]) == (
        "true",
        "'=cmd|order",
    )
    document = json.loads(cli("reconcile", "--since", "2h", "--json").out)
    (twice,) = document["discrepancies"]
    row = by_kind["paid_twice"]
    assert (document["orders"], document["foreign"], document["needs_person"]) == (3, 0, True)
    assert (twice["number"], twice["payment_id"]) == (row["number"], row["payment_id"])
    assert (twice["amount_there"], twice["amount_there_minor"], twice["currency"]) == ("25.99", 2599, "EUR")


def test_exits_0_where_nothing_is_left_to_look_at(cli: Cli, lost: Shop) -> None:
    """Before the time of the second order nothing differs."""
    at = datetime.now(UTC) - timedelta(hours=1)
    ran = cli("reconcile", "--since", "2h", "--until", at.isoformat())
    assert (ran.code, ran.out) == (0, "")
    assert "compared 0 orders and 0 refunds: nothing differs" in ran.err


MISTAKES: tuple[tuple[tuple[str, ...], str], ...] = (
    ((), "--since"),
    (("--since", "yesterday"), "neither a time such as"),
    (("--since", "2030-01-01"), "--since must be in the past"),
    (("--since", "1h", "--until", "2h"), "--since must be before --until"),
    (("--since", "1h", "--csv", "--json"), "two formats"),
)


def test_mistakes_are_told_before_anything_is_asked(cli: Cli, lost: Shop) -> None:
    """Usage, exit code 2."""
    asked = lost.sandbox.gateway.controls.stats()
    for words, says in MISTAKES:
        ran = cli("reconcile", *words)
        assert (ran.code, says in ran.err) == (2, True), ran
    assert lost.sandbox.gateway.controls.stats() == asked
