"""
A complete checkout in one file: order, payment, partial refund, and the ledger's history of it.

Runs by itself: a QFPay sandbox on this machine is the provider, a temporary SQLite file the ledger, and a
simulated payer pays one second after the order.

    python examples/checkout_sync.py
"""

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
        check_out(config)


def check_out(config: Path) -> None:
    """The code of an application."""
    with paycore.Client(config) as pay:
        payment = pay.create(
            reference="order-1001",
            amount=paycore.Money("88.00", "HKD"),
            method="alipay",
            channel="web",
            subject="Two tickets",
        )
        match payment.action:
            case paycore.Redirect(url=url) | paycore.QRCode(content=url):
                print(f"{payment.status}: the payer goes to {url.partition('?')[0]}")
            case other:
                print(f"{payment.status}: {other}")

        payment = pay.wait(payment.id, timeout_s=30)
        print(f"{payment.status}: {payment.amount}")

        payment = pay.refund(payment.id, reference="refund-1", amount=paycore.Money("20.00", "HKD"))
        print(
            f"refund {payment.refunds[0].status}: {payment.refunded_minor} of {payment.paid_minor} went back"
        )

        print("\nThe ledger says:")
        for event in pay.events(payment.id):
            print(f"{event.seq:>3}  {event.source:<8}  {event.kind:<16}  {event.status_to}")


if __name__ == "__main__":
    main()
