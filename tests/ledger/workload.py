"""Payments made directly in the ledger, for its tests, races and benchmarks."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from paycore import Money, Payment
from paycore.domain.action import Redirect
from paycore.domain.decisions import Numbering, Outcome, end_attempt, new_operation
from paycore.domain.events import Change, PaymentBegun, Source
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import OperationKind, Order, RefundStatus, Status
from paycore.domain.provider import Created, Done, Product
from paycore.domain.refunding import begin_refund
from paycore.domain.wire import Notification
from paycore.engine.orders import new_id
from paycore.ledger.api import Committed, Decide, Ledger

ACCOUNT = "hk"
AMOUNT = Money("88.00", "HKD")
PRODUCT = Product(method="toy", channel="web", currencies={"HKD": (1, 10**9)})
DEADLINE = timedelta(seconds=10)


def numbering() -> Numbering:
    """Unused ids."""
    return Numbering(operation_id=new_id(), number=new_id())


def begun(
    reference: str,
    *,
    account: str = ACCOUNT,
    namespace: str = "",
    deadline: timedelta = DEADLINE,
    payment_id: str | None = None,
) -> tuple[str, Callable[[datetime], PaymentBegun]]:
    """For `Ledger.begin`, its arguments: a payment of 88 dollars with its first operation."""
    own_id, names = payment_id or new_id(), numbering()

    def at(now: datetime) -> PaymentBegun:
        return PaymentBegun(
            payment_id=own_id,
            account=account,
            provider="toy",
            namespace=namespace,
            order=Order(reference=reference, amount=AMOUNT, method="toy", channel="web"),
            operation=new_operation(OperationKind.CREATE, names, now, deadline, needs_action=True),
        )

    return reference, at


def answered(outcome: Outcome) -> Decide:
    """For `Ledger.change`: the provider's answer to the operation that makes the order."""
    return lambda payment, now: end_attempt(payment, now, sent=payment.creation, outcome=outcome)


def accepted(number: str) -> Outcome:
    """The order was accepted, with this link."""
    return Done(Created(observation=seen(number), action=Redirect(url="https://wallet.example/pay")))


def seen(
    number: str, status: Status = Status.PENDING, *, charge: str = "", amount: Money = AMOUNT
) -> PaymentObservation:
    """An observation of an order; `charge` is the provider's id, made of the number unless given."""
    return PaymentObservation(
        number=number, status=status, provider_id=charge or f"C1-{number}", amount=amount
    )


def refund_seen(number: str, status: RefundStatus = RefundStatus.SUCCEEDED) -> RefundObservation:
    """An observation of a refund."""
    return RefundObservation(number=number, status=status, provider_id="F1")


def refunding(reference: str, amount: Money | None = None) -> Decide:
    """For `Ledger.change`: a refund of `amount`, or of the rest."""
    names = numbering()

    def decide(payment: Payment, now: datetime) -> Sequence[Change]:
        return begin_refund(
            payment,
            reference=reference,
            amount=amount,
            reason=None,
            product=PRODUCT,
            numbering=names,
            now=now,
            deadline=DEADLINE,
        )

    return decide


def notice(body: bytes, at: datetime) -> Notification:
    """A notification as it arrived."""
    return Notification(body=body, headers={"x-toy-signature": "s"}, received_at=at)


def pending_payment(
    ledger: Ledger, reference: str, *, account: str = ACCOUNT, namespace: str = ""
) -> Payment:
    """A payment the provider has accepted, in two transactions as `create` makes them."""
    payment = ledger.begin(*begun(reference, account=account, namespace=namespace)).result().payment
    outcome = accepted(payment.order_number)
    return ledger.change(payment.id, answered(outcome), Source.REPLY).result().payment


def paid_payment(ledger: Ledger, reference: str, *, account: str = ACCOUNT, namespace: str = "") -> Payment:
    """A payment that the provider reported as paid."""
    payment = pending_payment(ledger, reference, account=account, namespace=namespace)
    return observe(ledger, seen(payment.order_number, Status.PAID), account=account)[0].payment


def observe(
    ledger: Ledger, *observations: Observation, account: str = ACCOUNT, source: Source = Source.POLL
) -> tuple[Committed, ...]:
    """Merge observations into the ledger."""
    return ledger.observe(account, observations, source).result()
