"""The fixtures `chromium` and `page`: one headless Chromium for the run, and a loud word when there is none."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Loop = asyncio.AbstractEventLoop | None

PAGE_TIMEOUT_MS = 10_000
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The tests' pages are on this machine; the browser's own errands (updates, sync, lists) are switched off.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_BROWSER = (
    "no Chromium on this machine: checkout and wallet pages were NOT tested (scripts/chromium installs it)"
)


def find_chromium() -> str | None:
    """Return the path of the installed Chromium or Chrome, or `None`."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


@pytest.fixture(scope="session")
def _running_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple["Browser", Loop]]:
    program = find_chromium()
    if program is None:
        pytest.skip(NO_BROWSER)
    from playwright.sync_api import sync_playwright

    environment: dict[str, str | float | bool] = {
        **os.environ,
        "HOME": str(tmp_path_factory.mktemp("chromium")),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS), env=environment)
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture
def chromium(_running_chromium: tuple["Browser", Loop]) -> Iterator["Browser"]:
    """
    A running browser. Skips the test, and says so at the end of the run, where no Chromium is installed.

    Playwright's synchronous interface leaves its event loop marked as running in this thread. That is undone between
    tests, or every later `asyncio.run` would be refused; a test that uses the browser runs async code in a thread.
    """
    browser, loop = _running_chromium
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


@pytest.fixture
def page(chromium: "Browser") -> Iterator["Page"]:
    """A new page with cookies and storage of its own; whatever it waits for has ten seconds to come."""
    context = chromium.new_context()
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    yield context.new_page()
    context.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that browser tests were skipped: a green run must not pass for more than it was."""
    skipped = [
        report for report in terminalreporter.getreports("skipped") if NO_BROWSER in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("BROWSER TESTS SKIPPED", sep="!", red=True, bold=True)
        terminalreporter.write_line(f"{len(skipped)} skipped: {NO_BROWSER}", red=True)
