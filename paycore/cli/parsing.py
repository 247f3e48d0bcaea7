"""
How the arguments of a command are parsed, beyond what typer does.

Global options are taken before and after the command, and an error names all that is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import typer
from typer.core import TyperCommand, TyperGroup

from paycore import __version__
from paycore.cli import endings
from paycore.cli.endings import Interrupted, UsageProblem
from paycore.cli.options import FLAGS, NAMES, GlobalOptions, of_context
from paycore.cli.output import Output

UsageError: type[Any] = typer.BadParameter.__bases__[0]
"""Typer's own error for invalid arguments, whether typer vendors click or depends on it."""

SENTENCE_MAX = 1000
"""Characters of a command's first sentence in a list of commands: all of it."""

_NAMES_A_PAYMENT = frozenset({"payment_id", "reference", "payment_reference"})


class _TakesGlobals:
    """Moves the global options from a command's parameters to `ctx.obj`, where subcommands find them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option given twice, of which click would use the last, and name all that is missing at once."""
        try:
            values, _, given = self.make_parser(ctx).parse_args(args=list(args))  # type: ignore[attr-defined]
        except UsageError as error:
            error.ctx = error.ctx or ctx  # the command whose help the error names
            raise
        if not values.get("help"):
            _refuse_repeated(given)
            _refuse_missing(ctx, self.get_params(ctx), values)  # type: ignore[attr-defined]
        return super().parse_args(ctx, args)  # type: ignore[misc,no-any-return]

    def invoke(self, ctx: Any) -> Any:
        """Merge global options given after the command with those given before it."""
        given = {name: ctx.params.pop(name) for name in NAMES if name in ctx.params}
        given = {name: value for name, value in given.items() if value not in (None, False)}
        before = of_context(ctx)
        for name in given:
            if name not in FLAGS and getattr(before, name) is not None:
                raise _given_twice(f"--{name}")
        ctx.obj = msgspec.structs.replace(before, **given)
        if ctx.params.pop("version", False):
            return _show_version(ctx.obj)
        if ctx.obj.verbose:
            Output(ctx.obj).show_log()
        try:
            return super().invoke(ctx)  # type: ignore[misc]
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None

    def get_help_option(self, ctx: Any) -> Any:
        """Print `--help` through `Output`."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        option.callback = _show_help
        take_text_as_it_is(option)
        return option

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List a group's commands, a command's own options, and the global ones in a section of their own."""
        own: list[Any] = []
        shared: list[Any] = []
        for param in self.get_params(ctx):  # type: ignore[attr-defined]
            record = _in_words(param.get_help_record(ctx))
            if record is not None:
                (shared if param.name in NAMES or param.name in ("version", "help") else own).append(record)
        if isinstance(self, TyperGroup):
            self.format_commands(ctx, formatter)
        for title, records in (("Options", own), ("Global options", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        """List the commands of a group with all of their first sentence."""
        commands = self.commands  # type: ignore[attr-defined]
        with formatter.section("Commands"):
            formatter.write_dl([(name, commands[name].get_short_help_str(SENTENCE_MAX)) for name in commands])


def _in_words(record: tuple[str, str] | None) -> tuple[str, str] | None:
    """The same without typer's names of types: `ID <str>` is ID, `--port <int range>` takes N."""
    if record is None:
        return None
    return record[0].replace(" <str>", "").replace("<int range>", "N"), record[1]


def _refuse_repeated(given: Sequence[Any]) -> None:
    for number, option in enumerate(given):
        may_repeat = getattr(option, "multiple", False) or getattr(option, "is_flag", False)
        if option in given[:number] and not may_repeat:
            raise _given_twice(option.opts[0])


def _refuse_missing(ctx: Any, params: Sequence[Any], values: Mapping[str, Any]) -> None:
    def has(param: Any) -> bool:
        return values.get(param.name) is not None or param.value_from_envvar(ctx) is not None

    missing = [param for param in params if param.required and not has(param)]
    if not missing:
        return
    # A payment may be named in two ways, so that neither is required; one of them is.
    named_by = [param for param in params if not param.required and param.name in _NAMES_A_PAYMENT]
    if named_by and not any(map(has, named_by)):
        missing.insert(0, named_by[0])
    words = ", ".join(map(_to_type, missing))
    raise UsageProblem(f"missing {words}; see `{ctx.command_path} --help`")


def _to_type(param: Any) -> str:
    """Return an option or argument as one would type it: `--amount 88.00`, `ID`."""
    is_option = param.opts[0].startswith("-")
    return f"{param.opts[0]} {param.metavar or 'VALUE'}" if is_option else str(param.metavar or param.name)


def _given_twice(option: str) -> UsageProblem:
    return UsageProblem(f"{option} is given more than once; say which one is meant")


def take_text_as_it_is(param: Any) -> None:
    """
    Have text, and defaults that are of the right kind already, taken without typer's conversion.

    That imports pydantic, which takes twice as long as the rest of typer. Numbers, paths and what has a parser of its
    own are still left to it, once one is given.
    """
    if hasattr(param, "get_runtime_param"):  # not so before typer 0.27
        plain = _PlainValue(param.get_runtime_param, param.type_descriptor)
        param.get_runtime_param = lambda: plain


class _PlainValue:
    def __init__(self, converted: Callable[[], Any], described: Any) -> None:
        self._converted = converted
        self._annotation = described.annotation
        self._has_parser = getattr(described.parameter_info, "parser", None) is not None

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of an option or argument, as typer does."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if not self._has_parser:
            if self._annotation in (str, bool, int, float) and type(value) is self._annotation:
                return value
            if self._annotation == list[str] and isinstance(value, list | tuple):
                return list(value)
        return self._converted().coerce(value, param=param, ctx=ctx)


class Command(_TakesGlobals, TyperCommand):
    pass


class CommandGroup(_TakesGlobals, TyperGroup):
    pass


def _show_help(context: Any, _option: object, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        Output(GlobalOptions()).data(context.get_help())
        context.exit()


def _show_version(options: GlobalOptions) -> int:
    output = Output(options)
    if options.json:
        output.json({"version": __version__})
    else:
        output.data(f"paycore {__version__}")
    return endings.Exit.DONE
