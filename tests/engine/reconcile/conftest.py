"""Shops of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.reconcile.shops import Shop, shop_at


@pytest.fixture
def stripe_shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop at Stripe's sandbox: it carries references, of refunds too."""
    with shop_at("stripe-checkout", tmp_path) as shop:
        yield shop
