"""
The fixtures `postgres_server` and `postgres_dsn`: a real PostgreSQL, started when the first test asks for it.

Under xdist each worker has its own server: starting one takes less than a second.
"""

from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer, embedded_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server. A test that stops or restarts it leaves it running."""
    with embedded_postgres() as server:
        yield server


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database that no other test sees."""
    dsn = postgres_server.create_database()
    yield dsn
    postgres_server.drop_database(dsn)
