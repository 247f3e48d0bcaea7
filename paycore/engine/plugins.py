"""
Loads plugins one by one, and is the only caller of pluggy: a typed facade over its relay.

A plugin that fails, whatever it raises, is reported by (plugin, stage, error) and does not take the others
down. Misspelt hooks are failures too. A name that is claimed twice is served by neither who claims it: no
plugin takes over another's orders and settings. One manager per client, never one per import.
"""

from __future__ import annotations

import inspect
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import metadata
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pluggy

from paycore import hookspecs
from paycore.engine.provider_class import class_problem
from paycore.engine.wording import one_line, one_of, said, shown, suggest
from paycore.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from paycore.domain.events import Event
    from paycore.domain.provider import Provider

ENTRY_POINTS = "paycore"
"""The entry point group of plugins."""

ITEMS_MAX = 1000
"""What one plugin can register by one hook."""

SAID_MAX = 500
"""Characters of an error that a failure repeats."""

_log = logging.getLogger(__name__)


class PluginFailure(msgspec.Struct, frozen=True, kw_only=True):
    """
    A plugin that was left out: at which stage (load, register, providers, ...) and why.

    `distribution` is what was installed to get it, with its version.
    """

    plugin: str
    distribution: str
    stage: str
    error: str


class InstalledPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """
    A plugin, what it offers as (kind, name) pairs, and what of it failed.

    `distribution` and `version` are empty for one that the application gave. A blocked one was not loaded.
    """

    plugin: str
    distribution: str
    version: str
    is_blocked: bool
    offers: tuple[tuple[str, str], ...]
    failures: tuple[PluginFailure, ...]


class _Candidate(NamedTuple):
    """A plugin that is there to be loaded, unless it is blocked."""

    name: str
    distribution: metadata.Distribution | None
    load: Callable[[], object]
    is_blocked: bool = False

    @property
    def origin(self) -> str:
        """The distribution it came with; read when it is asked for, for that takes a while."""
        found = self.distribution
        return "given by the application" if found is None else f"{found.name} {found.version}"

    def __str__(self) -> str:
        return f"{self.name} ({self.origin})"


class Plugins:
    """
    The plugins installed here (entry point group `paycore`), less the blocked ones, and `extra` ones.

    `failures` grows as stages are reached; what failed is left out. `observers` are told of every event that is
    committed, and raise nothing. Raises `ConfigError` when a blocked one
    is not installed: misspelt, it would be loaded.
    """

    def __init__(self, *, blocked: Iterable[str] = (), extra: Iterable[tuple[str, object]] = ()) -> None:
        self.failures: list[PluginFailure] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._blocked = frozenset(blocked)
        self._collected: dict[str, Mapping[str, Any]] = {}
        installed = sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)
        names = {entry_point.name for entry_point in installed}
        for name in sorted(self._blocked - names):
            raise ConfigError(f"blocked_plugins: no plugin is called {shown(name)}{suggest(name, names)}")
        candidates = [
            _Candidate(entry.name, entry.dist, entry.load, entry.name in self._blocked) for entry in installed
        ]
        candidates += [_Candidate(name, None, partial(_given, plugin)) for name, plugin in extra]
        self._candidates = tuple(candidates)
        self._known = {candidate.name: candidate for candidate in candidates}
        self._offers: dict[str, list[tuple[str, str]]] = {}
        self._load([candidate for candidate in candidates if not candidate.is_blocked])
        observers = self._manager.hook.paycore_after_commit.get_hookimpls()
        self.observers: Sequence[Callable[[Event], None]] = [
            partial(_observe, observer.plugin_name, observer.function) for observer in observers
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """The plugins that are in force."""
        return tuple(sorted(name for name, _ in self._manager.list_name_plugin()))

    def installed(self, *, taken: Collection[str] = ()) -> tuple[InstalledPlugin, ...]:
        """Every plugin, with what it offers and what of it failed; `taken` is as in `commands`."""
        self.providers(), self.sandboxes(), self.commands(taken=taken)
        return tuple(self._installed(candidate) for candidate in self._candidates)

    def _installed(self, candidate: _Candidate) -> InstalledPlugin:
        found = candidate.distribution
        failures = [
            f for f in self.failures if (f.plugin, f.distribution) == (candidate.name, candidate.origin)
        ]
        return InstalledPlugin(
            plugin=candidate.name,
            distribution="" if found is None else found.name,
            version="" if found is None else found.version,
            is_blocked=candidate.is_blocked,
            offers=tuple(self._offers.get(candidate.name, ())),
            failures=tuple(failures),
        )

    def providers(self) -> dict[str, type[Provider]]:
        """Provider classes by name."""
        return dict(self._collect("providers", lambda provider: provider.info.name, problem_of=class_problem))

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
        return dict(self._collect("sandboxes", lambda sandbox: sandbox.name))

    def commands(self, *, taken: Collection[str] = ()) -> dict[str, Any]:
        """Typer apps that plugins add to the command line, by their word; `taken` are the command line's own."""
        return dict(self._collect("commands", lambda app: app.info.name, taken))

    # --- loading -------------------------------------------------------------------------------------

    def _load(self, candidates: Sequence[_Candidate]) -> None:
        """Import them and take in their hooks; of those with one name, or one plugin, none."""
        loaded: list[tuple[_Candidate, object]] = []
        for rivals in _grouped((candidate.name, candidate) for candidate in candidates).values():
            if len(rivals) > 1:
                self._fail_rivals(rivals, "load", f"the entry point {shown(rivals[0].name)}")
                continue
            try:
                loaded.append((rivals[0], rivals[0].load()))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a stranger's module raises on import
                self._fail(rivals[0], "load", error)
        for same in _grouped((id(plugin), (candidate, plugin)) for candidate, plugin in loaded).values():
            if len(same) > 1:
                self._fail_rivals([candidate for candidate, _ in same], "register", "the same plugin")
            else:
                self._register(*same[0])

    def _register(self, candidate: _Candidate, plugin: object) -> None:
        try:
            self._manager.register(plugin, candidate.name)
            _check_hooks(self._manager, plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a stranger's object does when it is looked at
            self._fail(candidate, "register", error)
            if self._manager.has_plugin(candidate.name):
                self._manager.unregister(name=candidate.name)

    def _collect(
        self,
        what: str,
        name_of: Callable[[Any], Any],
        taken: Collection[str] = (),
        problem_of: Callable[[Any], str | None] | None = None,
    ) -> Mapping[str, Any]:
        """
        What plugins register, by name: each is asked by itself and once, and one that raises stands alone.

        What has a problem is left out, and claims its name all the same.
        """
        if what not in self._collected:
            claims = _grouped(
                (name, (candidate, item))
                for candidate, items in self._asked(what, name_of)
                for name, item in items
            )
            served = self._unrivalled(what, claims, taken)
            self._collected[what] = {
                name: item
                for name, candidate, item in served
                if self._is_sound(candidate, what, name, item, problem_of)
            }
        return self._collected[what]

    def _asked(
        self, what: str, name_of: Callable[[Any], Any]
    ) -> Iterator[tuple[_Candidate, list[tuple[str, Any]]]]:
        """Each plugin, and what it registers with the names of it."""
        hook = getattr(self._manager.hook, f"paycore_register_{what}")
        for implementation in reversed(hook.get_hookimpls()):
            candidate = self._known[implementation.plugin_name]
            try:
                yield (
                    candidate,
                    [(_checked_name(name_of(item)), item) for item in _listed(implementation.function)],
                )
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a stranger's hook raises
                self._fail(candidate, what, error)

    def _unrivalled(
        self, what: str, claims: Mapping[str, Sequence[tuple[_Candidate, Any]]], taken: Collection[str]
    ) -> Iterator[tuple[str, _Candidate, Any]]:
        """What only one plugin claims, and nobody had before."""
        one = "sandbox of" if what == "sandboxes" else _ONE[what]
        for name, claimed in claims.items():
            if name in taken:
                for candidate, _ in claimed:
                    self._fail(
                        candidate,
                        what,
                        _problem(candidate, what, f"the {one} {shown(name)} is paycore's own"),
                    )
            elif len(claimed) > 1:
                self._fail_rivals([candidate for candidate, _ in claimed], what, f"the {one} {shown(name)}")
            else:
                candidate, item = claimed[0]
                yield name, candidate, item

    def _is_sound(
        self,
        candidate: _Candidate,
        what: str,
        name: str,
        item: object,
        problem_of: Callable[[Any], str | None] | None,
    ) -> bool:
        """Whether nothing is wrong with what is registered; else it is a failure of its plugin."""
        try:
            problem = None if problem_of is None else problem_of(item)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a stranger's class does when it is looked at
            self._fail(candidate, what, error)
            return False
        if problem is not None:
            self._fail(candidate, what, _problem(candidate, what, f"{shown(name)}: {problem}"))
            return False
        self._offers.setdefault(candidate.name, []).append((_ONE[what], name))
        return True

    # --- failures ------------------------------------------------------------------------------------

    def _fail_rivals(self, rivals: Sequence[_Candidate], stage: str, claim: str) -> None:
        """Nobody knows which of them is meant, so it is none; each is told of the others."""
        names = " and ".join(sorted({str(rival) for rival in rivals}))
        problem = (
            f"{claim} is claimed more than once, by {names}, so that it is served by none; keep one of them"
        )
        for rival in dict.fromkeys(rivals):
            self._fail(rival, stage, _problem(rival, stage, problem))

    def _fail(self, candidate: _Candidate, stage: str, error: BaseException) -> None:
        failure = PluginFailure(
            plugin=candidate.name,
            distribution=candidate.origin,
            stage=stage,
            error=f"{type(error).__name__}: {one_line(said(error), SAID_MAX)}",
        )
        if failure not in self.failures:
            self.failures.append(failure)
            _log.warning("plugin %s left out at %s: %s", candidate, stage, failure.error)


_ONE: Mapping[str, str] = {"providers": "provider", "sandboxes": "sandbox", "commands": "command"}
"""What one of those is called that a plugin registers."""


def _problem(candidate: _Candidate, stage: str, problem: str) -> PluginError:
    return PluginError(problem, plugin=candidate.name, stage=stage)


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return dict(groups)


def _observe(name: str, observer: Callable[[Event], object], event: Event) -> None:
    try:
        observer(event)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - an observer never harms the others, nor the command
        _log.exception("plugin %s failed in paycore_after_commit", name)


def _given(plugin: object) -> object:
    return plugin


def _listed(register: Callable[..., Any]) -> list[Any]:
    """What a hook registers; it may be a generator, and one without end."""
    items = list(islice(register(), ITEMS_MAX + 1))
    if len(items) > ITEMS_MAX:
        raise ValueError(f"{register.__name__} registers more than {ITEMS_MAX}")
    return items


def _checked_name(name: object) -> str:
    if isinstance(name, str) and name and name.isprintable():
        return name
    raise TypeError("what is registered has a name")


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """None at all, misspelt ones, and ones that are async or have defaults, which pluggy would call wrongly."""
    known = [name for name in vars(hookspecs) if name.startswith(f"{hookspecs.PROJECT}_")]
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        if caller.name not in known:
            problem = f"there is no hook {caller.name}{suggest(caller.name, known)}"
            raise PluginError(problem, plugin=str(manager.get_name(plugin)), stage="register")
        function = getattr(plugin, caller.name)
        defaults = [p for p in inspect.signature(function).parameters.values() if p.default is not p.empty]
        if defaults or inspect.iscoroutinefunction(function):
            raise PluginError(
                f"{caller.name} takes plain positional parameters without defaults and is not async",
                plugin=str(manager.get_name(plugin)),
                stage="register",
            )
    if not callers:
        unmarked = [name for name in dir(plugin) if name.startswith(f"{hookspecs.PROJECT}_")]
        problem = f"; {one_of(unmarked)} is not marked with @hookimpl" if unmarked else ""
        raise PluginError(f"it has no hooks{problem}", plugin=str(manager.get_name(plugin)), stage="register")
