"""What becomes of the orders of a sandbox by itself: rules, each with the orders it is for and what happens to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from paycore.domain.currencies import EXPONENTS
from paycore.domain.duration_text import seconds_typed
from paycore.domain.money import EXPONENT_MAX, parse_minor
from paycore.errors import InvalidMoney
from paycore.sandbox.faults import unknown_name

T = TypeVar("T")

PayerVerb = Literal["pay", "decline", "expire", "decline_capture", "nothing"]
RequestWord = Literal["create", "query", "capture", "refund", "close"]
"""What a request asks for; a gateway tells which of its requests ask for which."""


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a gateway tells of an order that was just made.

    `id` is the gateway's own, `number` the merchant's. `texts` is whatever else the order carries that may be the
    application's reference, or what it is for. `minor` is in minor units as ISO 4217 has them. `method` and `channel`
    are in paycore's words. `is_decided`: the payer has acted, or will by other rules of the gateway's.
    """

    id: str
    number: str
    minor: int
    currency: str
    made_ms: int
    texts: tuple[str, ...] = ()
    method: str = ""
    channel: str = ""
    is_decided: bool = False

    def is_of(self, amount: str) -> bool:
        """Whether this is its amount, in major units and no more decimals than its currency has."""
        exponent = EXPONENTS.get(self.currency)
        try:
            return exponent is not None and parse_minor(amount, self.currency, exponent) == self.minor
        except InvalidMoney:
            return False


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The orders a rule is for: all that have everything named here.

    `reference` is how the application's reference begins, or, where an order does not carry it, its number or what it
    is for. `amount` is in major units. `provider` is for a scenario that several gateways have.
    """

    reference: str | None = None
    amount: str | None = None
    currency: str | None = None
    method: str | None = None
    channel: str | None = None
    provider: str | None = None

    def fits(self, order: NewOrder) -> bool:
        """Whether this order is one of them."""
        if self.reference is not None and not any(
            text.startswith(self.reference) for text in (*order.texts, order.number)
        ):
            return False
        if self.amount is not None and not order.is_of(self.amount):
            return False
        pairs = (
            (self.currency, order.currency),
            (self.method, order.method),
            (self.channel, order.channel),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)


class PayerMove(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated payer does, `after_s` seconds after the order was made."""

    does: PayerVerb
    after_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.after_s < float("inf"):
            raise ValueError(f"seconds are 0 or more, not {self.after_s}")


class RuleFault(msgspec.Struct, frozen=True, kw_only=True):
    """
    A fault of an order: the kind on the gateway's fault board, how often, and for which requests.

    `times` is `None` for always, `on` is `None` for all requests that name the order.
    """

    kind: str
    times: int | None = 1
    on: RequestWord | None = None
    options: Mapping[str, bool | float | int | str] = {}


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """
    What happens to the orders that fit; what is left out is for the next rule that fits to say.

    `charge_back_s`: seconds after it was paid until the payer's bank takes all back. `refund` and `notification` are
    what becomes of its refunds and notifications, `faults` what of requests that name it. `place` is where the rule
    is written, for an error.
    """

    match: Match = Match()
    payer: PayerMove | None = None
    charge_back_s: float | None = None
    refund: RuleFault | None = None
    notification: RuleFault | None = None
    faults: tuple[RuleFault, ...] = ()
    place: str = ""


class OpenFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that is on the board from the start, for whatever request comes first."""

    fault: RuleFault
    path: str | None = None
    provider: str | None = None
    place: str = ""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Rules, the first that fits before the others, and the faults that are on the board from the start."""

    rules: tuple[Rule, ...] = ()
    faults: tuple[OpenFault, ...] = ()

    def of(self, provider: str) -> Scenario:
        """What of it is for this provider."""
        return Scenario(
            rules=tuple(rule for rule in self.rules if rule.match.provider in (None, provider)),
            faults=tuple(fault for fault in self.faults if fault.provider in (None, provider)),
        )

    def fate_of(self, order: NewOrder) -> Rule:
        """All that is to happen to this order: each part from the first rule that fits and has it."""
        fits = [rule for rule in self.rules if rule.match.fits(order)]
        payers = () if order.is_decided else (rule.payer for rule in fits)
        return Rule(
            payer=_first(payers),
            charge_back_s=_first(rule.charge_back_s for rule in fits),
            refund=_first(rule.refund for rule in fits),
            notification=_first(rule.notification for rule in fits),
            faults=next((rule.faults for rule in fits if rule.faults), ()),
        )


def _first(said: Iterable[T | None]) -> T | None:
    return next((one for one in said if one is not None), None)


def joined(auto_pay: Scenario, scenario: Scenario) -> Scenario:
    """The rules of `--auto-pay` around those of a scenario: for some orders before them, for all behind them."""
    some = [rule for rule in auto_pay.rules if rule.match != Match()]
    every = [rule for rule in auto_pay.rules if rule.match == Match()]
    return msgspec.structs.replace(scenario, rules=(*some, *scenario.rules, *every))


def auto_pay(after_s: float | None) -> Sequence[Rule]:
    """The rule that every payer pays after so many seconds; none for `None`."""
    return [] if after_s is None else [Rule(payer=PayerMove(does="pay", after_s=after_s))]


def read_auto_pay(texts: Iterable[str]) -> Scenario:
    """
    The rules of `--auto-pay`: `DURATION` or `off` for all orders, or `KEY:VALUE[,KEY:VALUE]=DURATION` for some.

    The keys are those of `Match`. What is for some orders goes before what is for all. `ValueError` says what is wrong.
    """
    rules = [_read_rule(text) for text in texts]
    general = [rule for rule in rules if rule.match == Match()]
    if len(general) > 1:
        raise ValueError(
            "there are two times for all orders; name those that the second is for: channel:qr=5"
        )
    return Scenario(rules=(*(rule for rule in rules if rule not in general), *general))


def _read_rule(text: str) -> Rule:
    condition, equals, time = text.rpartition("=")
    if equals and not condition:
        raise ValueError(f"{text!r} does not say which orders it is for; channel:qr=5 does")
    payer = PayerMove(does="nothing") if time == "off" else PayerMove(does="pay", after_s=_seconds(time))
    return Rule(match=_read_match(condition), payer=payer)


def _seconds(text: str) -> float:
    seconds = seconds_typed(text)
    if seconds is None:
        raise ValueError(f"{text!r} is neither a duration, such as 90 or 5m, nor off")
    return seconds


def _read_match(condition: str) -> Match:
    given: dict[str, str] = {}
    for part in condition.split(",") if condition else ():
        key, colon, value = part.partition(":")
        if key not in Match.__struct_fields__:
            raise ValueError(unknown_name("condition", key, Match.__struct_fields__))
        if not colon or not value:
            raise ValueError(f"{part!r} is not KEY:VALUE")
        if key in given:
            raise ValueError(f"{key} is given twice in {condition!r}")
        given[key] = value
    if "amount" in given:
        check_amount(given["amount"])
    return Match(**given)


def check_amount(text: str) -> None:
    """`ValueError` for a text that is no amount of any currency."""
    try:
        parse_minor(text, "", EXPONENT_MAX)
    except InvalidMoney:
        raise ValueError(f"amount is decimal text in major units, such as 8.00, not {text!r}") from None
