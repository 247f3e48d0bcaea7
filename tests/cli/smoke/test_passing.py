"""`smoke` at a gateway where nothing goes wrong."""

from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli

STEPS = ["choose", "create", "query", "pay", "await", "capture", "refund", "refund rest", "close", "clean up"]


def test_smoke_of_a_sandbox_pays_refunds_and_closes(cli: Cli, shop: SandboxServer) -> None:
    """A table of all steps on stdout, exit code 0; the first payment is paid and refunded, the other one closed."""
    ran = cli("smoke")
    assert ran.code == 0, ran
    account, header, *rows = ran.out.splitlines()
    assert account == "shop"
    assert header.split() == ["STEP", "VERDICT", "SECONDS", "WHAT"]
    assert [row[:11].strip() for row in rows] == STEPS
    assert [row[13:27].strip() for row in rows if not row.startswith("capture")] == ["passed"] * 9
    controls = shop.gateway.controls
    closed, paid = controls.list_orders(10)
    numbered = controls.show_order(paid["out_trade_no"])
    assert (numbered["paid_minor"], numbered["refunded_minor"], numbered["charges"]) == (200, 200, 1)
    assert closed["state"] == "closed"
