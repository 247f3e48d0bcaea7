"""What follows a payment, by the provider's own flows: refunds, captures and closes, sent later where put off."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from paycore.domain.money import Money
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import RefundStatus, Status
from paycore.domain.provider import (
    Attempt,
    CaptureOrder,
    Done,
    Found,
    NotNow,
    OrderRef,
    Product,
    RefundOrder,
    Rejected,
)
from paycore.domain.wire import Flow, Notification
from paycore.engine.orders import new_id
from paycore.errors import MalformedNotification, NotAuthentic
from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.testing.conformance.check import Failed, NotApplicable, require
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import NOTIFIED_S, Rig

PUT_OFF_S = (0.0, 1.0, 5.0, 15.0, 60.0)
"""How far the clocks are set ahead before a flow is run again that was put off."""

ENDS_WITHIN_S = (0.0, 1.0, 5.0, 60.0, 3600.0, 86_400.0, 6 * 86_400.0, 21 * 86_400.0)
"""How far the clocks are set ahead between two looks at a refund that is pending."""


QUIET_S = 0.3
"""No notification for so long, in real time: all that were under way have come."""


class PlacedRefund(msgspec.Struct, kw_only=True):
    """A refund that was asked for by the provider's own flow; `seen` is what was observed of it last."""

    placed: PlacedOrder
    order: RefundOrder
    outcome: Any
    seen: RefundObservation | None

    @property
    def minor(self) -> int:
        """What is returned, in minor units."""
        return self.order.amount.minor


# --- refunds -----------------------------------------------------------------------------------------------


def refunding(rig: Rig, *, in_part: bool = False) -> tuple[Product, ...]:
    """The products that can be refunded, in part if that is wanted; `NotApplicable` without any."""
    kinds = ("partial",) if in_part else ("partial", "full")
    rig.product(lambda one: one.refund in kinds, f"can be refunded{' in part' if in_part else ''}")
    return tuple(one for one in rig.products if one.refund in kinds)


def part_of(placed: PlacedOrder) -> int:
    """Something less than the order's amount, in minor units; `NotApplicable` where there is nothing less."""
    if placed.order.amount.minor < 3:  # two parts, and a rest
        raise NotApplicable(f"an order of {placed.order.amount} has no parts")
    return placed.order.amount.minor * 3 // 10 or 1


def part_or_whole(placed: PlacedOrder) -> int:
    """A part of the order where it can be refunded in part, else all of it."""
    return part_of(placed) if placed.product.refund == "partial" else placed.order.amount.minor


def refund(rig: Rig, placed: PlacedOrder, minor: int, number: str | None = None) -> PlacedRefund:
    """Ask for a refund of so much, whatever is said to it."""
    order = rig.refund_order(placed, minor, number)
    outcome = patiently(rig, lambda attempt: rig.provider.refund(at(attempt, order)))
    seen = outcome.value if isinstance(outcome, Done) else getattr(outcome, "observation", None)
    return PlacedRefund(
        placed=placed,
        order=order,
        outcome=outcome,
        seen=seen if isinstance(seen, RefundObservation) else None,
    )


def accepted(rig: Rig, placed: PlacedOrder, minor: int) -> PlacedRefund:
    """A refund of so much that was accepted; `Failed` where it was not."""
    made = refund(rig, placed, minor)
    require(
        isinstance(made.outcome, Done) and made.seen is not None,
        f"refund of {made.order.amount} of {placed.order.amount} returned {said(made.outcome)}",
        "return Done(RefundObservation(...)) for a refund that was accepted, pending or made",
    )
    return made


def look_at(rig: Rig, made: PlacedRefund, *, is_told: bool = True) -> RefundObservation | None:
    """Query a refund, and read what was notified of it if `is_told`; None where neither tells of it."""
    outcome = patiently(rig, lambda attempt: rig.provider.query([refund_ref(rig, made, attempt)]))
    found = outcome.value if isinstance(outcome, Done) else None
    told = [*(found.observations if isinstance(found, Found) else ()), *(notified(rig) if is_told else ())]
    mine = [one for one in told if isinstance(one, RefundObservation) and one.number == made.order.number]
    if mine:
        made.seen = mine[0]
    return mine[0] if mine else None


def refund_ref(rig: Rig, made: PlacedRefund, attempt: Attempt) -> OrderRef:
    """The refund as `query` is given it, by what was seen of it."""
    ref = rig.refund_ref(made.order, made.seen)
    payment = made.placed.ref(attempt)
    return msgspec.structs.replace(ref, attempt=attempt, payment=payment)


def ended(rig: Rig, made: PlacedRefund) -> RefundObservation:
    """The refund once it is no longer pending; `Failed` where it stays so, or is not found."""
    for rest_s in ENDS_WITHIN_S:
        pass_time(rig, rest_s)
        seen = look_at(rig, made)
        if seen is not None and seen.status is not RefundStatus.PENDING:
            return seen
    raise Failed(
        f"a refund that was accepted is {'not found' if made.seen is None else made.seen.status}"
        f" after {sum(ENDS_WITHIN_S) / 86_400:.0f} days",
        "have query find a refund (kind='refund') under its number, and map the word for one that is made to"
        " RefundStatus.SUCCEEDED",
    )


def returned_minor(rig: Rig, placed: PlacedOrder) -> int:
    """What the gateway has returned of an order, in minor units."""
    minor: int = rig.controls.show_order(placed.order.number)["refunded_minor"]
    return minor


def notified(rig: Rig, *, after: int = 0) -> list[Any]:
    """What the notifications that have arrived say, newest first, without the first `after` and any that is refused."""
    told: list[Any] = []
    info = rig.provider.info
    for one in rig.receiver.first(0, 0)[after:]:
        received = Notification(
            body=one.body,
            headers=one.headers,
            query=one.query,
            received_at=rig.now(),
            session=rig.attempt().session,
        ).only(info.notification_headers, query=info.notification_query)
        try:
            told += rig.provider.verify(received)
        except (NotAuthentic, MalformedNotification, AttributeError):
            continue
    return told[::-1]


def told_so_far(rig: Rig) -> int:
    """How many notifications have arrived, once no more come."""
    count = -1
    while count < (arrived := len(rig.receiver.first(count + 1, QUIET_S))):
        count = arrived
    return count


def require_noticed(rig: Rig, after: int, names: Collection[str | None], what: str) -> None:
    """A notification that came since there were `after` is about one with these names; `what` says what happened."""
    if len(rig.receiver.first(after + 1, NOTIFIED_S)) <= after:
        raise NotApplicable(f"the sandbox sends no notification of {what}")
    told = notified(rig, after=after)
    named = {name for one in told for name in (one.number, getattr(one, "id", None)) if name}
    require(
        bool(named & set(names)),
        f"{what} was notified, and verify made of it {', '.join(type(one).__name__ for one in told) or 'nothing'}"
        f"{' of ' + ', '.join(sorted(named)) if named else ''}",
        "return what the notification says, or a Mention of the number or an id of what it is about: a paid payment is"
        " not asked about again by itself",
    )


# --- captures and closes -----------------------------------------------------------------------------------


def capturing(rig: Rig, *, in_part: bool = False) -> tuple[Product, ...]:
    """The products that capture, in part if that is wanted; `NotApplicable` without any."""
    kinds = ("partial",) if in_part else ("partial", "full")
    rig.product(lambda one: one.capture in kinds, f"captures{' in part' if in_part else ''}")
    return tuple(one for one in rig.products if one.capture in kinds)


def authorized(rig: Rig, product: Product, **changes: Any) -> PlacedOrder:
    """An order whose payer has agreed, and whose money is not taken; `Failed` where it is anything else."""
    placed = rig.place(product, capture="manual", **changes)
    seen = rig.pay(placed)
    require(
        seen.status is Status.AUTHORIZED,
        f"an order to be captured by its caller is {seen.status} once its payer agreed",
        "report Status.AUTHORIZED for an order whose payer agreed and whose money was not taken; tell the gateway"
        " to wait where order.capture is 'manual'",
    )
    return placed


def capture(rig: Rig, placed: PlacedOrder, minor: int, number: str | None = None) -> Any:
    """Ask for a capture of so much; what is said to it."""
    number = number or new_id()

    def begin(attempt: Attempt) -> Flow[Any]:
        order = CaptureOrder(
            number=number,
            begun_at=placed.order.begun_at,
            attempt=attempt,
            amount=Money.from_minor(minor, placed.order.amount.currency),
            order=placed.ref(attempt),
        )
        return rig.provider.capture(order)

    return patiently(rig, begin)


def captured(rig: Rig, placed: PlacedOrder, minor: int, number: str | None = None) -> PaymentObservation:
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


def require_paid(rig: Rig, placed: PlacedOrder, after: str) -> None:
    """A captured order is still told as paid after this."""
    seen = rig.look(placed)
    require(
        seen.status is Status.PAID,
        f"a captured order is {seen.status} after {after}",
        "have query tell what became of the order, not of the last request",
    )


def close(rig: Rig, placed: PlacedOrder) -> Any:
    """Ask to close an order; what is said to it."""
    return patiently(rig, lambda attempt: rig.provider.close(placed.ref(attempt)))


def taken_minor(rig: Rig, placed: PlacedOrder) -> int:
    """What the gateway has taken for an order, in minor units."""
    minor: int = rig.controls.show_order(placed.order.number)["paid_minor"]
    return minor


# --- all of them -------------------------------------------------------------------------------------------


def patiently(rig: Rig, begin: Callable[[Attempt], Flow[Any]]) -> Any:
    """What a flow returns, run again a little later where it is put off; the last `NotNow` where it always is."""
    outcome: Any = None
    for rest_s in PUT_OFF_S:
        pass_time(rig, rest_s)
        attempt = rig.attempt()
        outcome = rig.converse(lambda attempt=attempt: begin(attempt))  # type: ignore[misc]
        if not isinstance(outcome, NotNow):
            break
        if outcome.is_session_refused:
            rig.renew_session()
    return outcome


def at(attempt: Attempt, order: RefundOrder) -> RefundOrder:
    """The refund as it is sent at this attempt."""
    payment = msgspec.structs.replace(order.order, attempt=attempt)
    return msgspec.structs.replace(order, attempt=attempt, order=payment)


def pass_time(rig: Rig, seconds: float) -> None:
    """Set the clocks ahead; a session may be over then."""
    rig.advance(seconds)
    if seconds >= 3600.0:
        rig.renew_session()


def control(rig: Rig, name: str) -> Callable[..., Any]:
    """A control that a sandbox may have; `NotApplicable` where it has not, or can't do what is asked."""
    act = getattr(rig.controls, name, None)
    if act is None:
        raise NotApplicable(f"the sandbox has no control {name}")

    def asked(*arguments: Any) -> Any:
        try:
            return act(*arguments)
        except NotPossible as error:
            raise NotApplicable(f"the sandbox can't do it: {name}: {error}") from None

    return asked


def names_of(placed: PlacedOrder) -> set[str | None]:
    """The numbers by which the order is named."""
    return {placed.order.number, placed.seen.provider_id, *placed.ids.values()}


def fail_refund(rig: Rig, made: PlacedRefund) -> None:
    """Have the gateway fail a refund, by our number or by its own id."""
    act = control(rig, "fail_refund")
    try:
        act(made.order.number)
    except UnknownOrder:
        act(made.seen.provider_id if made.seen is not None else made.order.number)


def stranger(placed: PlacedOrder) -> PlacedOrder:
    """An order with a number and ids that nobody has, and else as this one."""
    numbered = {"number": another(placed.order.number)}
    known = placed.seen.provider_id
    return msgspec.structs.replace(
        placed,
        order=msgspec.structs.replace(placed.order, **numbered),
        seen=msgspec.structs.replace(placed.seen, provider_id=known and another(known), **numbered),
        ids={name: another(one) for name, one in placed.ids.items()},
    )


def another(text: str) -> str:
    """Another text of the same length and kinds of characters."""
    return text[:-6] + "".join(map(_next, text[-6:]))


def _next(one: str) -> str:
    return (
        {"9": "0", "z": "a", "Z": "A"}.get(one, chr(ord(one) + 1)) if one.isascii() and one.isalnum() else one
    )


def require_repeat(again: Any, effect: str, what: str, is_the_same: Callable[[Any], bool]) -> None:
    """What was sent again with its number has the effect that is declared for it."""
    if effect == "refused_as_duplicate":
        require(
            isinstance(again, Rejected) and again.is_duplicate,
            f"{what} returned {said(again)}, and is declared refused_as_duplicate",
            "return Rejected(..., is_duplicate=True) for the code that says that the number is in use",
        )
        return
    require(
        isinstance(again, Done) and is_the_same(again.value),
        f"{what} returned {said(again)}, and is declared same_result",
        "send the key with each send of the number; declare a shorter window, or what the provider does instead",
    )
