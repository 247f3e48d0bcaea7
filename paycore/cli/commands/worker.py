"""`worker` looks after all payments that are due, until a signal."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit
from paycore.cli.metrics_options import MetricsHost, MetricsPort, announced, metrics_address
from paycore.cli.output import Output
from paycore.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paycore.engine.config import Config
    from paycore.engine.offers import AccountInfo
    from paycore.engine.scraped import Address

CLOSE_S = 1.5
"""Seconds the client has to close; with those that questions have to end, less than 5."""


def worker(
    context: typer.Context, *, metrics_host: MetricsHost = "127.0.0.1", metrics_port: MetricsPort = None
) -> int:
    """
    Look after all due payments, refunds and captures until Ctrl-C or SIGTERM.

    Of all accounts, or of one with --account; whoever made the payments. Run as many as you like: they share the
    work within each account's request budget. What takes longer than three seconds to end is left to the next worker.
    """
    import asyncio

    from paycore.engine.config import load_config

    options = options_of(context)
    output = Output(options)
    output.show_log()
    config = load_config(options.config)
    names = config.names(options.account)
    metrics_at = metrics_address(metrics_host, metrics_port)
    asyncio.run(_work(config, names, output, metrics_at))
    output.say("nothing is looked after any more")
    return Exit.DONE


async def _work(config: Config, names: list[str], output: Output, metrics_at: Address | None) -> None:
    import asyncio

    from paycore.engine.async_client import AsyncClient
    from paycore.engine.scraped import scraped
    from paycore.engine.stopping import close_in_time

    pay = AsyncClient(config)
    try:
        _check_usable([account for account in await pay.accounts() if account.name in names])
        with scraped(pay, metrics_at) as metrics_url:
            working = asyncio.ensure_future(pay.run_worker(accounts=names))
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, working.cancel)
            _announce(output, names, metrics_url)
            with contextlib.suppress(asyncio.CancelledError):
                await working
    finally:
        await close_in_time(pay, CLOSE_S)


def _check_usable(accounts: Sequence[AccountInfo]) -> None:
    """`ConfigError` when none of them can be used; of the others the log says it."""
    problems = [account.problem for account in accounts if account.problem is not None]
    if len(problems) == len(accounts):
        raise ConfigError("; ".join(problems))


def _announce(output: Output, names: list[str], metrics_url: str | None) -> None:
    metrics = announced(metrics_url)
    if output.options.json:
        output.json({"accounts": names, **metrics})
        return
    output.data(f"accounts: {', '.join(names)}", *(f"metrics: {at}" for at in metrics.values()))
    output.say("due payments are looked after; Ctrl-C ends that")
