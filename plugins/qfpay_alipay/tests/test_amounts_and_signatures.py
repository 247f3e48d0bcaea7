"""Missing and wrong amounts, signatures and several records, through the whole of paycore."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore import Client, Money, Payment, RefundStatus, ReviewReason, Status
from paycore.cli.render.timeline import tell
from paycore.engine.config import AccountConfig, Config
from paycore.ledger import open_ledger
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

AMOUNT = Money("88.00", "HKD")
LEFT = ("empty", "null", "missing")


class Shop:
    """A client on a sandbox of its own."""

    def __init__(self, sandbox: SandboxServer, config: Config, pay: Client) -> None:
        self.pay, self.gateway, self._config = pay, sandbox.gateway, config

    def create(self, channel: str = "web", **fields: Any) -> Payment:
        """A payment of 88 dollars."""
        return self.pay.create(reference="order-1", amount=AMOUNT, method="alipay", channel=channel, **fields)

    def paid(self) -> Payment:
        """A payment whose payer has paid; the client has not queried it."""
        payment = self.create()
        self.gateway.controls.pay(payment.order_number)
        return payment

    def story(self, payment: Payment) -> str:
        """The timeline of `paycore show`."""
        ledger = open_ledger(self._config.ledger)
        try:
            return "\n".join(entry.what for entry in tell(ledger.events(payment.id).result()))
        finally:
            ledger.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with a sandbox of its own."""
    with SandboxServer(QFPaySandbox()) as sandbox:
        settings = {"region": "hk", **sandbox.settings}
        account = AccountConfig(
            name="hk",
            provider="qfpay-alipay",
            mode="sandbox",
            base_url=sandbox.url,
            timeout_s=5,
            settings=settings,
        )
        config = Config(
            path=tmp_path / "paycore.toml",
            ledger=f"sqlite:///{tmp_path}/ledger.db",
            default_account="hk",
            accounts={"hk": account},
        )
        with Client(config) as pay:
            yield Shop(sandbox, config, pay)


@pytest.mark.parametrize("left", LEFT)
def test_amount_without_a_currency_is_compared(shop: Shop, left: str) -> None:
    """Another amount without a currency is never paid; the next good record resolves it."""
    payment = shop.paid()
    shop.gateway.faults.add("wrong_amount", by=1)
    shop.gateway.faults.add("no_currency", left=left)
    seen = shop.pay.query(payment.id)
    assert (seen.status, seen.review_reasons) == (Status.PENDING, (ReviewReason.AMOUNT_DIFFERS,))
    assert "the provider says paid, 8801 minor units without a currency" in shop.story(payment)
    assert shop.pay.query(payment.id).status is Status.PAID


@pytest.mark.parametrize("left", LEFT)
def test_currency_without_an_amount_is_compared(shop: Shop, left: str) -> None:
    """Another currency without an amount."""
    payment = shop.paid()
    shop.gateway.faults.add("wrong_currency", currency="JPY")
    shop.gateway.faults.add("no_amount", left=left)
    seen = shop.pay.query(payment.id)
    assert (seen.status, seen.review_reasons) == (Status.PENDING, (ReviewReason.AMOUNT_DIFFERS,))
    assert "the provider says paid, JPY without an amount" in shop.story(payment)


@pytest.mark.parametrize("left", LEFT)
def test_record_without_any_amount_is_taken(shop: Shop, left: str) -> None:
    """As in the published samples: a missing amount does not differ."""
    payment = shop.paid()
    shop.gateway.faults.add("no_amount", left=left)
    shop.gateway.faults.add("no_currency", left=left)
    seen = shop.pay.query(payment.id)
    assert (seen.status, seen.review) == (Status.PAID, False)


@pytest.mark.parametrize("amount", ["8800.0", "abc", "88.00"])
def test_amount_that_can_not_be_read_is_named(shop: Shop, amount: str) -> None:
    """It never pays, and is reported."""
    payment = shop.paid()
    shop.gateway.faults.add("odd_amount", txamt=amount)
    seen = shop.pay.query(payment.id)
    assert (seen.status, seen.review_reasons) == (Status.PENDING, (ReviewReason.AMOUNT_UNREADABLE,))
    assert "an amount that can't be read: txamt" in shop.story(payment)
    assert shop.pay.query(payment.id).status is Status.PAID


def test_scanned_code_answered_with_another_half_is_never_paid(shop: Shop) -> None:
    """The same check for a reply that is the result."""
    shop.gateway.faults.add("wrong_amount", by=1)
    shop.gateway.faults.add("no_currency")
    payment = shop.create("barcode", auth_code="283854702356157409")
    assert payment.review_reasons == (ReviewReason.AMOUNT_DIFFERS,)
    assert "8801 minor units without a currency" in shop.story(payment)
    assert shop.pay.query(payment.id).status is Status.PAID  # by a record that tells both


def test_refund_answered_with_another_half_has_not_succeeded(shop: Shop) -> None:
    """A refund of 20.00 answered with another amount and no currency."""
    payment = shop.pay.query(shop.paid().id)
    shop.gateway.faults.add("wrong_amount", by=1)
    shop.gateway.faults.add("no_currency")
    payment = shop.pay.refund(payment.id, reference="back-1", amount=Money("20.00", "HKD"))
    assert payment.review_reasons == (ReviewReason.REFUND_AMOUNT_DIFFERS,)
    assert payment.refunds[0].status is not RefundStatus.SUCCEEDED


def test_close_answered_with_another_half_needs_review(shop: Shop) -> None:
    """Another order may have been closed."""
    payment = shop.create()
    shop.gateway.faults.add("wrong_amount", by=1, path="/trade/v1/close")
    shop.gateway.faults.add("no_currency", path="/trade/v1/close")
    assert shop.pay.close(payment.id).review_reasons == (ReviewReason.AMOUNT_DIFFERS,)


def test_reply_that_is_signed_wrong_is_review_and_resolved_by_a_good_one(shop: Shop) -> None:
    """A scanned code whose reply has a wrong signature is not paid by it."""
    shop.gateway.faults.add("wrong_signature")
    payment = shop.create("barcode", auth_code="283854702356157409")
    assert (payment.status, payment.review_reasons) == (Status.UNKNOWN, (ReviewReason.SIGNATURE_WRONG,))
    assert "the reply's signature is wrong; it says" in shop.story(payment)
    resolved = shop.pay.query(payment.id)
    assert (resolved.status, resolved.review_reasons) == (Status.PAID, (ReviewReason.SIGNATURE_WRONG,))


def test_record_that_is_signed_wrong_is_review_and_not_paid(shop: Shop) -> None:
    """The same for a query's record."""
    payment = shop.paid()
    shop.gateway.faults.add("wrong_signature")
    seen = shop.pay.query(payment.id)
    assert (seen.status, seen.review_reasons) == (Status.PENDING, (ReviewReason.SIGNATURE_WRONG,))
    assert shop.pay.query(payment.id).status is Status.PAID


def test_fault_left_in_another_way_is_refused(shop: Shop) -> None:
    """A mistyped choice is an error with the known ones."""
    with pytest.raises(ValueError, match="did you mean empty"):
        shop.gateway.faults.add("no_amount", left="emtpy")
