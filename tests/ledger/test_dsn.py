"""Which DSNs a ledger accepts: a file or a PostgreSQL database, nothing in memory."""

from pathlib import Path

import pytest

from paycore.errors import ConfigError
from paycore.ledger import open_ledger
from paycore.ledger.opening import open_read_only


@pytest.mark.parametrize("dsn", ["sqlite:///:memory:", "sqlite:////srv/shop/:memory:"])
def test_ledger_in_memory_is_refused(dsn: str) -> None:
    """`:memory:` is refused and makes no file of that name."""
    for opening in (open_ledger, open_read_only):
        with pytest.raises(
            ConfigError, match="a ledger in memory is lost when the process ends; name a file"
        ):
            opening(dsn)
    assert list(Path().iterdir()) == []


def test_dsn_without_a_file_is_refused() -> None:
    """The error shows what a DSN looks like."""
    with pytest.raises(ConfigError, match="name a file, such as sqlite:"):
        open_ledger("sqlite:///")
