"""
Ten checkouts at once in async code: one client, one event loop, one SQLite file.

Runs by itself: a QFPay sandbox on this machine is the provider, a temporary SQLite file the ledger, and a
simulated payer pays each order one second after it was made.

    python examples/checkout_async.py
"""

import asyncio
import tempfile
from pathlib import Path

import paycore
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

CONFIG = """
ledger = "sqlite:///shop.db"

[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
region = "hk"
app_code = "{app_code}"
client_key = "{client_key}"
"""


def main() -> None:
    """Serve a sandbox, write the configuration that points at it, and check out."""
    with tempfile.TemporaryDirectory() as folder, SandboxServer(QFPaySandbox(), auto_pay_s=1.0) as sandbox:
        config = Path(folder) / "paycore.toml"
        config.write_text(CONFIG.format(url=sandbox.url, **sandbox.settings), encoding="utf-8")
        asyncio.run(check_out(config))


async def check_out(config: Path) -> None:
    """The code of an application."""
    async with paycore.AsyncClient(config) as pay:
        payments = await asyncio.gather(*(buy(pay, f"order-{number}") for number in range(1, 11)))
        refunded = await pay.refund(payments[0].id, reference="refund-1")
        print(f"{refunded.reference}: {refunded.refunded_minor} of {refunded.paid_minor} went back")

        print("\nThe ledger says:")
        for payment in await pay.list():
            print(f"{payment.reference:<9}  {payment.status}  {payment.amount}")


async def buy(pay: paycore.AsyncClient, reference: str) -> paycore.Payment:
    """One payer's checkout, from order to payment."""
    payment = await pay.create(
        reference=reference,
        amount=paycore.Money("88.00", "HKD"),
        method="alipay",
        channel="qr",
        subject="Two tickets",
    )
    return await pay.wait(payment.id, timeout_s=30)


if __name__ == "__main__":
    main()
