"""A sandbox that is killed has lost nothing it answered."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2

from paycore.sandbox.server import SandboxServer
from paypal_orders.sandbox import PayPalSandbox
from plugins.paypal_orders.tests.sandbox.merchant import Merchant

CHILD = """
import json, sys
from pathlib import Path
from paycore.sandbox.server import serve_forever
from paypal_orders.sandbox import PayPalSandbox
serve_forever(PayPalSandbox(), port=0, state=Path(sys.argv[1]), auto_pay_s=None, speed=1.0, notify_url=None,
              settings={}, on_ready=lambda ready: print(json.dumps(dict(ready)), flush=True))
"""


def test_a_killed_sandbox_keeps_what_it_answered(tmp_path: Path) -> None:
    """After SIGKILL right after an answer the order is there, and its request id is still used."""
    state = tmp_path / "state.jsonl"
    command = [sys.executable, "-c", CHILD, str(state)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    order = {"intent": "CAPTURE", "purchase_units": [{"amount": {"currency_code": "EUR", "value": "1.00"}}]}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        ready = json.loads(child.stdout.readline())
        form = {"grant_type": "client_credentials"}
        pair = (ready["client_id"], ready["client_secret"])
        token = httpx2.post(f"{ready['url']}/v1/oauth2/token", data=form, auth=pair).json()["access_token"]
        head = {"authorization": f"Bearer {token}", "paypal-request-id": "k1"}
        made = httpx2.post(f"{ready['url']}/v2/checkout/orders", json=order, headers=head).json()
        child.send_signal(signal.SIGKILL)
    with SandboxServer(PayPalSandbox(), state=state) as server:
        merchant = Merchant(server)
        assert merchant.shown(made["id"])["purchase_units"][0]["amount"]["value"] == "1.00"
        content = httpx2.Request("POST", server.url, json=order).content
        again = merchant.post("/v2/checkout/orders", content, request_id="k1")
        assert (again.status_code, again.json()["id"]) == (200, made["id"])
