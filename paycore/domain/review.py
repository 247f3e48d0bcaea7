"""
Why a payment needs review: the contradictions that follow from its facts, and those an operator has acknowledged.

An acknowledged reason comes back only with a new fact: each is kept with the facts it had then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from paycore.domain.events import Change, Finding, ReviewAcknowledged
from paycore.domain.payment import (
    Acknowledged,
    Charge,
    Operation,
    Payment,
    RefundStatus,
    ReviewReason,
    Status,
    numbered,
)
from paycore.errors import WrongState


def review_reasons(payment: Payment) -> tuple[ReviewReason, ...]:
    """Every reason for review that nobody has acknowledged with its present facts; sorted."""
    known = {(done.reason, done.facts) for done in payment.acknowledged}
    derived = {reason for reason, facts in _contradictions(payment) if (reason, facts) not in known}
    return tuple(sorted(derived.union(of for of in payment.mismatches if (of, "") not in known)))


def acknowledged(payment: Payment, reason: ReviewReason) -> Payment:
    """The payment once this reason is acknowledged, as it stands."""
    facts = [facts for of, facts in _contradictions(payment) if of is reason]
    if reason is ReviewReason.TOO_MANY_FACTS:
        facts = [""]  # of what is beyond the bounds nothing is kept, so a new fact looks like a repeat
    others = (done for done in payment.acknowledged if done.reason is not reason)
    return replace(
        payment,
        mismatches=tuple(of for of in payment.mismatches if of is not reason),
        acknowledged=(*others, *(Acknowledged(reason=reason, facts=words) for words in facts)),
    )


def acknowledge(payment: Payment, _now: datetime, *, reason: ReviewReason, finding: Finding) -> list[Change]:
    """
    An operator has looked at this reason; nothing when it was acknowledged before.

    Raises `WrongState` for one that only a finding resolves.
    """
    if reason not in payment.review_reasons:
        return []
    if reason is ReviewReason.UNRESOLVABLE:
        raise WrongState(
            "only what the provider's portal says resolves it: record that as a finding",
            payment_id=payment.id,
        )
    return [ReviewAcknowledged(reason=reason, finding=finding)]


def _contradictions(payment: Payment) -> Iterator[tuple[ReviewReason, str]]:
    """The reasons that follow from all facts together, each with those behind it."""
    if len(payment.charges) > 1:
        yield ReviewReason.PAID_TWICE, _joined(charge.provider_id for charge in payment.charges)
    if payment.charges and payment.refunded_minor > payment.paid_minor:
        yield ReviewReason.REFUNDED_TOO_MUCH, f"{payment.refunded_minor} of {payment.paid_minor}"
    late = [charge.number for charge in payment.charges if _ended_unpaid(payment, charge)]
    if late:
        yield ReviewReason.PAID_AFTER_CLOSING, _joined(late)
    failed = [op.number for op in payment.operations if _failed_and_succeeded(op)]
    if failed:
        yield ReviewReason.REFUNDED_AFTER_FAILING, _joined(failed)
    differing = [pair for op in payment.operations for pair in op.ids if _is_ambiguous(op, pair[0])]
    if differing:
        yield ReviewReason.IDS_DIFFER, _joined("=".join(pair) for pair in differing)
    unresolvable = [op.id for op in payment.operations if op.awaits_finding]
    if unresolvable:
        yield ReviewReason.UNRESOLVABLE, _joined(unresolvable)
    lost_minor = payment.charged_back_minor
    if lost_minor:
        yield ReviewReason.CHARGED_BACK, f"{lost_minor}, won {payment.charge_back_won_minor}"


def _joined(words: Iterator[str] | list[str]) -> str:
    return " ".join(words)


def _is_ambiguous(operation: Operation, name: str) -> bool:
    return sum(known == name for known, _ in operation.ids) > 1


def _failed_and_succeeded(refund: Operation) -> bool:
    return {RefundStatus.FAILED, RefundStatus.SUCCEEDED} <= set(refund.refund_observed)


def _ended_unpaid(payment: Payment, charge: Charge) -> bool:
    operation = numbered(payment, charge.number)
    return operation is not None and bool({Status.CLOSED, Status.FAILED} & set(operation.observed))
