"""The fixtures `chromium` and `page`: one headless Chromium for the run, and a warning when there is none."""

import asyncio
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Loop = asyncio.AbstractEventLoop | None

PAGE_TIMEOUT_MS = 10_000
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The tests' pages are on this machine; the browser's own background requests (updates, sync, lists) are switched off.
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
def chromium(
    _running_chromium: tuple["Browser", Loop], monkeypatch: pytest.MonkeyPatch
) -> Iterator["Browser"]:
    """
    A running browser. Skips the test, and says so at the end of the run, where no Chromium is installed.

    Playwright's synchronous interface leaves its event loop marked as running in this thread, so that asyncio would
    refuse to run another. The mark is taken away between tests and while a test runs something by `asyncio.run`.
    """
    browser, loop = _running_chromium
    for owner, name in ((asyncio, "run"), (asyncio.Runner, "run"), (asyncio.Runner, "close")):
        monkeypatch.setattr(owner, name, _unmarked(getattr(owner, name), loop))
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


def _unmarked(function: Callable[..., Any], loop: Loop) -> Callable[..., Any]:
    """Wrap what starts event loops to run as if `loop` were not running in this thread."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if asyncio._get_running_loop() is not loop:
            return function(*args, **kwargs)
        asyncio._set_running_loop(None)
        try:
            return function(*args, **kwargs)
        finally:
            asyncio._set_running_loop(loop)

    return wrapper


@pytest.fixture
def page(chromium: "Browser") -> Iterator["Page"]:
    """A new page with cookies and storage of its own; each wait has a limit of ten seconds."""
    context = chromium.new_context()
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    yield context.new_page()
    context.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report skipped browser tests, so that a green run is not taken as complete."""
    skipped = [
        report for report in terminalreporter.getreports("skipped") if NO_BROWSER in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("BROWSER TESTS SKIPPED", sep="!", red=True, bold=True)
        terminalreporter.write_line(f"{len(skipped)} skipped: {NO_BROWSER}", red=True)
