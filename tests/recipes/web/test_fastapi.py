"""The FastAPI shop, by uvicorn."""

import pytest

from tests.recipes.web.conftest import Shop, wait_until


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.proof), 2])
def test_fastapi_shop_sells(shop: Shop, workers: int) -> None:
    """Every order is made once, paid, known by its notification, and delivered once by one of the workers."""
    options = [f"--port={shop.port}", f"--workers={workers}"]
    with shop.process("uvicorn", "fastapi_shop:app", *options):
        shop.wait_until_open()
        sold = shop.sell()
        assert shop.refuses() == [400, 404]
        wait_until(lambda: shop.notified() >= len(sold))
        wait_until(lambda: len(shop.parcels()) == len(sold))
    assert shop.is_closed()
    assert sorted(shop.parcels()) == sorted(sold)
