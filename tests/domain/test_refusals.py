"""Refused commands: the error names the payment and its state."""

from datetime import timedelta
from typing import Any

import pytest

from paycore import Money, Status
from paycore.domain.closing import CLOSE_AGAIN_AFTER, begin_close
from paycore.domain.decisions import Numbering
from paycore.domain.events import Change, OperationBegun
from paycore.domain.payment import Failure, OperationKind, OperationState
from paycore.domain.recovery import withdraw
from paycore.domain.refunding import begin_refund
from paycore.errors import (
    NotSupported,
    PaycoreError,
    ReferenceConflict,
    RefundTooLarge,
    WrongState,
)
from tests.domain.histories import BAD_KEY, DEADLINE, QUIET, TOO_LATE, History, paid, product

NUMBERING = Numbering(operation_id="new", number="NEW")


def refund(
    history: History, reference: str = "back", amount: Money | None = None, **fields: Any
) -> list[Change]:
    return begin_refund(
        history.payment,
        reference=reference,
        amount=amount,
        reason=fields.get("reason"),
        product=product(refund=fields.get("refund", "partial")),
        numbering=NUMBERING,
        now=QUIET,
        deadline=DEADLINE,
    )


def close(history: History, **fields: Any) -> list[Change]:
    return begin_close(
        history.payment, product=product(**fields), numbering=NUMBERING, now=QUIET, deadline=DEADLINE
    )


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda: refund(History()), WrongState),
        (lambda: refund(paid(), refund="none"), NotSupported),
        (lambda: refund(paid(), amount=Money("1.00", "HKD"), refund="full"), NotSupported),
        (lambda: refund(paid(), amount=Money("88.01", "HKD")), RefundTooLarge),
        (lambda: refund(paid().refunding(), "back-1", Money("1.00", "HKD")), ReferenceConflict),
        (lambda: refund(paid().refunding(), "back-1", reason="broken"), ReferenceConflict),
        (lambda: close(History().ended(OperationState.INTENT)), WrongState),
        (lambda: close(History().accepted(), close=False), NotSupported),
    ],
)
def test_refusal_names_the_payment(refused: Any, error: type[PaycoreError]) -> None:
    """The payment can be found from the error alone."""
    with pytest.raises(error) as raised:
        refused()
    assert raised.value.payment_id == "P1"


def test_refund_too_large_says_what_was_asked_and_what_is_left() -> None:
    """The requested amount, or "all", and what is left."""
    with pytest.raises(
        RefundTooLarge, match=r"^88\.01 HKD can't be refunded; 88\.00 HKD is left of 88\.00 HKD"
    ):
        refund(paid(), amount=Money("88.01", "HKD"))
    with pytest.raises(RefundTooLarge, match=r"^more can't be refunded; 0\.00 HKD is left of 88\.00 HKD"):
        refund(paid().refunding(8800))


def test_refund_that_differs_names_its_reference() -> None:
    """The error has the refund's own reference and the differing field."""
    for changed in ({"amount": Money("1.00", "HKD")}, {"reason": "broken"}):
        with pytest.raises(ReferenceConflict, match="'back-1'") as raised:
            refund(paid().refunding(), "back-1", **changed)
        assert raised.value.reference == "back-1"


def test_refund_keeps_its_reason() -> None:
    """Unchanged, for the provider and for a repeated call."""
    history = paid()
    history.change(*refund(history, reason="broken"))
    assert history.payment.refunds[0].reason == "broken"
    assert refund(history, reason="broken") == []


def test_refund_of_all_that_is_left_may_be_the_least_there_is() -> None:
    """One minor unit can be refunded."""
    (change,) = refund(paid().refunding(8799))
    assert isinstance(change, OperationBegun)
    assert change.refund is not None
    assert change.refund.amount == Money("0.01", "HKD")


def test_refund_of_all_that_is_left_has_the_payments_exponent() -> None:
    """A payment stored with another exponent is refunded in its own units."""
    stored = Money.from_minor(8800, "JPY", exponent=2)
    (change,) = refund(paid(amount=stored))
    assert isinstance(change, OperationBegun)
    assert change.refund is not None
    assert change.refund.amount == stored


def test_refund_under_a_new_number_is_the_same_refund() -> None:
    """After a refused account the new operation belongs to the same refund."""
    history = paid().refunding(2000).ended(OperationState.REJECTED, "refund-R1", failure=BAD_KEY)
    (change,) = refund(history, "back-1")
    assert isinstance(change, OperationBegun)
    assert change.operation.kind is OperationKind.REFUND
    assert change.operation.refund_reference == "back-1"
    assert history.change(change).payment.refunds[0].number == "NEW"
    assert len(history.payment.refunds) == 1


@pytest.mark.parametrize(
    ("refused", "after", "is_made"),
    [
        (TOO_LATE, CLOSE_AGAIN_AFTER - timedelta(milliseconds=1), False),
        (TOO_LATE, CLOSE_AGAIN_AFTER, True),
        (BAD_KEY, timedelta(0), True),
    ],
)
def test_withdrawal_that_was_refused_is_made_again_an_hour_later(
    refused: Failure, after: timedelta, *, is_made: bool
) -> None:
    """A refused close of an unneeded order is repeated after an hour; at once if refused for the account."""
    history = History().unknown().sees(Status.PENDING).closing(replaces=True).sees(Status.CLOSED)
    history.renumbered("N2").sees(Status.PENDING, "N2").sees(Status.PAID)
    history.closing(OperationState.REJECTED).ended(OperationState.REJECTED, "close-N2", failure=refused)
    changes = withdraw(
        history.payment, product=product(), numbering=NUMBERING, now=QUIET + after, deadline=DEADLINE
    )
    assert bool(changes) is is_made


def test_withdrawal_is_not_delayed_by_other_refusals() -> None:
    """Only refusals of this close count for the pause."""
    history = History().unknown().sees(Status.PENDING).closing(replaces=True).sees(Status.CLOSED)
    history.renumbered("N2").sees(Status.PENDING, "N2").sees(Status.PAID)
    history.refunding().ended(OperationState.REJECTED, "refund-R1", failure=BAD_KEY)
    history.closing().ended(OperationState.REJECTED, "close-N2", failure=BAD_KEY)
    assert withdraw(history.payment, product=product(), numbering=NUMBERING, now=QUIET, deadline=DEADLINE)


def test_close_again_after_an_hour() -> None:
    """How long a refused close is not repeated."""
    assert timedelta(hours=1) == CLOSE_AGAIN_AFTER
