"""Every connection fault, as a client sees it, and whether the gateway acted."""

import gzip
import http.client
import socket
import time
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.sandbox.echo import EchoGateway, decode

BODY = b'{"a": "b"}'
WHOLE = b'{"echo":"{\\"a\\": \\"b\\"}"}'


def send(http: httpx2.Client, timeout: float = 1.0) -> httpx2.Response:
    return http.post("/api/echo", content=BODY, timeout=timeout)


def test_without_faults_all_passes(http: httpx2.Client, gateway: EchoGateway) -> None:
    """The control: an answer, and the gateway got the request."""
    assert send(http).content == WHOLE
    assert gateway.seen == [BODY]


@pytest.mark.parametrize(("kind", "seen"), [("lose_request", 0), ("lose_reply", 1)])
def test_connection_breaks(http: httpx2.Client, gateway: EchoGateway, kind: str, seen: int) -> None:
    """No answer; only with lose_reply the gateway acted; the next request is served."""
    gateway.faults.add(kind)
    with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
        send(http)
    assert len(gateway.seen) == seen
    assert send(http).status_code == 200


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(
    ("kind", "status", "kind_of_body"),
    [
        ("http_500", 500, "text/plain"),
        ("http_502", 502, "text/html"),
        ("http_429", 429, "text/plain"),
        ("html", 200, "text/html"),
        ("redirect", 302, "text/plain"),
    ],
)
def test_answer_is_another_one(
    http: httpx2.Client, gateway: EchoGateway, kind: str, status: int, kind_of_body: str, *, recorded: bool
) -> None:
    """Another status or body, once, with the request carried out or not, as asked."""
    gateway.faults.add(kind, recorded=recorded)
    answer = send(http)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, kind_of_body)
    assert len(gateway.seen) == int(recorded)
    assert send(http).content == WHOLE


def test_recorded_by_default_but_for_429(http: httpx2.Client, gateway: EchoGateway) -> None:
    """By default the request is carried out, except for 429."""
    gateway.faults.add("http_500")
    gateway.faults.add("http_429")
    assert [send(http).status_code for _ in range(2)] == [500, 429]
    assert len(gateway.seen) == 1


def test_redirect_has_its_location(http: httpx2.Client, gateway: EchoGateway) -> None:
    """The Location is that of the option."""
    gateway.faults.add("redirect", location="http://169.254.169.254/")
    assert send(http).headers["Location"] == "http://169.254.169.254/"


@pytest.mark.parametrize("recorded", [True, False])
def test_stall_lasts_until_the_client_leaves(
    http: httpx2.Client, gateway: EchoGateway, *, recorded: bool
) -> None:
    """No answer until the client's deadline; others are served meanwhile."""
    gateway.faults.add("stall", recorded=recorded)
    with pytest.raises(httpx2.ReadTimeout):
        send(http, timeout=0.2)
    assert len(gateway.seen) == int(recorded)
    assert send(http).status_code == 200


@pytest.mark.parametrize(("kind", "seen_meanwhile"), [("delay", 1), ("late_request", 0)])
def test_answer_is_late(http: httpx2.Client, gateway: EchoGateway, kind: str, seen_meanwhile: int) -> None:
    """`delay` acts at once and answers late; `late_request` acts late, even if the client has left."""
    gateway.faults.add(kind, seconds=0.3)
    with pytest.raises(httpx2.ReadTimeout):
        send(http, timeout=0.1)
    assert len(gateway.seen) == seen_meanwhile
    time.sleep(0.4)
    assert len(gateway.seen) == 1
    gateway.faults.add(kind, seconds=0.1)
    started = time.monotonic()
    assert send(http).content == WHOLE
    assert time.monotonic() - started >= 0.1


def test_delay_and_another_fault_add_up(http: httpx2.Client, gateway: EchoGateway) -> None:
    """Both a delay and another fault apply to one answer."""
    gateway.faults.add("delay", seconds=0.1)
    gateway.faults.add("http_502")
    started = time.monotonic()
    assert send(http).status_code == 502
    assert time.monotonic() - started >= 0.1


def test_json_is_cut_in_half(http: httpx2.Client, gateway: EchoGateway) -> None:
    """The HTTP is complete, the JSON is not."""
    gateway.faults.add("truncated_json")
    answer = send(http)
    assert (answer.status_code, answer.content) == (200, WHOLE[: len(WHOLE) // 2])
    with pytest.raises(ValueError, match="truncated"):
        decode(answer.content)


def test_answer_drips(http: httpx2.Client, gateway: EchoGateway) -> None:
    """Single bytes within any read timeout: only a total deadline ends it."""
    gateway.faults.add("drip", seconds=0.02)
    started = time.monotonic()
    assert send(http, timeout=0.1).content == WHOLE
    assert time.monotonic() - started >= 0.02 * len(WHOLE)


def test_gzip_bomb_is_small_on_the_wire(gateway: EchoGateway) -> None:
    """Sent although identity was requested; a few KiB that decompress to the MiB asked for."""
    gateway.faults.add("gzip_bomb", mebibytes=2)
    parts = urlsplit(gateway.options.public_url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=2)
    connection.request("POST", "/api/echo", BODY, {"Accept-Encoding": "identity"})
    answer = connection.getresponse()
    wire = answer.read()
    connection.close()
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(wire) < 10_000
    assert len(gzip.decompress(wire)) == 2 * 1024 * 1024


def test_huge_body(http: httpx2.Client, gateway: EchoGateway) -> None:
    """As many MiB as asked for, declared in Content-Length."""
    gateway.faults.add("huge_body", mebibytes=2)
    answer = send(http)
    assert len(answer.content) == int(answer.headers["Content-Length"]) == 2 * 1024 * 1024


def test_pages_and_controls_are_spared(http: httpx2.Client, gateway: EchoGateway) -> None:
    """Faults apply to the API only."""
    gateway.faults.add("http_500")
    assert http.get("/page").text == "page"
    assert http.get("/_sandbox/stats").status_code == 200
    assert send(http).status_code == 500


def test_half_a_request_is_no_request(gateway: EchoGateway) -> None:
    """An incomplete request does not reach the gateway, with or without a fault."""
    parts = urlsplit(gateway.options.public_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=1) as connection:
        connection.sendall(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    time.sleep(0.1)
    assert gateway.seen == []
