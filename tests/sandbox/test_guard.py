"""Which clients a sandbox answers: programs of this machine, and its own pages."""

import asyncio

import httpx2
import pytest

from paycore.sandbox.guard import Guarded
from tests.sandbox.echo import EchoGateway

PATHS = ("/page", "/api/echo", "/_sandbox/stats", "/none")
POSTS = ("/_sandbox/faults", "/_sandbox/clock", "/_sandbox/orders/A1/pay", "/api/echo")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("host", "is_taken"),
    [
        ("127.0.0.1", True),
        ("localhost:80", True),
        ("LOCALHOST", True),
        ("[::1]:80", True),
        ("127.0.0.1:9000", True),
        ("rebound.example", False),
        ("rebound.example:80", False),
        ("localhost.rebound.example", False),
        ("rebound.localhost", False),
        ("127.0.0.1.rebound.example", False),
        ("localhost@rebound.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("2130706433", False),
        ("localhost:", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_every_route_is_asked_for_by_a_name_of_this_machine(
    http: httpx2.Client, path: str, host: str, *, is_taken: bool
) -> None:
    """Foreign Host names (DNS rebinding) are refused; any port is accepted, for port forwarding."""
    for method in ("GET", "POST"):
        reply = http.request(method, path, headers={"Host": host})
        assert (reply.status_code != 403) is is_taken
        if not is_taken:
            assert reply.json()["hint"] == "use http://127.0.0.1 on this machine"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://{host}"},
        {"Origin": "http://{host}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", POSTS)
def test_page_of_another_origin_changes_nothing(
    http: httpx2.Client, gateway: EchoGateway, path: str, headers: dict[str, str]
) -> None:
    """Forms and `fetch` of other origins change no fault, clock or order."""
    gateway.controls.order["state"] = "unpaid"
    before = gateway.clock.now_ms()
    sent = {name: value.replace("{host}", http.base_url.netloc.decode()) for name, value in headers.items()}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
        body = b'{"kind": "own", "advance_s": 1000000, "number": "A1"}'
        reply = http.post(path, content=body, headers={**sent, "Content-Type": kind})
        assert (reply.status_code, set(reply.json())) == (403, {"error", "hint"})
    assert http.delete("/_sandbox/faults", headers=sent).status_code == 403
    assert gateway.faults.active() == []
    assert gateway.controls.order["state"] == "unpaid"
    assert gateway.clock.now_ms() - before < 60_000
    assert gateway.seen == []


def test_own_page_and_programs_change_things(http: httpx2.Client, gateway: EchoGateway) -> None:
    """Forms of the sandbox's own pages are accepted, and programs, which send no Origin."""
    host = http.base_url.netloc.decode()
    for headers in (
        {},
        {"Origin": f"http://{host}"},
        {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        gateway.controls.order["state"] = "unpaid"
        assert http.post("/_sandbox/orders/A1/pay", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("https://127.0.0.1:8443", 200),
        ("http://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://evil.example#localhost", 403),
        ("null", 403),
        ("file://localhost", 403),
        ("http://[", 403),
    ],
)
def test_open_path_takes_pages_of_this_machine(http: httpx2.Client, origin: str, status: int) -> None:
    """An open path also accepts loopback origins, those of a merchant's page under development."""
    assert http.post("/page/open", headers={"Origin": origin}).status_code == status
    assert http.post("/page/open").status_code == 200


def test_another_machine_is_refused(gateway: EchoGateway) -> None:
    """The peer's address is checked too, however the app is served."""
    for peer, status in (("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403)):
        transport = httpx2.ASGITransport(app=Guarded(gateway.app, open_paths=()), client=(peer, 1))

        async def ask(transport: httpx2.ASGITransport = transport) -> int:
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                return (await http.get("/_sandbox/stats")).status_code

        assert asyncio.run(ask()) == status
