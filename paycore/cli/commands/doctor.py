"""`doctor`: looks at everything payments depend on, and says what to do."""

from __future__ import annotations

import time

import typer

from paycore.cli.app import options_of
from paycore.cli.commands.plugins import logging_off
from paycore.cli.endings import on_ctrl_c
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output


def doctor(context: typer.Context) -> int:
    """
    Check everything that payments depend on, and say what to do.

    Configuration, plugins, ledger, hosts, credentials, workers, open work. Of all accounts, or of one with --account.
    Sends requests that move nothing, and changes nothing. Exits 0 when there is no problem; else 6, 7 or 9, the first
    of them that a problem has.
    """
    options = options_of(context)
    logging_off()
    with on_ctrl_c("nothing was changed"):
        return _examine(options, Output(options))


def _examine(options: GlobalOptions, output: Output) -> int:
    from paycore.cli.doctor.diagnosis import Diagnosis, exit_of
    from paycore.cli.doctor.examination import examine
    from paycore.cli.render.diagnosis_rows import diagnosis_rows, diagnosis_summary

    began, all_found = time.perf_counter(), list[Diagnosis]()
    for found in examine(options, lambda what: output.live(f"checking {what} …")):
        if not options.json:
            is_first = not all_found or all_found[-1].about != found.about
            output.data(*diagnosis_rows(found, output.style, output.columns, is_first=is_first))
        all_found.append(found)
    output.live("")
    code = exit_of(all_found)
    if options.json:
        counts = {
            f"{verdict.replace(' ', '_')}": sum(one.verdict == verdict for one in all_found)
            for verdict in ("ok", "warning", "problem", "not checked")
        }
        output.json({"exit_code": int(code), **counts, "checks": [one.document for one in all_found]})
    output.say(diagnosis_summary(all_found, time.perf_counter() - began))
    return code
