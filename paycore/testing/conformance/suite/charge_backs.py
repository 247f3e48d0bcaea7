"""What is taken back after it was paid is told."""

from __future__ import annotations

from functools import partial

from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Payment, ReviewReason, Status
from paycore.testing.conformance.caller import bought
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.moves import (
    accepted,
    control,
    ended,
    names_of,
    part_of,
    pass_time,
    refunding,
    require_noticed,
    told_so_far,
)
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.tried_currencies import amount_in, kinds_of_currency

A_DAY_S = 86_400.0
"""Disputes are told late."""

TOTALS = (
    "report totals in minor units: charged_back_minor is all that was ever taken back, charge_back_won_minor what of it"
    " came back"
)


@check(read="after-paid")
def charge_back_is_told_by_its_total(rig: Rig) -> None:
    """
    What the payer's bank takes back of a paid order is told by `charged_back_minor`, and the order stays paid.

    It is no refund, and neither failed nor closed: those promise that no money was ever taken.
    """
    charge_back = control(rig, "charge_back")
    placed = rig.paid(rig.products[0])
    charge_back(placed.order.number, None)
    seen = _looked_at(rig, placed)
    require(
        seen.status is Status.PAID,
        f"an order that was paid and charged back is {seen.status}",
        "keep Status.PAID, and tell charged_back_minor",
    )
    _adds_up(seen, placed.order.amount.minor, 0, "all was charged back")


@check(read="after-paid")
def charge_back_is_exact_in_every_kind_of_currency(rig: Rig) -> None:
    """
    A charge back is exact in currencies without decimals, with two, with three, and in those with rules of their own.

    One currency of each number of decimals and pair of bounds is tried.
    """
    charge_back = control(rig, "charge_back")
    for product, currency in kinds_of_currency(rig.products):
        amount, _ = amount_in(rig, product, currency)
        placed = rig.paid(product, amount=amount)
        charge_back(placed.order.number, None)
        _adds_up(_looked_at(rig, placed), amount.minor, 0, f"{amount} were charged back")


@check(read="after-paid")
def charge_backs_in_part_add_up(rig: Rig) -> None:
    """Two charge backs of an order, each in part, are told by their total."""
    charge_back = control(rig, "charge_back")
    placed = rig.paid(rig.products[0])
    part = part_of(placed)
    for count in (1, 2):
        charge_back(placed.order.number, part)
        seen = _looked_at(rig, placed)
        _adds_up(
            seen, count * part, 0, f"{part} minor units were charged back {('once', 'twice')[count - 1]}"
        )


@check(read="after-paid")
def charge_back_that_is_won_is_told_beside_it(rig: Rig) -> None:
    """
    What comes back to the merchant is told by `charge_back_won_minor`; the charge back stays as it was.

    All of it comes back for one order, and a part for another, where that can be.
    """
    charge_back, win = control(rig, "charge_back"), control(rig, "win_charge_back")
    for is_whole in (True, False):
        placed = rig.paid(rig.products[0])
        whole, part = placed.order.amount.minor, part_of(placed)
        charge_back(placed.order.number, None)
        _adds_up(_looked_at(rig, placed), whole, 0, "all was charged back")
        try:
            win(placed.order.number, None if is_whole else part)
        except NotApplicable:
            if is_whole:
                raise
            return  # a dispute is won whole or not at all
        won = whole if is_whole else part
        _adds_up(
            _looked_at(rig, placed), whole, won, f"all was charged back, and {won} minor units came back"
        )


@check(read="after-paid")
def charge_back_and_refund_are_counted_apart(rig: Rig) -> None:
    """A refund and a charge back of one order are two totals, and neither is counted in the other."""
    charge_back = control(rig, "charge_back")
    placed = rig.paid(refunding(rig, in_part=True)[0])
    part = part_of(placed)
    ended(rig, accepted(rig, placed, part))
    charge_back(placed.order.number, part + 1)
    seen = _looked_at(rig, placed)
    require(
        seen.refunded_minor in (None, part),
        f"{part} minor units were refunded and {part + 1} charged back, and refunded_minor is {seen.refunded_minor}",
        "count in refunded_minor what the merchant returned, and nothing else",
    )
    _adds_up(seen, part + 1, 0, f"{part} minor units were refunded, then {part + 1} charged back")


@check(read="after-paid")
def charge_back_brings_a_payment_under_review(rig: Rig) -> None:
    """
    A charge back comes to a person, and what was taken back can't be refunded; through the sync and the async client.

    Once it is won, it can be: where the sandbox can win one.
    """
    charge_back = control(rig, "charge_back")
    product = rig.products[0]
    for kind in ("sync", "async"):
        client = rig.client(kind)
        payment = bought(rig, client, product)
        whole = payment.paid_minor
        charge_back(payment.order_number, None)
        payment = rig.settled(
            partial(client.query, payment.id),
            lambda payment: ReviewReason.CHARGED_BACK in payment.review_reasons,
            f"{kind}: a paid payment was charged back, and is not under review",
            TOTALS,
        )
        require(
            payment.status is Status.PAID and payment.refundable_minor == 0,
            f"{kind}: all of {whole} minor units was charged back: the payment is {payment.status}, and"
            f" {payment.refundable_minor} can be refunded",
            TOTALS,
        )
        if not _is_won(rig, payment):
            continue
        rig.settled(
            partial(client.query, payment.id),
            lambda payment: payment.refundable_minor == whole,  # noqa: B023 - called within the loop
            f"{kind}: the charge back was won, and its money can't be refunded",
            TOTALS,
        )


@check(read="after-paid")
def charge_back_is_noticed(rig: Rig) -> None:
    """
    A notification of a charge back is about the order that was charged back.

    Nobody asks about a payment again that is paid.
    """
    charge_back = control(rig, "charge_back")
    placed = rig.paid(rig.products[0])
    before = told_so_far(rig)
    charge_back(placed.order.number, None)
    require_noticed(rig, before, names_of(placed), "a charge back")


# --- inside ------------------------------------------------------------------------------------------------


def _is_won(rig: Rig, payment: Payment) -> bool:
    """Win the charge back of a payment; whether the sandbox can."""
    try:
        control(rig, "win_charge_back")(payment.order_number, None)
    except NotApplicable:
        return False
    return True


def _looked_at(rig: Rig, placed: PlacedOrder) -> PaymentObservation:
    pass_time(rig, A_DAY_S)
    return rig.look(placed)


def _adds_up(seen: PaymentObservation, charged_back: int, won: int, what: str) -> None:
    told = (seen.charged_back_minor or 0, seen.charge_back_won_minor or 0)
    require(
        told == (charged_back, won),
        f"{what}: charged_back_minor is {seen.charged_back_minor}, charge_back_won_minor {seen.charge_back_won_minor}",
        TOTALS,
    )
    require(
        seen.status is Status.PAID,
        f"{what}: the order is {seen.status}",
        "keep Status.PAID, and tell charged_back_minor",
    )
