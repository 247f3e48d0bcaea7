"""The flows that a provider has, as they go at the gateway: for each product, or one of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from paycore.domain.payment import Status
from paycore.domain.provider import OrderRef, Product
from paycore.sandbox.api import NotPossible
from paycore.testing.conformance.check import Failed
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.recorded_flow import RecordedFlow, record, record_done, recording
from paycore.testing.conformance.rig import Rig

SMALL_MINOR = 100
"""What is refunded in part, in minor units."""

LISTED_S = 3600.0
"""The range of a list reaches so far to both sides of now."""


# --- the whole life of orders --------------------------------------------------------------------------------


def lives(rig: Rig, products: Sequence[Product] | None = None) -> list[RecordedFlow]:
    """
    Every flow of the provider at least once for each product: an order that is paid and refunded, one that is closed.

    What goes wrong ends that order, and is for the checks that are about it.
    """
    with recording(rig) as heard:
        rig.renew_session()
        for product in rig.products if products is None else products:
            for live in (_paid_and_refunded, _closed):
                try:
                    live(rig, product)
                except (Failed, NotPossible, LookupError):
                    continue
        _listed(rig)
    return [recorded for recorded in heard if recorded.ended]


def _paid_and_refunded(rig: Rig, product: Product) -> None:
    placed = rig.place(product)
    rig.look(placed)
    if rig.pay(placed).status is Status.AUTHORIZED:
        rig.capture(placed, placed.order.amount.minor)
        rig.look(placed)
    if product.refund != "none" and placed.seen.status is Status.PAID:
        _refunded(rig, placed)


def _refunded(rig: Rig, placed: PlacedOrder) -> None:
    whole = placed.order.amount.minor
    minor = min(SMALL_MINOR, whole) if placed.product.refund == "partial" else whole
    order = rig.refund_order(placed, minor)
    outcome = rig.converse(lambda: rig.provider.refund(order))
    seen = getattr(outcome, "value", None)
    rig.converse(lambda: rig.provider.query([rig.refund_ref(order, seen)]))


def _closed(rig: Rig, product: Product) -> None:
    if not product.close:
        return
    placed = rig.place(product)
    rig.converse(lambda: rig.provider.close(placed.ref(rig.attempt())))


def _listed(rig: Rig) -> None:
    if not hasattr(rig.provider, "list"):
        return
    until: datetime = rig.now()
    rig.converse(lambda: rig.provider.list(until - timedelta(minutes=10), until, None, rig.attempt()))


# --- one of each -----------------------------------------------------------------------------------------------


def each_flow(rig: Rig) -> Iterator[RecordedFlow]:
    """Each flow that the provider has, in each state that makes a difference to it."""
    if hasattr(rig.provider, "open_session"):
        attempt = rig.account.attempt(rig.now(), "N" * 26)
        yield record_done(rig, "open_session", lambda: rig.provider.open_session(attempt))
    first = rig.waiting_product()
    yield from _of_waiting(rig, first)
    immediate = next((one for one in rig.products if not one.needs_action), None)
    if immediate is not None and immediate is not first:
        yield _creation(rig, immediate)[1]
    yield from _of_captures(rig)
    if hasattr(rig.provider, "list"):
        yield listing(rig)


def asked(rig: Rig, placed: PlacedOrder, what: str) -> RecordedFlow:
    """A query of that one order."""
    return asked_for(rig, placed.ref(rig.attempt()), what)


def asked_for(rig: Rig, ref: OrderRef, what: str) -> RecordedFlow:
    """A query of what is referred to."""
    return record_done(rig, f"query of {what}", lambda: rig.provider.query([ref]))


def listing(rig: Rig) -> RecordedFlow:
    """The first page of what was made about now."""
    attempt, now = rig.attempt(), rig.now()
    since, until = now - timedelta(seconds=LISTED_S), now + timedelta(seconds=LISTED_S)
    return record_done(rig, "list of what was made", lambda: rig.provider.list(since, until, None, attempt))


def _creation(rig: Rig, product: Product) -> tuple[PlacedOrder, RecordedFlow]:
    order = rig.create_order(product)
    recorded = record(
        rig, f"create of {product.method}/{product.channel}", lambda: rig.provider.create(order)
    )
    return rig.placed(product, order, recorded.outcome), recorded


def _of_waiting(rig: Rig, product: Product) -> Iterator[RecordedFlow]:
    """What is asked of an order that its payer pays, and is refunded."""
    placed, recorded = _creation(rig, product)
    yield recorded
    yield asked(rig, placed, "an unpaid order")
    if product.close:
        closing = rig.place(product).ref(rig.attempt())
        yield record_done(rig, "close of an unpaid order", lambda: rig.provider.close(closing))
    paid = rig.paid(product)
    yield asked(rig, paid, "a paid order")
    if product.refund == "none":
        return
    minor = paid.order.amount.minor
    refund = rig.refund_order(paid, minor if product.refund == "full" else max(1, minor // 2))
    refunding = record_done(rig, "refund of a paid order", lambda: rig.provider.refund(refund))
    yield refunding
    seen = refunding.outcome.value
    yield asked_for(rig, rig.refund_ref(refund, seen), "a refund")


def _of_captures(rig: Rig) -> Iterator[RecordedFlow]:
    product = next((one for one in rig.products if one.capture != "none"), None)
    if product is None:
        return
    placed = rig.place(product)
    if rig.pay(placed).status is not Status.AUTHORIZED:
        return
    yield asked(rig, placed, "an authorized order")
    minor = placed.order.amount.minor
    capture = rig.capture_order(placed, minor)
    yield record_done(rig, "capture of an authorized order", lambda: rig.provider.capture(capture))
