"""All checks, one after another; what a check needs of an earlier one that failed is said to be missing."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import closing

from paycore import __version__
from paycore.cli.app import COMMANDS
from paycore.cli.doctor.account_checks import check_account
from paycore.cli.doctor.diagnosis import Area, Checks
from paycore.cli.doctor.ledger_checks import OpenedLedger, check_ledger
from paycore.cli.doctor.reach_checks import Reaches
from paycore.cli.doctor.work_checks import AREA as WORK
from paycore.cli.doctor.work_checks import CHECKS, check_work
from paycore.cli.options import GlobalOptions
from paycore.engine.accounts import Accounts
from paycore.engine.config import Config, load_config
from paycore.engine.plugins import Plugins
from paycore.errors import PaycoreError

CONFIGURATION, PLUGINS = Area("configuration"), Area("plugins")


def examine(options: GlobalOptions, say: Callable[[str], None]) -> Checks:
    """What every check found; `say` is told what is going on."""
    yield CONFIGURATION.ok(
        "version", f"paycore {__version__}, Python {platform.python_version()}, {platform.system()}"
    )
    try:
        config = load_config(options.config)
        names = config.names(options.account)
    except PaycoreError as error:
        yield CONFIGURATION.problem("file", error.message, "correct it, then run this again")
        for area in ("plugins", "ledger", "accounts", "work"):
            yield Area(area).unchecked(area, "the configuration can't be used")
        return
    yield CONFIGURATION.ok("file", f"{config.path.absolute()}: {_listed('account', names)}")
    yield from _with_config(config, names, options, say)


def _with_config(
    config: Config, names: Sequence[str], options: GlobalOptions, say: Callable[[str], None]
) -> Checks:
    say("plugins")
    plugins: Plugins | None = None
    try:
        plugins = Plugins(blocked=config.blocked_plugins)
    except PaycoreError as error:
        yield PLUGINS.problem("plugins", error.message, "correct it in the configuration")
    else:
        yield from _plugins(plugins)
    say("ledger")
    with closing(OpenedLedger()) as opened:
        yield from check_ledger(config.ledger, options, opened)
        if plugins is None:
            yield Area("accounts").unchecked("accounts", "the plugins can't be loaded")
        else:
            accounts, reaches = Accounts(config, plugins), Reaches(opened.now)
            for name in names:
                yield from check_account(accounts, name, opened, reaches, say)
        say("work")
        if opened.to_read is None:
            yield from (WORK.unchecked(check, opened.why_not) for check in CHECKS)
        else:
            yield from check_work(opened.to_read, names, opened.now(), options)


def _plugins(plugins: Plugins) -> Checks:
    installed = plugins.installed(taken=COMMANDS)
    loaded = [one for one in installed if not one.failures and not one.is_blocked]
    names = [f"{one.plugin} {one.version}".strip() for one in loaded]
    blocked = [one.plugin for one in installed if one.is_blocked]
    if not installed:
        advice = "install the provider's plugin, for instance paycore-qfpay-alipay"
        yield PLUGINS.problem("plugins", "none is installed, so no provider is there", advice)
    elif names or blocked:
        also = f"; blocked: {', '.join(blocked)}" if blocked else ""
        yield PLUGINS.ok("plugins", (", ".join(names) or "none is loaded") + also)
    for failure in plugins.failures:
        error = failure.error.removeprefix("PluginError: ")
        yield PLUGINS.problem(
            "failure",
            f"{failure.plugin} ({failure.distribution}) failed at {failure.stage}: {error}",
            "repair, upgrade or uninstall it, or name it in blocked_plugins",
        )


def _listed(thing: str, names: Sequence[str]) -> str:
    return f"{thing} {names[0]}" if len(names) == 1 else f"{thing}s {', '.join(names)}"
