"""Payment histories, built by the changes that the ledger records."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from msgspec.structs import replace

from paycore import Money, Payment, RefundStatus, Status
from paycore.domain.action import Redirect
from paycore.domain.decisions import Answered, Numbering, conclude_from_query, new_operation
from paycore.domain.events import (
    Change,
    Observed,
    OperationBegun,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
)
from paycore.domain.lifecycle import evolve
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Failure, Operation, OperationKind, OperationState, Order
from paycore.domain.provider import Capabilities, NumberFormat, Product, RequestBudget, Resend
from paycore.domain.refunding import begin_refund

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEADLINE = timedelta(seconds=10)
QUIET = NOW + DEADLINE
AMOUNT = Money("88.00", "HKD")
LINK = Redirect(url="https://toy.example/pay/1")
NEW_LINK = Redirect(url="https://toy.example/pay/2")
DECLINED = Failure(code="1205", message="declined")
BAD_KEY = Failure(code="1108", message="bad signature", who_acts="operator")
TOO_LATE = Failure(code="2005", message="it can not be closed now")


def product(**fields: Any) -> Product:
    """What the account offers for toy/web."""
    return Product(method="toy", channel="web", currencies={"HKD": (1, 10**9)}, **fields)


REFUSED = Resend("refused_as_duplicate")


def capabilities(
    resend: Resend = REFUSED, *offered: Product, proof_s: float | None = 5.0, **fields: Any
) -> Capabilities:
    """An account with one product, unless others are given."""
    return Capabilities(
        products=offered or (product(),),
        number=NumberFormat(characters="ABC", length_max=32),
        create_resend=resend,
        query_proves_absence_after_s=proof_s,
        query_batch_max=50,
        budget=RequestBudget(per_second=10, per_minute=100),
        notifications_trusted=True,
        **fields,
    )


class History:
    """A payment and its changes: N1 is its first number, R1 its first refund's."""

    def __init__(
        self, *, needs_action: bool = True, expires_at: datetime | None = None, **order: Any
    ) -> None:
        operation = self._operation(OperationKind.CREATE, "N1", needs_action=needs_action)
        content = Order(
            **{"reference": "order-1", "amount": AMOUNT, "method": "toy", "channel": "web", **order}
        )
        begun = PaymentBegun(
            payment_id="P1",
            account="hk",
            provider="toy",
            order=content,
            operation=operation,
            expires_at=expires_at,
        )
        self.payment: Payment = evolve(None, begun, NOW)

    def _operation(self, kind: OperationKind, number: str, *, needs_action: bool = False) -> Operation:
        numbering = Numbering(operation_id=f"{kind}-{number}", number=number)
        return new_operation(kind, numbering, NOW, DEADLINE, needs_action=needs_action)

    def change(self, *changes: Change) -> Self:
        """Apply these changes."""
        for change in changes:
            self.payment = evolve(self.payment, change, NOW)
        return self

    def ended(self, state: OperationState, operation_id: str = "create-N1", **fields: Any) -> Self:
        """An attempt ended."""
        return self.change(
            OperationEnded(operation_id=operation_id, state=state, in_flight_until=QUIET, **fields)
        )

    def accepted(self) -> Self:
        """The order was accepted, with a link."""
        return self.ended(OperationState.DONE, observation=self.order_is(Status.PENDING), action=LINK)

    def unknown(self) -> Self:
        """No answer came."""
        return self.ended(OperationState.UNKNOWN, problem="no answer")

    def sent_again(self, operation_id: str = "create-N1", at: datetime = NOW) -> Self:
        """The same operation is sent once more."""
        return self.change(
            OperationSent(operation_id=operation_id, sent_at=at, in_flight_until=at + DEADLINE)
        )

    def authorized(self, at: datetime | None = None) -> Self:
        """The payer has agreed, at this time by the provider's clock."""
        return self.sees(Status.AUTHORIZED, occurred_at=at)

    def capturing(self, minor: int = 8800, number: str = "C1", *, sent_at: datetime = NOW) -> Self:
        """A capture of the order in force is on its way."""
        operation = replace(
            self._operation(OperationKind.CAPTURE, number),
            order_number=self.payment.order_number,
            amount_minor=minor,
            sent_at=sent_at,
            in_flight_until=sent_at + DEADLINE,
        )
        return self.change(OperationBegun(operation=operation))

    def absent(self, number: str = "N1") -> Self:
        """The provider has proven that it does not know the number."""
        return self.change(ProvenAbsent(number=number))

    def closing(
        self,
        state: OperationState = OperationState.SENT,
        *,
        replaces: bool = False,
        sent_at: datetime = QUIET,
    ) -> Self:
        """A close of the order in force is under way, or ended in `state`; sent when the order had arrived."""
        number = self.payment.order_number
        operation = self._operation(OperationKind.CLOSE, number)
        self.change(OperationBegun(operation=replace(operation, replaces=replaces, sent_at=sent_at)))
        return self if state is OperationState.SENT else self.ended(state, operation.id)

    def renumbered(self, number: str) -> Self:
        """The payment has a new number."""
        return self.change(
            OperationBegun(operation=self._operation(OperationKind.CREATE, number, needs_action=True))
        )

    def refunding(self, minor: int = 2000, reference: str = "back-1", number: str = "R1") -> Self:
        """A refund is on its way."""
        changes = begin_refund(
            self.payment,
            reference=reference,
            amount=Money.from_minor(minor, "HKD"),
            reason=None,
            product=product(),
            numbering=Numbering(operation_id=f"refund-{number}", number=number),
            now=NOW,
            deadline=DEADLINE,
        )
        return self.change(*changes)

    def order_is(self, status: Status, number: str = "N1", **fields: Any) -> PaymentObservation:
        """An observation of an order of this payment."""
        fields = {"provider_id": f"S-{number}", "amount": self.payment.amount, **fields}
        return PaymentObservation(number=number, status=status, **fields)

    def sees(self, status: Status, number: str = "N1", **fields: Any) -> Self:
        """This observation of an order is recorded."""
        return self.change(Observed(observation=self.order_is(status, number, **fields)))

    def refund_is(self, status: RefundStatus, number: str = "R1", **fields: Any) -> Self:
        """This observation of a refund is recorded."""
        return self.change(Observed(observation=RefundObservation(number=number, status=status, **fields)))


def paid(**order: Any) -> History:
    """A payment of 88.00 HKD that is paid."""
    return History(**order).accepted().sees(Status.PAID)


def replaced() -> History:
    """N1 had a link and was closed to be replaced by N2, which is under way."""
    history = History().accepted().closing(OperationState.DONE, replaces=True)
    return history.sees(Status.CLOSED).renumbered("N2")


def concluded(
    payment: Payment,
    absent: Collection[str],
    asked_at: datetime,
    proof: timedelta | None,
    authorized: Collection[str] = (),
) -> list[Change]:
    """What follows from a query at `asked_at` that does not know these numbers, and shows those authorized."""
    answered = Answered(asked_at=asked_at, absent=absent, authorized=authorized, proves_after=proof)
    return conclude_from_query(payment, answered)
