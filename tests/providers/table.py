"""
What real payment APIs need of the contract, and the test that shows it, for each API and need.

    python -m tests.providers.table     prints it in Markdown, for docs/writing-a-plugin.md
"""

from typing import NamedTuple


class Row(NamedTuple):
    """`test` is the name of a function in `tests/providers/test_<module>.py`."""

    api: str
    need: str
    module: str
    test: str


ROWS = (
    Row(
        "Stripe Checkout",
        "sessions by form, expiry, refunds by payment intent, several webhook secrets, a table of amounts",
        "stripe",
        "test_a_session_is_paid_and_refunded",
    ),
    Row(
        "Stripe Checkout",
        "no lookup by our number: a lost session is found by its key, kept for a day",
        "stripe",
        "test_a_lost_session_is_found_by_its_key_within_a_day",
    ),
    Row(
        "Stripe Checkout",
        "after that day a person says what became of it",
        "stripe",
        "test_a_session_lost_for_a_day_is_for_a_person",
    ),
    Row(
        "Stripe Checkout",
        "test and live share a host; the key decides",
        "stripe",
        "test_a_key_of_another_mode_is_refused",
    ),
    Row(
        "Stripe Checkout",
        "session, intent and charge; an event names only the intent",
        "stripe",
        "test_an_event_that_names_only_the_intent_is_about_its_session",
    ),
    Row("Stripe Checkout", "disputes", "stripe", "test_a_dispute_is_a_charge_back_until_it_is_won"),
    Row(
        "Stripe Checkout",
        "debits that fail days after they succeeded",
        "stripe",
        "test_a_debit_that_fails_after_days_is_a_charge_back",
    ),
    Row(
        "Stripe Checkout",
        "a refund that fails after it succeeded",
        "stripe",
        "test_a_refund_that_fails_after_it_succeeded_gives_its_amount_back",
    ),
    Row("Stripe Checkout", "too many requests", "stripe", "test_too_many_requests_fail_nothing"),
    Row(
        "Stripe Checkout",
        "its own list, with our number and reference",
        "stripe",
        "test_what_stripe_lists_has_our_numbers_and_references",
    ),
    Row(
        "PayPal Orders",
        "a token that lasts hours, shared by all flows",
        "paypal",
        "test_a_token_is_fetched_once_until_it_is_refused",
    ),
    Row(
        "PayPal Orders",
        "the payer approves, then the order is captured",
        "paypal",
        "test_an_approved_order_is_captured_and_refunded",
    ),
    Row(
        "PayPal Orders",
        "captured by the merchant, later",
        "paypal",
        "test_manual_capture_waits_for_its_caller",
    ),
    Row(
        "PayPal Orders",
        "the reply to a capture is lost",
        "paypal",
        "test_a_lost_capture_reply_takes_the_money_once",
    ),
    Row(
        "PayPal Orders",
        "webhooks that only PayPal can verify",
        "paypal",
        "test_an_event_that_only_paypal_can_verify_is_a_mention",
    ),
    Row(
        "PayPal Orders",
        "a declined instrument: the payer approves the same order again",
        "paypal",
        "test_a_payer_whose_card_is_declined_agrees_again",
    ),
    Row(
        "WeChat Pay v3",
        "a signature over time and nonce, of each attempt",
        "wechat",
        "test_a_request_sent_again_has_its_own_time_and_nonce",
    ),
    Row(
        "WeChat Pay v3",
        "certificates that are fetched, for notifications",
        "wechat",
        "test_a_notification_holds_by_the_certificates_that_were_fetched",
    ),
    Row(
        "Alipay, direct",
        "a page to pay on is a signed link, without a request",
        "alipay",
        "test_a_page_payment_is_a_signed_link_without_a_request",
    ),
    Row(
        "Alipay, direct",
        "refunds by trade number and request number",
        "alipay",
        "test_a_refund_is_found_by_its_trade_and_its_own_number",
    ),
    Row("Adyen", "a live host per merchant", "adyen", "test_a_live_account_has_a_host_of_its_own"),
    Row(
        "Adyen",
        "batches of events of several merchants",
        "adyen",
        "test_a_batch_of_several_merchants_reaches_each",
    ),
    Row(
        "Adyen",
        "refunds that only events tell of, and that fail after they succeeded",
        "adyen",
        "test_a_refund_fails_after_it_succeeded",
    ),
    Row("Adyen", "charge backs", "adyen", "test_a_charge_back_is_counted_once_until_it_is_won"),
    Row(
        "Adyen",
        "a script in the shop's page, and the result the browser brings back",
        "adyen",
        "test_the_browser_brings_the_result_back",
    ),
    Row("Mollie", "an unsigned webhook with an id", "mollie", "test_an_unsigned_id_makes_the_payment_due"),
    Row("Mollie", "refunds below their payment", "mollie", "test_a_refund_is_found_below_its_payment"),
    Row("Mollie", "cancelled by DELETE", "mollie", "test_a_payment_is_cancelled_by_delete"),
    Row(
        "Mollie",
        "a key that is kept for an hour",
        "mollie",
        "test_a_lost_payment_is_found_within_the_hour_only",
    ),
    Row(
        "GoCardless",
        "days until a debit is final, and charged back after it was paid",
        "gocardless",
        "test_a_debit_is_paid_after_days_and_taken_back_later",
    ),
    Row(
        "GoCardless",
        "250 events in one body",
        "gocardless",
        "test_events_of_250_payments_come_in_one_body",
    ),
    Row(
        "Razorpay",
        "order and payment ids, disputes",
        "razorpay",
        "test_a_payment_below_its_order_is_paid_and_disputed",
    ),
    Row(
        "Razorpay",
        "test and live share a host; the key decides",
        "razorpay",
        "test_a_key_of_another_mode_is_refused",
    ),
    Row("Square", "an idempotency key on create", "square", "test_a_key_makes_one_link"),
    Row(
        "Square",
        "a signature over URL and body",
        "square",
        "test_a_notification_is_signed_over_url_and_body",
    ),
    Row(
        "M-Pesa STK push",
        "a callback without our number, two ids, a token",
        "mpesa",
        "test_a_callback_without_our_number_is_about_its_payment",
    ),
    Row(
        "M-Pesa STK push",
        "a reply that is lost, and a push that must not be sent twice",
        "mpesa",
        "test_a_lost_push_is_never_sent_again",
    ),
    Row(
        "Midtrans",
        "checkout and status on different hosts",
        "midtrans",
        "test_checkout_and_status_are_on_two_hosts",
    ),
    Row(
        "Midtrans", "a signature inside the notification", "midtrans", "test_a_notification_is_signed_inside"
    ),
    Row(
        "Klarna",
        "a token the payer brings back makes the order, which is captured later",
        "klarna",
        "test_what_the_payer_brings_back_makes_the_order",
    ),
    Row("Klarna", "an authorized order is voided", "klarna", "test_an_authorized_order_is_voided"),
    Row(
        "Bank transfer, virtual account",
        "details to show; no link, no close, no refund, no notification",
        "bank_transfer",
        "test_a_transfer_is_paid_by_what_is_shown",
    ),
    Row("Bank APIs", "client certificates", "bank", "test_the_bank_knows_its_customer_by_a_certificate"),
    Row(
        "Bank APIs",
        "payments that are PUT and PATCHed",
        "bank",
        "test_a_payment_is_put_under_our_number_and_patched",
    ),
    Row(
        "Scanned codes at a till",
        "paid at once, or reversed",
        "till_qr",
        "test_a_payer_who_hesitates_is_reversed",
    ),
)


def markdown() -> str:
    """The table in Markdown, as the plugin guide has it."""
    lines = ["| API | What it needs | Shown by, in `tests/providers` |", "| --- | --- | --- |"]
    lines += [f"| {row.api} | {row.need} | `test_{row.module}.py::{row.test}` |" for row in ROWS]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
