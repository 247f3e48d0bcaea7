"""What is checked: a provider, the sandbox it is checked against, and the settings of its account there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from paycore.domain.provider import Provider
from paycore.engine.plugins import Plugins
from paycore.errors import ConfigError
from paycore.sandbox.api import Sandbox


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """
    A provider and the sandbox to check it against.

    `settings` are those of its account that the sandbox does not name itself; `sandbox_settings` are the sandbox's own.
    """

    provider: type[Provider]
    sandbox: Sandbox
    settings: Mapping[str, Any] = {}
    sandbox_settings: Mapping[str, str] = {}

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.provider.info.name


def subject_named(
    name: str, *, plugins: Plugins | None = None, settings: Mapping[str, Any] | None = None
) -> Subject:
    """
    The subject of an installed provider.

    Raises `ConfigError` where there is no such provider, or no sandbox of its name: with what to do.
    """
    plugins = plugins or Plugins()
    provider = plugins.provider(name)
    sandbox = plugins.sandboxes().get(name)
    if sandbox is None:
        raise ConfigError(
            f"provider {name} has no sandbox to check it against; return one, called {name!r}, from the hook"
            " paycore_register_sandboxes: paycore.sandbox.scripted makes one of a class that answers requests"
        )
    return Subject(provider=provider, sandbox=sandbox, settings=settings or {})


def settings_from(words: Mapping[str, str], provider: type[Provider]) -> dict[str, Any]:
    """Settings that were typed, as paycore.toml has them: numbers and truth values where the provider wants some."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(provider.info.settings)}
    return {key: _meant(text, kinds[key]) if key in kinds else text for key, text in words.items()}


def _meant(text: str, kind: Any) -> Any:
    try:
        value = msgspec.convert(text, kind, strict=False, dec_hook=_no_other)
    except msgspec.ValidationError:
        return text  # the core says what is wrong with it
    return value if isinstance(value, bool | int | float) else text


def _no_other(kind: type, _value: object) -> Any:
    raise ValueError(f"a {kind.__name__} is made of text")
