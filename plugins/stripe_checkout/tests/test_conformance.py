"""The conformance kit, as any plugin's suite runs it: one test per check, against the sandbox."""

from paycore.testing import conformance_of
from paycore.testing.conformance.subject import Subject
from stripe_checkout.provider import StripeCheckout
from stripe_checkout.sandbox import StripeSandbox

test_conformance = conformance_of("stripe-checkout")

test_refunds_that_take_time = conformance_of(
    Subject(provider=StripeCheckout, sandbox=StripeSandbox(), sandbox_settings={"refunds_take_s": "60"}),
    only=(
        "refund_is_told_as_far_as_it_got",
        "refunds_in_part_add_up",
        "refund_totals_are_those_of_the_gateway",
        "refund_over_the_rest_is_refused",
        "refund_that_comes_back_is_reversed",
        "refund_is_made_once_whatever_is_lost",
    ),
)

test_events_that_only_make_a_payment_due = conformance_of(
    "stripe-checkout",
    trust_notifications=False,
    only=(
        "notification_of_a_paid_order_pays_it",
        "repeated_notification_changes_nothing",
        "unknown_words_do_not_pay",
        "changed_body_is_refused",
    ),
)
