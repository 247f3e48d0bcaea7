"""The conformance kit, as any plugin's suite runs it: one test per check, against the sandbox."""

from paycore.testing import conformance_of
from paycore.testing.conformance.subject import Subject
from qfpay_alipay.provider import QFPayAlipay
from qfpay_alipay.sandbox import QFPaySandbox

SLOW_REFUNDS = Subject(
    provider=QFPayAlipay,
    sandbox=QFPaySandbox(),
    settings={"region": "hk"},
    sandbox_settings={"refunds_take_s": "60"},
)
STRICT = Subject(
    provider=QFPayAlipay,
    sandbox=QFPaySandbox(),
    settings={
        "region": "hk",
        "trust_notifications": True,
        "require_signed_replies": True,
        "sign_type": "SHA256",
    },
    sandbox_settings={"mchid": "MCH0001"},
)

test_hong_kong = conformance_of("qfpay-alipay", region="hk")

test_overseas = conformance_of(
    "qfpay-alipay",
    region="overseas",
    only=("every_product_makes_an_order", "paid_order_is_paid_once", "amounts_are_exact_in_every_currency"),
)

test_refunds_that_take_time = conformance_of(
    SLOW_REFUNDS, only=("refund_is_told_as_far_as_it_got", "refund_that_comes_back_is_reversed")
)

test_trusted_notifications_and_signed_replies = conformance_of(
    STRICT,
    only=(
        "notification_of_a_paid_order_pays_it",
        "repeated_notification_changes_nothing",
        "unknown_words_do_not_pay",
        "changed_body_is_refused",
        "lost_reply_makes_one_order",
        "other_amount_is_noticed",
        "unreadable_reply_is_unknown",
    ),
)
