"""
Parameters as forms carry them: `a[b][0][c]=v`, `a[]=v`; checked against what an endpoint takes.

Source: docs.stripe.com/api, the code list of docs.stripe.com/error-codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from stripe_checkout.sandbox.refusals import ApiError, invalid

Check = Callable[[Any, str], Any]

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_FIELDS_MAX = 1000
_DEPTH_MAX = 8


def parse(form: bytes) -> dict[str, Any]:
    """The nested parameters of a form; arrays are dicts by their index until they are checked."""
    try:
        pairs = parse_qsl(form.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise invalid("The request's parameters are not a form in UTF-8.") from None
    params: dict[str, Any] = {}
    for name, value in pairs:
        found = _NAME.fullmatch(name)
        if found is None:
            raise invalid(f"Invalid parameter name: {name}", param=name)
        _set(params, [found[1], *re.findall(r"\[([^\[\]]*)\]", found[2])], value, name)
    return params


def _set(params: dict[str, Any], path: list[str], value: str, name: str) -> None:
    if len(path) > _DEPTH_MAX:
        raise invalid("Parameters are nested too deep.", param=name)
    inner = params
    for key in path[:-1]:
        following = inner.setdefault(key or str(len(inner)), {})
        if not isinstance(following, dict):
            raise invalid(f"Invalid object: {name}", param=name)
        inner = following
    inner[path[-1] or str(len(inner))] = value


# --- what a value may be -----------------------------------------------------------------------------


def text(length_max: int = 5000, *, empty: bool = False) -> Check:
    def check(value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise invalid("Invalid string.", param=name)
        if not value and not empty:
            raise invalid(
                f"You passed an empty string for '{name}'.", param=name, code="parameter_invalid_empty"
            )
        if len(value) > length_max:
            raise invalid(f"Invalid string: at most {length_max} characters.", param=name)
        return value

    return check


def integer(least: int = 0, most: int = 10**15) -> Check:
    def check(value: Any, name: str) -> int:
        if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
            raise invalid(f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
        if not least <= int(value) <= most:
            raise invalid(
                f"This value must be from {least} to {most}.", param=name, code="parameter_invalid_integer"
            )
        return int(value)

    return check


def boolean(value: Any, name: str) -> bool:
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def one_of(*words: str) -> Check:
    def check(value: Any, name: str) -> str:
        if value not in words:
            raise invalid(f"Invalid {name}: must be one of {', '.join(words)}", param=name)
        return str(value)

    return check


def web_address(value: Any, name: str) -> str:
    if not isinstance(value, str) or not re.match(r"https?://[^/\s]+", value):
        raise invalid("Not a valid URL. URLs must begin with http or https.", param=name, code="url_invalid")
    return value


def metadata(value: Any, name: str) -> dict[str, str]:
    """At most 50 keys of 40 characters, values of 500. Source: docs.stripe.com/api/metadata."""
    if value == "":
        return {}
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise invalid("Invalid object", param=name)
    if len(value) > 50:
        raise invalid("Metadata has at most 50 keys.", param=name)
    for key, one in value.items():
        if len(key) > 40 or len(one) > 500:
            raise invalid(
                "Metadata keys have at most 40, values at most 500 characters.", param=f"{name}[{key}]"
            )
    return {key: one for key, one in value.items() if one}


def nested(takes: Mapping[str, Check], *, required: tuple[str, ...] = ()) -> Check:
    def check(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=name)
        return checked(value, takes, required=required, within=name)

    return check


def array(item: Check, *, most: int = 100) -> Check:
    def check(value: Any, name: str) -> list[Any]:
        if not isinstance(value, dict):
            raise invalid("Invalid array", param=name)
        if len(value) > most:
            raise invalid(f"Array with more than {most} elements.", param=name)
        return [item(one, f"{name}[{index}]") for index, one in value.items()]

    return check


def checked(
    params: Mapping[str, Any],
    takes: Mapping[str, Check],
    *,
    required: tuple[str, ...] = (),
    within: str = "",
) -> dict[str, Any]:
    """The parameters as values; 400 for the first that is unknown, missing or wrong."""
    known = {}
    for key, value in params.items():
        name = f"{within}[{key}]" if within else key
        if key not in takes:
            raise _unknown(name)
        known[key] = takes[key](value, name)
    for key in required:
        if key not in known:
            name = f"{within}[{key}]" if within else key
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
    return known


def _unknown(name: str) -> ApiError:
    return invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
