"""
The checks of `create`, and those that its fields share with the arguments of other verbs (`arguments`).

Anything of a wrong type or out of its bounds is an `InvalidField` that names the argument; `NotSupported` is what the
account can't do. All are raised before anything is recorded or sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypedDict, TypeVar, get_args

import msgspec

from paycore.domain.money import Money
from paycore.domain.payment import Capture, Order
from paycore.domain.provider import EXPIRES_IN_MAX_S, INFORMING_FIELDS, OPTIONAL_FIELDS, Product, Secret
from paycore.domain.safe_text import name_problem, url_problem
from paycore.engine.accounts import Account
from paycore.engine.wording import one_of
from paycore.errors import InvalidField, InvalidMoney, NotSupported

T = TypeVar("T")

REFERENCE_MAX = 128
REFUND_REASON_MAX = 256

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAMES = frozenset({"payer_id", "device_id"})
"""Fields that name something."""


class _RequiredFields(TypedDict):
    reference: str
    amount: Money
    channel: str


class CreateFields(_RequiredFields, total=False):
    """What `create()` takes: `Client.create` says what each means. None stands for a field that is not given."""

    method: str | None
    account: str | None
    subject: str | None
    return_url: str | None
    notify_url: str | None
    expires_in_s: int | None
    payer_id: str | None
    auth_code: str | Secret | None
    device_id: str | None
    extra: Mapping[str, str] | None
    capture: Capture | None


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    What `create()` was given, checked: the content without the scanned code, which is masked from here on.

    With `leaves_method` no method was given: the order's is empty until `with_method` names one.
    """

    order: Order
    account: str | None = None
    auth_code: Secret | None = None
    leaves_method: bool = False

    def with_method(self, method: str) -> CreateRequest:
        """This request, by `method` where it was given none."""
        if not self.leaves_method:
            return self
        return msgspec.structs.replace(self, order=msgspec.structs.replace(self.order, method=method))


def create_request(fields: CreateFields) -> CreateRequest:
    """
    What a caller of `create()` gave; `InvalidField` names what is of a wrong type, `TypeError` what is no field.

    A scanned code is replaced in `fields` itself, so that no frame of an error shows it.
    """
    code = fields.get("auth_code")
    if code is not None and not isinstance(code, Secret):
        fields["auth_code"] = code = Secret(code)
    _check_names(fields)
    given = {
        field: _checked(field, value)
        for field, value in fields.items()
        if field != "auth_code" and (value is not None or field in CreateFields.__required_keys__)
    }
    problem = None if code is None else _problem_of_name(code.reveal())
    if problem is not None:
        raise InvalidField("auth_code", problem)  # from here, where only the `Secret` stands
    return CreateRequest(
        account=given.pop("account", None),
        auth_code=code,
        leaves_method="method" not in given,
        order=Order(**{"method": "", **given}),
    )


def _check_names(fields: CreateFields) -> None:
    for name in fields.keys() - CreateFields.__annotations__.keys():
        raise TypeError(f"create() got an unexpected keyword argument {name!r}")
    missing = CreateFields.__required_keys__ - fields.keys()
    if missing:
        raise TypeError(f"create() is missing the keyword arguments {', '.join(sorted(missing))}")


def _checked(field: str, value: Any) -> Any:
    if field == "amount":
        check_money(value)
    elif field == "expires_in_s":
        _check_whole(field, value)
    elif field == "extra":
        return _extra(value)
    elif field == "capture":
        _check_capture(value)
    elif field == "reference":
        check_reference(value)
    elif field in _NAMES:
        check_name(field, value)
    else:
        check_text(field, value)
    return plain(value)


def _check_whole(field: str, seconds: object) -> None:
    if type(seconds) is not int:
        raise InvalidField(field, f"must be a whole number of seconds, not {type(seconds).__name__}")


def _extra(extra: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(extra, Mapping):
        raise InvalidField("extra", f"must be a mapping of names to texts, not {type(extra).__name__}")
    for name, value in extra.items():
        check_text("extra", name)
        check_text(f"extra.{name}", value)
    return {plain(name): plain(extra[name]) for name in sorted(extra)}


def by_method(request: CreateRequest, account: Account) -> CreateRequest:
    """`request`, by the account's default method where it was given none; `InvalidField` where there is none."""
    if request.leaves_method and account.default_method is None:
        methods = {product.method for product in account.capabilities.products}
        raise InvalidField(
            "method", f"is needed: account {account.name} has no default_method; it has: {one_of(methods)}"
        )
    return request.with_method(account.default_method or "")


def check_request(request: CreateRequest, account: Account) -> Product:
    """The product that serves `request`; `InvalidField` or `NotSupported` before anything is recorded."""
    order = request.order
    product = account.capabilities.product(order.method, order.channel)
    if product is None:
        offered = ", ".join(f"{p.method}/{p.channel}" for p in account.capabilities.products)
        raise NotSupported(f"account {account.name} has no {order.method}/{order.channel}; it has: {offered}")
    _check_amount(order.amount, product)
    _check_fields(request, product)
    _check_urls(order, account)
    _check_expiry(order.expires_in_s, product)
    return product


def check_reference(reference: str) -> None:
    """A reference is 1 to 128 characters, as `check_name` has it."""
    check_name("reference", reference)
    if not 1 <= len(reference) <= REFERENCE_MAX:
        raise InvalidField("reference", f"must be text of 1 to {REFERENCE_MAX} characters")


def is_reference(text: str) -> bool:
    """Whether `create` would take it as a reference."""
    try:
        check_reference(text)
    except InvalidField:
        return False
    return True


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
    return None if is_unicode(value) else "is not valid Unicode text"


def is_unicode(text: str) -> bool:
    """Whether `text` can be written as UTF-8: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_capture(value: object) -> None:
    if value not in get_args(Capture):
        raise InvalidField("capture", f"must be one of {', '.join(get_args(Capture))}")


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
        value = request.auth_code if field == "auth_code" else getattr(request.order, field)
        if value is None and field in product.required:
            raise InvalidField(field, f"is needed for {product.method}/{product.channel}")
        if value is not None and field not in known | INFORMING_FIELDS:
            raise NotSupported(f"{product.method}/{product.channel} takes no {field}")
    if request.order.capture == "manual" and product.capture == "none":
        raise NotSupported(
            f'{product.method}/{product.channel} is paid at once; it takes no capture = "manual"'
        )
    for name in request.order.extra:
        if name not in product.extra:
            raise NotSupported(
                f"{product.method}/{product.channel} takes no extra {name!r};"
                f" it takes: {', '.join(sorted(product.extra)) or 'none'}"
            )


def ignored_fields(order: Order, product: Product) -> tuple[str, ...]:
    """The fields of `order` that only inform or limit, and that the product has no use for."""
    unused = INFORMING_FIELDS - product.required - product.optional
    return tuple(sorted(field for field in unused if getattr(order, field) is not None))


def _check_urls(order: Order, account: Account) -> None:
    for field, url in (("return_url", order.return_url), ("notify_url", order.notify_url)):
        problem = None if url is None else url_problem(url, takes_loopback=account.mode != "live")
        if problem is not None:
            raise InvalidField(field, f"has {problem}; give a plain https URL")


def _check_expiry(expires_in_s: int | None, product: Product) -> None:
    if expires_in_s is None:
        return
    low, high = product.expires_in_s or (1, EXPIRES_IN_MAX_S)
    if not low <= expires_in_s <= high:
        raise InvalidField("expires_in_s", f"must be a whole number of seconds from {low} to {high}")
