"""Captures take what was asked, once; what is voided is not captured."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from paycore.domain.money import Money
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Payment, Status
from paycore.domain.provider import Done, Product, Rejected
from paycore.engine.orders import new_id
from paycore.testing.conformance.caller import RESTED_S, attempted, begun, losses
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.moves import (
    accepted,
    authorized,
    capture,
    capturing,
    close,
    control,
    ended,
    part_of,
    pass_time,
    refund,
    require_repeat,
    returned_minor,
    taken_minor,
)
from paycore.testing.conformance.rig import PlacedOrder, Rig, said
from paycore.testing.conformance.tried_currencies import amount_in, kinds_of_currency, part_in

AN_HOUR_S = 3600.0


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
        _captured(rig, placed, whole)
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
        replied = _captured(rig, placed, part)
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
        _captured(rig, placed, minor)
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
        _captured(rig, placed, minor)
        outcome = capture(rig, placed, minor)
        taken = taken_minor(rig, placed)
        require(
            taken == minor,
            f"{minor} minor units were captured, then so many again: {taken} were taken",
            "tell the gateway that a capture is the last one; have the sandbox refuse a further one as the provider"
            " does",
        )
        _is_no_refusal_of_the_payer(outcome, "a second capture of an order")
        _is_still_paid(rig, placed, "a second capture")


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
    _captured(rig, placed, minor, number)
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


@check(read="capture")
def voided_order_takes_no_money(rig: Rig) -> None:
    """
    An authorized order that is voided by `close` is closed, and a capture of it takes nothing.

    Once for every product that captures and can be closed.
    """
    for product in _voidable(rig):
        placed = authorized(rig, product)
        outcome = close(rig, placed)
        _is_void(rig, placed, outcome)
        late = capture(rig, placed, placed.order.amount.minor)
        taken = taken_minor(rig, placed)
        require(
            taken == 0 and not (isinstance(late, Done) and late.value.status is Status.PAID),
            f"an order was voided, then captured: {taken} minor units were taken, and capture returned {said(late)}",
            "return Rejected for the refusal to capture what was voided; void at the gateway, not in the plugin",
        )
        _is_void(rig, placed, outcome)


@check(read="capture")
def captured_order_is_not_closed(rig: Rig) -> None:
    """
    A void that comes after the capture closes nothing: the order is paid, and is told so.

    Closed promises that no money was taken.
    """
    product = _voidable(rig)[0]
    placed = authorized(rig, product)
    before = msgspec.structs.replace(placed)  # as it was known before the capture
    _captured(rig, placed, placed.order.amount.minor)
    outcome = close(rig, before)
    kept = taken_minor(rig, placed) - returned_minor(rig, placed)
    is_closed = isinstance(outcome, Done) and outcome.value.status in (Status.CLOSED, Status.FAILED)
    require(
        not is_closed or kept == 0,
        f"an order was captured, then voided: close returned {said(outcome)}, and {kept} minor units are kept",
        "return Done with the order's present state, or Rejected, for the refusal to void what is captured",
    )
    if kept:
        _is_still_paid(rig, placed, "a void that came too late")


@check(read="capture")
def automatic_capture_needs_no_caller(rig: Rig) -> None:
    """
    An order made without further words is paid once its payer has agreed: captured by the core, or by the provider.

    Made and queried through the sync and the async client, once for every product that captures.
    """
    for kind in ("sync", "async"):
        client = rig.client(kind)
        for product in capturing(rig):
            payment = begun(rig, client, product)
            payment = _settled_paid(rig, partial(client.query, payment.id), "the payer has agreed")
            _took(rig, payment, payment.amount.minor, f"{kind}: {product.method}/{product.channel}")


@check(read="capture")
def manual_capture_waits_for_its_caller(rig: Rig) -> None:
    """
    An order made with `capture="manual"` is authorized until its caller captures it, and then takes what was asked.

    Through the sync and the async client; in part where that can be.
    """
    product = capturing(rig)[0]
    for kind in ("sync", "async"):
        client = rig.client(kind)
        payment = _client_authorized(rig, client, product)
        for rest_s in (60.0, AN_HOUR_S):
            rig.advance(rest_s)
            payment = client.query(payment.id)
            _took(rig, payment, 0, f"{kind}: before the capture")
        minor = payment.amount.minor * 3 // 10 if product.capture == "partial" else payment.amount.minor
        amount = Money.from_minor(minor, payment.amount.currency)
        attempted(partial(client.capture, payment.id, amount=amount))
        payment = _settled_paid(rig, partial(client.query, payment.id), "a capture was asked for")
        _took(rig, payment, minor, f"{kind}: {product.method}/{product.channel}")


@check(read="capture")
def capture_is_made_once_whatever_is_lost(rig: Rig) -> None:
    """
    A capture whose request or reply is lost, or answered by HTTP 500 or 502, takes its money once.

    Each request of the flow is met by each of these, through the sync and the async client in turn; the payment is
    paid in the end, by asking again. Where captures are unsafe to send again, and no query proves that one never
    arrived, one that is lost stays for a person.
    """
    product = capturing(rig)[0]
    tried = authorized(rig, product)
    clients = [rig.client("sync"), rig.client("async")]
    for index, loss in enumerate(
        losses(rig, "capture", lambda: capture(rig, tried, tried.order.amount.minor))
    ):
        client = clients[index % 2]
        payment = _client_authorized(rig, client, product)
        with loss.met(rig):
            attempted(partial(client.capture, payment.id))
        _is_not_given_up(client.get(payment.id), loss.words)
        rig.advance(RESTED_S)
        call = partial(_captured_again, client, payment)
        try:
            payment = _settled_paid(rig, call, loss.words)
        except Failed:
            if _can_be_sent_again(rig):
                raise
            payment = client.get(payment.id)
        is_left = payment.uncertain and not _can_be_sent_again(rig)
        _took(rig, payment, 0 if is_left else payment.amount.minor, loss.words)


@check(read="capture")
def declined_capture_waits_for_the_payer(rig: Rig) -> None:
    """
    A payer whose instrument is declined at the capture can agree again, and is then charged.

    The refusal is the payer's (`who_acts="payer"`), the order is pending, and the second agreement has a later time.
    """
    product = capturing(rig)[0]
    decline_capture = control(rig, "decline_capture")
    for kind in ("sync", "async"):
        client = rig.client(kind)
        payment = client.create(**rig.arguments(product))
        decline_capture(payment.order_number)
        payment = rig.settled(
            partial(client.query, payment.id),
            lambda payment: payment.capture_failure is not None or payment.status.is_final,
            "the gateway declines the capture, and nothing is told of it",
        )
        require(
            payment.status is Status.PENDING,
            f"{kind}: the payer's instrument was declined at the capture, and the payment is {payment.status}",
            "return Rejected(failure=Failure(..., who_acts='payer')) from capture, and Status.PENDING from query",
        )
        rig.advance(60.0)
        rig.controls.pay(payment.order_number)
        payment = _settled_paid(
            rig,
            partial(client.query, payment.id),
            f"{kind}: the payer has agreed again after a declined capture (tell when, by occurred_at)",
        )
        _took(rig, payment, payment.amount.minor, kind)


@check(read="capture")
def lapsed_authorization_takes_no_money(rig: Rig) -> None:
    """
    An authorization whose time is up is told as closed or failed, and nothing is taken of it any more.

    Through the sync and the async client.
    """
    product = capturing(rig)[0]
    for kind in ("sync", "async"):
        client = rig.client(kind)
        payment = _client_authorized(rig, client, product)
        control(rig, "expire")(payment.order_number)
        payment = rig.settled(
            partial(client.query, payment.id),
            lambda payment: payment.status.is_final and not payment.uncertain,
            f"{kind}: an authorization has lapsed, and nothing is told of it",
            "return Status.CLOSED for the provider's word for an authorization that lapsed",
        )
        attempted(partial(client.capture, payment.id))
        _took(rig, client.get(payment.id), 0, f"{kind}: after the authorization lapsed")


@check(read="refunds-and-closing")
def partly_captured_order_gives_back_what_it_took(rig: Rig) -> None:
    """Of an order that was captured in part, that part can be refunded, and no more."""
    product = rig.product(
        lambda one: one.capture == "partial" and one.refund != "none", "captures in part and can be refunded"
    )
    placed = authorized(rig, product)
    part = part_of(placed)
    _captured(rig, placed, part)
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


def _captured(rig: Rig, placed: PlacedOrder, minor: int, number: str | None = None) -> PaymentObservation:
    """Capture so much and look: what the reply said; `Failed` where the order is not paid then."""
    outcome = capture(rig, placed, minor, number)
    require(
        isinstance(outcome, Done) and isinstance(outcome.value, PaymentObservation),
        f"capture of {minor} minor units of an authorized order returned {said(outcome)}",
        "return Done with the order's observation once the money is taken",
    )
    seen = rig.look(placed)
    require(
        seen.status is Status.PAID,
        f"a captured order is {seen.status}",
        "map the provider's word for a captured order to Status.PAID",
    )
    replied: PaymentObservation = outcome.value
    return replied


def _voidable(rig: Rig) -> tuple[Product, ...]:
    rig.product(lambda one: one.capture != "none" and one.close, "captures and can be closed")
    return tuple(one for one in rig.products if one.capture != "none" and one.close)


def _is_void(rig: Rig, placed: PlacedOrder, outcome: Any) -> None:
    require(
        isinstance(outcome, Done) and outcome.value.status in (Status.CLOSED, Status.AUTHORIZED),
        f"close of an authorized order returned {said(outcome)}",
        "return Done with the order's state after the void: Status.CLOSED",
    )
    seen, taken = rig.look(placed), taken_minor(rig, placed)
    require(
        seen.status is Status.CLOSED and taken == 0,
        f"a voided order is {seen.status} in a query, and {taken} minor units were taken",
        "map the provider's word for a voided order to Status.CLOSED, and void it at the gateway",
    )


def _is_still_paid(rig: Rig, placed: PlacedOrder, after: str) -> None:
    seen = rig.look(placed)
    require(
        seen.status is Status.PAID,
        f"a captured order is {seen.status} after {after}",
        "have query tell what became of the order, not of the last request",
    )


def _is_no_refusal_of_the_payer(outcome: Any, what: str) -> None:
    is_refused = isinstance(outcome, Rejected) and not outcome.is_duplicate
    require(
        not is_refused or outcome.failure.who_acts != "payer",
        f"{what} returned {said(outcome)}, for the payer to act",
        "return Unknown, or the order as it is, or Rejected with who_acts='caller': the payer has paid",
    )


def _client_authorized(rig: Rig, client: Any, product: Product) -> Payment:
    payment = begun(rig, client, product, capture="manual")
    return rig.settled(
        partial(client.query, payment.id),
        lambda payment: payment.status is Status.AUTHORIZED and not payment.uncertain,
        "the payer has agreed to an order that its caller captures, and it is not authorized",
        "report Status.AUTHORIZED for an order whose payer agreed and whose money was not taken",
    )


def _is_not_given_up(payment: Payment, where: str) -> None:
    require(
        payment.status not in (Status.FAILED, Status.CLOSED, Status.PENDING),
        f"{where}: the payment is {payment.status}, and its money may be taken",
        "return Unknown for every answer to a capture that does not say what became of it",
    )


def _can_be_sent_again(rig: Rig) -> bool:
    """Whether the declaration has a capture that never arrived sent again."""
    capabilities = rig.account.capabilities
    is_safe = capabilities.capture_resend.effect != "unsafe"
    return is_safe or capabilities.query_proves_absence_after_s is not None


def _captured_again(client: Any, payment: Payment) -> Payment:
    attempted(partial(client.capture, payment.id))
    queried: Payment = client.query(payment.id)
    return queried


def _settled_paid(rig: Rig, call: Any, what: str) -> Payment:
    return rig.settled(
        call,
        lambda payment: payment.status is Status.PAID and not payment.uncertain,
        f"{what}, and the payment is not paid",
        "report Status.AUTHORIZED once the payer agreed and Status.PAID once the money is taken, from query too; and"
        " tell what was taken in paid_minor",
    )


def _took(rig: Rig, payment: Payment, minor: int, where: str) -> None:
    """What is recorded of a payment is what the gateway took, and that is so much."""
    shown = rig.controls.show_order(payment.order_number)
    require(
        payment.paid_minor == shown["paid_minor"] == minor and shown["charges"] == (1 if minor else 0),
        f"{where}: {payment.paid_minor} minor units are recorded as paid, {shown['paid_minor']} were taken in"
        f" {shown['charges']} charges, and {minor} were to be",
        "key a capture by capture.number, take capture.amount, and tell what was taken in paid_minor",
    )
