"""`plugins list`: installed plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from paycore.cli.app import COMMANDS, options_of
from paycore.cli.endings import Exit
from paycore.cli.lookup import blocked_plugins
from paycore.cli.output import Output

if TYPE_CHECKING:
    from paycore.engine.plugins import Plugins


def list_plugins(context: typer.Context) -> int:
    """
    List plugins, what they offer and what failed.

    Exits 6 when one of them could not be loaded.
    """
    from paycore.engine.plugins import Plugins

    options = options_of(context)
    logging_off()
    plugins = Plugins(blocked=blocked_plugins(options))
    rows = _rows(plugins)
    output = Output(options)
    header = ("kind", "name", "detail")
    output.rows(
        [name.upper() for name in header], rows, [dict(zip(header, row, strict=True)) for row in rows]
    )
    if not rows:
        output.say("no plugins are installed; a provider comes with one, for instance paycore-qfpay-alipay")
    return Exit.CONFIG if plugins.failures else Exit.DONE


def _rows(plugins: Plugins) -> list[tuple[str, str, str]]:
    # Loaded first: each of these may add to the failures.
    providers, sandboxes = plugins.providers(), plugins.sandboxes()
    commands = plugins.commands(taken=COMMANDS)
    return [
        *(("plugin", name, plugins.distribution(name)) for name in plugins.names),
        *(("provider", name, provider.info.title) for name, provider in sorted(providers.items())),
        *(("sandbox", name, "") for name in sorted(sandboxes)),
        *(("command", name, "") for name in sorted(commands)),
        *(("failure", f.plugin, f"{f.distribution}, {f.stage}: {f.error}") for f in plugins.failures),
    ]


def logging_off() -> None:
    """Do not log failures, which are rows of the table."""
    import logging

    logging.getLogger("paycore.engine.plugins").addHandler(logging.NullHandler())
