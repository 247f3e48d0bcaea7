"""Sees to it that nothing payable is left of a smoke run, and that what was paid goes back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from paycore.cli.endings import Exit, after_closing, after_refund, of_error
from paycore.cli.render.text import major, moment
from paycore.cli.smoke.problems import Advisor, StepFailed, StepNotApplicable
from paycore.cli.smoke.settling import Asker, is_accepted
from paycore.cli.smoke.step_results import worst_of
from paycore.domain.payment import OperationState, RefundStatus, Status
from paycore.errors import NotFound, PaycoreError

if TYPE_CHECKING:
    from paycore.cli.smoke.selection import SmokePlan
    from paycore.domain.money import Money
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client

MARGIN_S = 15.0
"""How long one payment is tried to be closed, beyond the time in which a request that was cut short may arrive."""

PAUSES_S = (0.5, 2.0)
"""Before each closing that follows one which was refused."""


class Leftovers:
    """
    The payments of one run, by reference: noted before they are made, so that a creation cut short is found too.

    `call_timeout_s` is the account's: how long a request that was cut short may still arrive.
    """

    def __init__(
        self, pay: Client, account: str, plan: SmokePlan, advisor: Advisor, *, call_timeout_s: float
    ) -> None:
        self._pay = pay
        self._account = account
        self._plan = plan
        self._advisor = advisor
        self._timeout_s = call_timeout_s + MARGIN_S
        self._references: list[str] = []

    def note(self, reference: str) -> None:
        """A payment with this reference is about to be made."""
        self._references.append(reference)

    def clear(self) -> str:
        """Close or give back what is left, each payment whatever becomes of the others; say what was done."""
        done: list[str] = []
        stays: list[str] = []
        problems: list[StepFailed] = []
        for reference in self._references:
            try:
                payment = self._pay.find(reference, account=self._account)
            except NotFound:
                continue
            try:
                done += filter(None, [self._clear_one(payment)])
            except StepNotApplicable as reason:
                stays.append(str(reason))
            except PaycoreError as error:
                problems.append(self._of_error(payment, error))
            except StepFailed as problem:
                problems.append(problem)
        if problems:
            raise _together(problems, [*done, *stays])
        if stays:
            raise StepNotApplicable("; ".join([*done, *stays]))
        return "; ".join(done) or "nothing was left to close"

    def _of_error(self, payment: Payment, error: PaycoreError) -> StepFailed:
        with suppress(PaycoreError):  # the error may be the ledger's
            payment = self._pay.get(payment.id)
        if payment.status is Status.PAID:
            return self._advisor.of_kept(payment, of_error(error), error.message)
        return self._advisor.of_unclosable(payment, error, _lapses(payment))

    def _clear_one(self, payment: Payment) -> str:
        if payment.creation.state is OperationState.INTENT:
            return ""
        asker = Asker(self._pay, self._timeout_s, stops_at_review=False)
        if payment.uncertain:
            payment = asker.settle(payment, lambda now: not now.uncertain)
        if payment.status in (Status.PENDING, Status.AUTHORIZED):
            payment = self._close(payment, asker)
            if payment.status is not Status.PAID:
                return f"closed payment {payment.id}"
        if payment.uncertain and payment.status is Status.PAID:
            raise self._advisor.of_payment(payment, Exit.UNKNOWN, "refunded")
        if payment.uncertain:
            raise self._advisor.of_unknown(payment, _lapses(payment))
        return self._give_back(payment, asker) if payment.status is Status.PAID else ""

    def _close(self, payment: Payment, asker: Asker) -> Payment:
        if not self._plan.product.close:
            raise StepNotApplicable(
                f"payment {payment.id} can't be closed: this product has no closing; {_lapses(payment)}"
            )
        closed = asker.close(payment.id)
        for pause_s in PAUSES_S:
            if closed.status.is_final:
                return closed
            time.sleep(pause_s)
            closed = asker.close(payment.id)
        if closed.status.is_final:
            return closed
        raise self._advisor.of_unclosed(closed, after_closing(closed), _lapses(closed))

    def _give_back(self, payment: Payment, asker: Asker) -> str:
        done = [self._give_back_rest(payment, asker)]
        # What no step could send, or was refused because of the account, is not in the rest.
        unsent = [refund for refund in payment.refunds if refund.status is RefundStatus.CREATED]
        done += [self._refund(payment, one.reference, one.amount, asker) for one in unsent]
        return "; ".join(filter(None, done))

    def _give_back_rest(self, payment: Payment, asker: Asker) -> str:
        left_minor = payment.refundable_minor
        if not left_minor:
            return ""
        product = self._plan.product
        if product.refund == "none" or (product.refund == "full" and left_minor != payment.amount.minor):
            raise StepNotApplicable(
                f"{major(payment, left_minor)} of payment {payment.id} stays paid: the product can't refund it"
            )
        if payment.review:
            raise self._advisor.of_payment(payment, Exit.REVIEW, "refunded")
        return self._refund(payment, f"{payment.reference}-rest", None, asker)

    def _refund(self, payment: Payment, reference: str, part: Money | None, asker: Asker) -> str:
        amount = major(payment, payment.refundable_minor) if part is None else str(part)
        refunded = asker.refund(payment.id, reference, part)
        code, refund = after_refund(refunded, reference), refunded.refund(reference)
        if refund is not None and is_accepted(refunded, refund):
            return f"{amount} of payment {payment.id} is to go back, and is pending at the provider"
        if code is not Exit.DONE:
            problem = self._advisor.of_refund(refunded, refund, code)
            raise problem if refunded.uncertain else self._advisor.of_kept(refunded, code, problem.what)
        return f"gave back {amount} of payment {payment.id}"


def _together(problems: Sequence[StepFailed], others: Sequence[str]) -> StepFailed:
    """What went wrong with each payment, and what became of the others; the worst decides the exit code."""
    return StepFailed(
        "; ".join([*(problem.what for problem in problems), *others]),
        advice="; ".join(problem.advice for problem in problems),
        code=worst_of(problem.code for problem in problems),
        payment_id=problems[0].payment_id,
    )


def _lapses(payment: Payment) -> str:
    if payment.expires_at is None:
        return "it does not expire"
    return f"it expires at {moment(payment.expires_at)}"
