"""The fixtures of every test do what they document."""

import asyncio
import os
import socket
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page

from tests.support.hygiene import OutsideConnectionError
from tests.support.postgres import PostgresServer


def test_connecting_outside_is_refused() -> None:
    """A connection to another machine fails with an error that the code under test does not handle."""
    with pytest.raises(OutsideConnectionError):
        socket.create_connection(("10.0.0.1", 80), timeout=1)
    with pytest.raises(OutsideConnectionError):
        asyncio.run(asyncio.wait_for(asyncio.open_connection("10.0.0.1", 80), timeout=5))


def test_names_of_other_machines_are_unknown() -> None:
    """Looking up a name fails at once, as on a machine without a network."""
    with pytest.raises(socket.gaierror):
        socket.create_connection(("pay.example", 443), timeout=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_connecting_to_this_machine_works(host: str) -> None:
    """Loopback connections work."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1]), timeout=5).close()


def test_environment_configures_nothing(tmp_path: Path) -> None:
    """No paycore variable, no proxy, and an empty folder as working and home folder."""
    assert not [name for name in os.environ if name.startswith(("PAYCORE_", "QFPAY_"))]
    assert not [name for name in os.environ if name.lower().endswith("_proxy")]
    assert Path.cwd() == Path.home() == tmp_path
    assert not list(tmp_path.iterdir())


def test_postgres_crash_keeps_what_was_committed(postgres_server: PostgresServer, postgres_dsn: str) -> None:
    """An immediate restart cuts every connection and loses nothing that was committed."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE kept (a int)")
        connection.commit()
        postgres_server.restart("immediate")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_browser_and_async_code_take_turns(page: Page) -> None:
    """A test may use a page, run async code, and use the page again."""
    page.set_content("<h1>hello</h1>")
    assert asyncio.run(asyncio.sleep(0, "between")) == "between"
    assert page.inner_text("h1") == "hello"
    with asyncio.Runner() as runner:
        runner.run(asyncio.sleep(0))
        assert page.title() == ""


def test_async_code_works_after_the_browser() -> None:
    """Playwright's own event loop does not block another."""
    asyncio.run(asyncio.sleep(0))
