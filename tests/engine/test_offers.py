"""An application reads what its accounts offer, before it sends anything."""

from pathlib import Path

from msgspec.structs import replace

from tests.engine.tills import Kind, Till
from tests.support.toy_http import toy_config, toy_plugins

CANARY = "c4n4ry-key"


def test_accounts_tell_their_products_and_problems(kind: Kind, tmp_path: Path) -> None:
    """Each account with its products, bounds and fields; one that can't be used says why, without its key."""
    config = toy_config("http://127.0.0.1:1", f"sqlite:///{tmp_path / 'ledger.db'}")
    accounts = {
        **config.accounts,
        "wrong": replace(config.accounts["toy"], name="wrong", settings={"key": CANARY, "proof_s": "soon"}),
        "gone": replace(config.accounts["toy"], name="gone", provider="nobody"),
    }
    till = Till(kind, replace(config, accounts=accounts), toy_plugins())
    try:
        toy, wrong, gone = till.do("accounts")
    finally:
        till.shutdown()
    assert (toy.name, toy.provider, toy.mode, toy.is_default) == ("toy", "toy", "sandbox", True)
    assert (toy.base_urls[""], toy.problem) == ("http://127.0.0.1:1", None)
    (web,) = [product for product in toy.products if product.channel == "web"]
    assert web.currencies["HKD"] == (1, 10_000_000)
    assert web.optional >= {"subject", "return_url"}
    assert [product.channel for product in toy.products] == sorted(
        product.channel for product in toy.products
    )
    assert (wrong.products, wrong.is_default) == ((), False)
    assert wrong.problem.startswith("paycore.toml: accounts.wrong.proof_s: ")
    assert "no plugin offers the provider 'nobody'" in gone.problem
    assert CANARY not in wrong.problem + repr((toy, wrong, gone))
