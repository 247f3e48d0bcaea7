"""A flood of duplicates and forged notifications leaves good ones served."""

from pathlib import Path

import pytest

from tests.web.flood import flooded


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_flood_leaves_good_notifications_served(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All good ones, one after the other, are taken while it lasts; every other gets the answer it should."""
    if database == "postgres":
        dsn: str = request.getfixturevalue("postgres_dsn")
    else:
        dsn = f"sqlite:///{tmp_path / 'paycore.db'}"
    seen = flooded(dsn, duplicates=2000, forged=2000, connections=40, good=10)
    assert (seen.taken, seen.in_time, seen.wrong) == (10, 10, 0), seen
