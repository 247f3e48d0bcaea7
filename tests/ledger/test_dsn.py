"""What a ledger's DSN may be: a file or a PostgreSQL database, and nothing that forgets."""

from pathlib import Path

import pytest

from paycore.errors import ConfigError
from paycore.ledger import open_ledger
from paycore.ledger.opening import open_read_only


@pytest.mark.parametrize("dsn", ["sqlite:///:memory:", "sqlite:////srv/shop/:memory:"])
def test_ledger_in_memory_is_refused(dsn: str) -> None:
    """SQLite's word for a database in memory makes no file of that name: a ledger must outlive its process."""
    for opening in (open_ledger, open_read_only):
        with pytest.raises(
            ConfigError, match="a ledger in memory is lost when the process ends; name a file"
        ):
            opening(dsn)
    assert list(Path().iterdir()) == []


def test_dsn_without_a_file_is_refused() -> None:
    """A DSN that names no file says what one looks like."""
    with pytest.raises(ConfigError, match="name a file, such as sqlite:"):
        open_ledger("sqlite:///")
