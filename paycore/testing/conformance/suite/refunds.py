"""Refunds return what was asked, once."""

from __future__ import annotations

from paycore.domain.capabilities import Lookup
from paycore.domain.money import Money
from paycore.domain.payment import RefundStatus, Status
from paycore.domain.provider import Rejected
from paycore.testing.conformance.caller import (
    bought,
    given_back,
)
from paycore.testing.conformance.check import check, require
from paycore.testing.conformance.moves import (
    PlacedRefund,
    accepted,
    ended,
    look_at,
    part_of,
    part_or_whole,
    refund,
    refunding,
    returned_minor,
    stranger,
)
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.tried_currencies import amount_in, kinds_of_currency, part_in


@check(read="refunds-and-closing")
def refund_returns_what_was_asked(rig: Rig) -> None:
    """
    A refund gives back exactly its amount, and ends as succeeded.

    Once for every product that can be refunded: a part where that can be, else all of it.
    """
    for product in refunding(rig):
        placed = rig.paid(product)
        whole = placed.order.amount.minor
        made = accepted(rig, placed, part_of(placed) if product.refund == "partial" else whole)
        name = f"{product.method}/{product.channel}"
        _told_of(made, name)
        status = ended(rig, made).status
        require(
            status is RefundStatus.SUCCEEDED,
            f"{name}: a refund that the gateway took is {status} in the end",
            "map the word for a refund that is made to RefundStatus.SUCCEEDED",
        )
        _told_of(made, name)
        returned = returned_minor(rig, placed)
        require(
            returned == made.minor,
            f"{name}: of {whole} minor units {made.minor} were to be returned, and {returned} were",
            "send the refund's own amount (refund.amount), in the provider's units",
        )


@check(read="refunds-and-closing")
def refund_is_exact_in_every_kind_of_currency(rig: Rig) -> None:
    """
    A refund is exact in currencies without decimals, with two and with three, and in those with rules of their own.

    One currency of each number of decimals and pair of bounds is tried.
    """
    for product, currency in kinds_of_currency(refunding(rig)):
        amount, unit = amount_in(rig, product, currency)
        placed = rig.paid(product, amount=amount)
        minor = amount.minor if product.refund == "full" else part_in(amount, unit)
        made = accepted(rig, placed, minor)
        ended(rig, made)
        _told_of(made, currency)
        returned, told = returned_minor(rig, placed), rig.look(placed).refunded_minor
        require(
            returned == minor and told in (None, minor),
            f"{currency}: {made.order.amount} was to be returned, {Money.from_minor(returned, currency)} was, and"
            f" refunded_minor is {told}",
            "write and read a refund's amounts as create writes an order's: by the same table of units",
        )


@check(read="refunds-and-closing")
def refunds_in_part_add_up(rig: Rig) -> None:
    """
    Several refunds of one payment, each in part, are several refunds, and return all of it in the end.

    Each has a number of its own, and is told by its own amount; the payment tells their total.
    """
    (product, *_) = refunding(rig, in_part=True)
    placed = rig.paid(product)
    part, sent, ids = part_of(placed), 0, set[str | None]()
    for minor in (part, part, placed.order.amount.minor - 2 * part):
        made = accepted(rig, placed, minor)
        ended(rig, made)
        _told_of(made, f"refund after {sent} minor units")
        sent += minor
        known = None if made.seen is None else made.seen.provider_id
        require(
            known is None or known not in ids,
            f"two refunds of one payment are both told as {known}",
            "find each refund by its own number or id, not the first of its payment",
        )
        ids.add(known)
        returned = returned_minor(rig, placed)
        require(
            returned == sent,
            f"refunds of {sent} minor units in all were accepted, and {returned} were returned",
            "identify a refund by its own number (refund.number), never by the order's: it is else taken for a repeat",
        )
        told = rig.look(placed).refunded_minor
        require(
            told in (None, sent),
            f"{sent} minor units were returned, and the payment's observation says refunded_minor={told}",
            "report totals, never the last refund alone; leave refunded_minor out where the provider does not tell it",
        )


@check(read="observations")
def refunded_payment_stays_paid(rig: Rig) -> None:
    """
    A payment that was refunded whole is still paid: its refunds are counted beside it.

    A provider's word for it (refunded, reversed, cancelled) is neither closed nor failed, which promise that no money
    was ever taken.
    """
    for product in refunding(rig):
        placed = rig.paid(product)
        before = dict(placed.ids), placed.seen.provider_id
        ended(rig, accepted(rig, placed, placed.order.amount.minor))
        seen = rig.look(placed)
        require(
            seen.status is Status.PAID,
            f"{product.method}/{product.channel}: a payment is {seen.status} after it was refunded whole",
            "map the provider's word for a refunded order to Status.PAID, and tell refunded_minor",
        )
        require(
            seen.provider_id == before[1] and before[0].items() <= placed.ids.items(),
            f"its ids were {before[1]} {before[0]}, and are {seen.provider_id} {dict(seen.ids)} after the refund",
            "report the order's own id, not the refund's",
        )


@check(read="refunds-and-closing")
def refund_over_the_rest_is_refused(rig: Rig) -> None:
    """
    A refund of more than is left is refused by the provider, and nothing moves.

    The core asks for no such refund by itself, but money may have been given back in the provider's portal.
    """
    product = refunding(rig)[0]
    placed = rig.paid(product)
    whole = placed.order.amount.minor
    first = part_of(placed) if product.refund == "partial" else whole
    ended(rig, accepted(rig, placed, first))
    made = refund(rig, placed, whole - first + 1 if product.refund == "partial" else whole)
    returned = returned_minor(rig, placed)
    require(
        returned == first,
        f"{first} of {whole} minor units were returned, then {made.minor} more were asked for: {returned} were"
        " returned",
        "let the sandbox refuse it as the provider does",
    )
    _is_refused(made, "a refund of more than is left")
    _is_not_told(rig, made)


@check(read="what-an-outcome-says-about-the-money")
def refund_of_an_unknown_payment_is_refused(rig: Rig) -> None:
    """
    A refund of a payment that the provider does not know is refused.

    So it is once an account was given to another merchant. Left unknown, it would be asked about for ever.
    """
    placed = rig.paid(refunding(rig)[0])
    made = refund(rig, stranger(placed), part_or_whole(placed))
    _is_refused(made, "a refund of a payment that the provider does not know")
    returned = returned_minor(rig, placed)
    require(
        returned == 0,
        f"it gave back {returned} minor units of another payment",
        "name the payment to refund by its own ids (refund.order), and let the sandbox look it up",
    )


@check(read="refunds-and-closing")
def refund_totals_are_those_of_the_gateway(rig: Rig) -> None:
    """
    What a client says is refunded, and can be refunded, is so at the gateway; sync and async.

    A part is refunded where that can be, then all that is left; no more is asked for after that.
    """
    product = refunding(rig)[0]
    for kind in ("sync", "async"):
        client = rig.client(kind)
        payment = bought(rig, client, product)
        parts = (payment.amount.minor * 3 // 10, None) if product.refund == "partial" else (None,)
        for index, minor in enumerate(parts):
            payment = given_back(rig, client, payment, f"{payment.reference}-{index}", minor)
            returned = rig.controls.show_order(payment.order_number)["refunded_minor"]
            require(
                payment.refunded_minor == returned
                and payment.refundable_minor == payment.paid_minor - returned,
                f"{kind}: {payment.refunded_minor} minor units are recorded as refunded,"
                f" {payment.refundable_minor} as refundable, and {returned} of {payment.paid_minor} were returned",
                "report totals in minor units, and each refund under its own number",
            )
        require(
            payment.status is Status.PAID and payment.refundable_minor == 0,
            f"{kind}: {payment.refundable_minor} minor units can be refunded after all was; it is {payment.status}",
            "report what was refunded, and leave the payment paid",
        )


# --- inside ------------------------------------------------------------------------------------------------


def _told_of(made: PlacedRefund, what: str) -> None:
    """What is observed of a refund is about it."""
    seen = made.seen
    if seen is None:
        return
    require(
        seen.number == made.order.number,
        f"{what}: the refund {made.order.number} is told under the number {seen.number}",
        "observe a refund under refund.number",
    )
    require(
        seen.amount in (None, made.order.amount),
        f"{what}: a refund of {made.order.amount} is told as one of {seen.amount}",
        "report the refund's own amount, or none; not the order's",
    )


def _is_refused(made: PlacedRefund, what: str) -> None:
    outcome = made.outcome
    require(
        isinstance(outcome, Rejected) and not outcome.is_duplicate,
        f"{what} returned {said(outcome)}",
        "return Rejected(failure=...) for the provider's documented refusal: it is definite that nothing moves",
    )


def _is_not_told(rig: Rig, made: PlacedRefund) -> None:
    """A refund that was refused is not told as made."""
    if made.seen is None and rig.account.capabilities.lookup is not Lookup.BY_NUMBER:
        return
    seen = look_at(rig, made)
    require(
        seen is None or seen.status is RefundStatus.FAILED,
        f"a refund that was refused is {seen and seen.status} in a query",
        "find a refund by its own number, not by that of its payment",
    )
