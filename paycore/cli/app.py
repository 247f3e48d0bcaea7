"""
The typer application: the table of commands, the global options of every command, and commands added by plugins.

A command's module is imported when the command is run, or when `--help` lists all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from paycore.cli import endings
from paycore.cli.endings import UsageProblem
from paycore.cli.options import GlobalOptions, of_context
from paycore.cli.parsing import Command, CommandGroup, UsageError, take_text_as_it_is

_PACKAGE = "paycore.cli.commands"

COMMANDS: dict[str, Any] = {
    "init": "setup:init",
    "create": "payments:create",
    "await": "payments:await_payment",
    "query": "payments:query",
    "returned": "payments:returned",
    "capture": "payments:capture",
    "refund": "payments:refund",
    "close": "payments:close",
    "list": "show:list_payments",
    "show": "show:show",
    "totals": "totals:totals",
    "changes": "changes:changes",
    "review": {
        "list": "review:list_reviews",
        "acknowledge": "review:acknowledge",
        "record": "review:record",
    },
    "accounts": "setup:accounts",
    "serve": "serve:serve",
    "worker": "worker:worker",
    "resolve": "resolve:resolve",
    "reconcile": "reconcile:reconcile",
    "smoke": "smoke:smoke",
    "doctor": "doctor:doctor",
    "plugins": {"list": "plugins:list_plugins", "check": "check:check", "new": "new:new"},
    "sandbox": {
        "serve": "sandbox_serve:serve",
        "pay": "sandbox:pay",
        "decline": "sandbox:decline",
        "fault": "sandbox:fault",
    },
    "ledger": {
        "verify": "ledger:verify",
        "anchor": "ledger:anchor",
        "export": "ledger:export",
        "migrate": "ledger:migrate",
        "copy": "ledger:copy",
        "backup": "ledger:backup",
    },
    "demo": "demo:demo",
    "completion": "completion:completion",
}
"""The function of each command, or the table of a group of commands."""

_GROUP_HELP = {
    "ledger": "The durable record: verify, anchor, export, migrate, copy and back it up.",
    "plugins": "What is installed beside paycore: list it, prove a provider right, begin one.",
    "review": "Payments whose facts contradict each other: list them, and record what a person found.",
    "sandbox": "A provider's gateway on this machine: serve it, and act as its payer.",
}

_HELP = """
Payments through any provider, with nothing lost and nothing paid twice.

ID is a payment's id, or your own reference of it.
"""


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit code."""
    try:
        code = root().main(args=list(arguments) or ["--help"], prog_name="paycore", standalone_mode=False)
    except UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "paycore"
        message = error.format_message().rstrip(".")
        if (
            error.ctx is not None
            and isinstance(error.ctx.command, CommandGroup)
            and message == "Missing command"
        ):
            message = f"missing a command: one of {', '.join(error.ctx.command.commands)}"
        link = " See" if message.endswith("?") else "; see"
        raise UsageProblem(f"{message}{link} `{where} --help`") from None
    return int(code or 0)


def root() -> TyperGroup:
    """Build the root command; modules of commands are not imported yet."""
    return _Root(
        name="paycore",
        commands=_Lazy(COMMANDS),
        params=[*_parameters(_version_option), *_parameters(_global_options)],
        help=_HELP.strip(),
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
    )


# --- global options ----------------------------------------------------------------------------------


def options_of(context: typer.Context) -> GlobalOptions:
    """Return the global options given before and after the command."""
    return of_context(context)


def _global_options(
    *,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Configuration; else PAYCORE_CONFIG, ./paycore.toml, user folder."),
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="Account to use, or to look a reference up on.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; lists as JSON Lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only data and errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print which configuration is used, and paycore's log.")
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours; so does NO_COLOR.")] = False,
) -> None:
    """Declare the options of every command; never called."""


def _version_option(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Declare the option; never called."""


def _parameters(function: Callable[..., object]) -> list[Any]:
    return list(_built("", function, TyperCommand).params)


class _Root(CommandGroup):
    """The root command; it looks for a plugin's command only when a name is unknown."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or _plugin_command(options_of(ctx), cmd_name)

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        """End with the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{code.value:>3}", meaning) for code, meaning in endings.MEANINGS.items()])


# --- what commands share ------------------------------------------------------------------------------

PaymentId = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="The payment's id, or your reference.", show_default=False),
]
Reference = Annotated[str | None, typer.Option(metavar="R", help="Find it by your reference alone.")]


def pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    """Parse `KEY=VALUE` arguments of an option."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageProblem(f"{option}: {word!r} is not KEY=VALUE")
        if key in found:
            raise UsageProblem(f"{option}: {key} is given twice")
        found[key] = value
    return found


# --- the command tree ----------------------------------------------------------------------------------------


class _Lazy(dict[str, Any]):
    """Commands by name, each built from its entry in the table on first access."""

    def __getitem__(self, word: str) -> Any:
        entry = super().__getitem__(word)
        if isinstance(entry, str | dict):
            entry = self[word] = _make(word, entry)
        return entry

    def get(self, word: str, default: Any = None) -> Any:
        return self[word] if word in self else default  # noqa: SIM401 - this is `get`

    def items(self) -> Any:
        return [(word, self[word]) for word in self]


def _make(word: str, entry: str | dict[str, str]) -> Any:
    if isinstance(entry, dict):
        return CommandGroup(
            name=word,
            commands=_Lazy(entry),
            params=_parameters(_global_options),
            help=_GROUP_HELP[word],
            rich_markup_mode=None,
        )
    module, _, function = entry.partition(":")
    command = _built(word, getattr(import_module(f"{_PACKAGE}.{module}"), function), Command)
    command.params.extend(_parameters(_global_options))
    return command


def _built(word: str, function: Callable[..., object], kind: type[TyperCommand]) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(word, cls=kind)(function)
    command = get_command(app)
    for param in command.params:
        take_text_as_it_is(param)
    return command


def _plugin_command(options: GlobalOptions, word: str) -> Any:
    """Return the command that a plugin registers under this name, None when there is none."""
    from paycore.engine.config import load_config
    from paycore.engine.plugins import Plugins
    from paycore.errors import ConfigError

    try:
        blocked = load_config(options.config).blocked_plugins
    except ConfigError:
        blocked = frozenset()  # plugin commands work without a configuration
    apps = Plugins(blocked=blocked).commands(taken=COMMANDS)
    return get_command(apps[word]) if word in apps else None
