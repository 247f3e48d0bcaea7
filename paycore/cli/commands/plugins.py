"""`plugins list`: installed plugins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from paycore.cli.app import COMMANDS, options_of
from paycore.cli.endings import Exit
from paycore.cli.lookup import blocked_plugins
from paycore.cli.output import Output

if TYPE_CHECKING:
    from paycore.engine.plugins import InstalledPlugin, PluginFailure

_FAILED: Mapping[str, str] = {
    "load": "can't be imported",
    "register": "left out",
    "providers": "providers left out",
    "sandboxes": "sandboxes left out",
    "commands": "commands left out",
}
"""What a failure at each stage means."""


def list_plugins(context: typer.Context) -> int:
    """
    List plugins, what each offers and what failed.

    Exits 6 when anything of one could not be loaded.
    """
    from paycore.engine.plugins import Plugins

    options = options_of(context)
    logging_off()
    plugins = Plugins(blocked=blocked_plugins(options))
    installed = plugins.installed(taken=COMMANDS)
    titles = {name: provider.info.title for name, provider in plugins.providers().items()}
    rows = [
        [one.plugin, f"{one.distribution} {one.version}".strip(), "; ".join(_words(one, titles))]
        for one in installed
    ]
    output = Output(options)
    output.rows(("PLUGIN", "FROM", "OFFERS"), rows, [_document(one, titles) for one in installed])
    if not installed:
        output.say("no plugins are installed; a provider comes with one, for instance paycore-qfpay-alipay")
    return Exit.CONFIG if plugins.failures else Exit.DONE


def _words(plugin: InstalledPlugin, titles: Mapping[str, str]) -> Iterator[str]:
    for kind, name in plugin.offers:
        yield f"{kind} {name}" + (f" ({titles[name]})" if kind == "provider" else "")
    if plugin.is_blocked:
        yield "nothing: blocked_plugins names it"
    elif not plugin.offers and not plugin.failures:
        yield "nothing"
    yield from (_problem(failure) for failure in plugin.failures)


def _problem(failure: PluginFailure) -> str:
    """Say what a failure means; paycore's own words need no kind of error before them."""
    what = _FAILED.get(failure.stage, f"failed at {failure.stage}")
    return f"{what}: {failure.error.removeprefix('PluginError: ')}"


def _document(plugin: InstalledPlugin, titles: Mapping[str, str]) -> dict[str, Any]:
    return {
        "plugin": plugin.plugin,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "blocked": plugin.is_blocked,
        "offers": [
            {"kind": kind, "name": name, "title": titles[name] if kind == "provider" else ""}
            for kind, name in plugin.offers
        ],
        "failures": [{"stage": failure.stage, "problem": _problem(failure)} for failure in plugin.failures],
    }


def logging_off() -> None:
    """Do not log failures, which are rows of the table."""
    import logging

    logging.getLogger("paycore.engine.plugins").addHandler(logging.NullHandler())
