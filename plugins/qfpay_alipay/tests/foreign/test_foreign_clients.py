"""
QFPay's own samples against the sandbox, with nothing replaced but the URL and the credentials.

`web_*` are the code tabs of "Alipay Web Payments" word for word. `h5_python` is the tab of "Alipay Service Window H5":
the published text lost lines (the time, two lines of the signature's loop, the call's beginning), which are put back
as in the older issue of the page; it sends an mchid, so its account has one.
"""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"
PUBLISHED_URL = "https://test-openapi-hk.qfapi.com"


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(QFPaySandbox()) as server:
        yield server


def sample(name: str, server: SandboxServer, folder: Path, file: str, *, key: str = "") -> Path:
    """The sample as a program in `folder`, pointed at the sandbox."""
    text = (SAMPLES / name).read_text()
    for published, ours in (
        (PUBLISHED_URL, server.url),
        ("YOUR_APP_CODE", server.settings["app_code"]),
        ("YOUR_CLIENT_KEY", key or server.settings["client_key"]),
        ("D5589D2A1F2E42A9A60C37*********", server.settings["app_code"]),
        ("0E32A59A8B454940A2FF39**********", key or server.settings["client_key"]),
    ):
        text = text.replace(published, ours)
    program = folder / file
    program.write_text(text)
    return program


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_web_reply(reply: dict[str, Any], server: SandboxServer) -> None:
    """Check the printed reply: all fields, empty only where documented, and a URL that opens the wallet."""
    printed: dict[str, str] = json.loads((SAMPLES / "web_reply.json").read_text())
    assert printed.keys() <= reply.keys()
    assert [name for name, value in printed.items() if value and not reply[name]] == []
    assert (reply["respcd"], reply["resperr"], reply["pay_type"]) == ("0000", "success", "801101")
    page = httpx2.get(reply["pay_url"])
    assert (page.status_code, reply["out_trade_no"] in page.text) == (200, True)
    assert httpx2.post(f"{server.url}/_sandbox/orders/{reply['out_trade_no']}/pay").json()["charges"] == 1


def test_python_sample_of_web_payments_is_served(server: SandboxServer, tmp_path: Path) -> None:
    """The Python tab, with 0.10 HKD; a second run reuses its order number and is refused."""
    program = sample("web_python.txt", server, tmp_path, "client.py")
    reply: dict[str, Any] = ast.literal_eval(run(sys.executable, program))
    check_web_reply(reply, server)
    assert reply["txamt"] == "10"
    again: dict[str, Any] = ast.literal_eval(run(sys.executable, program))
    assert (again["respcd"], again["respmsg"]) == ("1251", "out_trade_no is used")


def test_python_sample_with_a_wrong_key_is_1108(server: SandboxServer, tmp_path: Path) -> None:
    """The same program with another key is refused."""
    program = sample("web_python.txt", server, tmp_path, "client.py", key="0" * 32)
    assert "'respcd': '1108'" in run(sys.executable, program)


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js on this machine")
@pytest.mark.parametrize(("key", "respcd"), [("", "0000"), ("0" * 32, "1108")])
def test_node_sample_of_web_payments_is_served(
    server: SandboxServer, tmp_path: Path, key: str, respcd: str
) -> None:
    """The JavaScript tab with its `require("request")`; with a wrong key 1108."""
    module = tmp_path / "node_modules" / "request"
    module.mkdir(parents=True)
    shutil.copy(HERE / "request_shim.js", module / "index.js")
    reply = json.loads(run("node", sample("web_node.txt", server, tmp_path, "client.js", key=key)))
    assert reply["respcd"] == respcd
    if respcd == "0000":
        check_web_reply(reply, server)


def has_php() -> bool:
    php = shutil.which("php")
    return (
        php is not None
        and "curl" in subprocess.run([php, "-m"], capture_output=True, text=True, check=False).stdout
    )


@pytest.mark.skipif(not has_php(), reason="no PHP with curl on this machine")
@pytest.mark.parametrize(("key", "respcd"), [("", "0000"), ("0" * 32, "1108")])
def test_php_sample_of_web_payments_is_served(
    server: SandboxServer, tmp_path: Path, key: str, respcd: str
) -> None:
    """The PHP tab, which posts its fields unencoded; with a wrong key 1108."""
    reply = json.loads(run("php", sample("web_php.txt", server, tmp_path, "client.php", key=key)))
    assert reply["respcd"] == respcd
    if respcd == "0000":
        check_web_reply(reply, server)


def test_body_of_the_php_sample_is_served(server: SandboxServer) -> None:
    """The request of the PHP tab, for machines without PHP: raw, sorted, with an unencoded space in txdtm."""
    body = (
        "out_trade_no=PhpRawBody0000000001&pay_type=801101&txamt=2200&txcurrcd=HKD&txdtm=2026-01-01 12:00:00"
    )
    signature = hashlib.md5((body + server.settings["client_key"]).encode()).hexdigest().upper()
    headers = {
        "X-QF-APPCODE": server.settings["app_code"],
        "X-QF-SIGN": signature,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    url = server.url + "/trade/v1/payment"
    check_web_reply(httpx2.post(url, content=body, headers=headers).json(), server)
    other = httpx2.post(url, content=body.replace("2200", "2201"), headers=headers).json()
    assert other["respcd"] == "1108"


def test_python_sample_of_service_window_is_served(tmp_path: Path) -> None:
    """The tab shows WAP 801107 with an mchid: a pay_url where one was issued, else 1104."""
    with SandboxServer(QFPaySandbox(), settings={"mchid": "ZaMVg*****"}) as server:
        reply = json.loads(run(sys.executable, sample("h5_python.txt", server, tmp_path, "client.py")))
        assert (reply["respcd"], reply["pay_type"], reply["txamt"]) == ("0000", "801107", "10")
        assert httpx2.get(reply["pay_url"]).status_code == 200
    with SandboxServer(QFPaySandbox()) as server:
        reply = json.loads(run(sys.executable, sample("h5_python.txt", server, tmp_path, "client.py")))
        assert (reply["respcd"], "mchid" in reply["respmsg"]) == ("1104", True)
