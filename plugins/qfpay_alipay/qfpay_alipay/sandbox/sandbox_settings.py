"""The settings of a QFPay sandbox account."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from paycore.sandbox.faults import unknown_name
from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES

APP_CODE = "5AB0C0DE5AB0C0DE5AB0C0DE5AB0C0DE"
CLIENT_KEY = "FEEDFACE0000SANDBOX0000FEEDFACE0"

_DUPLICATES = ("refuse", "same_result", "charge_blindly")
_MINIMUM = ("warn", "refuse")
_AMOUNTS = ("string", "number")
_NUMBER_RANGES = ("ignore", "apply")
_PAGE_ORDERS = ("newest_first", "oldest_first", "mixed")


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    What `--set name=value` (or `settings=` in Python) may change.

    `app_code`, `client_key`: the credentials; the defaults are public and valid only for a sandbox.
    `mchid`: `""` when the account has none (then a request must not carry one), else every request must carry it.
    `notify_url`: the account's registered URL for notifications (`""`: the host's option); a payment's own
    `notify_url` is preferred (which one the real gateway prefers is undocumented).
    `duplicate_policy`: what a used `out_trade_no` gets. `refuse`: 1251. `same_result`: an unpaid order requested again
    with the same values is returned again (G5-zh-live allows either). `charge_blindly`: a second order under the same
    number, which no gateway should do and every client should survive.
    `minimum_amount`: 801101 is documented to need more than 100 units, yet QFPay's own sample for it sends 10. `warn`
    accepts and says so in `respmsg` and on the wallet page, `refuse` answers 1104.
    `pay_types`: the enabled ones, comma separated; others get 1104 "filter error".
    `amounts`: `string` or `number` in replies; there are samples of both (SOURCES.md §1).
    `number_range`: the effect of a time range (or the current month) on a query by `out_trade_no`. `ignore`: nothing
    (G3, zh). `apply`: only orders in it are found (G5 names `syssn` alone as what makes a range meaningless).
    `page_order`: the order of a query's records, which is undocumented. `mixed`: none that follows from their times.
    `records_late_s`: seconds before a new order or refund shows in a query, which is undocumented too.
    `refunds_take_s`: seconds for which a refund is pending, with 1143, before it is made.
    `rate_per_s`, `rate_per_min`: the request limits, 0 for none. Source of 100 and 400: G4/G5 "API Usage Guidelines".
    """

    app_code: str = APP_CODE
    client_key: str = CLIENT_KEY
    mchid: str = ""
    notify_url: str = ""
    duplicate_policy: str = "refuse"
    minimum_amount: str = "warn"
    pay_types: frozenset[str] = frozenset(PAY_TYPES)
    amounts: str = "string"
    number_range: str = "ignore"
    page_order: str = "newest_first"
    records_late_s: int = 0
    refunds_take_s: int = 0
    rate_per_s: int = 100
    rate_per_min: int = 400

    def __post_init__(self) -> None:
        if not self.app_code or not self.client_key:
            raise ValueError("app_code and client_key must not be empty")
        for name, allowed in (
            ("duplicate_policy", _DUPLICATES),
            ("minimum_amount", _MINIMUM),
            ("amounts", _AMOUNTS),
            ("number_range", _NUMBER_RANGES),
            ("page_order", _PAGE_ORDERS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if unknown := self.pay_types - PAY_TYPES.keys():
            raise ValueError(
                f"pay_types has {', '.join(sorted(unknown))}; there are {', '.join(sorted(PAY_TYPES))}"
            )


def read_settings(given: Mapping[str, str]) -> SandboxSettings:
    """The settings from text. `ValueError` names what is unknown or out of range."""
    known = SandboxSettings.__struct_fields__
    for name in given:
        if name not in known:
            raise ValueError(unknown_name("sandbox setting", name, known))
    values: dict[str, object] = dict(given)
    if "pay_types" in given:
        values["pay_types"] = frozenset(part.strip() for part in given["pay_types"].split(","))
    for name in ("rate_per_s", "rate_per_min", "records_late_s", "refunds_take_s"):
        if name in given:
            values[name] = _count(name, given[name])
    return SandboxSettings(**values)  # type: ignore[arg-type]


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ValueError(f"{name} is a whole number from 0 to 999999, not {text!r}")
    return int(text)
