"""The observation of one trade: messages, refunded amounts, and wrong signatures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paycore.plugin import Money, PartialAmount, RefundStatus, Status
from plugins.qfpay_alipay.tests.bank import record
from plugins.qfpay_alipay.tests.support import NUMBER
from qfpay_alipay import messages
from qfpay_alipay.observations import read_payment, read_refund

ASKED = Money("10.99", "HKD")
UNTOLD = {"txamt": "", "txcurrcd": ""}


def trade(**fields: Any) -> messages.Record:
    """The record of the order, as it came."""
    return messages.decode(json.dumps(record(**fields)).encode(), messages.Record)


def test_all_of_qfpays_messages_are_kept_as_evidence() -> None:
    """All of QFPay's message fields by name; empty ones are left out."""
    seen = read_payment(
        trade(resperr="ok", respmsg="accepted", errmsg="done", cancel="0", pay_type="801514", respcd="0000")
    )
    assert seen is not None
    assert seen.words == {
        "respcd": "0000",
        "resperr": "ok",
        "respmsg": "accepted",
        "errmsg": "done",
        "cancel": "0",
        "pay_type": "801514",
    }
    bare = read_payment(trade(errmsg="", cancel=None, pay_type=" "))
    assert bare is not None
    assert bare.words == {"respcd": "0000"}


@pytest.mark.parametrize(
    ("fields", "asked", "minor"),
    [
        ({}, ASKED, 1099),
        ({"txamt": "1200"}, ASKED, 1200),
        ({"txamt": "1200", "txcurrcd": ""}, ASKED, 1200),
        ({"txamt": "", "txcurrcd": "HKD"}, ASKED, 1099),
        (UNTOLD, ASKED, 1099),
        (UNTOLD, None, None),
        ({"txamt": "8.80"}, ASKED, 1099),
        ({"txamt": "0", "txcurrcd": ""}, ASKED, 0),
    ],
)
def test_full_refund_is_the_reported_or_the_payments_amount(
    fields: dict[str, Any], asked: Money | None, minor: int | None
) -> None:
    """The reported amount, else its reported part, else the payment's; unknown if none is."""
    seen = read_payment(trade(cancel="3", **fields), asked=asked)
    assert seen is not None
    assert (seen.status, seen.refunded_minor) == (Status.PAID, minor)


def test_refund_has_its_partial_amount() -> None:
    """A partial amount is compared like a payment's."""
    seen = read_refund(trade(order_type="refund", txcurrcd=""))
    assert seen is not None
    assert (seen.amount, seen.partial_amount) == (None, PartialAmount(minor=1099))
    assert (seen.number, seen.status) == (NUMBER, RefundStatus.SUCCEEDED)


@pytest.mark.parametrize("is_signed_wrong", [True, False])
def test_wrong_signature_is_reported(*, is_signed_wrong: bool) -> None:
    """A wrong signature is reported, for refunds and payments."""
    payment = read_payment(trade(), is_signed_wrong=is_signed_wrong)
    refund = read_refund(trade(order_type="refund"), is_signed_wrong=is_signed_wrong)
    assert payment is not None
    assert refund is not None
    assert payment.is_signed_wrong is refund.is_signed_wrong is is_signed_wrong


def test_signature_is_valid_by_default() -> None:
    """The default is a valid signature: the reader of the reply checks it."""
    payment, refund = read_payment(trade()), read_refund(trade(order_type="refund"))
    assert payment is not None
    assert refund is not None
    assert not payment.is_signed_wrong
    assert not refund.is_signed_wrong
