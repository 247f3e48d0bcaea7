"""A payment that was paid twice at QFPay, refunded charge by charge from the command line."""

import httpx2

from paycore.engine.plugins import Plugins
from paycore.sandbox.server import SandboxServer
from plugins.qfpay_alipay.tests.sandbox.merchant import Merchant
from tests.cli.conftest import Cli, write_config


def test_paid_twice_is_refunded_charge_by_charge(cli: Cli) -> None:
    """A refund without an amount returns one charge; a second reference returns the other."""
    sandbox = Plugins().sandboxes()["qfpay-alipay"]
    with (
        SandboxServer(sandbox, settings={"duplicate_policy": "charge_blindly"}) as server,
        httpx2.Client(timeout=5) as http,
    ):
        write_config(server.url)
        payment = cli.create()
        merchant = Merchant(server, http)
        merchant.payment(out_trade_no=payment["order_number"])
        records = merchant.query(out_trade_no=payment["order_number"])
        assert len(records) == 2
        for record in records:
            merchant.gateway.orders.pay(record["syssn"])
        ran = cli("query", payment["id"], "--json")
        assert (ran.code, ran.json["review_reasons"]) == (9, ["paid_twice"]), ran
        too_much = cli("refund", payment["id"], "--reference", "back-1", "--amount", "176.00")
        assert (too_much.code, "make a refund of each" in too_much.err) == (2, True), too_much
        for n, reference in enumerate(("back-1", "back-2"), start=1):
            ran = cli("refund", payment["id"], "--reference", reference, "--json")
            assert (ran.code, ran.json["refunded_minor"]) == (9, n * 8800), ran
        assert {refund["status"] for refund in ran.json["refunds"]} == {"succeeded"}
        assert {refund["charge_id"] for refund in ran.json["refunds"]} == {r["syssn"] for r in records}
        nothing = cli("refund", payment["id"], "--reference", "back-3")
        assert (nothing.code, "0.00 HKD is left of 176.00 HKD" in nothing.err) == (2, True), nothing
