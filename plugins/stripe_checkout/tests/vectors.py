"""
Golden vectors: bodies, signatures and forms with what they must come to.

Ids and secrets are made up. Each says what its shape is taken from; signatures were computed by HMAC-SHA256 apart from
this plugin and verified by stripe-python 16.1.0. SOURCES.md lists the sources with their dates.
"""

SECRET_1 = "whsec_REFERENCE_synthetic_000000000001"
SECRET_2 = "whsec_REFERENCE_synthetic_000000000002"

# The smallest signed body. Shape: `stripe/_webhook.py` of stripe-python.
SMALL = b'{"id":"evt_ref_0001","object":"event"}'
SMALL_AT = 1795000000
SMALL_HEADER = "t=1795000000,v1=b74d1da2d1e20e534ce4526013810dd28c248b83600e668c0d6aec9ef2517fe1"

# While a secret is rolled, and with the decoy of test events. Shape: docs.stripe.com/webhooks, "Roll endpoint signing
# secrets" and "Verify manually".
ROLLED_HEADER = (
    "t=1795000000,v1=1afc3cc3e04b084250739a8d2ed3ca4e29b9a84d7450a30ab4ae8de7bb23786f,"
    "v1=b74d1da2d1e20e534ce4526013810dd28c248b83600e668c0d6aec9ef2517fe1,v0=" + "0" * 64
)

# An event of real size. Shape: the event and session fixtures of stripe/openapi, stripe-python's resources.
PAID = (
    b'{"id":"evt_1Ref0002","object":"event","api_version":"2026-10-28.endive","created":1795000411,"data":{"object":{'
    b'"id":"cs_test_a1Ref0001","object":"checkout.session","amount_subtotal":2599,"amount_total":2599,'
    b'"client_reference_id":"ref-1001","created":1795000100,"currency":"eur","expires_at":1795086500,"livemode":false,'
    b'"metadata":{"order":"ref-1001"},"mode":"payment","payment_intent":"pi_3Ref0001","payment_status":"paid",'
    b'"presentment_details":null,"status":"complete","ui_mode":"hosted_page","url":null}},"livemode":false,'
    b'"pending_webhooks":1,"request":{"id":null,"idempotency_key":null},"type":"checkout.session.completed"}'
)
PAID_AT = 1795000412
PAID_SIGNATURE = "687b9940c38485a2962af0404e6b29290022280d847f32d4da751e6a2219e7ad"

# Bytes are signed, not text.
TEXT = '{"name":"Zażółć 株式会社","total":"5 €"}'.encode()
TEXT_AT = 1795000001
TEXT_SIGNATURE = "8fd6d15fbec621f70890c7be03090befadd1e0c85d1b89b9442b1049373ffe3f"
TEXT_AND_NEWLINE_SIGNATURE = "908db898102a7e89695950be92898c57bab82d7ac8f8956433b11627db8bd4a9"

# Forms as stripe-python 16.1.0 writes them.
CREATE_PARAMS = {
    "mode": "payment",
    "client_reference_id": "ref-1001",
    "line_items": [
        {
            "price_data": {
                "currency": "eur",
                "unit_amount": 2599,
                "product_data": {"name": "Order ref-1001 & more"},
            },
            "quantity": 1,
        }
    ],
    "metadata": {"order": "ref-1001"},
    "payment_intent_data": {"capture_method": "manual", "metadata": {"order": "ref-1001"}},
    "success_url": "https://shop.example/ok?sid={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://shop.example/back",
    "expires_at": 1795086500,
    "locale": "auto",
    "adaptive_pricing": {"enabled": False},
}
CREATE_FORM = (
    "mode=payment&client_reference_id=ref-1001&line_items[0][price_data][currency]=eur"
    "&line_items[0][price_data][unit_amount]=2599"
    "&line_items[0][price_data][product_data][name]=Order+ref-1001+%26+more&line_items[0][quantity]=1"
    "&metadata[order]=ref-1001&payment_intent_data[capture_method]=manual"
    "&payment_intent_data[metadata][order]=ref-1001"
    "&success_url=https%3A%2F%2Fshop.example%2Fok%3Fsid%3D%7BCHECKOUT_SESSION_ID%7D"
    "&cancel_url=https%3A%2F%2Fshop.example%2Fback&expires_at=1795086500&locale=auto"
    "&adaptive_pricing[enabled]=false"
)
YEN_PARAMS = {
    "mode": "payment",
    "line_items": [
        {
            "price_data": {"currency": "jpy", "unit_amount": 1000, "product_data": {"name": "Tea"}},
            "quantity": 2,
        },
        {
            "price_data": {"currency": "jpy", "unit_amount": 350, "product_data": {"name": "抹茶"}},
            "quantity": 1,
        },
    ],
    "success_url": "https://shop.example/ok",
    "excluded_payment_method_types": ["konbini"],
    "expand": ["payment_intent.latest_charge"],
}
YEN_FORM = (
    "mode=payment&line_items[0][price_data][currency]=jpy&line_items[0][price_data][unit_amount]=1000"
    "&line_items[0][price_data][product_data][name]=Tea&line_items[0][quantity]=2"
    "&line_items[1][price_data][currency]=jpy&line_items[1][price_data][unit_amount]=350"
    "&line_items[1][price_data][product_data][name]=%E6%8A%B9%E8%8C%B6&line_items[1][quantity]=1"
    "&success_url=https%3A%2F%2Fshop.example%2Fok&excluded_payment_method_types[0]=konbini"
    "&expand[0]=payment_intent.latest_charge"
)
LIST_PARAMS = {
    "created": {"gte": 1795000000, "lt": 1795003600},
    "status": "complete",
    "limit": 100,
    "starting_after": "cs_test_a1Ref0001",
}
LIST_FORM = "created[gte]=1795000000&created[lt]=1795003600&status=complete&limit=100&starting_after=cs_test_a1Ref0001"

# A session just made. Shape: stripe/openapi, stripe-python's `checkout.Session`; abridged.
OPEN_SESSION = (
    b'{"id":"cs_test_a1Ref0002","object":"checkout.session","amount_subtotal":2599,"amount_total":2599,'
    b'"client_reference_id":"ref-1002","created":1795000100,"currency":"eur","expires_at":1795086500,"livemode":false,'
    b'"metadata":{"order":"ref-1002"},"mode":"payment","payment_intent":null,"payment_status":"unpaid",'
    b'"presentment_details":null,"status":"open","ui_mode":"hosted_page",'
    b'"url":"https://checkout.stripe.com/c/pay/cs_test_a1Ref0002#fid","payment_method_types":["card","link"],'
    b'"success_url":"https://shop.example/ok?sid={CHECKOUT_SESSION_ID}","cancel_url":"https://shop.example/back"}'
)
# One paid in another currency, which is information only. Shape: `presentment_details` in stripe-python.
CONVERTED_SESSION = (
    b'{"id":"cs_test_a1Ref0003","object":"checkout.session","amount_subtotal":2599,"amount_total":2599,'
    b'"created":1795000100,"currency":"eur","expires_at":1795086500,"livemode":false,"mode":"payment",'
    b'"payment_intent":"pi_3Ref0003","payment_status":"paid","presentment_details":{"presentment_amount":2814,'
    b'"presentment_currency":"usd"},"status":"complete","url":null}'
)
# A delayed method: completed, then failed. Shape: docs.stripe.com/checkout/fulfillment.
DELAYED = (
    b'{"id":"evt_1Ref0010","object":"event","api_version":"2026-10-28.endive","created":1795000500,"data":{"object":{'
    b'"id":"cs_test_a1Ref0004","object":"checkout.session","amount_total":4200,"currency":"eur","created":1795000100,'
    b'"client_reference_id":"ref-1004","metadata":{"order":"ref-1004"},"livemode":false,"mode":"payment",'
    b'"payment_intent":"pi_3Ref0004","payment_status":"unpaid","status":"complete","url":null}},"livemode":false,'
    b'"pending_webhooks":1,"request":{"id":null,"idempotency_key":null},"type":"checkout.session.completed"}'
)
DELAYED_FAILED = DELAYED.replace(
    b"checkout.session.completed", b"checkout.session.async_payment_failed"
).replace(b"evt_1Ref0010", b"evt_1Ref0011")
# An authorized intent. Shape: stripe/openapi.
AUTHORIZED_INTENT = (
    b'{"id":"pi_3Ref0005","object":"payment_intent","amount":2599,"amount_capturable":2599,"amount_received":0,'
    b'"canceled_at":null,"cancellation_reason":null,"capture_method":"manual","created":1795000120,"currency":"eur",'
    b'"last_payment_error":null,"latest_charge":"ch_3Ref0005","livemode":false,"metadata":{"order":"ref-1005"},'
    b'"status":"requires_capture"}'
)
# A refund that is pending, and one that failed after it had succeeded. Shape: stripe/openapi, stripe-python.
PENDING_REFUND = (
    b'{"id":"re_3Ref0006","object":"refund","amount":500,"balance_transaction":null,"charge":"ch_3Ref0006",'
    b'"created":1795001000,"currency":"eur","metadata":{"refund":"ref-r-1"},"payment_intent":"pi_3Ref0006",'
    b'"pending_reason":"processing","reason":"requested_by_customer","status":"pending"}'
)
FAILED_REFUND = (
    b'{"id":"evt_1Ref0012","object":"event","api_version":"2026-10-28.endive","created":1795500000,"data":{"object":{'
    b'"id":"re_3Ref0007","object":"refund","amount":500,"balance_transaction":"txn_3Ref0007","charge":"ch_3Ref0006",'
    b'"created":1795001000,"currency":"eur","metadata":{"refund":"ref-r-1"},"payment_intent":"pi_3Ref0006",'
    b'"reason":"requested_by_customer","status":"failed","failure_balance_transaction":"txn_3Ref0008",'
    b'"failure_reason":"expired_or_canceled_card"},"previous_attributes":{"status":"succeeded"}},"livemode":false,'
    b'"pending_webhooks":1,"request":{"id":null,"idempotency_key":null},"type":"refund.failed"}'
)
# Refusals, with texts that are not Stripe's. Shape: docs.stripe.com/api/errors, recorded replies of the test API.
DECLINED = (
    b'{"error":{"charge":"ch_3Ref0020","code":"card_declined","decline_code":"insufficient_funds","message":"Declined '
    b'(synthetic text).","payment_intent":{"id":"pi_3Ref0020","object":"payment_intent",'
    b'"status":"requires_payment_method"},"type":"card_error"}}'
)
KEY_IN_USE = (
    b'{"error":{"code":"idempotency_key_in_use","message":"Another request holds this key (synthetic text).",'
    b'"type":"invalid_request_error"}}'
)
MISMATCH = b'{"error":{"message":"Same key, other parameters (synthetic text).","type":"idempotency_error"}}'
LOCKED = (
    b'{"error":{"code":"lock_timeout","message":"Object is locked (synthetic text).",'
    b'"type":"invalid_request_error"}}'
)
MISSING = (
    b'{"error":{"code":"resource_missing","message":"No such checkout session (synthetic text).","param":"session",'
    b'"type":"invalid_request_error"}}'
)
# A page of a list. Shape: docs.stripe.com/api/pagination.
LIST_PAGE = (
    b'{"object":"list","data":[{"id":"cs_test_a1Ref0002","object":"checkout.session","amount_total":2599,'
    b'"client_reference_id":"ref-1002","created":1795000100,"currency":"eur","payment_intent":null,'
    b'"payment_status":"unpaid","status":"open"}],"has_more":true,"url":"/v1/checkout/sessions"}'
)
# A dispute: the funds are taken; won. Shape: the dispute fixture of stripe/openapi, stripe-python.
DISPUTE = (
    b'{"id":"du_1Ref0030","object":"dispute","amount":2599,"balance_transactions":[{"id":"txn_1Ref0030","object":'
    b'"balance_transaction","amount":-2599,"currency":"eur","fee":2000,"net":-4599,"source":"du_1Ref0030","status":'
    b'"available","type":"adjustment"}],"charge":"ch_3Ref0030","created":1795600000,"currency":"eur",'
    b'"evidence_details":{"due_by":1796400000,"has_evidence":false,"past_due":false,"submission_count":0},'
    b'"is_charge_refundable":false,"livemode":false,"payment_intent":"pi_3Ref0030","payment_method_details":{"card":{'
    b'"brand":"visa","case_type":"chargeback","network_reason_code":"10.4"},"type":"card"},"reason":"fraudulent",'
    b'"status":"needs_response"}'
)
DISPUTE_WON = DISPUTE.replace(b'"status":"needs_response"', b'"status":"won"').replace(
    b'"type":"adjustment"}]',
    b'"type":"adjustment"},{"id":"txn_1Ref0031","object":"balance_transaction","amount":2599,"currency":"eur","fee":0,'
    b'"net":2599,"source":"du_1Ref0030","status":"available","type":"adjustment"}]',
)
DISPUTE_EVENT = (
    b'{"id":"evt_1Ref0030","object":"event","api_version":"2026-10-28.endive","created":1795600001,"data":{"object":'
    + DISPUTE
    + b'},"livemode":false,"pending_webhooks":1,"request":{"id":null,"idempotency_key":null},'
    b'"type":"charge.dispute.funds_withdrawn"}'
)
# A partial refund as its charge shows it: totals. Shape: the charge fixture of stripe/openapi.
CHARGE_REFUNDED = (
    b'{"id":"evt_1Ref0040","object":"event","api_version":"2026-10-28.endive","created":1795700000,"data":{"object":{'
    b'"id":"ch_3Ref0040","object":"charge","amount":2599,"amount_captured":2599,"amount_refunded":600,"captured":true,'
    b'"currency":"eur","livemode":false,"paid":true,"payment_intent":"pi_3Ref0040","refunded":false,'
    b'"status":"succeeded"},"previous_attributes":{"amount_refunded":250}},"livemode":false,"pending_webhooks":1,'
    b'"request":{"id":null,"idempotency_key":null},"type":"charge.refunded"}'
)
# A notification without state. Shape: the v2 events of stripe-python.
NOTIFICATION_EVENT = (
    b'{"id":"evt_test_Ref0050","object":"v2.core.event","type":"v1.checkout.session.completed",'
    b'"created":"2026-11-18T12:00:00.000Z","livemode":false,"related_object":{"id":"cs_test_a1Ref0050",'
    b'"type":"checkout.session","url":"/v1/checkout/sessions/cs_test_a1Ref0050"}}'
)

AMOUNTS = [
    # (amount, currency, Stripe's units). Source: docs.stripe.com/currencies.
    ("10.00", "USD", 1000),
    ("1000", "JPY", 1000),
    ("5", "ISK", 500),
    ("1200", "UGX", 120000),
    ("1.230", "KWD", 1230),
    ("99.50", "HUF", 9950),
    ("500.00", "MGA", 500),
]
