"""Ledgers of each kind, and the paycore.toml that names them."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from paycore.ledger import open_ledger
from paycore.ledger.base import SqlLedger
from tests.cli.ledger.ledgers import configure
from tests.ledger.conftest import Database


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind, and a paycore.toml that names it."""
    is_sqlite = request.param == "sqlite"
    dsn = f"sqlite:///{tmp_path}/paycore.db" if is_sqlite else request.getfixturevalue("postgres_dsn")
    configure(dsn)
    with ExitStack() as stack:
        yield Database(dsn, stack)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    """A new SQLite ledger, and a paycore.toml that names it."""
    configure("sqlite:///paycore.db")
    with closing(open_ledger(f"sqlite:///{tmp_path}/paycore.db")) as opened:
        yield opened
