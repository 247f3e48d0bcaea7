"""Miniature providers: each real API cut down to what it asks of the contract, as small as it can be said."""

from paycore.plugin import Provider
from tests.providers.minis.adyen import Adyen
from tests.providers.minis.alipay import Alipay
from tests.providers.minis.bank import Bank
from tests.providers.minis.bank_transfer import BankTransfer
from tests.providers.minis.gocardless import GoCardless
from tests.providers.minis.klarna import Klarna
from tests.providers.minis.midtrans import Midtrans
from tests.providers.minis.mollie import Mollie
from tests.providers.minis.mpesa import MPesa
from tests.providers.minis.paypal import PayPal
from tests.providers.minis.razorpay import Razorpay
from tests.providers.minis.square import Square
from tests.providers.minis.stripe import Stripe
from tests.providers.minis.till_qr import TillQR
from tests.providers.minis.wechat import WeChat

PROVIDERS: tuple[type[Provider], ...] = (
    Adyen,
    Alipay,
    Bank,
    BankTransfer,
    GoCardless,
    Klarna,
    Midtrans,
    Mollie,
    MPesa,
    PayPal,
    Razorpay,
    Square,
    Stripe,
    TillQR,
    WeChat,
)
"""All of them; a type checker holds each to the contract."""
