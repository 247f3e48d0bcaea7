"""Why a step of a smoke run failed, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paycore import errors
from paycore.cli import endings
from paycore.cli.endings import CommandEnded, Exit
from paycore.cli.options import GlobalOptions, to_type
from paycore.cli.render.text import major
from paycore.domain.payment import Failure, OperationKind, RefundStatus, Status

if TYPE_CHECKING:
    from paycore.domain.payment import Payment, Refund


_BECAME = {RefundStatus.FAILED: "failed", RefundStatus.REVERSED: "was reversed"}


class StepFailed(Exception):
    """A step ended otherwise than it should: why, what to do, and the exit code that stands for it."""

    def __init__(self, what: str, *, advice: str, code: Exit, payment_id: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
        self.code = code
        self.payment_id = payment_id


class StepNotApplicable(Exception):
    """The product can't do this step; the message says why."""


class Advisor:
    """Words what went wrong at an account, with the commands to type under these options."""

    def __init__(self, options: GlobalOptions, account: str) -> None:
        self._options = options
        self._account = account

    def of_error(self, error: errors.PaycoreError | CommandEnded) -> StepFailed:
        """What an error of the client or of the command line means for its step."""
        if isinstance(error, CommandEnded):
            return StepFailed(str(error), advice=self._of_code(error.exit, None), code=error.exit)
        code = endings.of_error(error)
        return StepFailed(
            error.message, advice=self._of_code(code, error), code=code, payment_id=error.payment_id
        )

    def of_interrupt(self, reference: str, *, is_last: bool) -> StepFailed:
        """Ctrl-C; `is_last`: while cleaning up, which then was not ended."""
        listed = self._type("list", "--open", "--reference-prefix", reference)
        advice = f"close what `{listed}` shows" if is_last else ""
        return StepFailed("interrupted", advice=advice, code=Exit.INTERRUPTED)

    def of_payment(self, payment: Payment, code: Exit, expected: str) -> StepFailed:
        """A payment that is not as it should be: `code` is that of the command which left it so."""
        if payment.review:
            reasons = ", ".join(reason.replace("_", " ") for reason in payment.review_reasons)
            return self._failed(
                payment,
                Exit.REVIEW,
                f"payment {payment.id} needs review: {reasons}",
                f"`{self._type('show', payment.id)}` names the facts that contradict each other",
            )
        if code is Exit.UNKNOWN or payment.uncertain:
            return self._failed(
                payment,
                Exit.UNKNOWN,
                f"no definite answer came in time: payment {payment.id} is {payment.status}, and money may have moved",
                f"`{self._type('query', payment.id)}` asks again",
            )
        failure = _failure_of(payment)
        words = f"payment {payment.id} is {payment.status}, not {expected}{_because(failure)}"
        if expected == "closed" and payment.status is Status.PENDING and failure is None:
            words += ": the provider took the closing, and tells of the order as before"
        again = f"`{self._type('query', payment.id)}` asks the provider again"
        is_open = code is Exit.PENDING and failure is None
        return self._failed(payment, code, words, again if is_open else self._of_failure(failure, payment))

    def of_refund(self, payment: Payment, refund: Refund | None, code: Exit) -> StepFailed:
        """A refund that did not succeed; None where another process is recording it."""
        if payment.review or refund is None or code is Exit.UNKNOWN:
            return self.of_payment(payment, code, "refunded")
        became = _BECAME.get(refund.status, f"is {refund.status}")
        words = f"the refund {refund.reference} {became}{_because(refund.failure)}"
        if code is Exit.PENDING:
            return self._failed(
                payment, code, words, f"`{self._type('await', payment.id)}` goes on waiting for it"
            )
        return self._failed(payment, code, words, self._of_failure(refund.failure, payment))

    def of_unpaid(self, payment: Payment, expected: str) -> StepFailed:
        """A payment that nobody has paid in time."""
        return self._failed(
            payment,
            Exit.PENDING,
            f"payment {payment.id} is {payment.status}, not {expected}",
            "give the payer longer with --pay-timeout, or leave paying out with --no-pay; in a sandbox see that"
            " its payer can pay",
        )

    def of_paid_meanwhile(self, payment: Payment) -> StepFailed:
        """A payment that somebody has paid before it could be closed."""
        return self._failed(
            payment,
            Exit.FAILED,
            f"payment {payment.id} is paid, not closed: somebody was faster",
            "where a sandbox pays by itself, serve it with --auto-pay reference:smoke-=off too",
        )

    def of_unclosed(self, payment: Payment, code: Exit, lapses: str) -> StepFailed:
        """A payment that somebody can still pay, for the provider does not close it."""
        failure = _failure_of(payment)
        words = f"payment {payment.id} may still be paid; {lapses}{_because(failure)}"
        advice = failure.advice if failure is not None and failure.advice else ""
        return self._failed(payment, code, words, advice or f"close it: {self._query_then_close(payment.id)}")

    def of_unclosable(self, payment: Payment, error: errors.PaycoreError, lapses: str) -> StepFailed:
        """A payment that somebody may still pay, for it could not be tried to close it."""
        advice = f"close it: {self._query_then_close(payment.id)}"
        if isinstance(error, errors.WrongState):
            advice = self._of_wrong_state(payment)
        words = f"payment {payment.id} may still be paid; {lapses}: {error.message}"
        return self._failed(payment, endings.of_error(error), words, advice)

    def of_unknown(self, payment: Payment, lapses: str) -> StepFailed:
        """A payment of which nobody knows whether there is an order for it."""
        return self._failed(
            payment,
            Exit.UNKNOWN,
            f"it is not known whether payment {payment.id} can be paid; {lapses}",
            f"find out, and close it: {self._query_then_close(payment.id)}",
        )

    def of_kept(self, payment: Payment, code: Exit, why: str) -> StepFailed:
        """A payment whose money did not go back, or not all of it."""
        unsent = [one.reference for one in payment.refunds if one.status is RefundStatus.CREATED]
        reference = unsent[0] if unsent else f"{payment.reference}-again"
        kept = major(payment, payment.paid_minor - payment.refunded_minor)
        again = self._type("refund", payment.id, "--reference", reference)
        return self._failed(
            payment,
            code,
            f"payment {payment.id} is paid, and {kept} of it did not go back: {why}",
            f"see `{self._type('show', payment.id)}`, then give it back: `{again}`",
        )

    def _of_wrong_state(self, payment: Payment) -> str:
        if not payment.creation.has_id:
            return f"cancel it in the provider's portal: there it has our number {payment.order_number}"
        refund = self._type("refund", payment.id, "--reference", f"{payment.reference}-rest")
        return (
            f"`{self._type('await', payment.id)}` tells when it is paid; then `{refund}` gives the money back"
        )

    def _query_then_close(self, payment_id: str) -> str:
        return f"`{self._type('query', payment_id)}`, then `{self._type('close', payment_id)}`"

    def _of_failure(self, failure: Failure | None, payment: Payment) -> str:
        if failure is not None and failure.advice:
            return failure.advice
        return f"`{self._type('show', payment.id)}` has what the provider said"

    def _of_code(self, code: Exit, error: errors.PaycoreError | None) -> str:
        if isinstance(error, errors.NotSent) and error.retry_after_s is not None:
            return "run it again then; `paycore worker` goes on with a refund or a capture that was put off"
        if isinstance(error, errors.AccountRefused):
            return (
                f"correct the credentials, which must be those of the account's mode and host: {self._doctor}"
            )
        if code is Exit.UNKNOWN and error is not None and error.payment_id is not None:
            return f"`{self._type('query', error.payment_id)}` resolves it"
        return {
            Exit.NOT_SENT: (
                f"see that the provider runs, and that base_url and the network are right: {self._doctor}"
            ),
            Exit.CONFIG: "correct what the message names, then run it again",
            Exit.USAGE: f"`{self._type('accounts')}` shows what each product takes",
        }.get(code, "run it again with --verbose, which prints the outcome of each request")

    def _failed(self, payment: Payment, code: Exit, what: str, advice: str) -> StepFailed:
        return StepFailed(what, advice=advice, code=code, payment_id=payment.id)

    @property
    def _doctor(self) -> str:
        return f"`{self._type('doctor', '--account', self._account)}` tells more"

    def _type(self, *words: str) -> str:
        return to_type(self._options, *words)


def _failure_of(payment: Payment) -> Failure | None:
    """Why the payment is as it is: its own failure, that of its capture, or that of the last refused closing."""
    closes = [op for op in payment.operations if op.kind is OperationKind.CLOSE and op.failure is not None]
    return payment.failure or payment.capture_failure or (closes[-1].failure if closes else None)


def _because(failure: Failure | None) -> str:
    return "" if failure is None else f": {failure.code} {failure.message}".rstrip()
