"""Events as they are sent: what, when, how often, and after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
import stripe

from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.sandbox.server import SandboxServer
from plugins.stripe_checkout.tests import vectors
from plugins.stripe_checkout.tests.conftest import OpenSandbox
from plugins.stripe_checkout.tests.receiver import Receiver
from stripe_checkout.sandbox import StripeSandbox

FORM = vectors.CREATE_FORM.replace("&expires_at=1795086500", "")
AUTOMATIC = FORM.replace("&payment_intent_data[capture_method]=manual", "")


def make(
    sandbox: SandboxServer, form: str = AUTOMATIC, path: str = "/v1/checkout/sessions"
) -> dict[str, Any]:
    head = {
        "authorization": f"Bearer {sandbox.settings['api_key']}",
        "content-type": "application/x-www-form-urlencoded",
    }
    with httpx2.Client(timeout=5) as http:
        made: dict[str, Any] = http.post(sandbox.url + path, headers=head, content=form.encode()).json()
        return made


def types(receiver: Receiver, count: int) -> set[str]:
    """The types of all events that arrived, once there are so many."""
    receiver.wait_for(count)
    return {json.loads(one.body)["type"] for one in receiver.arrived}


def test_a_paid_session_is_told_of(open_sandbox: OpenSandbox, receiver: Receiver) -> None:
    """Three events; the request's id and key are those that caused them, none of what the payer did."""
    sandbox = open_sandbox(notify_url=receiver.url)
    make(sandbox)
    sandbox.gateway.controls.pay("ref-1001")
    assert types(receiver, 3) == {
        "payment_intent.succeeded",
        "charge.succeeded",
        "checkout.session.completed",
    }
    assert json.loads(receiver.arrived[0].body)["request"] == {"id": None, "idempotency_key": None}


def test_what_is_not_delivered_is_sent_again(open_sandbox: OpenSandbox, receiver: Receiver) -> None:
    """Three tries over a few hours of the sandbox's clock, each signed anew; any 2xx ends them."""
    sandbox = open_sandbox(notify_url=receiver.url)
    receiver.statuses = [500, 302, 204]
    session = make(sandbox)
    make(sandbox, "", f"/v1/checkout/sessions/{session['id']}/expire")
    receiver.wait_for(1)
    for count, seconds in ((2, 601), (3, 7201)):
        _until_counted(sandbox, session["id"], count - 1)
        sandbox.gateway.clock.advance(seconds)
        receiver.wait_for(count)
    _until_counted(sandbox, session["id"], 3)
    sandbox.gateway.clock.advance(24 * 3600)
    (event,) = sandbox.gateway.controls.show_order(session["id"])["events"]
    assert [one["status"] for one in event["tries"]] == [500, 302, 204]
    assert len({one.body for one in receiver.arrived}) == 1


def _until_counted(sandbox: SandboxServer, number: str, count: int) -> None:
    import time

    for _ in range(500):
        if len(sandbox.gateway.controls.show_order(number)["events"][0]["tries"]) >= count:
            return
        time.sleep(0.01)
    raise AssertionError("no answer was counted")


def test_a_debit_fails_days_later(open_sandbox: OpenSandbox, receiver: Receiver) -> None:
    """Completed and unpaid at once; failed on the sandbox's clock."""
    sandbox = open_sandbox(notify_url=receiver.url)
    session = make(sandbox)
    with httpx2.Client(timeout=5) as http:
        form = {"method": "sepa_debit", "account": "DE62370400440532013001"}
        http.post(f"{sandbox.url}/c/pay/{session['id']}/pay", data=form)
    assert types(receiver, 1) == {"checkout.session.completed"}
    assert sandbox.gateway.controls.show_order("ref-1001")["state"] == "processing"
    sandbox.gateway.clock.advance(4 * 24 * 3600)
    assert "checkout.session.async_payment_failed" in types(receiver, 3)
    assert sandbox.gateway.controls.show_order("ref-1001")["state"] == "failed"


def test_controls_send_again_late_and_forged(open_sandbox: OpenSandbox, receiver: Receiver) -> None:
    """The newest event of the order; a forged one has a signature that no secret makes."""
    sandbox = open_sandbox(notify_url=receiver.url)
    controls = sandbox.gateway.controls
    session = make(sandbox)
    with pytest.raises(NotPossible):
        controls.notify(session["id"], kind="repeat", seconds=0)
    make(sandbox, "", f"/v1/checkout/sessions/{session['id']}/expire")
    receiver.wait_for(1)
    controls.notify("ref-1001", kind="repeat", seconds=0)
    controls.notify("ref-1001", kind="late", seconds=30)
    receiver.wait_for(2)
    sandbox.gateway.clock.advance(31)
    receiver.wait_for(3)
    controls.notify("ref-1001", kind="forged", seconds=0)
    forged = receiver.wait_for(4)[3]
    assert json.loads(forged.body)["type"] == "checkout.session.expired"
    secret, header = sandbox.settings["webhook_secret"], forged.headers["stripe-signature"]
    verify: Any = stripe.WebhookSignature.verify_header
    with pytest.raises(stripe.SignatureVerificationError):
        verify(forged.body.decode(), header, secret)
    with pytest.raises(ValueError, match="kind"):
        controls.notify("ref-1001", kind="other", seconds=0)
    with pytest.raises(UnknownOrder):
        controls.show_order("nobody")


@pytest.mark.parametrize(
    ("fault", "options", "count"),
    [
        ("drop_notification", {}, 2),
        ("duplicate_notification", {"copies": 2}, 4),
        ("forged_notification", {}, 4),
    ],
)
def test_faults_of_notifications(
    open_sandbox: OpenSandbox, receiver: Receiver, fault: str, options: dict[str, Any], count: int
) -> None:
    """Lost, doubled, forged: each once, of three."""
    sandbox = open_sandbox(notify_url=receiver.url)
    make(sandbox)
    sandbox.gateway.faults.add(fault, **options)
    sandbox.gateway.controls.pay("ref-1001")
    receiver.wait_for(count)
    assert len(receiver.arrived) == count


def test_everything_survives_a_restart(open_sandbox: OpenSandbox, receiver: Receiver, tmp_path: Path) -> None:
    """Sessions, refunds, kept keys, debits under way, and events that were not delivered."""
    state = tmp_path / "state.jsonl"
    settings = {"rate_per_s": "0"}
    receiver.statuses = [500]
    with SandboxServer(StripeSandbox(), state=state, settings=settings, notify_url=receiver.url) as server:
        session = make(server)
        with httpx2.Client(timeout=5) as http:
            form = {"method": "sepa_debit", "account": "DE89370400440532013000"}
            http.post(f"{server.url}/c/pay/{session['id']}/pay", data=form)
        receiver.wait_for(1)
        _until_counted(server, session["id"], 1)
        before = server.gateway.controls.show_order("ref-1001")
    with SandboxServer(StripeSandbox(), state=state, settings=settings, notify_url=receiver.url) as server:
        after = server.gateway.controls.show_order("ref-1001")
        assert {**after, "requests": 1} == before
        server.gateway.clock.advance(4 * 24 * 3600)
        assert server.gateway.controls.show_order("ref-1001")["state"] == "paid"
        told = types(receiver, 5)
    assert {"checkout.session.completed", "checkout.session.async_payment_succeeded"} <= told


def test_a_state_file_of_another_sandbox_is_refused(tmp_path: Path) -> None:
    """With the name of the other one."""
    state = tmp_path / "state.jsonl"
    state.write_text('{"paycore_sandbox":"another","version":1}\n')
    with pytest.raises(ValueError, match="belongs to sandbox"), SandboxServer(StripeSandbox(), state=state):
        pass


def test_payers_pay_by_themselves(open_sandbox: OpenSandbox) -> None:
    """After `auto_pay_s` on the sandbox's clock."""
    sandbox = open_sandbox(auto_pay_s=60)
    make(sandbox)
    sandbox.gateway.clock.advance(61)
    assert sandbox.gateway.controls.show_order("ref-1001")["state"] == "paid"
