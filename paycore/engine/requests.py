"""What callers ask for, checked against what the account can do before any I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from paycore.domain.money import Money
from paycore.domain.payment import Order
from paycore.domain.printable import name_problem
from paycore.domain.provider import EXPIRES_IN_MAX_S, OPTIONAL_FIELDS, CreateOrder, Product, Secret
from paycore.domain.urls import url_problem
from paycore.engine.accounts import Account
from paycore.errors import InvalidField, InvalidMoney, NotSupported

T = TypeVar("T")

REFERENCE_MAX = 128
REFUND_REASON_MAX = 256

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAMES = frozenset({"reference", "payer_id", "device_id"})
"""Fields that name something."""


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `create()` takes, as given; `auth_code` is masked from here on."""

    reference: str
    amount: Money
    method: str
    channel: str
    account: str | None = None
    subject: str | None = None
    return_url: str | None = None
    notify_url: str | None = None
    expires_in_s: int | None = None
    payer_id: str | None = None
    auth_code: Secret | None = None
    device_id: str | None = None
    extra: Mapping[str, str] = {}


def secret_of(auth_code: str | Secret | None) -> Secret | None:
    """
    A scanned code as it goes through paycore: shown by no frame of an error.

    It may be of a wrong type, and an error about that must not show it either: `create_request` looks at it.
    """
    return auth_code if auth_code is None or isinstance(auth_code, Secret) else Secret(auth_code)


def create_request(
    fields: Mapping[str, Any], auth_code: Secret | None, extra: Mapping[str, str] | None
) -> CreateRequest:
    """What a caller of `create()` gave; `InvalidField` names what is of a wrong type."""
    for field, value in fields.items():
        if field == "amount":
            check_money(value)
        elif value is None and field not in ("reference", "method", "channel"):
            continue
        elif field == "expires_in_s":
            _check_whole(field, value)
        elif field in _NAMES:
            check_name(field, value)
        else:
            check_text(field, value)
    problem = None if auth_code is None else _problem_of_name(auth_code.reveal())
    if problem is not None:
        raise InvalidField("auth_code", problem)  # from here, where only the `Secret` stands
    given = {field: plain(value) for field, value in fields.items()}
    return CreateRequest(auth_code=auth_code, extra=_extra({} if extra is None else extra), **given)


def _check_whole(field: str, seconds: object) -> None:
    if type(seconds) is not int:
        raise InvalidField(field, f"must be a whole number of seconds, not {type(seconds).__name__}")


def _extra(extra: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(extra, Mapping):
        raise InvalidField("extra", f"must be a mapping of names to texts, not {type(extra).__name__}")
    for name, value in extra.items():
        check_text("extra", name)
        check_text(f"extra.{name}", value)
    return {plain(name): plain(value) for name, value in extra.items()}


def check_request(request: CreateRequest, account: Account) -> Product:
    """The product that serves `request`; `InvalidField` or `NotSupported` before anything is recorded."""
    check_reference(request.reference)
    product = account.capabilities.product(request.method, request.channel)
    if product is None:
        offered = ", ".join(f"{p.method}/{p.channel}" for p in account.capabilities.products)
        raise NotSupported(
            f"account {account.name} has no {request.method}/{request.channel}; it has: {offered}"
        )
    _check_amount(request.amount, product)
    _check_fields(request, product)
    _check_urls(request, account)
    _check_expiry(request.expires_in_s, product)
    return product


def check_reference(reference: str) -> None:
    """A reference is 1 to 128 characters, as `check_name` has it."""
    check_name("reference", reference)
    if not 1 <= len(reference) <= REFERENCE_MAX:
        raise InvalidField("reference", f"must be text of 1 to {REFERENCE_MAX} characters")


def check_reason(reason: str) -> None:
    """Why money goes back: at most 256 characters, none of them a control character."""
    check_text("reason", reason)
    if len(reason) > REFUND_REASON_MAX:
        raise InvalidField("reason", f"{len(reason)} characters; at most {REFUND_REASON_MAX}")


def check_money(amount: object) -> None:
    """An amount is a `Money`: a number or a text has no currency."""
    if not isinstance(amount, Money):
        raise InvalidMoney(f"give it as paycore.Money('88.00', 'HKD'), not as {type(amount).__name__}")


def check_text(field: str, value: object) -> None:
    """No control characters, and nothing that is not UTF-8."""
    problem = text_problem(value)
    if problem is not None:
        raise InvalidField(field, problem)


def check_name(field: str, value: object) -> None:
    """Text that names something: printable, and without spaces at its ends."""
    problem = _problem_of_name(value)
    if problem is not None:
        raise InvalidField(field, problem)


def _problem_of_name(value: object) -> str | None:
    problem = text_problem(value)
    return name_problem(value) if problem is None and isinstance(value, str) else problem


def text_problem(value: object) -> str | None:
    """Why `value` is no text that can be taken, None when it is one."""
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if _CONTROL.search(value):
        return "must not have control characters"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode text"
    return None


def plain(value: T) -> T:
    """A text without what a subclass of `str` adds, for providers write it into requests; all else as it is."""
    return str.__str__(value) if isinstance(value, str) else value  # type: ignore[return-value]


def _check_amount(amount: Money, product: Product) -> None:
    bounds = product.currencies.get(amount.currency)
    if bounds is None:
        raise NotSupported(
            f"{product.method}/{product.channel} takes {', '.join(sorted(product.currencies))},"
            f" not {amount.currency}"
        )
    low, high = bounds
    if not low <= amount.minor <= high:
        least, most = (Money.from_minor(m, amount.currency, exponent=amount.exponent).text for m in bounds)
        raise InvalidField(
            "amount", f"{amount} is out of bounds: {product.method}/{product.channel} takes {least} to {most}"
        )


def _check_fields(request: CreateRequest, product: Product) -> None:
    known = product.required | product.optional
    for field in OPTIONAL_FIELDS:
        value = getattr(request, field)
        if value is None and field in product.required:
            raise InvalidField(field, f"is needed for {product.method}/{product.channel}")
        if value is not None and field not in known:
            raise NotSupported(f"{product.method}/{product.channel} takes no {field}")
    for name in request.extra:
        if name not in product.extra:
            raise NotSupported(
                f"{product.method}/{product.channel} takes no extra {name!r};"
                f" it takes: {', '.join(sorted(product.extra)) or 'none'}"
            )


def _check_urls(request: CreateRequest, account: Account) -> None:
    for field in ("return_url", "notify_url"):
        url = getattr(request, field)
        problem = None if url is None else url_problem(url, takes_loopback=not account.is_live)
        if problem is not None:
            raise InvalidField(field, f"has {problem}; give a plain https URL")


def _check_expiry(expires_in_s: int | None, product: Product) -> None:
    if expires_in_s is None:
        return
    low, high = product.expires_in_s or (1, EXPIRES_IN_MAX_S)
    if not low <= expires_in_s <= high:
        raise InvalidField("expires_in_s", f"must be a whole number of seconds from {low} to {high}")


def content_of(request: CreateRequest, account: str) -> Order:
    """The content that must be the same for the same reference; a scanned code enters as a hash only."""
    code = request.auth_code
    return Order(
        reference=request.reference,
        amount=request.amount,
        method=request.method,
        channel=request.channel,
        subject=request.subject,
        return_url=request.return_url,
        notify_url=request.notify_url,
        expires_in_s=request.expires_in_s,
        payer_id=request.payer_id,
        device_id=request.device_id,
        auth_code_hash=None if code is None else _hash_code(account, request.reference, code),
        extra=dict(sorted(request.extra.items())),
    )


def _hash_code(account: str, reference: str, code: Secret) -> str:
    return hashlib.sha256(f"{account}\0{reference}\0{code.reveal()}".encode()).hexdigest()


def provider_order(order: Order, number: str, begun_at: datetime, auth_code: Secret | None) -> CreateOrder:
    """The order as its provider is given it."""
    return CreateOrder(
        number=number,
        begun_at=begun_at,
        reference=order.reference,
        amount=order.amount,
        method=order.method,
        channel=order.channel,
        subject=order.subject,
        return_url=order.return_url,
        notify_url=order.notify_url,
        expires_in_s=order.expires_in_s,
        payer_id=order.payer_id,
        device_id=order.device_id,
        auth_code=auth_code,
        extra=order.extra,
    )
