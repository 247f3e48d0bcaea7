"""The matrix of the documentation has every provider, and each thing that it declares."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from examples.providers.bank_transfer import BankTransfer
from paycore.plugin import Capabilities, RequestBudget, Resend
from scripts import capability_matrix
from tests.switching.conftest import METHODS, ROOT


def test_matrix_has_every_provider() -> None:
    """A plugin of this repository that is not in it would not be known to whoever chooses one."""
    (_, *names), *_ = capability_matrix.providers_matrix()
    folders = {path.parent.name.replace("_", "-") for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert {name.strip("`") for name in names} == {*METHODS} == {*folders, "bank-transfer"}
    products = {row[0].partition("`")[2].partition("`")[0] for row in capability_matrix.products_matrix()[1:]}
    assert products == {*METHODS}


def _product(**fields: Any) -> Callable[[Capabilities], Capabilities]:
    return lambda known: msgspec.structs.replace(
        known, products=tuple(msgspec.structs.replace(product, **fields) for product in known.products)
    )


def _capability(**fields: Any) -> Callable[[Capabilities], Capabilities]:
    return lambda known: msgspec.structs.replace(known, **fields)


@pytest.mark.parametrize(
    "change",
    [
        _product(currencies={"EUR": (1, 2)}),
        _product(required=frozenset({"return_url"})),
        _product(optional=frozenset({"subject"})),
        _product(extra=frozenset({"locale"})),
        _product(optional=frozenset({"expires_in_s"}), expires_in_s=(300, 7200)),
        _product(capture="full"),
        _product(refund="partial"),
        _product(close=True),
        _capability(budget=RequestBudget(per_second=1, per_minute=2)),
        _capability(query_batch_max=9),
        _capability(query_proves_absence_after_s=None),
        _capability(create_resend=Resend("same_result", 3600.0)),
        _capability(create_resend=Resend("unsafe")),
    ],
)
def test_matrix_changes_with_what_is_declared(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Capabilities], Capabilities]
) -> None:
    """So the page is out of date, and its test fails, once a provider declares something else."""
    before = (capability_matrix.products_matrix(), capability_matrix.providers_matrix())
    monkeypatch.setattr(BankTransfer, "capabilities", change(BankTransfer.capabilities))
    assert (capability_matrix.products_matrix(), capability_matrix.providers_matrix()) != before


def test_matrix_shows_a_product_once_where_all_accounts_have_it() -> None:
    """Kinds of accounts are named only where they differ."""
    rows = [row for row in capability_matrix.products_matrix() if row[0].startswith("`qfpay-alipay`")]
    assert len({row[1:] for row in rows}) == len(rows)
    assert {row[0] for row in rows} == {"`qfpay-alipay`", "`qfpay-alipay` (hk)", "`qfpay-alipay` (overseas)"}


def test_provider_of_one_file_is_installed_as_it_is(installed_bank: Path) -> None:
    """The file's own project makes a plugin of it, with provider and sandbox."""
    ran = subprocess.run(
        [Path(sys.executable).parent / "paycore", "plugins", "list", "--json"],
        env={**os.environ, "PYTHONPATH": str(installed_bank)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (bank,) = [row for row in map(json.loads, ran.stdout.splitlines()) if row["plugin"] == "bank-transfer"]
    assert bank["distribution"] == "paycore-bank-transfer"
    assert [(offer["kind"], offer["name"]) for offer in bank["offers"]] == [
        ("provider", "bank-transfer"),
        ("sandbox", "bank-transfer"),
    ]
