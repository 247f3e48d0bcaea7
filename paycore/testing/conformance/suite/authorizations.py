"""What a payer agreed to is captured or released: once, and never both."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from paycore.domain.money import Money
from paycore.domain.payment import Payment, Status
from paycore.domain.provider import Done, Product
from paycore.testing.conformance.caller import RESTED_S, attempted, begun, losses
from paycore.testing.conformance.check import Failed, check, require
from paycore.testing.conformance.moves import (
    authorized,
    capture,
    captured,
    capturing,
    close,
    control,
    require_paid,
    returned_minor,
    taken_minor,
)
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig

AN_HOUR_S = 3600.0


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
    captured(rig, placed, placed.order.amount.minor)
    outcome = close(rig, before)
    kept = taken_minor(rig, placed) - returned_minor(rig, placed)
    is_closed = isinstance(outcome, Done) and outcome.value.status in (Status.CLOSED, Status.FAILED)
    require(
        not is_closed or kept == 0,
        f"an order was captured, then voided: close returned {said(outcome)}, and {kept} minor units are kept",
        "return Done with the order's present state, or Rejected, for the refusal to void what is captured",
    )
    if kept:
        require_paid(rig, placed, "a void that came too late")


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
        attempted(client.capture, payment.id, amount=amount)
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
            attempted(client.capture, payment.id)
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
            "return Rejected(failure=Failure(..., who_acts='payer')) from capture where the instrument is declined",
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
        attempted(client.capture, payment.id)
        _took(rig, client.get(payment.id), 0, f"{kind}: after the authorization lapsed")


# --- inside ------------------------------------------------------------------------------------------------


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
    attempted(client.capture, payment.id)
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
