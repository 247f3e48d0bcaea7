"""
What a provider class must have, checked when its plugin registers it: before any account, order or setting reaches it.

The class is tried with sample settings, so that a member which its capabilities need is missed now, and not at the
first payment.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec

from paycore.domain.provider import API_VERSION, Capabilities, ProviderInfo, Secret
from paycore.engine.config import COMMON_KEYS
from paycore.engine.declared import declared_problem
from paycore.engine.hosts import is_among
from paycore.engine.wording import keep, misfit, one_line, one_of, readable, said, shown, suggest

FLOWS: Mapping[str, int] = {
    "create": 1,
    "query": 1,
    "capture": 1,
    "refund": 1,
    "close": 1,
    "open_session": 1,
    "list": 4,
}
"""The members that are flows, with how many arguments they take."""

CALLS: Mapping[str, int] = {"check": 1, "verify": 1, "acknowledge": 0, "mode_of": 1, "base_urls_of": 2}
"""The further members that are called, and their arguments."""

OF_THE_CLASS = frozenset({"mode_of", "base_urls_of"})
"""Those that are called before there is a provider."""

SAID_MAX = 200
"""Characters of a plugin's own words that a problem repeats."""


def class_problem(kind: Any) -> str | None:
    """Why this class can't serve as a provider, None when it can; raises whatever the class itself raises."""
    problems = _problems(kind)
    return next(problems, None)


def needs_problem(kind: Any, declared: Capabilities) -> str | None:
    """What a provider with these capabilities lacks, None when it has it all."""
    return next(_missing(kind, declared), None)


def _problems(kind: Any) -> Iterator[str]:
    if not isinstance(kind, type):
        yield f"{type(kind).__name__} where a provider class belongs"
        return
    info: Any = getattr(kind, "info", None)
    if not isinstance(info, ProviderInfo):
        yield f"its info is {type(info).__name__}, not ProviderInfo"
        return
    if info.api_version != API_VERSION:
        yield _version_problem(info.api_version)
        return
    yield from _info_problems(info)
    yield from _url_problems(info, has_mode=hasattr(kind, "mode_of"))
    yield from _member_problems(kind)
    yield from _sample_problems(kind, info)


def _version_problem(version: object) -> str:
    if isinstance(version, bool) or not isinstance(version, int):
        return "api_version: must be a whole number"
    older = "the plugin" if version < API_VERSION else "paycore"
    return (
        f"it is written for version {version} of the contract, and this paycore has version {API_VERSION};"
        f" upgrade {older}"
    )


# --- what it says of itself ------------------------------------------------------------------------------


def _info_problems(info: Any) -> Iterator[str]:
    for name, hint in get_type_hints(ProviderInfo).items():
        if name != "settings":
            problem = misfit(getattr(info, name), hint, f"info.{name}")
            if problem is not None:
                yield problem
    if not (isinstance(info.settings, type) and issubclass(info.settings, msgspec.Struct)):
        yield "info.settings: must be a msgspec.Struct class"
        return
    taken = set(get_type_hints(info.settings)) & set(COMMON_KEYS)
    if taken:
        yield f"info.settings: every account has the key {one_of(taken)} already"
    if "" in info.hosts:
        yield "info.hosts: a host has a name; the main one is in base_urls"
    for host in info.live_hosts:
        labels = host.split(".")
        is_suffix = labels[0] == "" and len(labels) > 2
        if host != host.lower() or not all(labels[1 if is_suffix else 0 :]):
            yield f"info.live_hosts: {shown(host)} is no host name in lower case, nor the end of one: .pay.example"


def _url_problems(info: ProviderInfo, *, has_mode: bool) -> Iterator[str]:
    places = {"base_urls": info.base_urls, **{f"hosts.{name}": urls for name, urls in info.hosts.items()}}
    for place, urls in places.items():
        for mode, url in urls.items():
            where = f"info.{place}.{mode}"
            host = urlsplit(url).hostname or ""
            is_live_host = is_among(host, info.live_hosts)
            if not host:
                yield f"{where}: {shown(url)} is no URL"
            elif mode == "live" and not (is_live_host and url.startswith("https://")):
                yield f"{where}: must be an https URL of one of live_hosts"
            elif mode != "live" and is_live_host and not (mode == "test" and has_mode):
                yield f"{where}: {host} is one of live_hosts; only a provider with mode_of has one host for both"


# --- its members -----------------------------------------------------------------------------------------


def _member_problems(kind: type) -> Iterator[str]:
    for name in ("create", "query", "capabilities"):
        if not hasattr(kind, name):
            yield _lacks(kind, name, "every provider needs")
    if hasattr(kind, "verify") is not hasattr(kind, "acknowledge"):
        missing = "acknowledge" if hasattr(kind, "verify") else "verify"
        yield _lacks(kind, missing, "a provider with notifications needs")
    for name, arguments in {**FLOWS, **CALLS}.items():
        if hasattr(kind, name):
            yield from _call_problems(kind, name, arguments)


def _call_problems(kind: type, name: str, arguments: int) -> Iterator[str]:
    member = getattr(kind, name)
    inner = inspect.unwrap(member) if callable(member) else member
    if not callable(member):
        yield f"{name} is {type(member).__name__}, and no method"
    elif inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        yield f"{name} is async; a provider does no I/O, it yields its requests"
    elif name in FLOWS and not inspect.isgeneratorfunction(inner):
        yield f"{name} is no generator function; where another makes the flow: return (yield from ...)"
    elif name not in FLOWS and inspect.isgeneratorfunction(inner):
        yield f"{name} is a generator function; it returns its answer, and sends nothing"
    else:
        is_bound = name in OF_THE_CLASS or isinstance(
            inspect.getattr_static(kind, name), staticmethod | classmethod
        )
        try:
            inspect.signature(member).bind(*[None] * (arguments if is_bound else arguments + 1))
        except TypeError:
            own = "" if is_bound else " beside self"
            yield f"{name} must take {arguments} argument{'' if arguments == 1 else 's'}{own}"


def _lacks(kind: type, name: str, why: str) -> str:
    own = [member for member in dir(kind) if not member.startswith("_")]
    close = suggest(name, own)
    return f"it has no {name}, which {why}" + (close if "did you mean" in close else "")


def _missing(kind: type, declared: Capabilities) -> Iterator[str]:
    for product in declared.products:
        needed = {
            "capture": product.capture != "none",
            "refund": product.refund != "none",
            "close": product.close,
        }
        for name, is_needed in needed.items():
            if is_needed and not hasattr(kind, name):
                yield _lacks(
                    kind, name, f"its product {shown(product.method)}/{shown(product.channel)} declares"
                )
    if declared.notifications_trusted and not hasattr(kind, "verify"):
        yield _lacks(kind, "verify", "notifications_trusted needs")


# --- tried with sample settings --------------------------------------------------------------------------


def _sample_problems(kind: Any, info: ProviderInfo) -> Iterator[str]:
    try:
        settings = sample_settings(info)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        words = readable(error) if isinstance(error, msgspec.ValidationError) else _words(error)
        yield f"no settings can be made up to try it with: {words}; say them in info.sample"
        return
    try:
        declared = kind(settings).capabilities
    except Exception as error:  # noqa: BLE001 - whatever a stranger's provider raises
        yield (
            f"with sample settings it fails: {type(error).__name__}: {_words(error)}; where they must be others,"
            " say them in info.sample"
        )
        return
    problem = declared_problem(declared) or needs_problem(kind, declared)
    if problem is not None:
        yield problem


def sample_settings(info: ProviderInfo) -> msgspec.Struct:
    """Settings to try the provider with: `info.sample`, and where it says nothing a value of the right type."""
    hints = get_type_hints(info.settings)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(info.settings):
        if field.name in info.sample:
            values[field.name] = _as_secret(info.sample[field.name], hints[field.name])
        elif field.required:
            values[field.name] = _sample(hints[field.name])
    unknown = set(info.sample) - set(hints)
    if unknown:
        raise ValueError(f"info.sample: there is no setting {one_of(unknown)}")
    return msgspec.convert(values, info.settings, dec_hook=keep, str_keys=True)


def _as_secret(value: object, hint: Any) -> object:
    """A sample of a secret is given as text."""
    if isinstance(value, str) and (hint is Secret or Secret in get_args(hint)):
        return (Secret(value),) if get_origin(hint) is tuple else Secret(value)
    if isinstance(value, tuple | list) and Secret in get_args(hint):
        return tuple(Secret(item) if isinstance(item, str) else item for item in value)
    return value


_SAMPLES: Mapping[Any, Callable[[], object]] = {
    str: lambda: "sample",
    int: lambda: 1,
    float: lambda: 1.0,
    bool: lambda: False,
    Secret: lambda: Secret("sample-of-a-secret"),
    dict: dict,
    list: list,
}


def _sample(hint: Any) -> object:
    """A value of this type, None where nothing can be made up."""
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    is_class = isinstance(kind, type)
    if kind in (Union, UnionType):
        return None if NoneType in arguments else _sample(arguments[0])
    if kind is tuple:
        return tuple(_sample(item) for item in arguments if item is not Ellipsis)
    if is_class and issubclass(kind, Enum):
        return next(iter(kind)).value
    if is_class and issubclass(kind, Mapping):
        return {}
    return arguments[0] if kind is Literal else _SAMPLES.get(kind, _nothing)()


def _nothing() -> object:
    return None


def _words(error: BaseException) -> str:
    return one_line(said(error), SAID_MAX)
