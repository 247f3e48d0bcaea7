"""
Scenario files: TOML, in which each rule says for which orders it is and what happens to them.

```toml
[[rule]]
match = { reference = "close-" }            # or amount, currency, method, channel, provider
pay = "off"                                 # or a duration; or decline, expire, decline_capture with one

[[rule]]
match.amount = "9.99"
pay = "2s"
charge_back = "1h"                          # after it was paid
refund = "refused"                          # or { fails_after = "5s" }
notification = { late = "10m" }             # or { repeated = 3 }, "repeated", "lost", "forged"
fault = [{ on = "create", kind = "lose_reply" }, { on = "query", kind = "http_500", times = 3 }]

[[fault]]                                   # for whatever request comes first
kind = "http_429"
```
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from paycore.domain.duration_text import seconds_typed
from paycore.sandbox.faults import unknown_name
from paycore.sandbox.gateway_kinds import FAILING_REFUND, REFUSE_REFUND
from paycore.sandbox.scenario import (
    Match,
    OpenFault,
    PayerMove,
    RequestWord,
    Rule,
    RuleFault,
    Scenario,
    check_amount,
)

PAYER_KEYS = ("pay", "decline", "expire", "decline_capture")
RULE_KEYS = ("match", *PAYER_KEYS, "charge_back", "refund", "notification", "fault")
FAULT_KEYS = ("kind", "times", "on")
NOTIFICATIONS = ("lost", "repeated", "late", "forged")
ALWAYS = "always"


def read_scenario(path: str | Path) -> Scenario:
    """
    The scenario in a file.

    `ValueError` says where what is wrong, and what was probably meant; `OSError` where it can't be read.
    """
    text = Path(path).read_bytes()
    try:
        document = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    _check_keys(document, ("rule", "fault"), str(path))
    rules = [_rule(table, place) for table, place in _tables(document, "rule", str(path))]
    faults = [_open_fault(table, place) for table, place in _tables(document, "fault", str(path))]
    return Scenario(rules=tuple(rules), faults=tuple(faults))


# --- a rule ----------------------------------------------------------------------------------------------


def _rule(table: Mapping[str, Any], place: str) -> Rule:
    _check_keys(table, RULE_KEYS, place)
    charge_back = table.get("charge_back")
    rule = Rule(
        match=_match(table.get("match", {}), f"{place}.match"),
        payer=_payer(table, place),
        charge_back_s=None if charge_back is None else _seconds(charge_back, f"{place}.charge_back"),
        refund=_refund(table["refund"], f"{place}.refund") if "refund" in table else None,
        notification=_notification(table["notification"], f"{place}.notification")
        if "notification" in table
        else None,
        faults=tuple(_fault(one, where) for one, where in _tables(table, "fault", place)),
        place=place,
    )
    if table.keys() <= {"match"}:
        raise ValueError(f"{place} says nothing of what happens; it takes {', '.join(RULE_KEYS[1:])}")
    return rule


def _match(given: Any, place: str) -> Match:
    if not isinstance(given, dict):
        raise _wrong(place, given, 'a table, such as { reference = "close-" }')
    _check_keys(given, Match.__struct_fields__, place)
    wanted: dict[str, Any] = {
        name: _text(value, f"{place}.{name}") for name, value in given.items() if name != "amount"
    }
    if "amount" in given:
        wanted["amount"] = _amount(given["amount"], f"{place}.amount")
    return Match(**wanted)


def _amount(given: Any, place: str) -> str:
    """Decimal text, as amounts are written everywhere: a number of TOML may not be exact."""
    try:
        check_amount(_text(given, place))
    except ValueError:
        raise _wrong(place, given, 'decimal text in major units, such as "8.00"') from None
    return str(given)


def _payer(table: Mapping[str, Any], place: str) -> PayerMove | None:
    said = [key for key in PAYER_KEYS if key in table]
    if not said:
        return None
    if len(said) > 1:
        raise ValueError(f"{place} has {' and '.join(said)}; a payer does one of them")
    (key,) = said
    if key == "pay" and table[key] == "off":
        return PayerMove(does="nothing")
    return PayerMove(does=key, after_s=_seconds(table[key], f"{place}.{key}"))  # type: ignore[arg-type]


def _refund(given: Any, place: str) -> RuleFault:
    if given == "refused":
        return RuleFault(kind=REFUSE_REFUND, times=None)
    if isinstance(given, dict) and given.keys() == {"fails_after"}:
        options = {"seconds": _seconds(given["fails_after"], f"{place}.fails_after")}
        return RuleFault(kind=FAILING_REFUND, times=None, options=options)
    raise _wrong(place, given, '"refused" or { fails_after = "5s" }')


def _notification(given: Any, place: str) -> RuleFault:
    kind, value = next(iter(given.items())) if isinstance(given, dict) and len(given) == 1 else (given, None)
    match kind, value:
        case "lost", None:
            return RuleFault(kind="drop_notification", times=None)
        case "forged", None:
            return RuleFault(kind="forged_notification", times=None)
        case "repeated", None:
            return RuleFault(kind="duplicate_notification", times=None)
        case "repeated", int() if value > 1:
            return RuleFault(kind="duplicate_notification", times=None, options={"copies": value})
        case "late", value if value is not None:
            options = {"seconds": _seconds(value, f"{place}.late")}
            return RuleFault(kind="late_notification", times=None, options=options)
        case _:
            raise _wrong(place, given, '"lost", "forged", "repeated", { repeated = 3 } or { late = "10m" }')


# --- faults ----------------------------------------------------------------------------------------------


def _fault(table: Mapping[str, Any], place: str, own_keys: Iterable[str] = ()) -> RuleFault:
    """A fault; which kinds and options there are, the gateway knows."""
    if "kind" not in table:
        raise ValueError(f"{place} has no kind; GET /_sandbox/faults lists them")
    options = {key: value for key, value in table.items() if key not in (*FAULT_KEYS, *own_keys)}
    for key, value in options.items():
        if not isinstance(value, bool | int | float | str):
            raise _wrong(f"{place}.{key}", value, "a text, a number, true or false")
    times, on = table.get("times", 1), table.get("on")
    if times != ALWAYS and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
        raise _wrong(f"{place}.times", times, f'a whole number from 1 on, or "{ALWAYS}"')
    if on is not None and on not in get_args(RequestWord):
        raise ValueError(f"{place}.on: {unknown_name('request', str(on), get_args(RequestWord))}")
    return RuleFault(
        kind=_text(table["kind"], f"{place}.kind"),
        times=None if times == ALWAYS else times,
        on=on,
        options=options,
    )


def _open_fault(table: Mapping[str, Any], place: str) -> OpenFault:
    limits = {key: _text(table[key], f"{place}.{key}") for key in ("path", "provider") if key in table}
    return OpenFault(fault=_fault(table, place, ("path", "provider")), place=place, **limits)


# --- what is in a table ------------------------------------------------------------------------------------


def _tables(document: Mapping[str, Any], name: str, place: str) -> list[tuple[Mapping[str, Any], str]]:
    """The tables of this name, each with where it is: counted from 1, as a person counts."""
    given = document.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise _wrong(_under(place, name), given, f"a list of tables: [[{name}]]")
    return [(one, f"{_under(place, name)}[{count}]") for count, one in enumerate(given, 1)]


def _under(place: str, name: str) -> str:
    return f"{place}.{name}" if place.endswith("]") else f"{place}: {name}"


def _check_keys(table: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    for name in table:
        if name not in known:
            raise ValueError(f"{place}: {unknown_name('key', name, known)}")


def _text(given: Any, place: str) -> str:
    if not isinstance(given, str) or not given:
        raise _wrong(place, given, "a text")
    return given


def _seconds(given: Any, place: str) -> float:
    """A duration as text, or a number of seconds."""
    text = str(given) if isinstance(given, int | float) and not isinstance(given, bool) else given
    seconds = seconds_typed(text) if isinstance(text, str) else None
    if seconds is None:
        raise _wrong(place, given, "a duration, such as 90 or 5m")
    return seconds


def _wrong(place: str, given: Any, wanted: str) -> ValueError:
    return ValueError(f"{place} is {wanted}, not {given!r}")
