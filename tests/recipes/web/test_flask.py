"""The Flask shop, by gunicorn."""

import pytest

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
        assert shop.notified() == len(sold)
    assert shop.is_closed()
    with shop.process("flask", "--app", "flask_shop", "deliver"):
        wait_until(lambda: len(shop.parcels()) == len(sold))
    assert sorted(shop.parcels()) == sorted(sold)


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
        with pytest.raises(AssertionError):
            shop.sell(1)
    log = (shop.folder / "gunicorn.log").read_text()
    assert "this ledger was opened before the process forked; open a client of its own in each process" in log
