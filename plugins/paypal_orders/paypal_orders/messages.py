"""
What is sent to PayPal and received from it, and its vocabulary: amounts, times, statuses, error codes.

Received structs take what is not listed here, and most fields are optional: without `Prefer: return=representation`
PayPal leaves out what it likes. Statuses are text, for PayPal may add to them; a table says what the known ones mean.
Source: SOURCES.md §4 to §14.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from paycore.plugin import InvalidField, Money, PartialAmount, RefundStatus, Status, read_amount

MINOR_MAX = 10**15 - 1
"""The largest amount offered, in minor units; PayPal's field holds 999999999999999.99."""

WHOLE_UNITS = frozenset({"HUF", "JPY", "TWD"})
"""Currencies PayPal takes without decimals; ISO 4217 gives HUF and TWD two. Source: SOURCES.md §14."""

CURRENCIES = "AUD CAD CZK DKK EUR HKD HUF ILS JPY MXN TWD NZD NOK PHP PLN GBP SGD SEK CHF THB USD".split()
"""Source: SOURCES.md §14; BRL, CNY and MYR are for accounts of their countries only."""

TEXT_MAX = 127
"""Characters of a brand name, of a description and of a `custom_id`. Source: SOURCES.md §4."""

_VALUE = re.compile(r"[0-9]{0,15}(\.[0-9]{1,10})?", re.ASCII)


class Amount(msgspec.Struct, frozen=True):
    """An amount in major units: `value` is a decimal number as text."""

    currency_code: str = ""
    value: str = ""


def written(amount: Money) -> Amount:
    """The amount with exactly the decimals PayPal takes; check with `is_writable` first."""
    whole = amount.currency in WHOLE_UNITS
    return Amount(amount.currency, str(amount.minor // 10**amount.exponent) if whole else amount.text)


def is_writable(amount: Money) -> bool:
    """Whether PayPal can be told it: HUF and TWD have no decimals there."""
    return amount.currency not in WHOLE_UNITS or amount.minor % 10**amount.exponent == 0


def read(given: Amount | None, currency: str = "") -> tuple[Money | None, PartialAmount | None]:
    """
    What PayPal says of an amount, as an observation has it: `100` is `100.00`, and more decimals are unreadable.

    Where it names no currency, the value is counted as one of `currency`, which is not put into what was told.
    """
    if given is None:
        return None, None
    text = given.value
    try:
        exponent = Money.from_minor(0, given.currency_code or currency).exponent
    except InvalidField:
        return read_amount(None, given.currency_code, unreadable=text or None)
    if not text:
        return read_amount(None, given.currency_code)
    if not _VALUE.fullmatch(text) or text == ".":
        return read_amount(None, given.currency_code, unreadable=f"value {text!r}")
    minor = Decimal(text).scaleb(exponent)
    if minor != int(minor):
        return read_amount(None, given.currency_code, unreadable=text)
    return read_amount(int(minor), given.currency_code)


def read_time(text: str | None) -> datetime | None:
    """A time of RFC 3339 with `Z` or an offset; None for anything else."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if at.tzinfo is None else at.astimezone(UTC)


def custom_id(number: str, reference: str) -> str:
    """
    What an order or a refund carries of ours: its number, and the caller's reference where both fit.

    Source: SOURCES.md §4.
    """
    both = f"{number}.{reference}"
    return both if reference and len(both) <= TEXT_MAX else number


def number_of(custom: str | None) -> str | None:
    """Our number in a `custom_id`, None where there is none."""
    return (custom or "").partition(".")[0] or None


def reference_of(custom: str) -> str | None:
    """The caller's reference in a `custom_id`."""
    return custom.partition(".")[2] or None


# --- sent ---------------------------------------------------------------------------------------------


class OrderedUnit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is paid for. `custom_id` is ours and not shown; `description` is shown."""

    amount: Amount
    custom_id: str
    description: str | None = None


class Experience(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How PayPal's page behaves. PayPal adds `token` and `PayerID` to the URLs."""

    return_url: str
    cancel_url: str
    user_action: str
    shipping_preference: str
    payment_method_preference: str | None = None
    brand_name: str | None = None
    locale: str | None = None


class Wallet(msgspec.Struct, frozen=True):
    """The payer's PayPal account as the source of the money."""

    experience_context: Experience


class PaymentSource(msgspec.Struct, frozen=True):
    """Where the money comes from."""

    paypal: Wallet


class OrderRequest(msgspec.Struct, frozen=True):
    """`POST /v2/checkout/orders`."""

    intent: Literal["CAPTURE", "AUTHORIZE"]
    purchase_units: tuple[OrderedUnit]
    payment_source: PaymentSource


class CaptureRequest(msgspec.Struct, frozen=True):
    """`POST /v2/payments/authorizations/{id}/capture`; the final one releases the rest."""

    amount: Amount
    final_capture: bool


class RefundRequest(msgspec.Struct, frozen=True):
    """`POST /v2/payments/captures/{id}/refund`."""

    amount: Amount
    custom_id: str


class Patch(msgspec.Struct, frozen=True):
    """One change of `PATCH /v2/checkout/orders/{id}`."""

    op: str
    path: str
    value: str


class Nothing(msgspec.Struct, frozen=True):
    """`{}`: a body without fields."""


Id = Annotated[str, msgspec.Meta(min_length=1)]

# --- received -----------------------------------------------------------------------------------------


class Token(msgspec.Struct, frozen=True):
    """`POST /v1/oauth2/token`."""

    access_token: Id
    expires_in: float = 600.0


class Voided(msgspec.Struct, frozen=True):
    """A voided authorization; in any other status it is not."""

    status: Literal["VOIDED"]


class Link(msgspec.Struct, frozen=True):
    """A link to something else, by what it is."""

    href: str = ""
    rel: str = ""


def linked(links: Iterable[Link], *rels: str) -> str | None:
    """The first link of these kinds."""
    return next((link.href for link in links if link.rel in rels), None)


class PayPalPayment(msgspec.Struct, frozen=True, kw_only=True):
    """An authorization, a capture or a refund."""

    id: Id
    status: str
    amount: Amount | None = None
    custom_id: str | None = None
    create_time: str | None = None
    links: list[Link] = []


class Payments(msgspec.Struct, frozen=True):
    """What became of a purchase unit."""

    authorizations: list[PayPalPayment] = []
    captures: list[PayPalPayment] = []
    refunds: list[PayPalPayment] = []


class MadeUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase unit as PayPal has it."""

    amount: Amount | None = None
    custom_id: str | None = None
    payments: Payments = Payments()


class PayPalOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order."""

    id: Id
    status: str
    intent: str = ""
    purchase_units: list[MadeUnit] = []
    links: list[Link] = []
    create_time: str | None = None
    update_time: str | None = None


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Money moved by a dispute."""

    affected_party: str = ""
    type: str = ""
    amount: Amount | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a dispute ended."""

    outcome_code: str = ""
    amount_refunded: Amount | None = None


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute; a list has its id only."""

    dispute_id: Id
    dispute_amount: Amount | None = None
    dispute_outcome: Outcome = Outcome()
    money_movements: list[Movement] = []


class Disputes(msgspec.Struct, frozen=True):
    """`GET /v1/customer/disputes`."""

    items: list[Dispute]


class TransactionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of money in a report; `transaction_id` is that of a capture or a refund."""

    transaction_id: Id
    transaction_event_code: str
    transaction_status: str
    transaction_initiation_date: str | None = None
    transaction_amount: Amount | None = None
    custom_field: str = ""
    paypal_reference_id: str | None = None
    paypal_reference_id_type: str | None = None


class Row(msgspec.Struct, frozen=True):
    """A row of a report."""

    transaction_info: TransactionRow


class TransactionReport(msgspec.Struct, frozen=True):
    """`GET /v1/reporting/transactions`."""

    transaction_details: list[Row]
    total_pages: int


class Detail(msgspec.Struct, frozen=True):
    """What was wrong."""

    issue: str = ""
    description: str = ""


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """An error: the API's form has `name`, the token endpoint's and the gateway's has `error`."""

    name: str = ""
    message: str = ""
    error: str = ""
    error_description: str = ""
    debug_id: str = ""
    details: list[Detail] = []

    @property
    def code(self) -> str:
        """The issue, which says more, or the name."""
        return next((one.issue for one in self.details if one.issue), self.name or self.error)


class Related(msgspec.Struct, frozen=True):
    """Ids of what a resource belongs to."""

    order_id: str | None = None


class Supplementary(msgspec.Struct, frozen=True):
    """Further data of a capture or an authorization."""

    related_ids: Related = Related()


class Disputed(msgspec.Struct, frozen=True):
    """A transaction in dispute."""

    seller_transaction_id: str | None = None
    custom: str | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What an event is about: an order, an authorization, a capture, a refund or a dispute."""

    id: str | None = None
    custom_id: str | None = None
    purchase_units: list[MadeUnit] = []
    supplementary_data: Supplementary = Supplementary()
    disputed_transactions: list[Disputed] = []
    links: list[Link] = []


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook's body."""

    event_type: str
    resource: Resource


# --- vocabulary ---------------------------------------------------------------------------------------

OPEN = frozenset({"CREATED", "PAYER_ACTION_REQUIRED", "APPROVED"})
"""Statuses of an order of which nothing was taken. Source: SOURCES.md §5."""

TAKEN = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
"""Statuses of a capture that took money; an open dispute may show PARTIALLY_REFUNDED. Source: SOURCES.md §8."""

CAPTURE_STATUSES = {**dict.fromkeys(TAKEN, Status.PAID), "DECLINED": Status.FAILED, "FAILED": Status.FAILED}
"""PENDING, and what PayPal may add, is pending."""

AUTHORIZATION_STATUSES = {"CREATED": Status.AUTHORIZED, "DENIED": Status.FAILED, "VOIDED": Status.CLOSED}
"""PENDING, and the captured ones without their capture, are pending. Source: SOURCES.md §7."""

REFUND_STATUSES = {
    "COMPLETED": RefundStatus.SUCCEEDED,
    "FAILED": RefundStatus.FAILED,
    "CANCELLED": RefundStatus.FAILED,
}
"""Source: SOURCES.md §9."""

HAPPENED = frozenset(
    "ORDER_ALREADY_CAPTURED ORDER_ALREADY_AUTHORIZED ORDER_COMPLETED_OR_VOIDED ORDER_ALREADY_COMPLETED"
    " AUTHORIZATION_ALREADY_CAPTURED PREVIOUSLY_CAPTURED PREVIOUSLY_VOIDED DUPLICATE_REQUEST_ID".split()
)
"""An earlier request did it, perhaps one of ours: ask."""

RUNNING = frozenset({"ORDER_COMPLETION_IN_PROGRESS", "PREVIOUS_REQUEST_IN_PROGRESS"})
"""An earlier request is being processed: ask later."""

AGAIN = frozenset(
    "INSTRUMENT_DECLINED PAYER_ACTION_REQUIRED REDIRECT_PAYER_FOR_ALTERNATE_FUNDING ORDER_NOT_APPROVED".split()
)
"""The payer has to agree (again), to the same order. Source: SOURCES.md §6."""

FINAL = frozenset(
    "PAYER_CANNOT_PAY PAYER_ACCOUNT_RESTRICTED PAYER_ACCOUNT_LOCKED_OR_CLOSED TRANSACTION_REFUSED"
    " COMPLIANCE_VIOLATION PAYEE_BLOCKED_TRANSACTION TRANSACTION_BLOCKED_BY_PAYEE TRANSACTION_LIMIT_EXCEEDED"
    " TRANSACTION_RECEIVING_LIMIT_EXCEEDED DOMESTIC_TRANSACTION_REQUIRED CARD_EXPIRED"
    " MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED AUTHORIZATION_DENIED AUTHORIZATION_EXPIRED AUTHORIZATION_VOIDED".split()
)
"""This order can't be paid any more. Source: SOURCES.md §6, §7."""

LATER = {"PENDING_CAPTURE": 3600.0}
"""Not now: nothing moved, and the same request may be sent after so many seconds. Source: SOURCES.md §9."""

CALLER = frozenset(
    "AMOUNT_MISMATCH DECIMAL_PRECISION DECIMALS_NOT_SUPPORTED CANNOT_BE_ZERO_OR_NEGATIVE CANNOT_BE_NEGATIVE"
    " INVALID_CURRENCY_CODE CURRENCY_NOT_SUPPORTED MULTI_CURRENCY_ORDER MAX_VALUE_EXCEEDED"
    " MAX_CAPTURE_AMOUNT_EXCEEDED MAX_CAPTURE_COUNT_EXCEEDED AUTH_CAPTURE_CURRENCY_MISMATCH CANNOT_BE_VOIDED"
    " CAPTURE_FULLY_REFUNDED REFUND_AMOUNT_EXCEEDED REFUND_TIME_LIMIT_EXCEEDED MAX_NUMBER_OF_REFUNDS_EXCEEDED"
    " PARTIAL_REFUND_NOT_ALLOWED REFUND_NOT_ALLOWED REFUND_CAPTURE_CURRENCY_MISMATCH REFUND_AMOUNT_TOO_LOW"
    " REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK TRANSACTION_DISPUTED REFUND_IS_RESTRICTED".split()
)
"""This amount, or this payment, does not allow it. Source: SOURCES.md §6, §7, §9."""

OPERATOR = frozenset(
    "ACTION_DOES_NOT_MATCH_INTENT AUTH_CAPTURE_NOT_ENABLED PERMISSION_DENIED NOT_AUTHORIZED CONSENT_NEEDED"
    " PAYEE_ACCOUNT_INVALID PAYEE_ACCOUNT_RESTRICTED PAYEE_ACCOUNT_LOCKED_OR_CLOSED PAYEE_ACCOUNT_NOT_SUPPORTED"
    " PAYEE_ACCOUNT_NOT_VERIFIED PAYEE_NOT_CONSENTED PAYEE_NOT_ENABLED_FOR_CARD_PROCESSING DUPLICATE_INVOICE_ID"
    " REFUND_FAILED_INSUFFICIENT_FUNDS UNSUPPORTED_INTENT UNSUPPORTED_MEDIA_TYPE METHOD_NOT_SUPPORTED"
    " INVALID_REQUEST MALFORMED_REQUEST_JSON MISSING_REQUIRED_PARAMETER INVALID_PARAMETER_SYNTAX"
    " INVALID_PARAMETER_VALUE INVALID_STRING_LENGTH INVALID_STRING_MAX_LENGTH INVALID_ARRAY_MAX_ITEMS"
    " PAYPAL_REQUEST_ID_REQUIRED DUPLICATE_REFERENCE_ID invalid_scope unsupported_grant_type"
    " unauthorized_client".split()
)
"""The account, its settings, or this plugin is at fault. Source: SOURCES.md §2, §6, §9, §13."""

GONE = frozenset({"INVALID_RESOURCE_ID", "RESOURCE_NOT_FOUND"})
"""With HTTP 404: an order that expired, or another account's. Source: SOURCES.md §5."""
