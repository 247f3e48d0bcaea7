"""
The hooks a plugin may implement, in the order they fire.

Hooks register things or observe facts; they never decide, route or move money. Implementations take
plain positional parameters, without defaults, and are never async.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from paycore.domain.events import Event
    from paycore.domain.provider import Provider

PROJECT = "paycore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def paycore_register_providers() -> Iterable[type[Provider]]:  # type: ignore[empty-body]
    """
    Return the provider classes this plugin offers.

    Called once when a client first needs a provider, in the thread that needs it. Raising disables this
    plugin's providers and is reported by (plugin, stage, error); the others go on. A name that another
    plugin claims too is served by neither.
    """


@hookspec
def paycore_register_sandboxes() -> Iterable[Any]:  # type: ignore[empty-body]
    """
    Return this plugin's sandboxes (`paycore.sandbox.api.Sandbox`), named like their providers.

    Called once, when `paycore sandbox` or a test asks for one. Raising disables this plugin's sandboxes only; a
    name that another plugin claims too is served by neither.
    """


@hookspec
def paycore_register_commands() -> Iterable[Any]:  # type: ignore[empty-body]
    """
    Return typer apps to be added to the command line, each with a name of its own.

    Called once, when the command line meets a word it does not know. Raising disables this plugin's commands;
    a word that another plugin claims too, or that is paycore's own, is served by neither.
    """


@hookspec
def paycore_after_commit(event: Event) -> None:
    """
    Observe one event that is durable in the ledger.

    Called once per event in this process, after its transaction, in the thread (or on the event loop)
    that ran the command: return quickly. Raising is logged and changes nothing.
    """
