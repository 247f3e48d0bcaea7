"""Describes what the provider reported, and the reasons for review that an event added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paycore.cli.render.text import major
from paycore.domain.events import Change, Observed, OperationEnded
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Failure, OperationKind, Payment, ReviewReason

# --- observations --------------------------------------------------------------------------------


def says(observation: Observation, before: Payment | None) -> str:
    """Return what was reported, after the refund it is about."""
    about = _subject(observation.number, before) if isinstance(observation, RefundObservation) else ""
    return about + facts(observation, before)


def _subject(number: str, before: Payment | None) -> str:
    """Name a refund by its reference, or by its number where that is unknown."""
    operations = before.operations if before is not None else ()
    own = (
        op.refund_reference for op in operations if op.number == number and op.kind is OperationKind.REFUND
    )
    return f"of the refund {next(own, None) or number}: "


def facts(observation: Observation, before: Payment | None) -> str:
    """Return status, amounts and ids that were reported."""
    return ", ".join(_parts(observation, before)) + because(observation.failure)


def _parts(observation: Observation, before: Payment | None) -> Iterator[str]:
    yield observation.status.value
    if observation.amount is not None:
        yield str(observation.amount)
    if observation.partial_amount is not None:
        yield str(observation.partial_amount)
    if isinstance(observation, PaymentObservation):
        yield from _totals(observation, before)
    if observation.provider_id:
        yield f"its id {observation.provider_id}"
    yield from (f"{name} {value}" for name, value in sorted(observation.ids.items()))
    if isinstance(observation, PaymentObservation) and observation.action is not None:
        yield f"the payer must act again ({str(observation.action.__struct_config__.tag).replace('_', ' ')})"
    if observation.is_signed_wrong:
        yield "with a wrong signature"


def _totals(seen: PaymentObservation, before: Payment | None) -> Iterator[str]:
    totals = (
        (seen.paid_minor, "taken"),
        (seen.refunded_minor, "went back"),
        (seen.charged_back_minor, "charged back"),
        (seen.charge_back_won_minor, "of it won back"),
    )
    asked_minor = None if before is None else before.amount.minor
    for minor, what in totals:
        if minor and (what != "taken" or minor != asked_minor):
            yield f"{f'{minor} minor units' if before is None else major(before, minor)} {what}"


def because(failure: Failure | None) -> str:
    """Return the provider's code and message as the end of a sentence; empty where there are none."""
    if failure is None:
        return ""
    return f": {failure.code} {failure.message}".rstrip()


# --- review reasons ------------------------------------------------------------------------------


def review_added(change: Change, before: Payment | None, payment: Payment | None) -> str:
    """Return the review reasons this event added, as the end of a sentence; empty where there are none."""
    if payment is None:
        return ""
    known = before.review_reasons if before is not None else ()
    new = [
        _contradiction(reason, change, payment) for reason in payment.review_reasons if reason not in known
    ]
    return f"; needs review: {', '.join(new)}" if new else ""


def _contradiction(reason: ReviewReason, change: Change, payment: Payment) -> str:
    owner = change.charge_of if isinstance(change, Observed | OperationEnded) else None
    return _CONTRADICTIONS[reason].format(
        amount=payment.amount,
        ids=" and ".join(charge.provider_id for charge in payment.charges),
        owner=owner,
        charged_back=major(payment, payment.charged_back_minor),
    )


_CONTRADICTIONS: Mapping[ReviewReason, str] = {
    ReviewReason.AMOUNT_DIFFERS: "the amount differs, {amount} was asked for",
    ReviewReason.AMOUNT_UNREADABLE: "the amount told can't be read, {amount} was asked for",
    ReviewReason.CHARGE_OF_ANOTHER: "its id is the charge of payment {owner}",
    ReviewReason.CHARGED_BACK: "the payer's bank took back {charged_back}",
    ReviewReason.IDS_DIFFER: "an id differs from the one told before",
    ReviewReason.PAID_TWICE: "it is paid twice, as {ids}",
    ReviewReason.PAID_AFTER_CLOSING: "it is paid after it was closed or refused",
    ReviewReason.REFUND_AMOUNT_DIFFERS: "the refund's amount differs from what was asked for",
    ReviewReason.REFUNDED_AFTER_FAILING: "the refund took place after it was refused",
    ReviewReason.REFUNDED_TOO_MUCH: "more went back than was paid",
    ReviewReason.SIGNATURE_WRONG: "an answer's signature is wrong, so nothing of it counts",
    ReviewReason.TOO_MANY_FACTS: "the provider tells more of it than is kept of one payment",
    ReviewReason.UNRESOLVABLE: "only the provider's portal tells what became of it",
}
