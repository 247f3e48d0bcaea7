"""
The hooks a plugin may implement, in the order they fire.

Hooks register things or observe events; they never decide, route or move money. Implementations have plain
positional parameters without defaults and are never async.
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

    Called once, when a client first needs a provider, in that thread. An exception disables this plugin's providers
    and is reported with plugin, stage and error; other plugins continue. Each class is checked, and tried with sample
    settings; one that lacks something is left out and reported. If two plugins claim one name, neither is used.
    """


@hookspec
def paycore_register_sandboxes() -> Iterable[Any]:  # type: ignore[empty-body]
    """
    Return this plugin's sandboxes (`paycore.sandbox.api.Sandbox`), named like their providers.

    Called once, when `paycore sandbox` or a test needs one. An exception disables this plugin's sandboxes only. If
    two plugins claim one name, neither is used.
    """


@hookspec
def paycore_register_commands() -> Iterable[Any]:  # type: ignore[empty-body]
    """
    Return typer apps to add to the command line, each with a name.

    Called once, when the command line has an unknown command. An exception disables this plugin's commands. A name
    that two plugins claim, or that is paycore's own, is not added.
    """


@hookspec
def paycore_after_commit(event: Event) -> None:
    """
    Observe one event that is committed to the ledger.

    Called once per event of this process, after its transaction, in the thread (or on the event loop) of the command:
    return quickly. An exception is logged and changes nothing.
    """
