"""What the conformance kit asks of a gateway beyond the contract: test codes, signatures, a URL for notifications."""

from collections.abc import Callable

import pytest

from paycore.sandbox.api import NotPossible, UnknownOrder
from plugins.qfpay_alipay.tests.sandbox.merchant import Merchant
from plugins.qfpay_alipay.tests.sandbox.test_notifications import Receiver, is_signed, receiver

__all__ = ["receiver"]


def test_a_barcode_of_the_gateways_own_waits_for_its_payer(merchant: Merchant) -> None:
    """Each is new, and opens an order that the payer can pay; products without a code need nothing."""
    first, second = (merchant.gateway.order_arguments("alipay", "barcode") for _ in range(2))
    assert first != second
    order = merchant.payment("800108", **first)
    assert order["respcd"] == "1143"
    assert merchant.gateway.controls.pay(order["out_trade_no"])["state"] == "paid"
    assert merchant.gateway.order_arguments("alipay", "qr") == {}


def test_what_is_signed_for_the_kit_is_signed_as_the_gateway_does(merchant: Merchant) -> None:
    """Replies and notifications: MD5 over the raw body and the key."""
    for sign in (merchant.gateway.sign_reply, merchant.gateway.sign_notification):
        (signature,) = sign(b'{"respcd": "0000"}').values()
        assert is_signed(b'{"respcd": "0000"}', signature, merchant.key)


@pytest.mark.parametrize("is_set", [False, True])
def test_notifications_go_where_the_host_says(
    receiver: Receiver, open_merchant: Callable[..., Merchant], *, is_set: bool
) -> None:
    """The host's `notify_url` is the account's registered one; the sandbox setting of that name is preferred."""
    settings, elsewhere = {"notify_url": receiver.url}, "http://127.0.0.1:9/"
    merchant = (
        open_merchant(settings, notify_url=elsewhere) if is_set else open_merchant(notify_url=receiver.url)
    )
    order = merchant.paid("801501")
    assert receiver.got(1)[0]["out_trade_no"] == order["out_trade_no"]


def test_refunds_that_take_time_are_pending_and_can_fail(
    receiver: Receiver, open_merchant: Callable[..., Merchant]
) -> None:
    """1143 until their time is over, and returned only then; one that fails before is not notified."""
    merchant = open_merchant({"refunds_take_s": "60"}, notify_url=receiver.url)
    order = merchant.paid("801501")
    receiver.got(1)
    failing, lasting = merchant.refund(order, "8000"), merchant.refund(order, "800")
    assert (failing["respcd"], lasting["respcd"]) == ("1143", "1143")
    assert merchant.gateway.controls.fail_refund(failing["out_trade_no"])["refunded_minor"] == 0
    merchant.gateway.clock.advance(61)
    assert merchant.gateway.controls.show_order(order["out_trade_no"])["refunded_minor"] == 800
    assert merchant.record(failing["out_trade_no"])["respcd"] == "1205"
    assert merchant.record(lasting["out_trade_no"])["respcd"] == "0000"
    assert receiver.got(2)[1]["out_trade_no"] == lasting["out_trade_no"]
    for number, problem in ((lasting["out_trade_no"], "has ended"), (order["out_trade_no"], "no refund")):
        with pytest.raises((NotPossible, UnknownOrder), match=problem):
            merchant.gateway.controls.fail_refund(number)
