"""Runs the steps of one account one after the other, and keeps what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from paycore.cli.endings import CommandEnded, Exit
from paycore.cli.smoke.leftovers import Leftovers
from paycore.cli.smoke.problems import Advisor, StepFailed, StepNotApplicable
from paycore.cli.smoke.selection import SmokeOptions, SmokePlan, choose
from paycore.cli.smoke.settling import Asker
from paycore.cli.smoke.step_results import StepResult, StepVerdict
from paycore.cli.smoke.steps import SmokeSteps
from paycore.errors import PaycoreError

if TYPE_CHECKING:
    from paycore.cli.smoke.payers import Payer
    from paycore.engine.client import Client
    from paycore.engine.offers import AccountInfo

CHOOSE, CLEAN_UP = "choose", "clean up"


class Watch(Protocol):
    """Is told of each step when it begins and when it has ended."""

    def begin(self, account: str, step: str) -> None: ...

    def end(self, result: StepResult) -> None: ...


class SmokeRun:
    """
    One run of one account, with references of its own.

    `step_timeout_s`: how long paycore may take for a step; `call_timeout_s`: the account's, of one request.
    """

    def __init__(
        self,
        pay: Client,
        info: AccountInfo,
        watch: Watch,
        advisor: Advisor,
        *,
        step_timeout_s: float,
        call_timeout_s: float,
    ) -> None:
        self._pay = pay
        self._info = info
        self._watch = watch
        self._advisor = advisor
        self._step_timeout_s = step_timeout_s
        self._call_timeout_s = call_timeout_s
        self._failed: set[str] = set()
        self.results: list[StepResult] = []
        self.reference = f"smoke-{os.urandom(5).hex()}"
        self.is_interrupted = False

    def run(self, wanted: SmokeOptions, payer: Payer) -> None:
        """
        Run every step that can be run, and leave nothing payable, whatever happens; `results` has each.

        Ctrl-C ends the steps, not the cleaning up; pressed again it ends that too.
        """
        plan = self._choose(wanted)
        if plan is None:
            return
        leftovers = Leftovers(
            self._pay, self._info.name, plan, self._advisor, call_timeout_s=self._call_timeout_s
        )
        steps = SmokeSteps(
            self._pay,
            self._info.name,
            plan,
            payer=payer if wanted.is_paid else None,
            wait_s=self._step_timeout_s if self._info.mode == "sandbox" else wanted.pay_timeout_s,
            reference=self.reference,
            leftovers=leftovers,
            advisor=self._advisor,
        )
        try:
            for step in steps.all():
                self._run_step(step.name, step.work, step.needs, steps)
        finally:
            self._do(CLEAN_UP, lambda: self._clear(leftovers))

    def _clear(self, leftovers: Leftovers) -> str:
        """Clean up; a first Ctrl-C does not end that."""
        try:
            return leftovers.clear()
        except KeyboardInterrupt:
            if self.is_interrupted:
                raise
            self.is_interrupted = True
        done = leftovers.clear()
        raise StepFailed(f"interrupted; {done}", advice="run it again", code=Exit.INTERRUPTED)

    def _choose(self, wanted: SmokeOptions) -> SmokePlan | None:
        plans: list[SmokePlan] = []

        def work() -> str:
            if self._info.problem is not None:
                raise StepFailed(self._info.problem, advice=_CORRECT, code=Exit.CONFIG)
            plans.append(choose(self._info, wanted))
            where = f"{self._info.provider} in {self._info.mode} mode"
            return f"{where}: {plans[0].words}; references {self.reference}-..."

        self._do(CHOOSE, work)
        return plans[0] if plans else None

    def _run_step(
        self, name: str, work: Callable[[Asker], str], needs: tuple[str, ...], steps: SmokeSteps
    ) -> None:
        missing = next((need for need in needs if need in self._failed), None)
        if self.is_interrupted or missing is not None:
            self._failed.add(name)
            why = "interrupted" if self.is_interrupted else f"{missing} did not pass"
            self._note(name, "not run", why)
            return
        asker = Asker(self._pay, self._step_timeout_s)
        self._do(name, lambda: work(asker), lambda: steps.payment_id)

    def _do(
        self, name: str, work: Callable[[], str], find_id: Callable[[], str | None] = lambda: None
    ) -> None:
        self._watch.begin(self._info.name, name)
        began = time.perf_counter()
        verdict: StepVerdict = "passed"
        what = ""
        problem: StepFailed | None = None
        try:
            what = work()
        except StepNotApplicable as reason:
            verdict, what = "not applicable", str(reason)
        except StepFailed as failed:
            problem = failed
        except (PaycoreError, CommandEnded) as error:
            problem = self._advisor.of_error(error)
        except KeyboardInterrupt:
            self.is_interrupted = True
            problem = self._advisor.of_interrupt(self.reference, is_last=name == CLEAN_UP)
        if problem is not None:
            self._failed.add(name)
            verdict, what = "failed", problem.what
        self._note(
            name,
            verdict,
            what,
            advice=problem.advice if problem else "",
            exit_code=problem.code if problem else Exit.DONE,
            seconds=time.perf_counter() - began,
            payment_id=(problem.payment_id if problem else None) or find_id(),
        )

    def _note(
        self,
        name: str,
        verdict: StepVerdict,
        what: str,
        *,
        advice: str = "",
        exit_code: Exit = Exit.DONE,
        seconds: float = 0.0,
        payment_id: str | None = None,
    ) -> None:
        result = StepResult(
            account=self._info.name,
            step=name,
            verdict=verdict,
            what=what,
            advice=advice,
            exit=exit_code,
            seconds=seconds,
            payment_id=payment_id,
        )
        self.results.append(result)
        self._watch.end(result)


_CORRECT = "correct the account in the configuration; `paycore accounts` shows what is wrong with each"
