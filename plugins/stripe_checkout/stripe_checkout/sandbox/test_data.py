"""Test cards and bank accounts, and what they do. Source: docs.stripe.com/testing."""

from __future__ import annotations

import msgspec


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What becomes of an attempt.

    `code` and `decline_code` refuse it. `asks_3ds`: the payer confirms first, and then the rest holds. `disputed`: the
    reason of the dispute that follows, `inquiry` for one that takes nothing. `refund`: what becomes of its refunds,
    `pending` or `fails`.
    """

    code: str = ""
    decline_code: str = ""
    asks_3ds: bool = False
    disputed: str = ""
    refund: str = ""


SUCCEEDS = Outcome()

CARDS = {
    "4242424242424242": SUCCEEDS,
    "5555555555554444": SUCCEEDS,
    "378282246310005": SUCCEEDS,
    "4000000000000077": SUCCEEDS,
    "4000000000000002": Outcome(code="card_declined", decline_code="generic_decline"),
    "4000000000009995": Outcome(code="card_declined", decline_code="insufficient_funds"),
    "4000000000009987": Outcome(code="card_declined", decline_code="lost_card"),
    "4000000000009979": Outcome(code="card_declined", decline_code="stolen_card"),
    "4000000000006975": Outcome(code="card_declined", decline_code="card_velocity_exceeded"),
    "4000000000000069": Outcome(code="expired_card", decline_code="expired_card"),
    "4000000000000127": Outcome(code="incorrect_cvc", decline_code="incorrect_cvc"),
    "4000000000000119": Outcome(code="processing_error", decline_code="processing_error"),
    "4242424242424241": Outcome(code="incorrect_number", decline_code="incorrect_number"),
    "4000002500003155": Outcome(asks_3ds=True),
    "4000002760003184": Outcome(asks_3ds=True),
    "4000008400001629": Outcome(asks_3ds=True, code="card_declined", decline_code="generic_decline"),
    "4000008260003178": Outcome(asks_3ds=True, code="card_declined", decline_code="insufficient_funds"),
    "4000000000000259": Outcome(disputed="fraudulent"),
    "4000000000002685": Outcome(disputed="product_not_received"),
    "4000000000001976": Outcome(disputed="inquiry"),
    "4000000000007726": Outcome(refund="pending"),
    "4000000000005126": Outcome(refund="fails"),
}

BANK_ACCOUNTS = {
    "DE89370400440532013000": ("sepa_debit", SUCCEEDS),
    "DE08370400440532013003": ("sepa_debit", SUCCEEDS),
    "DE62370400440532013001": (
        "sepa_debit",
        Outcome(code="payment_intent_payment_attempt_failed", decline_code="insufficient_funds"),
    ),
    "DE35370400440532013002": ("sepa_debit", Outcome(disputed="debit_not_authorized")),
    "000123456789": ("us_bank_account", SUCCEEDS),
    "000111111116": (
        "us_bank_account",
        Outcome(code="payment_method_provider_decline", decline_code="no_account"),
    ),
    "000222222227": (
        "us_bank_account",
        Outcome(code="payment_method_provider_decline", decline_code="insufficient_funds"),
    ),
    "000555555559": ("us_bank_account", Outcome(disputed="debit_not_authorized")),
}
"""Debits, by account: the method they are of. All are final only after `debit_s` on the sandbox's clock."""
