"""What was answered survives a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from paycore.sandbox.server import SandboxServer
from paypal_orders.sandbox import PayPalSandbox
from plugins.paypal_orders.tests.sandbox.merchant import Merchant
from plugins.paypal_orders.tests.sandbox.test_webhooks import Receiver, receiver  # noqa: F401 - a fixture


def reopened(state: Path, **options: object) -> SandboxServer:
    return SandboxServer(PayPalSandbox(), state=state, **options)  # type: ignore[arg-type]


def test_orders_and_request_ids_survive_a_restart(tmp_path: Path) -> None:
    """Open, paid, refunded, authorized: shown as before, and what has an id is not done twice."""
    state = tmp_path / "state.jsonl"
    with reopened(state) as server:
        before = Merchant(server)
        body = before.order()
        first = before.post("/v2/checkout/orders", body, request_id="k1").json()
        paid, authorized = before.paid(), before.approved(intent="AUTHORIZE")
        before.post(f"/v2/checkout/orders/{authorized['id']}/authorize")
        before.refund(paid["purchase_units"][0]["payments"]["captures"][0]["id"], "1.00")
        ids = [first["id"], paid["id"], authorized["id"]]
        shown = [before.shown(one) for one in ids]
    with reopened(state) as server:
        after = Merchant(server)
        there = [after.shown(one) for one in ids]
        for document in (*shown, *there):
            document.pop("links")
            payments = document["purchase_units"][0].get("payments", {})
            for made in (one for kind in payments.values() for one in kind):
                made.pop("links")
        assert there == shown
        assert after.post("/v2/checkout/orders", body, request_id="k1").json()["id"] == first["id"]
        assert after.controls.show_order(paid["id"])["refunded_minor"] == 100


def test_plans_and_webhooks_go_on(tmp_path: Path, receiver: Receiver) -> None:  # noqa: F811
    """A payer who will agree, an eCheck under way, a webhook that was refused."""
    state = tmp_path / "state.jsonl"
    receiver.statuses = [500]
    with reopened(state, auto_pay_s=3600, notify_url=receiver.url) as server:
        merchant = Merchant(server)
        waiting, echeck = merchant.created(), merchant.created()
        merchant.controls.agree(echeck["id"], "echeck")
        merchant.post(f"/v2/checkout/orders/{echeck['id']}/capture")
        receiver.first(2)
    with reopened(state, notify_url=receiver.url) as server:
        merchant = Merchant(server)
        merchant.gateway.clock.advance(3601)
        assert merchant.shown(waiting["id"])["status"] == "APPROVED"
        merchant.gateway.clock.advance(3 * 24 * 3600)
        merchant = Merchant(server)
        assert merchant.controls.show_order(echeck["id"])["charges"] == 1
        receiver.first(4)


def test_the_clock_does_not_go_back(tmp_path: Path) -> None:
    """An order that expired on an advanced clock stays so."""
    state = tmp_path / "state.jsonl"
    with reopened(state) as server:
        merchant = Merchant(server)
        order = merchant.created()
        merchant.gateway.clock.advance(4 * 3600)
    with reopened(state) as server:
        assert Merchant(server).get(f"/v2/checkout/orders/{order['id']}").status_code == 404


def test_the_state_of_another_sandbox_is_refused(tmp_path: Path) -> None:
    """And left as it is."""
    state = tmp_path / "state.jsonl"
    state.write_text('{"paycore_sandbox":"other","version":1}\n')
    with pytest.raises(ValueError, match="belongs to sandbox other"), reopened(state):
        pass
