"""`smoke` runs one payment of an account through everything that can be done with it, and closes another."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Never

import typer

from paycore.cli import durations
from paycore.cli.app import options_of
from paycore.cli.endings import Unwritable, UsageProblem
from paycore.cli.junit import JunitCase, JunitFile, refuse_missing_folder, write_junit
from paycore.cli.lookup import open_client
from paycore.cli.output import Output
from paycore.engine.config import load_config

if TYPE_CHECKING:
    from paycore.cli.smoke.payers import Payer
    from paycore.cli.smoke.selection import SmokeOptions
    from paycore.cli.smoke.smoke_run import SmokeRun
    from paycore.cli.smoke.step_results import StepResult
    from paycore.cli.smoke.watching import SmokeWatch
    from paycore.engine.client import Client
    from paycore.engine.offers import AccountInfo

All = Annotated[bool, typer.Option("--all", help="Every account of the configuration, one after another.")]
Method = Annotated[
    str | None,
    typer.Option(metavar="alipay", help="What is paid with.", show_default="what most steps apply to"),
]
Channel = Annotated[
    str | None, typer.Option(metavar="web", help="Where the payer stands.", show_default="web, qr or wap")
]
Amount = Annotated[
    str | None,
    typer.Option(metavar="2.00", help="What each payment is of.", show_default="2 units, or the least taken"),
]
Currency = Annotated[
    str | None,
    typer.Option(metavar="HKD", help="Its ISO 4217 code.", show_default="one that the product takes"),
]
NoPay = Annotated[bool, typer.Option("--no-pay", help="Nobody pays: close the payment once it is pending.")]
PayTimeout = Annotated[
    str, typer.Option(metavar=durations.METAVAR, help="How long a person may take to pay.")
]
StepTimeout = Annotated[
    str, typer.Option(metavar=durations.METAVAR, help="How long any other step may take.")
]
ReturnUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Where the payer's browser goes afterwards.", show_default="https://example.com/"
    ),
]
Live = Annotated[bool, typer.Option("--live", help="Also in live mode: real money moves.")]
MaxAmount = Annotated[
    str | None,
    typer.Option(metavar="5.00", help="The most a payment may be of; needed with --live, and a --currency."),
]


def smoke(
    context: typer.Context,
    *,
    all_accounts: All = False,
    method: Method = None,
    channel: Channel = None,
    amount: Amount = None,
    currency: Currency = None,
    no_pay: NoPay = False,
    pay_timeout: PayTimeout = "5m",
    step_timeout: StepTimeout = "1m",
    return_url: ReturnUrl = None,
    live: Live = False,
    max_amount: MaxAmount = None,
    junit: JunitFile = None,
) -> int:
    """
    Try an account: create, query, pay, await, capture, refund in two parts, close another.

    Of the default account, of one with --account, or of --all. A sandbox pays by itself; elsewhere a person is shown
    how. Nothing payable is left behind, also after a failure or Ctrl-C. The worst step decides the exit code.
    """
    from paycore.cli.smoke.selection import SmokeOptions

    options = options_of(context)
    if all_accounts and options.account is not None:
        raise UsageProblem("give --all or --account, not both")
    if live and (max_amount is None or currency is None):
        raise UsageProblem("--live needs --currency and --max-amount: the most that a payment may be of")
    wanted = SmokeOptions(
        method=method,
        channel=channel,
        amount=amount,
        currency=currency,
        max_amount=max_amount,
        return_url=return_url,
        is_live_allowed=live,
        is_paid=not no_pay,
        pay_timeout_s=durations.seconds("--pay-timeout", pay_timeout, least_s=1),
    )
    step_timeout_s = durations.seconds("--step-timeout", step_timeout, least_s=1)
    refuse_missing_folder(junit)
    output = Output(options)
    config = load_config(options.config)
    names = (
        list(config.accounts) if all_accounts and config.accounts else [config.account(options.account).name]
    )
    with _ends_are_ctrl_c(), open_client(options, output, config) as pay:
        infos = [info for info in pay.accounts() if info.name in names]
        if not all_accounts:
            _refuse_what_does_not_fit(infos[0], wanted)
        timeouts_s = {name: config.accounts[name].timeout_s for name in names}
        results = _run(pay, infos, wanted, step_timeout_s, timeouts_s, output)
    write_junit(junit, "paycore smoke", [_case(result) for result in results])
    return _end(results, output)


def _refuse_what_does_not_fit(info: AccountInfo, wanted: SmokeOptions) -> None:
    """Raise `UsageProblem` where the only account has nothing that fits the options."""
    from paycore.cli.smoke.selection import choose

    if info.problem is None:
        choose(info, wanted)


def _run(
    pay: Client,
    infos: Sequence[AccountInfo],
    wanted: SmokeOptions,
    step_timeout_s: float,
    timeouts_s: Mapping[str, float],
    output: Output,
) -> list[StepResult]:
    from paycore.cli.smoke.problems import Advisor
    from paycore.cli.smoke.smoke_run import SmokeRun
    from paycore.cli.smoke.watching import SmokeWatch

    results: list[StepResult] = []
    watch = SmokeWatch(output)
    for info in infos:
        if results and not output.options.json:
            output.data("")
        advisor = Advisor(output.options, info.name)
        run = SmokeRun(
            pay,
            info,
            watch,
            advisor,
            step_timeout_s=step_timeout_s,
            call_timeout_s=timeouts_s[info.name],
        )
        try:
            _run_one(run, wanted, _payer(pay, info, watch, wanted.pay_timeout_s), output)
        except Unwritable as error:
            raise _told_nowhere(error, run.results) from None
        results += run.results
        if run.is_interrupted:
            break
    return results


def _run_one(run: SmokeRun, wanted: SmokeOptions, payer: Payer, output: Output) -> None:
    """Run it and print its table, of what there is also where an exception ends it."""
    from paycore.cli.render.smoke_rows import smoke_rows

    try:
        run.run(wanted, payer)
    finally:
        if not output.options.json and run.results:
            output.data(*smoke_rows(run.results, output.style, output.columns))


def _told_nowhere(error: Unwritable, results: Sequence[StepResult]) -> Unwritable:
    """The same error; it names a payment once one was made."""
    made = [result.payment_id for result in results if result.payment_id is not None]
    return Unwritable(str(error), payment_id=made[0]) if made else error


def _payer(pay: Client, info: AccountInfo, watch: SmokeWatch, wait_s: float) -> Payer:
    from paycore.cli.smoke.payers import PersonAsked, SandboxPayer

    if info.mode == "sandbox":
        return SandboxPayer(pay, info.base_urls.get("", ""))
    return PersonAsked(lambda payment: watch.ask(payment, wait_s))


def _end(results: Sequence[StepResult], output: Output) -> int:
    from paycore.cli.render.smoke_rows import smoke_summary
    from paycore.cli.smoke.step_results import summary_document, worst

    if output.options.json:
        output.json(summary_document(results))
    output.say(smoke_summary(results))
    return worst(results)


def _case(result: StepResult) -> JunitCase:
    verdict = result.verdict if result.verdict in ("passed", "failed") else "skipped"
    return JunitCase(
        group=f"smoke.{result.account}",
        name=result.step,
        verdict=verdict,
        seconds=result.seconds,
        message=result.what,
        details=f"{result.what}\n{result.advice}",
    )


@contextmanager
def _ends_are_ctrl_c() -> Iterator[None]:
    """
    Clean up on SIGTERM too, as a CI server sends it to a job that takes too long, and when the terminal is closed.

    What ignores that, as under nohup, goes on ignoring it. The kernel and the shell both tell of a closed terminal: the
    second word of it does not end the cleaning up.
    """

    def interrupt(number: int, _frame: object) -> Never:
        if number == signal.SIGHUP:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise KeyboardInterrupt

    ends = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN
    ]
    before = [(number, signal.signal(number, interrupt)) for number in ends]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
