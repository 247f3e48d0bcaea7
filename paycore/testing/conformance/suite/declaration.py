"""What a provider says of itself: its settings and credentials, its capabilities, its hosts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec

from paycore.domain.provider import FullProvider, Secret
from paycore.engine.hosts import is_among, resolve_base_urls
from paycore.errors import ConfigError, PaycoreError
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.sampled_flows import lives

_CAPABILITIES = "capabilities"
_SETTINGS = "settings-and-secrets"

UNKNOWN = "zz-unknown-form-0001"
"""A credential of no company."""


@check(read=_SETTINGS)
def settings_are_read_strictly(rig: Rig) -> None:
    """
    A setting that is missing, unknown or of a wrong type is a ConfigError that names it.

    The settings are a frozen struct with `forbid_unknown_fields=True`.
    """
    kind: type[msgspec.Struct] = rig.subject.provider.info.settings
    config = kind.__struct_config__
    require(
        config.frozen and config.forbid_unknown_fields,
        f"{kind.__name__} is not declared with frozen=True, forbid_unknown_fields=True",
        "declare it class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True)",
    )
    given = rig.settings
    _require_named(rig, {**given, "unknown_setting": "x"}, "unknown_setting", "a setting that does not exist")
    for field in msgspec.structs.fields(kind):
        if field.required and field.name in given:
            without = {name: value for name, value in given.items() if name != field.name}
            _require_named(rig, without, field.name, f"the setting {field.name} left out")
        if field.name in given:
            wrong = {**given, field.name: _of_another_type(given[field.name])}
            _require_named(rig, wrong, field.name, f"the setting {field.name} of a wrong type")


@check(read=_SETTINGS)
def odd_settings_are_refused_with_words(rig: Rig) -> None:
    """
    A text or secret that can't be right makes an account, or a ConfigError; nothing else is raised.

    Tried are an empty text, a space, a long one, one that is no ASCII and one with a line break.
    """
    hints = get_type_hints(rig.subject.provider.info.settings)
    for name in rig.settings:
        if not {str, Secret} & {hints.get(name), *get_args(hints.get(name))}:
            continue
        for odd in ("", " ", "x" * 10_000, "клю́ч", "key\n", "\x00"):
            try:
                rig.account_with({name: odd})
            except ConfigError:
                continue
            except PaycoreError as error:
                raise Failed(
                    f"the setting {name}, set to {_shown(odd)}: {error}",
                    "check it in __post_init__ of the settings, and raise ValueError in words, without the value",
                ) from error


@check(read=_SETTINGS)
def credentials_are_secrets(rig: Rig) -> None:
    """
    Every setting that is a credential is typed `Secret`, or `tuple[Secret, ...]`.

    That is one whose name says so (key, secret, password, token), and one that is sent as the password of an
    Authorization header.
    """
    hints = get_type_hints(rig.subject.provider.info.settings)
    plain = {
        name: value
        for name, value in rig.settings.items()
        if isinstance(value, str) and name in hints and Secret not in (hints[name], *get_args(hints[name]))
    }
    sent = {
        credential for one in lives(rig) for request in one.requests for credential in _credentials(request)
    }
    for name, hint in hints.items():
        is_text = str in (hint, *get_args(hint))
        if (is_text and _sounds_secret(name, hints)) or plain.get(name) in sent:
            raise Failed(
                f"the setting {name} is a credential, and typed {getattr(hint, '__name__', hint)}",
                f"type it {name}: Secret, and call reveal() where the header or the signature is made",
            )


@check(read=_CAPABILITIES)
def capabilities_stay_the_same(rig: Rig) -> None:
    """
    `capabilities` is the same for the lifetime of a provider, and for every provider of the same settings.

    The core reads it once, and enforces that.
    """
    first = rig.account.capabilities
    lives(rig)
    fresh = rig.account_with({}).capabilities
    for what, now in (("after it was used", rig.provider.capabilities), ("of another provider", fresh)):
        if now != first:
            named = next(
                name for name in first.__struct_fields__ if getattr(now, name) != getattr(first, name)
            )
            raise Failed(
                f"`capabilities` {what} differ in {named}",
                "make them of the settings in __init__, and return the same each time",
            )


@check(read="hosts-and-modes")
def every_mode_has_its_hosts(rig: Rig) -> None:
    """
    In each mode that has a base URL every declared host has one too: https, and a live host exactly in live mode.

    An account in that mode is otherwise refused when it is first used, in production.
    """
    info = rig.subject.provider.info
    kind: Any = rig.subject.provider
    checked = 0
    for mode in ("test", "live"):
        own: Mapping[str, str] = {}
        if hasattr(kind, "base_urls_of"):
            try:
                own = dict(kind.base_urls_of(rig.read_settings(), mode))
            except Exception as error:
                raise Failed(
                    f"base_urls_of raised {type(error).__name__} for an account in {mode} mode: {error}",
                    "return a mapping for every mode: {} where the default holds",
                ) from error
        if mode not in info.base_urls and "" not in own:
            continue
        checked += 1
        config = rig.config_of(rig.settings, mode=mode)
        try:
            resolve_base_urls(
                config.account(None),
                info,
                config.path,
                own=own,
                shown_mode="test" if mode == "test" and hasattr(kind, "mode_of") else None,
            )
        except ConfigError as error:
            raise Failed(
                f"an account in {mode} mode can't be used: {error.message.partition(': ')[2]}",
                "give every host a URL in every mode that has one, and list the live ones in live_hosts",
            ) from error
    if not checked:
        raise NotApplicable("it has a URL in no mode: accounts bring their own")


@check(read="hosts-and-modes")
def credentials_show_their_mode(rig: Rig) -> None:
    """
    `mode_of` says of the sandbox's credentials that they are no live ones, and of unknown ones never that they are.

    Where test and live share a host, only the credentials keep an account in test mode from moving real money: those
    of the sandbox are then for `test`, and those of another form are for no mode, or for `live`.
    """
    info, kind = rig.subject.provider.info, cast("type[FullProvider]", rig.subject.provider)
    if not hasattr(kind, "mode_of"):
        raise NotApplicable("its credentials do not show a mode")
    is_shared = is_among(urlsplit(info.base_urls.get("test", "")).hostname or "", info.live_hosts)
    own = kind.mode_of(rig.read_settings())
    require(
        own == "test" or not is_shared,
        f"test and live share a host, and mode_of says {own} of the sandbox's credentials",
        "have the sandbox take credentials of the form that the company's test mode has, and say `test` of them",
    )
    hints = get_type_hints(info.settings)
    unknown = {name: UNKNOWN for name in rig.settings if Secret in (hints[name], *get_args(hints[name]))}
    try:
        shown = kind.mode_of(rig.read_settings(unknown))
    except (ConfigError, ValueError):
        return  # credentials of another form make no account
    require(
        shown != "test" or not is_shared,
        "test and live share a host, and mode_of says test of credentials of an unknown form",
        "say `test` only of the forms that the manual names: a new form of live key is a live key",
    )


# --- settings ---------------------------------------------------------------------------------------------------


def _require_named(rig: Rig, settings: Mapping[str, Any], name: str, what: str) -> None:
    advice = (
        "give every setting its type, and let paycore read them; raise ValueError in words in __post_init__"
    )
    try:
        rig.account_of(settings)
    except ConfigError as error:
        require(name in error.message, f"{what}: the error does not name it: {error.message}", advice)
    except PaycoreError as error:
        raise Failed(f"{what}: {error}", advice) from error
    else:
        raise Failed(f"{what} was taken", advice)


def _of_another_type(value: Any) -> Any:
    """A value that no setting of this one's type can have."""
    return {"a": {"table": 1}} if isinstance(value, str | list | tuple) else "a text"


_SECRET_WORDS = frozenset(
    {"key", "keys", "secret", "secrets", "password", "passphrase", "passkey", "token", "pin"}
)
_PUBLIC_WORDS = frozenset({"public", "publishable", "client", "site"})
"""Keys of these names are shown to browsers."""


def _sounds_secret(name: str, names: Collection[str]) -> bool:
    """Whether a setting is a secret by its name; a key beside a secret of the same name is an identifier."""
    words = name.lower().split("_")
    is_identifier = bool(_PUBLIC_WORDS & set(words)) or f"{'_'.join(words[:-1])}_secret" in names
    return words[-1] in _SECRET_WORDS and not is_identifier


def _credentials(request: Any) -> Iterator[str]:
    """What authenticates in the request's Authorization header."""
    for name, value in request.headers.items():
        scheme, _, credential = value.partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer":
            yield credential
        if name.lower() == "authorization" and scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(credential).decode().partition(":")
                yield password or user  # some companies take a key in the place of a user
            except (binascii.Error, ValueError):
                continue


def _shown(text: str) -> str:
    return repr(text) if len(text) < 40 else f"a text of {len(text)} characters"
