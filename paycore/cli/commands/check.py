"""`plugins check`: runs the conformance kit on a provider."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from paycore.cli.app import options_of, pairs
from paycore.cli.commands.plugins import logging_off
from paycore.cli.endings import Exit, UsageProblem, on_ctrl_c
from paycore.cli.junit import JunitCase, JunitFile, refuse_missing_folder, write_junit
from paycore.cli.lookup import blocked_plugins
from paycore.cli.output import Output
from paycore.cli.sandboxes.registered import explain_import

if TYPE_CHECKING:
    from paycore.testing.conformance.check import Check
    from paycore.testing.conformance.report import CheckReport, CheckResult
    from paycore.testing.conformance.subject import Subject

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="The provider's name.", show_default=False)]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="CHECK", help="Run this check alone; may be repeated."),
]
Listing = Annotated[bool, typer.Option("--list", help="List the checks, and run none.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the account that the sandbox does not name; repeatable.",
    ),
]


def check(
    context: typer.Context,
    name: Name = None,
    *,
    only: Only = None,
    listing: Listing = False,
    junit: JunitFile = None,
    settings: Settings = None,
) -> int:
    """
    Check a provider against its sandbox, and say what to change.

    Runs the conformance kit: named checks through the real core, over a socket that breaks. Needs no account, no
    ledger and no network. Exits 0 when every check that applies passed, 3 when one failed.
    """
    options = options_of(context)
    output = Output(options)
    logging_off()
    try:
        checks = _chosen(only or ())
        if listing:
            return _list(output, checks)
        if name is None:
            raise UsageProblem("name the provider to check; `paycore plugins list` lists those that are here")
        refuse_missing_folder(junit)
        subject = _subject(name, blocked_plugins(options), pairs("--set", settings or ()))
        with on_ctrl_c("nothing was recorded: the kit keeps its ledgers in a temporary folder"):
            report = _run(output, subject, checks)
    except ImportError as error:
        explain_import(error)
    write_junit(
        junit, f"paycore conformance: {report.provider}", [_case(report, one) for one in report.results]
    )
    return Exit.DONE if report.is_passed else Exit.FAILED


def _chosen(names: Sequence[str]) -> tuple[Check, ...]:
    from paycore.errors import ConfigError
    from paycore.testing.conformance.running import chosen

    try:
        return chosen(names)
    except ConfigError as error:
        raise UsageProblem(f"--only: {error.message}") from None


def _list(output: Output, checks: Sequence[Check]) -> int:
    from paycore.cli.render.check_rows import listed_rows

    if output.options.json:
        fields = ("name", "group", "requirement", "details", "read")
        output.json(*({field: getattr(check, field) for field in fields} for check in checks))
    else:
        output.data(*(line for check in checks for line in listed_rows(check, output.columns)))
    return Exit.DONE


def _subject(name: str, blocked: frozenset[str], words: Mapping[str, str]) -> Subject:
    """The installed provider with these settings of its account."""
    from paycore.engine.plugins import Plugins
    from paycore.testing.conformance.subject import settings_from, subject_named

    plugins = Plugins(blocked=blocked)
    settings = settings_from(words, plugins.provider(name))
    return subject_named(name, plugins=plugins, settings=settings)


def _run(output: Output, subject: Subject, checks: Sequence[Check]) -> CheckReport:
    from paycore.cli.render.check_rows import check_header, check_rows, check_summary
    from paycore.testing.conformance.running import check_provider

    began = time.perf_counter()
    is_json, columns, style = output.options.json, output.columns, output.style
    names_columns = max(len(check.name) for check in checks)
    ended = 0

    def say_next() -> None:
        if ended < len(checks):
            output.live(f"{ended + 1} of {len(checks)}: {checks[ended].name} …")

    def tell(result: CheckResult) -> None:
        nonlocal ended
        ended += 1
        if not is_json:
            header = [check_header(names_columns, style)] * (ended == 1)
            output.data(*header, *check_rows(result, names_columns, style, columns))
            say_next()

    say_next()
    report = check_provider(subject, only=[check.name for check in checks], on_result=tell)
    output.live("")
    if is_json:
        output.json(report.document)
    output.say(check_summary(report, time.perf_counter() - began))
    return report


def _case(report: CheckReport, result: CheckResult) -> JunitCase:
    verdict = "skipped" if result.verdict == "not applicable" else result.verdict
    return JunitCase(
        group=f"{report.provider}.{result.group}",
        name=result.check,
        verdict=verdict,
        seconds=result.seconds,
        message=result.why,
        details=f"{result.requirement}\n{result.why}\n{result.advice}\nread {result.read}",
    )
