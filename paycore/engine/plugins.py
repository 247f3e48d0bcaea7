"""
Loads plugins one by one, and is the only caller of pluggy: a typed facade over its relay.

A plugin that fails is reported by (plugin, stage, error) and does not take the others down. Misspelt
hooks and names that are taken are failures too. One manager per client, never one per import.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from importlib import metadata
from typing import TYPE_CHECKING, Any

import msgspec
import pluggy

from paycore import hookspecs
from paycore.engine.wording import one_of, shown, suggest
from paycore.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from paycore.domain.events import Event
    from paycore.domain.provider import Provider

ENTRY_POINTS = "paycore"
"""The entry point group of plugins."""

_log = logging.getLogger(__name__)


class PluginFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that was left out: at which stage (load, register, providers, ...) and why."""

    plugin: str
    stage: str
    error: str


class Plugins:
    """
    The plugins installed here (entry point group `paycore`), less the blocked ones, and `extra` ones.

    `failures` grows as stages are reached; what failed is left out. Raises `ConfigError` when a blocked one
    is not installed: misspelt, it would be loaded.
    """

    def __init__(self, *, blocked: Iterable[str] = (), extra: Iterable[tuple[str, object]] = ()) -> None:
        self.failures: list[PluginFailure] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._blocked = frozenset(blocked)
        installed = sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)
        names = {entry_point.name for entry_point in installed}
        for name in sorted(self._blocked - names):
            raise ConfigError(f"blocked_plugins: no plugin is called {shown(name)}{suggest(name, names)}")
        for entry_point in installed:
            if entry_point.name not in self._blocked:
                self._load(entry_point)
        for name, plugin in extra:
            self._register(name, plugin)

    @property
    def names(self) -> tuple[str, ...]:
        """The plugins that are in force."""
        return tuple(sorted(name for name, _ in self._manager.list_name_plugin()))

    def providers(self) -> dict[str, type[Provider]]:
        """Provider classes by name."""
        return {provider.info.name: provider for provider in self._collect("providers", _provider_name)}

    def provider(self, name: str) -> type[Provider]:
        """The provider called `name`; `ConfigError` naming those there are and what failed to load."""
        known = self.providers()
        if name in known:
            return known[name]
        raise ConfigError(
            f"no plugin offers the provider {shown(name)}; installed: {one_of(known)}{self.left_out()}"
        )

    def left_out(self) -> str:
        """The end of an error about something that no plugin offers: which ones failed or are blocked."""
        failed = "".join(f"; {failure.plugin} failed: {failure.error}" for failure in self.failures)
        blocked = f"; left out by blocked_plugins: {one_of(self._blocked)}" if self._blocked else ""
        return failed + blocked

    def sandboxes(self) -> dict[str, Any]:
        """Sandboxes by the name of the provider they imitate."""
        return {sandbox.name: sandbox for sandbox in self._collect("sandboxes", lambda sandbox: sandbox.name)}

    def commands(self) -> list[Any]:
        """Typer apps that plugins add to the command line."""
        return self._collect("commands", lambda app: app.info.name)

    def after_commit(self, event: Event) -> None:
        """Tell every observer; one that raises is logged and the rest still hear of it."""
        for implementation in self._manager.hook.paycore_after_commit.get_hookimpls():
            try:
                implementation.function(event)
            except Exception:  # noqa: BLE001 - an observer never harms the others
                _log.exception("plugin %s failed in paycore_after_commit", implementation.plugin_name)

    # --- loading -------------------------------------------------------------------------------------

    def _load(self, entry_point: metadata.EntryPoint) -> None:
        try:
            plugin = entry_point.load()
        except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises on import
            self._fail(entry_point.name, "load", error)
        else:
            self._register(entry_point.name, plugin)

    def _register(self, name: str, plugin: object) -> None:
        try:
            self._manager.register(plugin, name)
            _check_hooks(self._manager, plugin)
        except (pluggy.PluginValidationError, PluginError, ValueError) as error:
            self._fail(name, "register", error)
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)

    def _collect(self, what: str, name_of: Any) -> list[Any]:
        """What all plugins register, each asked by itself so that one that raises stands alone."""
        found: dict[str, Any] = {}
        hook = getattr(self._manager.hook, f"paycore_register_{what}")
        for implementation in reversed(hook.get_hookimpls()):
            try:
                for item in implementation.function():
                    name = name_of(item)
                    if name in found:
                        raise PluginError(f"{name!r} is taken", plugin=implementation.plugin_name, stage=what)
                    found[name] = item
            except Exception as error:  # noqa: BLE001 - whatever a stranger's hook raises
                self._fail(implementation.plugin_name, what, error)
        return list(found.values())

    def _fail(self, plugin: str, stage: str, error: BaseException) -> None:
        failure = PluginFailure(plugin=plugin, stage=stage, error=f"{type(error).__name__}: {error}")
        if failure not in self.failures:
            self.failures.append(failure)
            _log.warning("plugin %s left out at %s: %s", plugin, stage, failure.error)


def _provider_name(provider: type[Provider]) -> str:
    return provider.info.name


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Misspelt hooks, and ones that are async or have defaults, which pluggy would call wrongly."""
    manager.check_pending()
    for caller in manager.get_hookcallers(plugin) or ():
        function = getattr(plugin, caller.name)
        defaults = [p for p in inspect.signature(function).parameters.values() if p.default is not p.empty]
        if defaults or inspect.iscoroutinefunction(function):
            raise PluginError(
                f"{caller.name} takes plain positional parameters without defaults and is not async",
                plugin=str(manager.get_name(plugin)),
                stage="register",
            )
