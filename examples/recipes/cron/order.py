"""
Makes the payment of an order, and prints where its payer goes; nobody waits for it.

python cron/order.py order-1001 88.00
"""

import sys

import paycore


def main() -> None:
    """Make it once: the same order again is the same payment, with the same link."""
    reference, amount = sys.argv[1:]
    with paycore.Client() as pay:
        payment = pay.create(
            reference=reference,
            amount=paycore.Money(amount, "HKD"),
            method="alipay",
            channel="web",
            return_url="https://shop.example/thanks",
        )
    match payment.action:
        case paycore.Redirect(url=url) | paycore.QRCode(content=url):
            print(url)
        case _:
            print(payment.status)


if __name__ == "__main__":
    main()
