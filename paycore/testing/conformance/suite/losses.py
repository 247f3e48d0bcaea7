"""Whatever is lost on the way, a payment is made once and paid once."""

from __future__ import annotations

from typing import Any

import msgspec

from paycore.domain.payment import Payment, Status
from paycore.domain.provider import Capabilities, Created, Done, Lookup, Product, Rejected
from paycore.testing.conformance.account_at_sandbox import TIMEOUT_S
from paycore.testing.conformance.caller import attempted
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.paid_once import require_paid_once, require_taken_once
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig

FINDING = "finding-an-order-again"
STALLED_S = 0.3
"""The deadline of a call whose reply does not come, in real seconds."""

WINDOW_MARGIN_S = 2.0
"""A second send comes so long before the declared window is over."""

REQUESTS_MAX = 8
"""More requests than a payment takes until it is paid."""

ANSWERED_S = 60.0
"""By then a request that was sent has arrived, or never will."""

SECOND_CREATE = (
    "send an idempotency key made of order.number with each create, or declare create_resend 'unsafe' where a second"
    " create makes a second order"
)

FOREVER_S = 30 * 24 * 3600.0
"""As long as that lasts what is declared without a window."""


@check(read=FINDING)
def lost_request_makes_one_order(rig: Rig) -> None:
    """
    A request of `create` that never arrives leaves no second order: the payment is made once, and paid once.

    Each request of the flow is lost once, through the sync and the async client.
    """
    _break_creations(rig, "lose_request")


@check(read=FINDING)
def lost_reply_makes_one_order(rig: Rig) -> None:
    """
    A reply to `create` that is lost leaves no second order that can be paid: the payment is paid once.

    Each reply of the flow is lost once, through the sync and the async client, of a product whose payer still pays,
    and of one that is charged at once.
    """
    _break_creations(rig, "lose_reply")


@check(read=FINDING)
def failed_reply_makes_one_order(rig: Rig) -> None:
    """HTTP 500 after the gateway made the order leaves no second order that can be paid: the payment is paid once."""
    _break_creations(rig, "http_500")


@check(read=FINDING)
def stalled_reply_makes_one_order(rig: Rig) -> None:
    """A reply to `create` that does not come in time leaves no second order: the payment is paid once."""
    _break_creations(rig, "stall", timeout_s=STALLED_S)


@check(read=FINDING)
def payment_outlives_one_fault(rig: Rig) -> None:
    """
    Whatever request after `create` meets a fault, the payment is paid once, by the next query that is answered.

    Each request in turn, through either client: the reply is lost, HTTP 500, half a document, HTTP 429.
    """
    product = rig.waiting_product()
    for fault in ("lose_reply", "http_500", "truncated_json", "http_429"):
        for place in range(REQUESTS_MAX):
            kind = ("sync", "async")[place % 2]
            client = rig.client(kind, ledger=f"{fault}-{place}.db")
            arguments = rig.arguments(product)
            with rig.proxy.breaking(fault, place):
                payment = attempted(client.create, **arguments)
                if payment is None or _is_broken(rig):
                    continue  # what other checks are about
                if payment.status is Status.PENDING:
                    rig.controls.pay(payment.order_number)
                attempted(client.query, payment.id)
            if not _is_broken(rig):
                break
            require_taken_once(rig, client, payment, f"{fault} in request {place + 1}")


@check(read=FINDING)
def resend_does_what_is_declared(rig: Rig) -> None:
    """
    A `create` that is sent again inside its window has the effect that `create_resend` declares.

    Sent again at once, and shortly before the window is over, by both clocks: `same_result` answers with the same
    order and what its payer needs, `refused_as_duplicate` with `Rejected(is_duplicate=True)`; there is one order at
    the gateway.
    """
    resend = rig.account.capabilities.create_resend
    if resend.effect == "unsafe":
        raise NotApplicable("a create is never sent again: create_resend is unsafe")
    product = rig.waiting_product()
    window_s = FOREVER_S if resend.window_s is None else resend.window_s
    for later_s in (0.0, max(0.0, window_s - WINDOW_MARGIN_S)):
        # Later it is a paid one: an unpaid one may have lapsed by then.
        placed = rig.paid(product) if later_s else rig.place(product)
        rig.advance(later_s)
        order = _with_new_attempt(rig, placed.order)
        outcome = rig.converse(lambda: rig.provider.create(order))  # noqa: B023 - called at once
        at = f"create sent again {later_s:.0f} s later"
        _require_effect(resend.effect, at, outcome, placed.seen.provider_id)
        orders = rig.controls.show_order(placed.order.number)["orders"]
        require(
            len(orders) == 1,
            f"{at}: there are {len(orders)} orders of one number at the gateway",
            "send the idempotency key of the order's number, or declare create_resend unsafe; a window that is"
            " declared is shorter than the gateway's",
        )


# --- inside ------------------------------------------------------------------------------------------


def _require_effect(effect: str, at: str, outcome: Any, provider_id: str | None) -> None:
    if effect == "refused_as_duplicate":
        require(
            isinstance(outcome, Rejected) and outcome.is_duplicate,
            f"{at}: {said(outcome)}, and create_resend declares that it is refused as a duplicate",
            "return Rejected(is_duplicate=True) for the code that the company has for a number in use",
        )
        return
    is_same = isinstance(outcome, Done) and isinstance(outcome.value, Created)
    require(
        is_same,
        f"{at}: {said(outcome)}, and create_resend declares the same result",
        "declare what the company does with a number in use; a window that is declared is shorter than its own",
    )
    seen = outcome.value.observation
    require(
        seen.provider_id in (None, provider_id),  # some have no id of an order before it is paid
        f"{at}: the order is {seen.provider_id}, and it was {provider_id}",
        "send the same idempotency key, taken from order.number, and nothing of order.attempt in the body",
    )


def _with_new_attempt(rig: Rig, order: Any) -> Any:
    rig.renew_session()
    return msgspec.structs.replace(order, attempt=rig.attempt())


def _break_creations(rig: Rig, fault: str, *, timeout_s: float = TIMEOUT_S) -> None:
    """Make payments, each with this fault in another request; each is made once, and paid once."""
    for kind in ("sync", "async"):
        for product in _products_to_break(rig):
            place, is_broken = 0, True
            while is_broken and place < 4:
                client = rig.client(kind, timeout_s=timeout_s, ledger=f"{kind}-{place}-{product.channel}.db")
                is_broken = _break_creation(rig, client, product, fault, place)
                place += 1


def _products_to_break(rig: Rig) -> list[Product]:
    first = rig.waiting_product()
    immediate = next((one for one in rig.products if not one.needs_action), None)
    return [first] if immediate in (None, first) else [first, immediate]


def _break_creation(rig: Rig, client: Any, product: Product, fault: str, place: int) -> bool:
    """Whether there was such a request."""
    arguments = rig.arguments(product)
    before = rig.controls.stats()["charges"]
    with rig.proxy.breaking(fault, place):
        attempted(client.create, **arguments)
    if not rig.proxy.is_broken:
        return False
    rig.advance(ANSWERED_S + (rig.account.capabilities.query_proves_absence_after_s or 0.0))
    at = f"{product.method}/{product.channel}: {fault} in request {place + 1} of create"
    if not _is_recovered(rig.account.capabilities, product, fault):
        _require_untouched(rig, client, arguments, at)
        return True
    payment = rig.settled(
        lambda: client.create(**arguments),
        lambda one: _is_made(one, product),
        f"{at}, and the payment is never made",
        "have query find the order by its number, or a second create do what create_resend declares; say that it is"
        " absent once query_proves_absence_after_s is over",
    )
    require_paid_once(rig, client, payment)
    orders = rig.controls.show_order(payment.order_number)["orders"]
    require(
        len(orders) == 1,
        f"{at}: {len(orders)} orders of one number can be paid at the gateway",
        f"{SECOND_CREATE}; say that an order is absent only once query_proves_absence_after_s is over",
    )
    charges = rig.controls.stats()["charges"] - before
    require(charges == 1, f"{at}: {charges} charges for one payment", SECOND_CREATE)
    return True


def _is_broken(rig: Rig) -> bool:
    """Whether the request that was to be broken has come by now."""
    return rig.proxy.is_broken


def _is_made(payment: Payment, product: Product) -> bool:
    if payment.uncertain or payment.status is Status.UNKNOWN:
        return False
    return payment.status is not Status.PENDING or payment.action is not None or not product.needs_action


def _is_recovered(declared: Capabilities, product: Product, fault: str) -> bool:
    """Whether what is declared lets the core find out what became of the order, and go on with it."""
    if declared.create_resend.effect == "same_result":
        return True
    if declared.lookup is not Lookup.BY_NUMBER:
        return False
    if fault == "lose_request":
        return declared.create_resend.effect != "unsafe" or declared.query_proves_absence_after_s is not None
    return product.close or not product.needs_action


def _require_untouched(rig: Rig, client: Any, arguments: dict[str, Any], at: str) -> None:
    """The payment can't be told by itself: it is not made a second time, and it has not failed."""
    payment = None
    for rest_s in (0.0, 10.0, 100.0):
        rig.advance(rest_s)
        payment = attempted(client.create, **arguments) or payment
    require(
        payment is None or payment.status is not Status.FAILED,
        f"{at}: the payment has failed, and its order may be there",
        "return Unknown, and not Rejected, for a create whose answer does not say what became of the order",
    )
