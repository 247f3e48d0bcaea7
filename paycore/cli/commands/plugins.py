"""`plugins list`: what is installed beside paycore."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from paycore.cli.app import COMMANDS, options_of
from paycore.cli.endings import Exit
from paycore.cli.output import Output

if TYPE_CHECKING:
    from paycore.engine.plugins import Plugins


def list_plugins(context: typer.Context) -> int:
    """
    List plugins, what they offer and what failed.

    Ends with exit code 6 when one of them could not be loaded.
    """
    from paycore.cli.commands.sandbox import blocked_plugins
    from paycore.engine.plugins import Plugins

    options = options_of(context)
    logging_off()
    plugins = Plugins(blocked=blocked_plugins(options))
    found = _found(plugins)
    rows = [[one["kind"], one["name"], one["detail"]] for one in found]
    output = Output(options)
    output.rows(("KIND", "NAME", "DETAIL"), rows, found)
    if not found:
        output.say("no plugins are installed; a provider comes with one, for instance paycore-qfpay-alipay")
    return Exit.CONFIG if plugins.failures else Exit.DONE


def _found(plugins: Plugins) -> list[dict[str, str]]:
    providers, sandboxes = plugins.providers(), plugins.sandboxes()
    commands = plugins.commands(taken=COMMANDS)
    return [
        *({"kind": "plugin", "name": name, "detail": plugins.distribution(name)} for name in plugins.names),
        *(
            {"kind": "provider", "name": name, "detail": provider.info.title}
            for name, provider in sorted(providers.items())
        ),
        *({"kind": "sandbox", "name": name, "detail": ""} for name in sorted(sandboxes)),
        *({"kind": "command", "name": name, "detail": ""} for name in sorted(commands)),
        *(
            {
                "kind": "failure",
                "name": failure.plugin,
                "detail": f"{failure.distribution}, {failure.stage}: {failure.error}",
            }
            for failure in plugins.failures
        ),
    ]


def logging_off() -> None:
    """Failures are rows here; the same as warnings would be twice."""
    import logging

    logging.getLogger("paycore.engine.plugins").addHandler(logging.NullHandler())
