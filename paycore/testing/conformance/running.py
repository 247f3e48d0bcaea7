"""Runs the checks of one provider, each against a sandbox of its own."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from paycore.errors import ConfigError, PaycoreError, PluginError
from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.testing.conformance.account_at_sandbox import ACCOUNT, CONFIG_FILE
from paycore.testing.conformance.check import KEEP_TO_THE_CONTRACT, Check, Failed, NotApplicable, all_checks
from paycore.testing.conformance.opened_sandbox import opened
from paycore.testing.conformance.problem_words import WHATEVER, told_of
from paycore.testing.conformance.report import CheckReport, CheckResult
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.subject import Subject, subject_named

NO_NUMBER = (
    "send `order.number` as the merchant's number of the order; let the sandbox's controls find an order by any number"
    " that the provider has for it, ours included"
)
ANSWER = "let the gateway answer every request; what it raises is HTTP 500 to the provider"
NOT_DONE = "let the sandbox be as the provider reports: what is pending can be paid, declined and expired"

NOT_SERVED = (
    "let the sandbox do what a caller asks for here, and the flow return Done for its answer; let the gateway's"
    " order_arguments give what only the sandbox knows of an order, such as a test barcode"
)


def check_provider(
    provider: str | Subject,
    *,
    only: Collection[str] = (),
    settings: Mapping[str, Any] | None = None,
    on_result: Callable[[CheckResult], None] | None = None,
) -> CheckReport:
    """
    Run the checks of an installed provider, or of a `Subject`, against its sandbox.

    `only` names the checks to run, all where it is empty; `settings` are those of its account that the sandbox does
    not name itself. `on_result` is called with each result as it comes.

    Raises `ConfigError` where there is no such provider, no sandbox or no such check, and where the sandbox does not
    open or no account can be made of its settings: with what to do.
    """
    subject = subject_named(provider, settings=settings) if isinstance(provider, str) else provider
    checks = chosen(only)
    begin(subject)
    results = []
    for check in checks:
        result = run_check(subject, check)
        results.append(result)
        if on_result is not None:
            on_result(result)
    return CheckReport(provider=subject.name, results=tuple(results))


def begin(subject: Subject) -> None:
    """
    Open the sandbox, make the account and a first order once, and close them: without these no check says anything.

    Raises `ConfigError` where that fails, whatever the plugin raised, and `ImportError` for a package that is missing.
    An order that is not made is for the checks to tell, unless the sandbox raised: nearly all would tell the same.
    """
    name = subject.name
    try:
        with tempfile.TemporaryDirectory() as folder, opened(subject, Path(folder)) as rig:
            _require_answered(rig)
    except ConfigError as error:
        problem = re.sub(rf"\S*{CONFIG_FILE}: accounts\.{ACCOUNT}", "its account", error.message)
        raise ConfigError(f"provider {name}: {problem}{_settings_advice(problem)}") from None
    except PaycoreError as error:
        raise ConfigError(f"provider {name}: {error.message}") from error
    except ImportError:
        raise
    except Exception as error:
        raise ConfigError(f"the sandbox of provider {name} does not open: {told_of(error)}") from error


def _require_answered(rig: Rig) -> None:
    """`ConfigError` where the sandbox raises instead of answering the first `create`."""
    with contextlib.suppress(*WHATEVER):
        rig.place(rig.products[0])
    if rig.proxy.raised:
        request, error = rig.proxy.raised[0]
        raise ConfigError(f"answering {request} the sandbox raised {told_of(error)}; {ANSWER}")


def _settings_advice(problem: str) -> str:
    """Who names a setting that is missing."""
    if not problem.endswith(": missing"):
        return ""
    return "; let the gateway's `settings` name it, or give it by --set KEY=VALUE"


def chosen(only: Collection[str]) -> tuple[Check, ...]:
    """The checks of these names, all where there are none; `ConfigError` for a name that no check has."""
    checks = all_checks()
    unknown = sorted(set(only) - {check.name for check in checks})
    if unknown:
        raise ConfigError(f"no check is called {unknown[0]}; `paycore plugins check --list` lists them")
    return tuple(check for check in checks if not only or check.name in only)


def run_check(subject: Subject, check: Check) -> CheckResult:
    """What becomes of one check."""
    began = time.perf_counter()
    verdict, why, advice = _verdict(subject, check)
    return CheckResult(
        check=check.name,
        group=check.group,
        requirement=check.requirement,
        verdict=verdict,
        why=why,
        advice=advice,
        read=check.read if verdict == "failed" else "",
        seconds=time.perf_counter() - began,
    )


def _verdict(subject: Subject, check: Check) -> tuple[Any, str, str]:
    at_the_gateway: list[tuple[str, Exception]] = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="paycore-kit-", ignore_cleanup_errors=True) as folder,
            opened(subject, Path(folder)) as rig,
        ):
            at_the_gateway = rig.proxy.raised
            check.run(rig)
    except NotApplicable as reason:
        return "not applicable", str(reason), ""
    except Failed as failed:
        return "failed", *_blamed(failed.problem, failed.advice, at_the_gateway)
    except WHATEVER as error:
        return "failed", *_blamed(*_raised(error), at_the_gateway)
    return "passed", "", ""


def _blamed(problem: str, advice: str, at_the_gateway: Sequence[tuple[str, Exception]]) -> tuple[str, str]:
    """What was seen and what to change; a gateway that raised comes first."""
    if not at_the_gateway:
        return problem, advice
    request, error = at_the_gateway[0]
    return f"answering {request} the sandbox raised {told_of(error)}; {problem}", f"{ANSWER}; then {advice}"


def _raised(error: BaseException) -> tuple[str, str]:
    """What was seen, and what to change, where a check did not end by itself."""
    match error:
        case UnknownOrder():
            return f"an order was made, and the sandbox does not know it: {error}", NO_NUMBER
        case NotPossible():
            return f"the sandbox did not do what its controls were asked for: {error}", NOT_DONE
        case PluginError():
            return error.message, KEEP_TO_THE_CONTRACT
        case PaycoreError():
            return f"{type(error).__name__}: {error}", NOT_SERVED
        case _:
            return told_of(error), "mend what raised it; a provider and a sandbox raise nothing here"
