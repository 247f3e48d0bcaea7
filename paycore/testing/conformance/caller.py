"""What a caller does with the real clients: has a payment paid, asks once more for what was lost, waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from paycore.domain.capabilities import Lookup, Resend
from paycore.domain.money import Money
from paycore.domain.payment import Payment, RefundStatus, ReviewReason, Status
from paycore.domain.provider import Product
from paycore.errors import PaycoreError, PluginError
from paycore.testing.conformance.check import Failed, contract_broken
from paycore.testing.conformance.moves import ENDS_WITHIN_S
from paycore.testing.conformance.rig import Rig

FAULTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "a lost request": ("lose_request", {}),
    "a lost reply": ("lose_reply", {}),
    "HTTP 500 after the gateway acted": ("http_500", {}),
    "HTTP 502 before the gateway acted": ("http_502", {"recorded": False}),
}
"""What may happen to a request: a fault of `paycore.sandbox.connection`, and its options."""

RESTED_S = 60.0
"""When a caller tries again: nothing that was sent can still be under way."""

REPORT_PAID = (
    "have create and query report Status.PAID for an order whose payer paid, or Status.AUTHORIZED where it is to be"
    " captured"
)

FIND_REFUNDS = "have query find refunds (kind='refund'), or let them be sent again safely, as it is declared"

TOLD = (RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED)
"""What a provider says of a refund that it knows, or refused."""


def begun(rig: Rig, client: Any, product: Product, **changes: Any) -> Payment:
    """A new payment whose payer has paid, or agreed, and that was not asked about since."""
    rig.advance(1.0)  # the budget of a second is whole
    payment: Payment = client.create(**rig.arguments(product, **changes))
    if payment.status is Status.PENDING:
        rig.controls.pay(payment.order_number)
    return payment


def bought(rig: Rig, client: Any, product: Product) -> Payment:
    """A new payment that is paid."""
    payment = begun(rig, client, product)
    return settled_paid(rig, client, payment)


def settled_paid(
    rig: Rig, client: Any, payment: Payment, what: str = "the payer has paid, and the payment is not paid"
) -> Payment:
    """The payment once a query has it as paid; `what` says for a person what is wrong where it never is."""
    return rig.settled(
        lambda: client.query(payment.id),
        lambda payment: payment.status is Status.PAID and not payment.uncertain,
        what,
        REPORT_PAID,
    )


def given_back(rig: Rig, client: Any, payment: Payment, reference: str, minor: int | None) -> Payment:
    """The payment once this refund of it is made: `minor` None is all that is left."""
    amount = None if minor is None else Money.from_minor(minor, payment.amount.currency)
    rig.advance(1.0)
    payment = rig.settled(
        lambda: client.refund(payment.id, reference=reference, amount=amount),
        lambda payment: payment.refund(reference) is not None,
        "a refund is not begun",
        "return from refund what the provider answers",
    )
    rig.advance(1.0)
    payment = rig.settled(
        lambda: client.query(payment.id),
        lambda payment: status_of(payment, reference) in TOLD,
        "a refund was asked for, and nothing is known of it",
        FIND_REFUNDS,
    )
    return waited_for(rig, client, payment, reference)


def given_back_in_the_end(
    rig: Rig, client: Any, payment: Payment, reference: str, minor: int, where: str
) -> Payment:
    """
    The payment once the end of this refund, which met a fault, is known: by asking for it again and again.

    Where the declaration leaves no way to find out, it may be as it was.
    """

    def call() -> Payment:
        client.refund(
            payment.id, reference=reference, amount=Money.from_minor(minor, payment.amount.currency)
        )
        queried: Payment = client.query(payment.id)
        return queried

    def is_so(payment: Payment) -> bool:
        is_for_a_person = ReviewReason.UNRESOLVABLE in payment.review_reasons
        return is_for_a_person or status_of(payment, reference) in TOLD

    rig.advance(RESTED_S)
    try:
        payment = rig.settled(call, is_so, f"{where}: it is not known what became of it", FIND_REFUNDS)
    except Failed:
        if can_be_found(rig, rig.account.capabilities.refund_resend):
            raise
        found: Payment = client.get(payment.id)
        return found
    return waited_for(rig, client, payment, reference)


def waited_for(rig: Rig, client: Any, payment: Payment, reference: str) -> Payment:
    """The payment once this refund of it is no longer pending, or as it is after weeks."""
    for rest_s in ENDS_WITHIN_S:
        if status_of(payment, reference) is not RefundStatus.PENDING:
            break
        rig.advance(rest_s)
        payment = client.query(payment.id)
    return payment


def status_of(payment: Payment, reference: str) -> RefundStatus:
    """The status of a refund; unknown where there is none."""
    refund = payment.refund(reference)
    return RefundStatus.UNKNOWN if refund is None else refund.status


def attempted(call: Callable[..., Payment], *given: Any, **named: Any) -> Payment | None:
    """
    The payment that a client's verb returns, None for an error that a caller would catch.

    `Failed` where the provider broke its contract.
    """
    try:
        return call(*given, **named)
    except PluginError as error:
        raise contract_broken(error) from error
    except PaycoreError:
        return None


class Loss(NamedTuple):
    """A fault that one request of a flow meets: the one after `place` others. `words` say it."""

    words: str
    kind: str
    options: Mapping[str, Any]
    place: int

    def met(self, rig: Rig) -> AbstractContextManager[None]:
        """For the time of a block: it happens."""
        return rig.proxy.breaking(self.kind, self.place, **self.options)


def losses(rig: Rig, what: str, act: Callable[[], Any]) -> Iterator[Loss]:
    """Each way to lose each request of what `act` does; `what` names it."""
    rig.attempt()  # a session is opened before it
    rig.proxy.clear()
    act()
    for place in range(len(rig.proxy.exchanges)):
        for words, (kind, options) in FAULTS.items():
            yield Loss(f"{words} at request {place + 1} of the {what}", kind, options, place)


def can_be_found(rig: Rig, resend: Resend) -> bool:
    """Whether the declaration says how the end of what was lost, and may be sent again so, is found out."""
    capabilities = rig.account.capabilities
    if resend.effect == "same_result":
        return True
    is_absent_sometime = capabilities.query_proves_absence_after_s is not None
    return capabilities.lookup is Lookup.BY_NUMBER and (is_absent_sometime or resend.effect != "unsafe")
