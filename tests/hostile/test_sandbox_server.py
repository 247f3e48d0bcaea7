"""The sandbox's server with clients that send incomplete, oversized or wrong requests."""

import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
import pytest

from paycore import Status, serving
from paycore.sandbox import request_limits
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox
from tests.engine.tills import Till
from tests.hostile.shops import config_of, plugins

HALF_OPEN = 500
HALVES = {
    "nothing": b"",
    "half a head": b"POST /trade/v1/payment HTTP/1.1\r\nHost: x\r\nContent-",
    "half a body": b"POST /trade/v1/payment HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
}


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """A sandbox in a separate process, so that its sockets are counted separately."""
    command = [
        sys.executable,
        "-m",
        "paycore.cli",
        "sandbox",
        "serve",
        "qfpay-alipay",
        "--port",
        "0",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def connect(url: str) -> socket.socket:
    """A client that sends nothing yet."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=5)


def test_half_open_connections_do_not_stop_good_requests(tmp_path: Path) -> None:
    """With 500 unfinished requests open, payments are made and found as fast as before."""
    with served() as ready, ExitStack() as stack:
        for said in HALVES.values():
            for _ in range(HALF_OPEN // len(HALVES)):
                connection = stack.enter_context(closing(connect(ready["url"])))
                connection.sendall(said)
        settings: dict[str, Any] = {
            "app_code": ready["app_code"],
            "client_key": ready["client_key"],
            "region": "hk",
        }
        till = Till(
            "sync", config_of("qfpay-alipay", ready["url"], tmp_path / "paycore.db", **settings), plugins()
        )
        begun = time.monotonic()
        for number in range(10):
            payment = till.create(f"order-{number}", method="alipay", channel="web")
            assert till.query(payment).status is Status.PENDING
        assert time.monotonic() - begun < 10
        till.shutdown()


def ended_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the server closes the connection in time."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.parametrize("name", HALVES)
def test_incomplete_request_is_closed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Head and body have time limits, also on a reused connection."""
    monkeypatch.setattr(serving, "HEAD_S", 0.3)
    monkeypatch.setattr(request_limits, "BODY_S", 0.3)
    with SandboxServer(QFPaySandbox()) as sandbox:
        with closing(connect(sandbox.url)) as connection:
            connection.sendall(HALVES[name])
            assert ended_within(connection, 5)
        with closing(connect(sandbox.url)) as connection:
            connection.sendall(b"GET /_sandbox/stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b"200 OK" in connection.recv(65536)
            connection.sendall(HALVES[name] or b"G")
            assert ended_within(connection, 5)
        assert httpx2.get(f"{sandbox.url}/_sandbox/stats", trust_env=False).status_code == 200


def test_dripped_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single bytes do not extend the limit."""
    monkeypatch.setattr(request_limits, "BODY_S", 0.5)
    with SandboxServer(QFPaySandbox()) as sandbox, closing(connect(sandbox.url)) as connection:
        connection.sendall(HALVES["half a body"].replace(b": 10", b": 100000"))
        begun = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - begun < 5:
                connection.sendall(b" ")
                time.sleep(0.02)
        assert time.monotonic() - begun < 4


@pytest.mark.parametrize("is_faulty", [False, True])
def test_body_without_end_is_cut_off(*, is_faulty: bool) -> None:
    """On every path reading stops after about a MiB, and nothing is kept."""
    with SandboxServer(QFPaySandbox()) as sandbox:
        if is_faulty:
            sandbox.gateway.faults.add("delay", times=9, seconds=0.0)
        for path in (
            "/trade/v1/payment",
            "/_sandbox/faults",
            "/_sandbox/clock",
            "/wallet/orders/1/pay",
            "/none",
        ):
            assert taken_without_end(sandbox.url, path) < 32 * 1024 * 1024, path
        assert httpx2.get(f"{sandbox.url}/_sandbox/stats", trust_env=False).status_code == 200


def taken_without_end(url: str, path: str) -> int:
    """Bytes of a body that a server reads before it closes; 64 MiB if it does not."""
    sent = 0
    with closing(connect(url)) as connection, suppress(OSError):
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        while sent < 64 * 1024 * 1024:
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536
    return sent


def ask(sandbox: SandboxServer, form: bytes, fields: dict[str, str]) -> dict[str, str]:
    """The answer to a form whose signature fits `fields`."""
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)) + sandbox.settings["client_key"]
    headers = {
        "X-QF-APPCODE": sandbox.settings["app_code"],
        "X-QF-SIGN": hashlib.md5(text.encode()).hexdigest(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    reply = httpx2.post(f"{sandbox.url}/trade/v1/payment", content=form, headers=headers, trust_env=False)
    assert reply.status_code == 200
    answer: dict[str, str] = reply.json()
    return answer


ORDER = {
    "txamt": "8800",
    "txcurrcd": "HKD",
    "pay_type": "801514",
    "out_trade_no": "HOSTILE-FORM-1",
    "txdtm": "2026-01-01 12:00:00",
}
FORMS = {
    "an amount twice": (b"txamt=1&" + urlencode(ORDER).encode(), ORDER, "1103"),
    "an amount twice, the other way": (urlencode(ORDER).encode() + b"&txamt=1", ORDER, "1103"),
    "65 fields": (b"&".join(b"a%d=1" % i for i in range(65)), {}, "1103"),
    "10k fields": (b"a=1&" * 10_000, {}, "1103"),
    "100k fields": (b"a=1&" * 100_000, {}, "1103"),
    "bad UTF-8": (urlencode(ORDER).encode() + b"&udid=%ff", ORDER, "1103"),
    "raw bad UTF-8": (urlencode(ORDER).encode() + b"&udid=\xff", ORDER, "1103"),
    "NUL": (urlencode({**ORDER, "udid": "a\x00"}).encode(), {**ORDER, "udid": "a\x00"}, "1104"),
    "escape": (urlencode({**ORDER, "openid": "\x1b[2J"}).encode(), {**ORDER, "openid": "\x1b[2J"}, "1104"),
    "exponent": (urlencode({**ORDER, "txamt": "1E+9"}).encode(), {**ORDER, "txamt": "1E+9"}, "1104"),
    "full-width": (urlencode({**ORDER, "txamt": "８８"}).encode(), {**ORDER, "txamt": "８８"}, "1104"),
}


@pytest.mark.parametrize("name", FORMS)
def test_hostile_form_makes_no_order(sandbox: SandboxServer, name: str) -> None:
    """Duplicate, too many or invalid fields are refused with the documented codes."""
    form, fields, respcd = FORMS[name]
    begun = time.monotonic()
    answer = ask(sandbox, form, fields)
    assert answer["respcd"] == respcd, answer
    assert time.monotonic() - begun < 5
    reply = httpx2.get(f"{sandbox.url}/_sandbox/orders/HOSTILE-FORM-1", trust_env=False)
    assert reply.status_code == 404


CONTROLS = [
    b"",
    b"null",
    b"{",
    b"\xff",
    b"[" * 100_000,
    b'{"advance_s":1e300}',
    b'{"advance_s":1e12}',
    b'{"kind":[]}',
]


def test_hostile_control_is_refused_and_the_sandbox_goes_on() -> None:
    """A bad control request is a client error, and the next request is served."""
    with SandboxServer(QFPaySandbox()) as sandbox, httpx2.Client(trust_env=False) as http:
        for path in ("clock", "faults", "notify", "orders/%00/pay", "orders/%ff/expire"):
            for body in CONTROLS:
                status = http.post(f"{sandbox.url}/_sandbox/{path}", content=body).status_code
                assert 400 <= status < 500, (path, body[:20], status)
        assert http.get(f"{sandbox.url}/_sandbox/clock").json()["now"] < "2100"
