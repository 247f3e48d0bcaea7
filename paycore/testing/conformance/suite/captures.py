"""Captures take what was asked, once; what is voided is not captured."""

from __future__ import annotations

from typing import Any

from paycore.domain.money import Money
from paycore.domain.payment import Status
from paycore.domain.provider import Done, Rejected
from paycore.engine.orders import new_id
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.moves import (
    accepted,
    authorized,
    capture,
    captured,
    capturing,
    ended,
    part_of,
    pass_time,
    refund,
    require_paid,
    require_repeat,
    returned_minor,
    taken_minor,
)
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.tried_currencies import amount_in, kinds_of_currency, part_in


@check(read="capture")
def agreed_order_is_authorized_and_not_paid(rig: Rig) -> None:
    """
    An order whose payer has agreed is authorized, and nothing is taken until it is captured.

    Once for every product that captures, made with `capture="manual"` and looked at twice.
    """
    for product in capturing(rig):
        placed = authorized(rig, product)
        rig.advance(60.0)
        seen = rig.look(placed)
        taken = taken_minor(rig, placed)
        require(
            taken == 0 and seen.status is Status.AUTHORIZED,
            f"{product.method}/{product.channel}: nothing was captured, and {taken} minor units were taken, told as"
            f" {seen.status}",
            "let query only look; tell the gateway to wait for a capture where order.capture is 'manual'",
        )
        require(
            seen.amount in (None, placed.order.amount) and not seen.paid_minor,
            f"an order of {placed.order.amount} is authorized for {seen.amount}, paid_minor is {seen.paid_minor}",
            "report the order's amount, and paid_minor only once money is taken",
        )


@check(read="capture")
def capture_takes_what_was_agreed(rig: Rig) -> None:
    """
    A capture of the whole amount takes exactly that, once, and the order is paid.

    Once for every product that captures.
    """
    for product in capturing(rig):
        placed = authorized(rig, product)
        whole = placed.order.amount.minor
        captured(rig, placed, whole)
        shown = rig.controls.show_order(placed.order.number)
        require(
            shown["paid_minor"] == whole and shown["charges"] == 1,
            f"{product.method}/{product.channel}: of {whole} minor units {shown['paid_minor']} were taken, in"
            f" {shown['charges']} charges",
            "capture capture.amount, in the provider's units",
        )
        require(
            placed.seen.paid_minor in (None, whole),
            f"{whole} minor units were taken, and paid_minor says {placed.seen.paid_minor}",
            "report the total that was taken, in minor units, or leave it out where it is the order's amount",
        )


@check(read="capture")
def capture_in_part_takes_that_part(rig: Rig) -> None:
    """
    A capture in part takes that part, and the reply and every later answer tell how much that was.

    Without `paid_minor` the whole amount would count as taken, and could be refunded.
    """
    for product in capturing(rig, in_part=True):
        placed = authorized(rig, product)
        part = part_of(placed)
        replied = captured(rig, placed, part)
        taken = taken_minor(rig, placed)
        require(
            taken == part,
            f"{product.method}/{product.channel}: {part} minor units of {placed.order.amount.minor} were to be"
            f" captured, and {taken} were",
            "send capture.amount, and that it is the only capture",
        )
        told = [replied.paid_minor] if replied.status is Status.PAID else []
        require(
            {*told, placed.seen.paid_minor} == {part},
            f"{part} minor units were captured of {placed.order.amount.minor}, and paid_minor says"
            f" {', then '.join(map(str, [*told, placed.seen.paid_minor]))}",
            "report what was taken in paid_minor, in the reply to the capture and in each query",
        )


@check(read="capture")
def capture_is_exact_in_every_kind_of_currency(rig: Rig) -> None:
    """
    A capture is exact in currencies without decimals, with two and with three, and in those with rules of their own.

    One currency of each number of decimals and pair of bounds is tried; in part where that can be.
    """
    for product, currency in kinds_of_currency(capturing(rig)):
        amount, unit = amount_in(rig, product, currency)
        placed = authorized(rig, product, amount=amount)
        minor = part_in(amount, unit) if product.capture == "partial" else amount.minor
        captured(rig, placed, minor)
        taken, told = taken_minor(rig, placed), placed.seen.paid_minor
        require(
            taken == minor and (told == minor or (told is None and minor == amount.minor)),
            f"{currency}: {Money.from_minor(minor, currency)} of {amount} was to be captured,"
            f" {Money.from_minor(taken, currency)} was, and paid_minor is {told}",
            "write and read a capture's amounts as create writes an order's: by the same table of units",
        )


@check(read="capture")
def captured_order_is_not_captured_again(rig: Rig) -> None:
    """
    A second capture of an order takes nothing more, and is not taken for a refusal of the payer.

    It is the only capture of its order: what it leaves is released.
    """
    for product in capturing(rig):
        placed = authorized(rig, product)
        minor = part_of(placed) if product.capture == "partial" else placed.order.amount.minor
        captured(rig, placed, minor)
        outcome = capture(rig, placed, minor)
        taken = taken_minor(rig, placed)
        require(
            taken == minor,
            f"{minor} minor units were captured, then so many again: {taken} were taken",
            "tell the gateway that a capture is the last one; have the sandbox refuse a further one as the provider"
            " does",
        )
        _is_no_refusal_of_the_payer(outcome, "a second capture of an order")
        require_paid(rig, placed, "a second capture")


@check(read="finding-an-order-again")
def repeated_capture_takes_its_money_once(rig: Rig) -> None:
    """
    A capture that is sent again with the same number takes its money once, as `capture_resend` declares.

    At once, and where a window is declared, just before its end.
    """
    product = capturing(rig)[0]
    resend = rig.account.capabilities.capture_resend
    if resend.effect == "unsafe":
        raise NotApplicable("captures are declared unsafe to send again, so the core looks before it does")
    placed, number = authorized(rig, product), new_id()
    minor = part_of(placed) if product.capture == "partial" else placed.order.amount.minor
    captured(rig, placed, minor, number)
    for rest_s in (0.0, *([max(resend.window_s - 60.0, 0.0)] if resend.window_s else [])):
        pass_time(rig, rest_s)
        again = capture(rig, placed, minor, number)
        taken = taken_minor(rig, placed)
        require(
            taken == minor,
            f"a capture of {minor} minor units was sent twice, and {taken} were taken",
            "key a capture by capture.number, the same at each send; or leave capture_resend at its default, unsafe",
        )
        require_repeat(
            again,
            resend.effect,
            f"a capture sent again after {rest_s:.0f} s",
            lambda value: value.status is Status.PAID,
        )


@check(read="capture")
def capture_over_the_amount_is_told_as_it_is(rig: Rig) -> None:
    """
    A capture of more than the payer agreed to takes nothing, or says what it took.

    The core asks for none; but less may be left at the provider than it knows, and the refusal has to be read.
    """
    product = capturing(rig)[0]
    placed = authorized(rig, product)
    outcome = capture(rig, placed, placed.order.amount.minor + 1)
    taken = taken_minor(rig, placed)
    said_taken = 0
    if isinstance(outcome, Done) and outcome.value.status is Status.PAID:
        paid_minor = outcome.value.paid_minor
        said_taken = placed.order.amount.minor if paid_minor is None else paid_minor
    require(
        said_taken == taken,
        f"a capture of one minor unit too much returned {said(outcome)}: {said_taken} taken, and {taken} were",
        "read the reply to a capture: Rejected for a documented refusal, and the amounts as they are told",
    )


@check(read="refunds-and-closing")
def partly_captured_order_gives_back_what_it_took(rig: Rig) -> None:
    """Of an order that was captured in part, that part can be refunded, and no more."""
    product = rig.product(
        lambda one: one.capture == "partial" and one.refund != "none", "captures in part and can be refunded"
    )
    placed = authorized(rig, product)
    part = part_of(placed)
    captured(rig, placed, part)
    over = refund(rig, placed, part + 1)
    returned = returned_minor(rig, placed)
    require(
        returned == 0 and not isinstance(over.outcome, Done),
        f"{part} minor units were captured, a refund of one more returned {said(over.outcome)}:"
        f" {returned} were returned",
        "let the sandbox refuse to return more than was captured, and return Rejected for it",
    )
    ended(rig, accepted(rig, placed, part))
    returned = returned_minor(rig, placed)
    require(
        returned == part,
        f"{part} minor units were captured and to be returned, and {returned} were returned",
        "refund the capture, by its own id (refund.order.ids)",
    )


# --- inside ------------------------------------------------------------------------------------------------


def _is_no_refusal_of_the_payer(outcome: Any, what: str) -> None:
    is_refused = isinstance(outcome, Rejected) and not outcome.is_duplicate
    require(
        not is_refused or outcome.failure.who_acts != "payer",
        f"{what} returned {said(outcome)}, for the payer to act",
        "return Unknown, or the order as it is, or Rejected with who_acts='caller': the payer has paid",
    )
