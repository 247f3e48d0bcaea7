"""What each step of a smoke run does, and what it must come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from paycore.cli.endings import (
    Exit,
    after_asking,
    after_capture,
    after_closing,
    after_refund,
    after_waiting,
)
from paycore.cli.render.text import duration, major
from paycore.cli.smoke.problems import Advisor, StepNotApplicable
from paycore.cli.smoke.settling import is_accepted
from paycore.domain.money import Money
from paycore.domain.payment import Status

if TYPE_CHECKING:
    from paycore.cli.smoke.leftovers import Leftovers
    from paycore.cli.smoke.payers import Payer
    from paycore.cli.smoke.selection import SmokePlan
    from paycore.cli.smoke.settling import Asker
    from paycore.domain.payment import Capture, Payment
    from paycore.engine.client import Client

_NOBODY_PAYS = "--no-pay: nobody pays"


class SmokeStep(NamedTuple):
    """A step: what it does and returns, and the steps without which it is not run."""

    name: str
    work: Callable[[Asker], str]
    needs: tuple[str, ...] = ()


class SmokeSteps:
    """
    The steps for one plan. `payer` None: nobody pays, and the first payment is the one that is closed.

    Each returns what happened, or raises `StepFailed`, `StepNotApplicable` or an error of the client. `wait_s` is how
    long the payer may take. `payment_id` is that of the payment which was handled last.
    """

    def __init__(
        self,
        pay: Client,
        account: str,
        plan: SmokePlan,
        *,
        payer: Payer | None,
        wait_s: float,
        reference: str,
        leftovers: Leftovers,
        advisor: Advisor,
    ) -> None:
        self._pay = pay
        self._account = account
        self._plan = plan
        self._payer = payer
        self._wait_s = wait_s
        self._reference = reference
        self._leftovers = leftovers
        self._advisor = advisor
        self._made: Payment | None = None
        self.payment_id: str | None = None

    def all(self) -> tuple[SmokeStep, ...]:
        """The steps in their order."""
        return (
            SmokeStep("create", self._create),
            SmokeStep("query", self._query, ("create",)),
            SmokeStep("pay", self._have_paid, ("query",)),
            SmokeStep("await", self._await, ("pay",)),
            SmokeStep("capture", self._capture, ("await",)),
            SmokeStep("refund", self._refund_part, ("capture",)),
            SmokeStep("refund rest", self._refund_rest, ("refund",)),
            SmokeStep("close", self._close, ("create",)),
        )

    # --- until it is paid ------------------------------------------------------------------------------

    def _create(self, asker: Asker) -> str:
        is_captured = self._plan.is_manual and self._payer is not None
        self._made = payment = self._make("pay", asker, capture="manual" if is_captured else None)
        return f"payment {payment.id}: {payment.status}{asker.note}"

    def _query(self, asker: Asker) -> str:
        payment = asker.query(self._first.id)
        self._expect(payment, after_asking(payment), "pending")
        return f"the provider says {payment.status}{asker.note_of_more_than(queries=1)}"

    def _have_paid(self, _asker: Asker) -> str:
        if self._payer is None:
            raise StepNotApplicable(_NOBODY_PAYS)
        return self._payer(self._first)

    def _await(self, _asker: Asker) -> str:
        if self._payer is None:
            raise StepNotApplicable(_NOBODY_PAYS)
        payment = self._pay.wait(self._first.id, timeout_s=self._wait_s)
        code = after_waiting(payment)
        expected = "authorized" if self._plan.is_manual else "paid"
        if code is Exit.PENDING and payment.status is Status.PENDING:
            raise self._advisor.of_unpaid(payment, f"{expected} within {duration(self._wait_s)}")
        self._expect(payment, code, expected)
        return f"{payment.status}: {major(payment, payment.paid_minor or payment.authorized_minor)}"

    # --- what is paid ----------------------------------------------------------------------------------

    def _capture(self, asker: Asker) -> str:
        if not self._plan.is_manual:
            raise StepNotApplicable("the provider takes the money as soon as the payer has paid")
        if self._payer is None:
            raise StepNotApplicable(_NOBODY_PAYS)
        payment = asker.send(lambda: self._pay.capture(self._first.id))
        payment = asker.settle(payment, lambda now: after_capture(now) in (Exit.DONE, Exit.FAILED))
        self._expect(payment, after_capture(payment), "paid")
        return f"took {major(payment, payment.paid_minor)}{asker.note}"

    def _refund_part(self, asker: Asker) -> str:
        how = self._plan.product.refund
        if how == "none":
            raise StepNotApplicable("this product has no refunds")
        return self._refund(asker, "refund-1", is_part=how == "partial")

    def _refund_rest(self, asker: Asker) -> str:
        if self._plan.product.refund != "partial":
            raise StepNotApplicable("this product has no refunds of a part")
        return self._refund(asker, "refund-2", is_part=False)

    def _refund(self, asker: Asker, name: str, *, is_part: bool) -> str:
        if self._payer is None:
            raise StepNotApplicable(_NOBODY_PAYS)
        payment, reference = self._pay.get(self._first.id), f"{self._reference}-{name}"
        part = Money.from_minor(
            payment.paid_minor // 2, payment.amount.currency, exponent=payment.amount.exponent
        )
        amount = part if is_part and part.minor else None
        payment = asker.refund(payment.id, reference, amount)
        code, refund = after_refund(payment, reference), payment.refund(reference)
        if refund is not None and is_accepted(payment, refund):
            return f"{refund.amount} is to go back: the provider accepted it, and it is pending{asker.note}"
        if refund is None or code is not Exit.DONE:
            raise self._advisor.of_refund(payment, refund, code)
        return f"gave back {refund.amount}{asker.note}"

    # --- what is not -----------------------------------------------------------------------------------

    def _close(self, asker: Asker) -> str:
        if not self._plan.product.close:
            raise StepNotApplicable("this product can't be closed, so no other payment was made")
        payment = self._first if self._payer is None else self._make("close", asker, capture=None)
        payment = asker.close(payment.id)
        if payment.status is Status.PAID and not payment.review:
            raise self._advisor.of_paid_meanwhile(payment)
        self._expect(payment, after_closing(payment), "closed")
        another = "" if self._payer is None else "another "
        return f"{another}payment {payment.id}: {payment.status}{asker.note}"

    # --- shared ----------------------------------------------------------------------------------------

    @property
    def _first(self) -> Payment:
        """The payment that the first step made."""
        if self._made is None:
            raise RuntimeError("this step needs `create`")
        self.payment_id = self._made.id
        return self._made

    def _make(self, name: str, asker: Asker, *, capture: Capture | None) -> Payment:
        plan, reference = self._plan, f"{self._reference}-{name}"
        self._leftovers.note(reference)
        payment = asker.create(
            lambda: self._pay.create(
                reference=reference,
                amount=plan.amount,
                method=plan.product.method,
                channel=plan.product.channel,
                account=self._account,
                capture=capture,
                **plan.fields_for(reference),
            )
        )
        self._expect(payment, after_asking(payment), "pending")
        return payment

    def _expect(self, payment: Payment, code: Exit, status: str) -> None:
        """Raise `StepFailed` unless the command that left it so would have exited with 0."""
        self.payment_id = payment.id
        if code is not Exit.DONE:
            raise self._advisor.of_payment(payment, code, status)
