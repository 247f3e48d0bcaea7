"""What a genuine notification says, and what is answered to it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from paycore.domain.money import Money, currency_exponent
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Payment, RefundStatus, Status
from paycore.domain.provider import Done, Notice
from paycore.domain.wire import Reply
from paycore.errors import NotificationError
from paycore.sandbox.api import NotPossible
from paycore.testing.conformance.account_at_sandbox import ACCOUNT
from paycore.testing.conformance.arrivals import (
    OTHERS_S,
    genuine,
    is_paid,
    names,
    payable,
    take_notifications,
    verified,
)
from paycore.testing.conformance.caller import REPORT_PAID
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.moves import pass_time
from paycore.testing.conformance.notification_receiver import ReceivedNotification
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import NOTIFIED_S, Rig

GUIDE = "notifications"
ROUND_MINOR = 7_300
"""Minor units of an order where the currency may have no decimals at the company, or only round amounts."""


@check(read=GUIDE)
def notification_of_a_paid_order_pays_it(rig: Rig) -> None:
    """
    A notification of a paid order pays its payment, or has it asked about, and then it is paid.

    It goes through `receive` of both clients, as it arrived. Where notifications are trusted and it says that the order
    is paid, nothing else is needed.
    """
    take_notifications(rig)
    for kind in ("sync", "async"):
        client = rig.client(kind)
        count = len(rig.receiver.first(0, 0.0))
        payment = client.create(**rig.arguments(payable(rig)))
        if payment.status is Status.PENDING:
            rig.controls.pay(payment.order_number)
        arrived = rig.receiver.first(count + 1, NOTIFIED_S)[count:]
        require(
            bool(arrived),
            "a payer has paid, and the sandbox has sent no notification",
            "have it send one to the order's notify_url, or else to the notify_url of its options; a provider that is"
            " sent none has no verify",
        )
        told = _believed(rig, arrived[0])
        _hand(client, arrived)
        if rig.account.capabilities.notifications_trusted and is_paid(told):
            payment = client.get(payment.id)
            require(
                payment.status is Status.PAID,
                f"a trusted notification says that the order is paid, and the payment is {payment.status}, review"
                f" {payment.review_reasons}",
                "report number, id and amount of the order as create and query do",
            )
        payment = rig.settled(
            lambda: client.query(payment.id),  # noqa: B023 - called within the loop
            lambda payment: payment.status in (Status.PAID, Status.AUTHORIZED),
            "the payer has paid, its notification was received, and the payment is not paid",
            REPORT_PAID,
        )
        require(
            not payment.review_reasons,
            f"the payment of a notified order is under review: {', '.join(payment.review_reasons)}",
            "report the same ids and amount in notifications as in replies",
        )


@check(read=GUIDE)
def notification_names_its_order(rig: Rig) -> None:
    """
    A notification names its order: by our number, or by one of the ids that a reply or a query has told.

    What nobody knows is a stray, and the payment waits until it is asked about.
    """
    found = genuine(rig)
    placed, items = found.placed, _items(rig)
    require(
        any(_is_of(item, placed) for item in items),
        f"no item names the order by its number or an id of it; there are {len(items)} items",
        "return an observation with our number, or Mention(number=...), or Mention(id=...) with its provider_id or"
        " one of the ids that an observation has told",
    )
    stranger = next(
        (item for item in items if isinstance(item, PaymentObservation) and not _is_of(item, placed)), None
    )
    require(
        stranger is None,
        "an observation in the notification of the only order has another number",
        "take our number from the field that the company returns it in, or return Mention(id=...)",
    )


@check(read=GUIDE)
def notification_says_no_more_than_a_query(rig: Rig) -> None:
    """
    What a notification observes of an order is what a query observes: state, amount, ids and totals.

    Of orders that are paid, declined and expired, and in a currency of each number of decimals that a product takes.
    """
    take_notifications(rig)
    product = payable(rig)
    by_decimals = {currency_exponent(one): one for one in sorted(product.currencies, reverse=True)}
    amounts = [
        Money.from_minor(min(max(ROUND_MINOR, least), largest), currency)
        for currency in by_decimals.values()
        for least, largest in (product.currencies[currency],)
    ]
    ends = [*((rig.controls.pay, amount) for amount in amounts)]
    ends += [(rig.controls.decline, amounts[0]), (rig.controls.expire, amounts[0])]
    orders = []
    for end, amount in ends:
        placed = rig.place(product, amount=amount)
        with suppress(NotPossible):
            end(placed.order.number)
            orders.append(placed)
    items = [item for one in rig.receiver.first(len(orders), OTHERS_S) for item in _believed(rig, one)]
    observed = 0
    for placed in orders:
        told = [item for item in items if isinstance(item, PaymentObservation) and _is_of(item, placed)]
        observed += len(told)
        seen = rig.look(placed) if told else placed.seen
        for item in told:
            _compare(item, placed, seen)
    if not observed:
        raise NotApplicable("its notifications do not say what happened: they only mention the order")


@check(read=GUIDE)
def refund_notification_is_of_its_refund(rig: Rig) -> None:
    """A notification of a refund names that refund or its payment, and says what a query of the refund says."""
    take_notifications(rig)
    product = rig.product(lambda one: one.refund != "none", "can be refunded")
    placed = rig.paid(product)
    rig.notifications()
    known = len(rig.receiver.first(0, 0.0))
    minor = placed.order.amount.minor if product.refund == "full" else placed.order.amount.minor // 2
    refund = rig.refund_order(placed, minor)
    outcome = rig.converse(lambda: rig.provider.refund(refund))
    if not isinstance(outcome, Done):
        raise NotApplicable(f"a refund of a paid order returned {said(outcome)}")
    seen = outcome.value
    at, arrived = rig.now(), rig.receiver.first(known + 1, OTHERS_S)[known:]
    for rest_s in (600.0, 86_400.0) if seen.status is RefundStatus.PENDING else (600.0,):
        if not arrived:
            pass_time(rig, rest_s)
            at, arrived = rig.now(), rig.receiver.first(known + 1, OTHERS_S)[known:]
    if not arrived:
        raise NotApplicable(
            f"the sandbox did not notify of a refund that it took; it is told as {seen.status}"
        )
    asked = rig.converse(lambda: rig.provider.query([rig.refund_ref(refund, seen)]))
    found = asked.value.observations if isinstance(asked, Done) else ()
    told = next((one for one in found if one.number == refund.number), seen)
    for item in (item for one in arrived for item in _believed(rig, one, at=at)):
        if isinstance(item, RefundObservation):
            require(
                item.number == refund.number and item.amount in (None, refund.amount),
                f"the notification of a refund of {refund.amount} is of {item.amount}"
                + (", under another number" if item.number != refund.number else ""),
                "report the refund under its own number, with its own amount",
            )
            require(
                item.status is not RefundStatus.SUCCEEDED or told.status is RefundStatus.SUCCEEDED,
                f"a notification says that a refund succeeded which a query says is {told.status}",
                "map the company's words for refunds in one place, for replies, queries and notifications",
            )
        elif isinstance(item, PaymentObservation):
            require(
                item.number == placed.order.number and item.refunded_minor in (None, minor),
                f"the notification of a refund of {minor} minor units says of the payment that {item.refunded_minor}"
                " were refunded" + (", under another number" if item.number != placed.order.number else ""),
                "report totals of the payment, and what is the refund's as a RefundObservation",
            )


@check(read=GUIDE)
def repeated_notification_changes_nothing(rig: Rig) -> None:
    """
    A notification that comes again is accepted again, says the same, and changes nothing.

    Companies send until they are answered, to every process of an application.
    """
    take_notifications(rig)
    client = rig.client()
    payment = client.create(**rig.arguments(payable(rig)))
    if payment.status is Status.PENDING:
        rig.controls.pay(payment.order_number)
    arrived = rig.notifications()[:1]
    first = _believed(rig, arrived[0])
    for provider, what in ((rig.provider, "the same object"), (rig.account_with({}).full, "a new object")):
        again = verified(rig, arrived[0], "a notification that comes again", provider=provider)
        require(
            not again.is_refused and again.notices == first,
            f"the same notification, verified again by {what} of the provider: {again.words}",
            "keep nothing between calls: the core knows what has come before",
        )
    _hand(client, arrived)
    what = "the payer has paid, and the payment is neither paid nor authorized"
    paid = rig.settled(lambda: client.query(payment.id), _is_agreed, what, REPORT_PAID)
    with suppress(NotificationError):  # by now it may be too old
        _hand(client, arrived)
        _hand(rig.client("async"), arrived)
    after = client.get(payment.id)
    require(
        (after.status, after.paid_minor, after.review_reasons)
        == (paid.status, paid.paid_minor, paid.review_reasons),
        f"a repeat changed a {paid.status} payment: it is {after.status}, review {after.review_reasons}",
        "report each amount as the total of the order by now, never what this event added",
    )


@check(read=GUIDE)
def order_of_a_stranger_changes_nothing(rig: Rig) -> None:
    """A notification of an order that this application does not know is taken, and changes none of its payments."""
    take_notifications(rig)
    client = rig.client()
    waiting = client.create(**rig.arguments(payable(rig)))
    count = len(rig.receiver.first(0, 0.0))
    rig.paid(payable(rig))
    arrived = rig.notifications(count + 1)[count:]
    if not arrived:
        raise NotApplicable("the sandbox sends no notification of every order")
    reply = _hand(client, arrived)
    require(
        isinstance(reply, Reply),
        f"the notification of an unknown order is answered with {type(reply).__name__}",
        "let acknowledge return a Reply",
    )
    after = client.query(waiting.id)
    require(
        after.status is waiting.status and not after.review_reasons,
        f"the notification of another order made a {waiting.status} payment {after.status},"
        f" review {after.review_reasons}",
        "take number and ids from the notification alone; keep nothing between calls",
    )


@check(read=GUIDE)
def batch_names_every_order(rig: Rig) -> None:
    """Where one notification is about several orders, each of them is named."""
    take_notifications(rig)
    placed = [rig.paid(payable(rig)) for _ in range(3)]
    arrived = rig.receiver.first(len(placed), OTHERS_S)
    batches = 0
    for one in arrived:
        spoken_of = [order for order in placed if _is_spoken_of(one.body, order)]
        if len(spoken_of) < 2:
            continue
        batches += 1
        items = _believed(rig, one)
        missing = [order for order in spoken_of if not any(_is_of(item, order) for item in items)]
        require(
            not missing,
            f"a notification about {len(spoken_of)} orders names {len(spoken_of) - len(missing)} of them",
            "return one item per event of the notification",
        )
    if not batches:
        raise NotApplicable("the sandbox sends one notification per order")


# --- inside ------------------------------------------------------------------------------------------------


def _hand(client: Any, arrived: Iterable[ReceivedNotification]) -> Any:
    """Give a client what arrived; what it is to answer to the last."""
    reply = None
    for one in arrived:
        reply = client.receive(ACCOUNT, body=one.body, headers=one.headers, query=one.query)
    return reply


def _believed(rig: Rig, received: ReceivedNotification, at: datetime | None = None) -> tuple[Notice, ...]:
    """What a notification of the sandbox says; `Failed` where it is refused, with what would help."""
    told = verified(rig, received, "a notification of the sandbox", at=at)
    if not told.is_refused:
        return told.notices
    info = rig.provider.info
    advice = "verify the signature over the raw body, as the company makes it"
    if missing := sorted(received.headers.keys() - {name.lower() for name in info.notification_headers}):
        advice += (
            f"; of the headers that arrived, verify is given {', '.join(info.notification_headers) or 'none'}, and not"
            f" {', '.join(missing)}: what it reads is declared in ProviderInfo.notification_headers"
        )
    if received.query and not info.notification_query:
        advice += "; the query string is passed only where ProviderInfo.notification_query is true"
    raise Failed(f"verify refuses a notification of its own sandbox: {told.words}", advice)


def _items(rig: Rig) -> list[Notice]:
    """The items of every notification that has arrived."""
    return [item for one in rig.receiver.first(1, 0.0) for item in _believed(rig, one)]


def _is_of(item: Notice, placed: PlacedOrder) -> bool:
    return names(item, placed.order.number, placed.ids, placed.seen.provider_id)


def _is_spoken_of(body: bytes, placed: PlacedOrder) -> bool:
    known = {placed.order.number, placed.seen.provider_id, *placed.ids.values()} - {None, ""}
    return any(str(one).encode() in body for one in known)


def _is_agreed(payment: Payment) -> bool:
    return payment.status in (Status.PAID, Status.AUTHORIZED) and not payment.uncertain


def _compare(item: PaymentObservation, placed: PlacedOrder, seen: PaymentObservation) -> None:
    ends = (Status.FAILED, Status.CLOSED)
    says_more = item.status in (Status.PAID, Status.AUTHORIZED, *ends) and item.status is not seen.status
    if item.status in ends and seen.status in ends:
        says_more = False
    if item.status is Status.AUTHORIZED and seen.status is Status.PAID:
        says_more = False  # it was, a moment ago
    require(
        not says_more,
        f"a notification says that an order is {item.status}, and a query says {seen.status}",
        "map the company's words in one place; return a Mention where a notification proves nothing",
    )
    told = (item.amount, item.partial_amount)
    require(
        told[1] is None and told[0] in (None, placed.order.amount),
        f"the notification of an order of {placed.order.amount} says {told[0] or told[1]}",
        "read the amount in the unit and the number of decimals that the company writes it with",
    )
    for name in ("provider_id", "paid_minor", "refunded_minor"):
        here, there = getattr(item, name), getattr(seen, name)
        require(
            here is None or there is None or here == there,
            f"{name} of an order differs between its notification and a query: {here!r}, and {there!r}",
            "report the same fields of the same order, as totals",
        )
