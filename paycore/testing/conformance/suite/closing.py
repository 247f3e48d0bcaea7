"""A closed order can't be paid, and a paid one is not closed."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from paycore.domain.capabilities import Lookup
from paycore.domain.payment import Payment, ReviewReason, Status
from paycore.domain.provider import Done, Product
from paycore.sandbox.api import NotPossible
from paycore.testing.conformance.caller import RESTED_S, attempted, losses
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.moves import close, control, patiently, returned_minor, stranger, taken_minor
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig

OVER = (Status.CLOSED, Status.FAILED)
"""Each promises that no money was taken, and that none will be."""


@check(read="refunds-and-closing")
def closed_order_cannot_be_paid(rig: Rig) -> None:
    """
    Once a payment is closed, its payer can't pay it any more: closed promises that no money is taken.

    Once for every product that can be closed, through the sync and the async client in turn. The payer tries all the
    same, and the payment is queried again.
    """
    clients = [rig.client("sync"), rig.client("async")]
    for index, product in enumerate(_closable(rig)):
        client, name = clients[index % 2], f"{product.method}/{product.channel}"
        payment = _open(client, rig, product)
        payment = _settled_closed(rig, client, payment, f"{name}: a close was asked for")
        _still_pays(rig, payment.order_number)
        for rest_s in (0.0, 60.0):
            rig.advance(rest_s)
            payment = client.query(payment.id)
        taken = rig.controls.show_order(payment.order_number)["paid_minor"]
        require(
            taken == 0 and payment.status is Status.CLOSED,
            f"{name}: after the payment was closed {taken} minor units were taken; it is {payment.status}",
            "return Status.CLOSED once the provider says that it cancelled the order; declare close=False where it"
            " can't be cancelled",
        )


@check(read="what-an-outcome-says-about-the-money")
def paid_order_is_not_closed(rig: Rig) -> None:
    """
    A close that comes after the payer paid closes nothing: the order is told as paid, and nothing is returned.

    A provider whose cancelling gives the money back says closed once it has: nothing is kept then. Once for every
    product that can be closed.
    """
    paid = 0
    for product in _closable(rig):
        placed, name = rig.place(product, capture="automatic"), f"{product.method}/{product.channel}"
        before = msgspec.structs.replace(placed)  # as it was known before it was paid
        if rig.pay(placed).status is not Status.PAID:
            continue  # it is captured later; see the checks of captures
        paid += 1
        outcome = close(rig, before)
        kept = taken_minor(rig, placed) - returned_minor(rig, placed)
        is_over = isinstance(outcome, Done) and outcome.value.status in OVER
        require(
            not is_over or kept == 0,
            f"{name}: the order was paid, and close returned {said(outcome)}; {kept} minor units are kept",
            "ask what the order is before a refusal to close is answered: return Done with its state, or Rejected",
        )
        seen = rig.look(placed)
        require(
            kept == 0 or seen.status is Status.PAID,
            f"{name}: an order that was paid is {seen.status} after a close that came too late",
            "have query tell what became of the order, not of the last request",
        )
    if not paid:
        raise NotApplicable("every product that can be closed is captured later")


@check(read="refunds-and-closing")
def payment_paid_before_its_close_is_paid(rig: Rig) -> None:
    """
    A payment whose payer paid just before its caller closed it ends as paid; through the sync and the async client.

    It is closed only where the provider gave the money back.
    """
    product = _closable(rig)[0]
    for kind in ("sync", "async"):
        client = rig.client(kind)
        payment = _open(client, rig, product)
        rig.controls.pay(payment.order_number)
        payment = rig.settled(
            partial(_closed_again, client, payment),
            lambda payment: payment.status.is_final and not payment.uncertain,
            f"{kind}: the payer paid, then the payment was closed, and nothing is final",
            "have query tell that an order was paid, whatever close returned",
        )
        shown = rig.controls.show_order(payment.order_number)
        kept = shown["paid_minor"] - shown["refunded_minor"]
        require(
            (payment.status is Status.PAID) is (kept > 0)
            and ReviewReason.PAID_AFTER_CLOSING not in payment.review_reasons,
            f"{kind}: the payer had paid before the close: the payment is {payment.status}, {kept} minor units"
            " are kept, and close may have said closed",
            "return from close what the order is now, or Rejected where it can't be closed any more",
        )


@check(read="what-an-outcome-says-about-the-money")
def close_of_an_unknown_order_closes_nothing(rig: Rig) -> None:
    """
    A close of an order that the provider does not know says so, and leaves all others open.

    Where it says closed, no order of that number can be made and paid afterwards.
    """
    placed = _placed_open(rig)
    unknown = stranger(placed)
    outcome = close(rig, unknown)
    is_known = isinstance(outcome, Done) and outcome.value.status not in OVER
    require(
        not is_known,
        f"close of an order that the provider does not know returned {said(outcome)}",
        "return Rejected for the provider's word that it does not know the order",
    )
    if isinstance(outcome, Done):
        rig.proxy.clear()
        made = patiently(
            rig, lambda attempt: rig.provider.create(msgspec.structs.replace(unknown.order, attempt=attempt))
        )
        is_payable = isinstance(made, Done) and _still_pays(rig, unknown.order.number)
        require(
            not is_payable,
            f"close of an order that the provider does not know returned {said(outcome)}, and an order of that number"
            " was made and paid afterwards",
            "return Rejected for the provider's word that it does not know the order: it may still be under way",
        )
    try:
        rig.controls.pay(placed.order.number)
    except NotPossible:
        is_open = False
    else:
        is_open = True
    require(
        is_open,
        f"close of an order that the provider does not know returned {said(outcome)}, and closed another",
        "name the order to close by its own number or id",
    )


@check(read="finding-an-order-again")
def lost_order_is_closed_by_its_number(rig: Rig) -> None:
    """
    Where orders are found by our number, an order is closed by that alone: the reply with its id may be lost.

    The core closes such an order before it makes another in its place.
    """
    if rig.account.capabilities.lookup is not Lookup.BY_NUMBER:
        raise NotApplicable("lookup is declared by the provider's id")
    placed = _placed_open(rig)
    lost = msgspec.structs.replace(
        placed, ids={}, seen=msgspec.structs.replace(placed.seen, provider_id=None)
    )
    outcome = close(rig, lost)
    require(
        isinstance(outcome, Done),
        f"close of an order by its number alone returned {said(outcome)}",
        "close by order.number where order.provider_id is None; query first where the provider wants its own id",
    )
    rig.advance(60.0)
    is_paid = _still_pays(rig, placed.order.number)
    require(
        not is_paid,
        f"close of an order by its number alone returned {said(outcome)}, and the order was paid afterwards",
        "close by order.number where order.provider_id is None; query first where the provider wants its own id",
    )


@check(read="refunds-and-closing")
def order_that_ended_by_itself_can_be_closed(rig: Rig) -> None:
    """
    A close of an order that has expired, or that its payer declined, ends as closed or failed, and not as open.

    The provider may refuse it: then a query tells what became of the order.
    """
    product = _closable(rig)[0]
    for index, end in enumerate(("expire", "decline")):
        client = rig.client(("sync", "async")[index])
        payment = _open(client, rig, product)
        control(rig, end)(payment.order_number)
        payment = rig.settled(
            partial(_closed_again, client, payment),
            lambda payment: payment.status in OVER and not payment.uncertain,
            f"an order was ended by the sandbox's {end}, then closed, and it is not over",
            "tell Status.CLOSED of an order that expired, and Status.FAILED of one that was declined, in query too",
        )
        _still_pays(rig, payment.order_number)
        taken = rig.controls.show_order(payment.order_number)["paid_minor"]
        require(
            taken == 0,
            f"an order was ended by the sandbox's {end}, then closed: {payment.status}, and {taken} minor units taken",
            "return Status.CLOSED or Status.FAILED only for what can't be paid any more",
        )


@check(read="refunds-and-closing")
def close_is_confirmed_whatever_is_lost(rig: Rig) -> None:
    """
    A payment whose close meets a lost request, a lost reply or HTTP 500 or 502 is closed in the end, and not before.

    Each request of the flow is met by each of these, through the sync and the async client in turn. A caller asks again
    until the payment is closed, then its payer tries to pay.
    """
    product = _closable(rig)[0]
    tried = _placed_open(rig)
    clients = [rig.client("sync"), rig.client("async")]
    for index, loss in enumerate(losses(rig, "close", lambda: close(rig, tried))):
        client = clients[index % 2]
        payment = _open(client, rig, product)
        with loss.met(rig):
            attempted(client.close, payment.id)
        is_told = client.get(payment.id).status is Status.CLOSED
        if not is_told:
            rig.advance(RESTED_S)
            payment = _settled_closed(rig, client, payment, loss.words)
        _still_pays(rig, payment.order_number)
        taken = rig.controls.show_order(payment.order_number)["paid_minor"]
        require(
            taken == 0,
            f"{loss.words}: the payment is closed{' at once' if is_told else ''}, then"
            f" {taken} minor units were taken",
            "return Unknown for an answer to a close that does not say what became of the order",
        )


# --- inside ------------------------------------------------------------------------------------------------


def _closable(rig: Rig) -> tuple[Product, ...]:
    """The products that can be closed and are not paid as soon as they are made."""
    rig.product(lambda one: one.close and one.needs_action, "can be closed before its payer paid")
    return tuple(one for one in rig.products if one.close and one.needs_action)


def _placed_open(rig: Rig) -> PlacedOrder:
    return rig.place(_closable(rig)[0])


def _open(client: Any, rig: Rig, product: Product) -> Payment:
    """A new payment that its payer can pay."""
    payment: Payment = client.create(**rig.arguments(product))
    require(
        payment.status is Status.PENDING,
        f"{product.method}/{product.channel}: a new order is {payment.status}",
        "return Status.PENDING for an order that waits for its payer; declare needs_action=False where it does not",
    )
    return payment


def _still_pays(rig: Rig, number: str) -> bool:
    """Let the payer try to pay; whether money was taken."""
    try:
        shown = rig.controls.pay(number)
    except (NotPossible, LookupError):
        return False
    return bool(shown["paid_minor"])


def _closed_again(client: Any, payment: Payment) -> Payment:
    attempted(client.close, payment.id)
    queried: Payment = client.query(payment.id)
    return queried


def _settled_closed(rig: Rig, client: Any, payment: Payment, what: str) -> Payment:
    return rig.settled(
        partial(_closed_again, client, payment),
        lambda payment: payment.status is Status.CLOSED and not payment.uncertain,
        f"{what}, and the payment is not closed",
        "return Status.CLOSED for the provider's word for a cancelled order, from close and from query; a second close"
        " of it may be refused",
    )
