"""What the page on web frameworks shows besides its recipes, which have tests of their own."""

import asyncio
import types

import httpx2

from paycore import shared_client
from paycore.sandbox.server import SandboxServer
from tests.docs.pages import ROOT, compiled

PAGE = ROOT / "docs/web-frameworks.md"


def test_web_frameworks_page_sync_view_of_fastapi_answers(sandbox: SandboxServer) -> None:
    """A view that is no coroutine takes the shared client in whichever thread it runs."""
    module = types.ModuleType("web_frameworks_page")
    for _, code in compiled(PAGE):
        exec(code, module.__dict__)  # type: ignore[arg-type]

    async def ask() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(app=module.__dict__["app"])
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop.example") as http:
            return await asyncio.gather(*(http.get("/orders/order-4001") for _ in range(8)))

    status = shared_client().find("order-4001").status
    assert [answer.json() for answer in asyncio.run(ask())] == [{"status": status}] * 8
