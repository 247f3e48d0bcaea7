"""What the page on receiving says of limits and mounting is so."""

import asyncio
import inspect
import threading
import types
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paycore import serving
from paycore.domain.wire import NOTIFICATION_MAX
from paycore.engine import arguments, receiving
from paycore.sandbox.server import SandboxServer
from paycore.web import bodies, notifications, receiver, service
from tests.docs.pages import ROOT, compiled

PAGE = ROOT / "docs/receiving.md"
MIB = 1024 * 1024


def test_receiving_page_has_the_limits() -> None:
    """Each figure of the table is the code's."""
    text = PAGE.read_text(encoding="utf-8")
    keywords = inspect.signature(notifications).parameters
    said = {
        f"| a body | {NOTIFICATION_MAX // MIB} MiB |",
        f"| headers and query string | {arguments.HEADS_MAX // 1024} KiB |",
        f"| {keywords['body_s'].default:.0f} s | `body_s` |",
        f"| {keywords['answer_s'].default:.0f} s | `answer_s` |",
        f"| {keywords['at_once'].default} | `at_once` |",
        f"| {bodies.HELD_MAX // MIB} MiB; beyond that",
        f"with `paycore serve` | {serving.HEAD_S:.0f} s |",
        f"knows {receiving.REPEATS_MAX:,} of them",
        f"within {service.HEALTH_S:.0f} seconds",
        f"have {service.GRACE_S} seconds",
    }
    assert {words for words in said if words not in text} == set()
    assert receiving.REPEAT_S == 60
    assert keywords["at_once"].default == receiver.AT_ONCE


def test_receiving_page_application_receives(sandbox: SandboxServer, tmp_path: Path) -> None:
    """The application of the page, served by uvicorn with its lifespan, takes and refuses notifications."""
    module = types.ModuleType("receiving_page")
    for _, code in compiled(PAGE):
        exec(code, module.__dict__)  # type: ignore[arg-type]
    listener, ready = serving.listen("127.0.0.1", 0), threading.Event()
    server = WithLifespan(module.__dict__["app"], on_ready=ready.set, grace_s=1.0)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve_on(listener)))
    thread.start()
    try:
        assert ready.wait(20)
        with httpx2.Client(trust_env=False, base_url=listener.url) as http:
            assert http.post("/notifications/sandbox", content=b"{}").status_code == 400
            assert http.post("/notifications/nobody", content=b"{}").status_code == 404
            assert http.post("/sandbox", content=b"{}").status_code == 404
    finally:
        server.should_exit = True
        thread.join()


class WithLifespan(serving.HttpServer):
    """A server that starts and stops the application, as an application's own does."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.config.lifespan = "on"


@pytest.mark.parametrize("raised", ["NotAuthentic", "LedgerUnavailable", "NotSent"])
def test_receiving_page_function_maps_errors(raised: str) -> None:
    """What the page's function for other frameworks answers to each kind of error."""
    from paycore import errors

    module = types.ModuleType("receiving_page")
    for _, code in compiled(PAGE):
        exec(code, module.__dict__)  # type: ignore[arg-type]

    class Broken:
        def receive(self, *_: Any, **__: Any) -> None:
            raise getattr(errors, raised)("no")

    status, _ = module.__dict__["on_notification"](Broken(), "sandbox", b"", {})
    assert status == (400 if raised == "NotAuthentic" else 503)
