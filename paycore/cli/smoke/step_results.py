"""What became of the steps of a smoke run, and which of them decides its exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from paycore.cli.endings import Exit

StepVerdict = Literal["passed", "failed", "not applicable", "not run"]

WORST_FIRST: tuple[Exit, ...] = (
    Exit.INTERRUPTED,
    Exit.BUG,
    Exit.REVIEW,
    Exit.UNKNOWN,
    Exit.FAILED,
    Exit.CONFLICT,
    Exit.CONFIG,
    Exit.NOT_SENT,
    Exit.PENDING,
    Exit.USAGE,
    Exit.DONE,
)
"""
Of several failed steps the first code here is the exit code of the run.

First where the money is in doubt, then what was refused, then what keeps everything from working, then what only takes
longer.
"""


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """
    One step of one account.

    `what` says what happened, or why the step does not apply or was not run; `advice` what to do, where it failed.
    `exit` is the exit code that the command of the step's name would have; 0 where it did not fail.
    """

    account: str
    step: str
    verdict: StepVerdict
    what: str
    advice: str = ""
    exit: Exit = Exit.DONE
    seconds: float = 0.0
    payment_id: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The step as one JSON object."""
        return {
            "type": "step",
            "account": self.account,
            "step": self.step,
            "verdict": self.verdict,
            "what": self.what,
            "advice": self.advice,
            "exit_code": int(self.exit),
            "seconds": round(self.seconds, 3),
            "payment_id": self.payment_id,
        }


def worst(results: Iterable[StepResult]) -> Exit:
    """The exit code of a run with these steps."""
    return worst_of(result.exit for result in results)


def worst_of(codes: Iterable[Exit]) -> Exit:
    """The first of them in `WORST_FIRST`; 0 where there is none."""
    return min(codes, key=WORST_FIRST.index, default=Exit.DONE)


def summary_document(results: Sequence[StepResult]) -> dict[str, Any]:
    """The end of a run as one JSON object."""
    verdicts = [result.verdict for result in results]
    return {
        "type": "summary",
        "passed": verdicts.count("passed"),
        "failed": verdicts.count("failed"),
        "not_applicable": verdicts.count("not applicable"),
        "not_run": verdicts.count("not run"),
        "seconds": round(sum(result.seconds for result in results), 3),
        "exit_code": int(worst(results)),
    }
