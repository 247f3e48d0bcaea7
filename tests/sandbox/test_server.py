"""The server: in a thread for tests, in the foreground for the command line."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from paycore.sandbox.api import SandboxOptions
from paycore.sandbox.server import SandboxServer
from tests.sandbox.echo import EchoGateway, EchoSandbox

CHILD = """
import json, sys
from pathlib import Path
from typing import Any
from paycore.sandbox.server import serve_forever
from tests.sandbox.echo import EchoSandbox
serve_forever(EchoSandbox(), port=int(sys.argv[1]), state=Path(sys.argv[2]), auto_pay_s=None, speed=1.0,
              notify_url=None, settings={"token": "secret"},
              on_ready=lambda ready: print(json.dumps(dict(ready)), flush=True))
print("stopped", flush=True)
"""
ROOT = Path(__file__).parents[2]


def test_server_serves_inside_the_block_and_not_after() -> None:
    """A free port and the gateway's settings; afterwards port, gateway and threads are closed."""
    before = set(threading.enumerate())
    with SandboxServer(EchoSandbox(), settings={"token": "abc"}) as server:
        assert server.settings == {"token": "abc"}
        assert httpx2.get(server.url + "/page").text == "page"
        assert isinstance(server.gateway, EchoGateway)
        gateway = server.gateway
    assert gateway.is_closed
    assert set(threading.enumerate()) <= before
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.url + "/page")
    server.stop()


def test_server_can_be_restarted_on_its_port() -> None:
    """At once, with connections of the first in TIME_WAIT."""
    with SandboxServer(EchoSandbox()) as first, httpx2.Client() as http:
        http.get(first.url + "/page")
        port = urlsplit(first.url).port
        assert port is not None
    with SandboxServer(EchoSandbox(), port=port) as second:
        assert second.url == first.url
        assert httpx2.get(second.url + "/page").status_code == 200


def test_server_on_a_taken_port_is_an_error() -> None:
    """`OSError`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(OSError, match="in use"),
            SandboxServer(EchoSandbox(), port=taken.getsockname()[1]),
        ):
            pass


def test_server_not_entered_says_so() -> None:
    """The gateway exists inside the block only."""
    with pytest.raises(RuntimeError, match="with"):
        _ = SandboxServer(EchoSandbox()).gateway


def test_server_with_bad_settings_leaves_nothing_open() -> None:
    """The sandbox's error is raised, and everything is closed."""
    with pytest.raises(ValueError, match="no setting"), SandboxServer(EchoSandbox(), settings={"x": "y"}):
        pass


@pytest.mark.parametrize("options", [{"speed": 0}, {"speed": -1}, {"auto_pay_s": -0.1}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """The speed must be above 0, the auto-pay delay not negative."""
    with pytest.raises(ValueError, match=next(iter(options))):
        SandboxOptions(public_url="http://x", **options)


def test_server_stops_though_clients_hang(caplog: pytest.LogCaptureFixture) -> None:
    """A stalled request, a dripping answer and an idle connection neither delay it nor fill the log."""
    with SandboxServer(EchoSandbox()) as server, httpx2.Client(timeout=5) as idle:
        idle.get(server.url + "/page")
        gateway = server.gateway
        gateway.faults.add("stall")
        gateway.faults.add("drip", seconds=0.3)
        threads = [threading.Thread(target=hang, args=(server.url,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        while gateway.faults.active():
            time.sleep(0.01)
        started = time.monotonic()
    assert time.monotonic() - started < 1.5
    for thread in threads:
        thread.join()
    assert "Exception in ASGI" not in caplog.text


def hang(url: str) -> None:
    with pytest.raises(httpx2.TransportError):
        httpx2.post(url + "/api/echo", content=b"x" * 100, timeout=5)


def test_answers_come_at_once() -> None:
    """Small answers are not delayed by 40 ms for an acknowledgement."""
    with SandboxServer(EchoSandbox()) as server, httpx2.Client() as http:
        http.post(server.url + "/api/echo", content=b"x")
        started = time.monotonic()
        for _ in range(20):
            http.post(server.url + "/api/echo", content=b"x")
        assert time.monotonic() - started < 0.4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """It reports when ready, stops within 2 s though a client hangs, and keeps its state."""
    state = tmp_path / "state.jsonl"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, "-c", CHILD, "0", str(state)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        ready = json.loads(child.stdout.readline())
        assert ready.keys() == {"url", "token"}
        httpx2.post(ready["url"] + "/api/echo", content=b"kept")
        httpx2.post(ready["url"] + "/_sandbox/faults", json={"kind": "stall"})
        hanging = threading.Thread(target=hang, args=(ready["url"],))
        hanging.start()
        while httpx2.get(ready["url"] + "/_sandbox/faults").json()["faults"]:
            time.sleep(0.01)
        started = time.monotonic()
        child.send_signal(number)
        rest = child.communicate(timeout=5)
        assert time.monotonic() - started < 2
        hanging.join()
    assert (child.returncode, rest) == (0, ("stopped\n", ""))
    assert '"kept"' in state.read_text()
