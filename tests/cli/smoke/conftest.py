"""The sandboxes, shared by all tests of a process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.smoke.shops import Shops


@pytest.fixture(scope="session")
def all_shops() -> Iterator[Shops]:
    """The sandboxes of every provider."""
    shops = Shops()
    yield shops
    shops.stop()


@pytest.fixture
def shops(all_shops: Shops, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shops]:
    """The same without faults; plugins in the working folder are installed, in this process and in others."""
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setenv("PYTHONPATH", f"{Path.cwd()}:{Path(__file__).parents[3]}")
    yield all_shops
    all_shops.clear_faults()
