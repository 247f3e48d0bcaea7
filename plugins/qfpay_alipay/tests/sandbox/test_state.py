"""What was answered survives a restart, even after SIGKILL."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from paycore.sandbox.server import SandboxServer
from plugins.qfpay_alipay.tests.sandbox.conftest import NO_LIMITS
from plugins.qfpay_alipay.tests.sandbox.merchant import Merchant, now, sign
from plugins.qfpay_alipay.tests.sandbox.test_notifications import Receiver, receiver  # noqa: F401 -- a fixture
from qfpay_alipay.sandbox import QFPaySandbox

CHILD = """
import json, sys
from pathlib import Path
from paycore.sandbox.server import serve_forever
from qfpay_alipay.sandbox import QFPaySandbox
serve_forever(QFPaySandbox(), port=0, state=Path(sys.argv[1]), auto_pay_s=None, speed=1.0, notify_url=None, settings={},
              on_ready=lambda ready: print(json.dumps(dict(ready)), flush=True))
"""


def reopened(state: Path, **options: object) -> SandboxServer:
    return SandboxServer(QFPaySandbox(), state=state, settings=NO_LIMITS, **options)  # type: ignore[arg-type]


def test_orders_survive_a_restart(tmp_path: Path) -> None:
    """Unpaid, paid, closed, refunded: records are unchanged, numbers stay used, the unpaid order can be paid."""
    state = tmp_path / "state.jsonl"
    with httpx2.Client() as http:
        with reopened(state) as server:
            before = Merchant(server, http)
            unpaid, paid, closed = before.payment(), before.paid("800107"), before.payment("800101")
            refund = before.refund(paid, "100")
            before.close(closed)
            numbers = [order["out_trade_no"] for order in (unpaid, paid, closed, refund)]
            records = [before.record(number) for number in numbers]
        with reopened(state) as server:
            after = Merchant(server, http)
            assert [after.record(number) for number in numbers] == records
            assert after.payment(out_trade_no=unpaid["out_trade_no"])["respcd"] == "1251"
            assert after.refund(paid, "8701")["respcd"] == "1272"
            assert after.payment("800108", auth_code="280000000000000099")["respcd"] == "0000"
            after.gateway.orders.pay(unpaid["syssn"])
        with reopened(state) as server:
            again = Merchant(server, http)
            assert again.record(unpaid["out_trade_no"])["respcd"] == "0000"
            assert again.payment("800108", auth_code="280000000000000099")["respcd"] == "1202"


def test_without_a_state_file_nothing_stays(open_merchant: Callable[..., Merchant]) -> None:
    """A new sandbox has no orders."""
    number = open_merchant().payment()["out_trade_no"]
    assert open_merchant().query(out_trade_no=number) == []


def test_clock_does_not_go_back(tmp_path: Path) -> None:
    """An order that expired on an advanced clock stays expired."""
    state = tmp_path / "state.jsonl"
    with httpx2.Client() as http:
        with reopened(state) as server:
            merchant = Merchant(server, http)
            number = merchant.payment()["out_trade_no"]
            merchant.gateway.clock.advance(3600)
        with reopened(state) as server:
            assert Merchant(server, http).record(number)["respcd"] == "1181"


def test_auto_pay_and_notifications_go_on(tmp_path: Path, receiver: Receiver) -> None:  # noqa: F811
    """Plans survive the restart: the payer pays, a refused notification is sent again."""
    state = tmp_path / "state.jsonl"
    receiver.answers = [(500, b""), (200, b"SUCCESS")]
    with httpx2.Client() as http:
        with reopened(state, auto_pay_s=600) as server:
            merchant = Merchant(server, http)
            waiting = merchant.payment()
            merchant.paid(notify_url=receiver.url)
            receiver.got(1)
        with reopened(state) as server:
            merchant = Merchant(server, http)
            merchant.gateway.clock.advance(121)
            receiver.got(2)
            assert merchant.record(waiting["out_trade_no"])["respcd"] == "1143"
            merchant.gateway.clock.advance(600)
            assert merchant.record(waiting["out_trade_no"])["respcd"] == "0000"


def test_killed_sandbox_keeps_what_it_answered(tmp_path: Path) -> None:
    """After SIGKILL right after an answer the order is there, with the same credentials."""
    state = tmp_path / "state.jsonl"
    command = [sys.executable, "-c", CHILD, str(state)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        ready = json.loads(child.stdout.readline())
        fields = {
            "txamt": "8800",
            "txcurrcd": "HKD",
            "pay_type": "801107",
            "out_trade_no": "K1",
            "txdtm": now(),
        }
        headers = {"X-QF-APPCODE": ready["app_code"], "X-QF-SIGN": sign(fields, ready["client_key"])}
        reply = httpx2.post(ready["url"] + "/trade/v1/payment", data=fields, headers=headers).json()
        child.send_signal(signal.SIGKILL)
    with reopened(state) as server, httpx2.Client() as http:
        assert server.settings["client_key"] == ready["client_key"]
        assert Merchant(server, http).record("K1")["syssn"] == reply["syssn"]


def test_state_of_another_provider_is_refused(tmp_path: Path) -> None:
    """Another sandbox's file is left unchanged."""
    state = tmp_path / "state.jsonl"
    state.write_text('{"paycore_sandbox":"other","version":1}\n')
    with pytest.raises(ValueError, match="belongs to sandbox other"), reopened(state):
        pass
    assert state.read_text().startswith('{"paycore_sandbox":"other"')
