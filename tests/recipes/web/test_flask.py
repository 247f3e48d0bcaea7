"""The Flask shop, by gunicorn."""

import re
import runpy

import psycopg
import pytest

import paycore
from paycore.errors import ConfigError
from tests.recipes.web.conftest import RECIPES, Shop, wait_until

WORKERS = [
    "--workers=2 --worker-class=gevent --preload",
    *(
        pytest.param(options, marks=pytest.mark.proof)
        for options in (
            "--workers=2 --worker-class=gevent",
            "--workers=2 --threads=4 --preload",
            "--workers=2 --threads=4",
            "--workers=2 --preload",
            "--workers=2",
        )
    ),
]


@pytest.mark.parametrize("workers", WORKERS)
def test_flask_shop_sells(shop: Shop, workers: str) -> None:
    """Every order is made once, paid, known by its notification, and delivered once, whichever workers serve."""
    with shop.process("gunicorn", "flask_shop:app", f"--bind=127.0.0.1:{shop.port}", *workers.split()):
        shop.wait_until_open()
        sold = shop.sell()
        assert shop.refuses() == [400, 404]
        wait_until(lambda: shop.notified() >= len(sold))
    assert shop.is_closed()
    with shop.process("flask", "--app", "flask_shop", "deliver"):
        wait_until(lambda: len(shop.parcels()) == len(sold))
    assert sorted(shop.parcels()) == sorted(sold)


def test_flask_shop_says_what_it_could_not_order(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payer whose order can't be made is told that they have not been charged."""
    monkeypatch.setenv("SHOP_SECRET", "a-secret")
    config = shop.folder / "paycore.toml"
    config.write_text(config.read_text().replace('default_method = "alipay"', ""))
    try:
        app = runpy.run_path(str(RECIPES / "flask_shop.py"))["app"]
        visitor = app.test_client()
        found = re.search(r'action="([^"]+)"', visitor.get("/").text)
        assert found
        answer = visitor.post(found[1])
        assert (answer.status_code, answer.text) == (
            503,
            "Nothing was ordered, and you have not been charged.",
        )
        assert visitor.get(found[1]).status_code == 404
    finally:
        paycore.close_shared_client()


def test_flask_shop_does_not_start_with_an_account_that_cannot_be_used(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import fails with what is to be corrected."""
    monkeypatch.setenv("SHOP_SECRET", "a-secret")
    config = shop.folder / "paycore.toml"
    config.write_text(config.read_text().replace('region = "hk"', 'region = "nowhere"'))
    try:
        with pytest.raises(ConfigError, match="region"):
            runpy.run_path(str(RECIPES / "flask_shop.py"))
    finally:
        paycore.close_shared_client()


@pytest.mark.proof
@pytest.mark.parametrize("workers", ["--worker-class=gevent --preload", "--threads=4 --preload"])
def test_flask_shop_sells_on_postgresql(shop: Shop, postgres_dsn: str, workers: str) -> None:
    """The same on PostgreSQL, where each process has connections of its own."""
    config = shop.folder / "paycore.toml"
    config.write_text(config.read_text().replace("sqlite:///paycore.db", postgres_dsn))
    options = [f"--bind=127.0.0.1:{shop.port}", "--workers=2", *workers.split()]
    with shop.process("gunicorn", "flask_shop:app", *options):
        shop.wait_until_open()
        assert len(set(shop.sell(8))) == 8
    with psycopg.connect(postgres_dsn) as connection:
        others = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert others == (0,)


@pytest.mark.proof
def test_flask_shop_with_a_client_in_a_module_fails_when_preloaded(shop: Shop) -> None:
    """What the recipe avoids: a client that is opened at import is its parent's in every worker."""
    source = (RECIPES / "flask_shop.py").read_text()
    kept = source.replace("paycore.shared_client()", "PAY").replace(
        "PRICE =", "PAY = paycore.Client()\nPRICE ="
    )
    (shop.folder / "kept_shop.py").write_text(kept)
    options = [f"--bind=127.0.0.1:{shop.port}", "--workers=2", "--preload"]
    with shop.process("gunicorn", "kept_shop:app", *options, PYTHONPATH=str(shop.folder)):
        shop.wait_until_open()
        with pytest.raises(KeyError, match="location"):  # it leads nobody anywhere
            shop.sell(1)
    log = (shop.folder / "gunicorn.log").read_text()
    assert "this ledger was opened before the process forked; open a client of its own in each process" in log
