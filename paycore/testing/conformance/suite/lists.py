"""The provider's list is complete, in its range, and goes on to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from paycore.domain.payment import Payment, Status
from paycore.domain.provider import Listed
from paycore.testing.conformance.caller import attempted, given_back, settled_paid
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.listed import is_of, listed, page_in, pages
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.recorded_flow import record
from paycore.testing.conformance.rig import Rig

LIST = "the-providers-own-list"

MANY, MANY_PAID = 105, 25
"""Orders that fill a page of most lists, and of one that has transactions only, which take longer to make."""

APART_S = 3 * 24 * 3600.0
"""Between two orders, where a list is to tell of one of them."""

REFUND, PART = "kit-back", 1000
"""A refund of the payment that is lost, and how much of it in minor units."""

ORDERS_MAX = 10_000
"""More orders than a sandbox has in a check."""

LISTED_AFTER_S = 24 * 3600.0
"""By then a list of transactions has those that were made (PayPal's lags by three hours)."""


@check(read=LIST)
def list_has_each_order_once(rig: Rig) -> None:
    """
    The provider's list has each order of its time range once, with its state, and with our reference or none.

    Of an unpaid and a paid order; a list of transactions only, as PayPal's, has no unpaid ones, and may lag by hours.
    """
    _only_with_list(rig)
    product = rig.waiting_product()
    since = rig.now() - timedelta(seconds=600)
    for placed, least in ((rig.place(product), 0), (rig.paid(product), 1)):
        rig.look(placed)
        items = _of(rig, since, rig.now() + timedelta(seconds=600), placed)
        if not items:
            _wait_for_the_list(rig)
            items = _of(rig, since, rig.now(), placed)
        require(
            least <= len(items) <= 1,
            f"an order that is {placed.seen.status} is {len(items)} times in the list of its time",
            "list what was made from `since` on and before `until`, each order once",
        )
        for item in items:
            _require_listed_as_it_is(rig, item, placed)


@check(read=LIST)
def list_keeps_to_its_range(rig: Rig) -> None:
    """What was made hours before or after the time range is not in the list of it."""
    _only_with_list(rig)
    make, _ = _maker(rig)
    early = make()
    between = rig.now() + timedelta(seconds=APART_S / 2)
    rig.advance(APART_S)
    rig.renew_session()
    late = make()
    _wait_for_the_list(rig)
    ends = timedelta(seconds=APART_S * 3)
    for since, until, wanted, other in (
        (between - ends, between, early, late),
        (between, between + ends, late, early),
    ):
        items = list(listed(rig, since, until))
        require(
            any(is_of(item, wanted) for item in items),
            f"the list of {since} to {until} has not the order of {wanted.order.begun_at}",
            "send the range as the company wants it: its zone, its format, whole seconds rounded outwards",
        )
        require(
            not any(is_of(item, other) for item in items),
            f"the list of {since} to {until} has the order of {other.order.begun_at}",
            "send the range as the company wants it, and leave out of a page what is not of it",
        )


@check(read=LIST)
def list_goes_on_by_its_cursor(rig: Rig) -> None:
    """
    The pages of the list have each of many orders once; the cursor of the last page is None.

    105 orders, or 25 that are paid where the list has no others. No cursor is returned twice.
    """
    _only_with_list(rig)
    make, many = _maker(rig)
    rig.advance(LISTED_AFTER_S)
    rig.renew_session()
    since = rig.now() - timedelta(seconds=600)
    orders = [make() for _ in range(many)]
    until = rig.now() + timedelta(seconds=600)
    _wait_for_the_list(rig)
    read = list(pages(rig, since, until))
    if len(read) == 1 and len(read[0].items) >= many:
        raise NotApplicable(f"a page of the list has {many} orders and more")
    items = [item for page in read for item in page.items]
    for placed in orders:
        times = sum(is_of(item, placed) for item in items)
        require(
            times == 1,
            f"of {many} orders on {len(read)} pages one is listed {times} times",
            "return as cursor what asks for the next page, and None only after the last",
        )


@check(read=LIST)
def list_tells_all_that_a_ledger_lost(rig: Rig) -> None:
    """
    A ledger that has nothing finds each payment and refund of the time when it is reconciled with the list.

    Where the list has our reference of an order, the payment is brought back: the same `create` returns it, and makes
    no second order. So with refunds.
    """
    _only_with_list(rig)
    product, client, since = rig.waiting_product(), rig.client(), rig.now() - timedelta(seconds=600)
    given = rig.arguments(product)
    lost = client.create(**given)
    if lost.status is Status.PENDING:
        rig.controls.pay(lost.order_number)
    lost = settled_paid(rig, client, lost)
    if product.refund != "none":
        lost = given_back(rig, client, lost, REFUND, PART if product.refund == "partial" else None)
    _wait_for_the_list(rig)
    until = rig.now() + timedelta(seconds=600)
    restored = rig.client(ledger="restored.db")
    found = {one.number for one in restored.reconcile(since=since, until=until).discrepancies}
    for number, what in ((lost.order_number, "payment"), *((one.number, "refund") for one in lost.refunds)):
        require(
            number in found,
            f"a {what} that the ledger does not have is not found in the list",
            "list orders and refunds with our number; of a refund, tell the order it goes back from",
        )
    carried = {item.observation.number for item in listed(rig, since, until) if item.reference is not None}
    if lost.order_number in carried:
        _require_brought_back(
            rig, restored, given, lost, is_refund_carried=REFUND in _carried(rig, since, until)
        )


@check(read="capabilities")
def list_by_time_tells_of_waiting_orders(rig: Rig) -> None:
    """
    A page of the list is one request, of at most as many records as `list_by_time` declares, new orders included.

    The core asks for pages in the place of numbers where many payments wait.
    """
    declared = rig.account.capabilities.list_by_time
    if declared is None:
        raise NotApplicable("list_by_time is not declared")
    product = rig.waiting_product()
    placed, _ = rig.place(product), rig.place(product)
    attempt, begun = rig.attempt(), placed.order.begun_at
    since = begun - timedelta(seconds=declared.early_s)
    until = begun + timedelta(seconds=declared.late_s)
    recorded = record(rig, "list by time", lambda: rig.provider.list(since, until, None, attempt))
    page = page_in(recorded.outcome)
    require(
        len(recorded.requests) == 1,
        f"a page of the list took {len(recorded.requests)} requests",
        "read one page a request, or do not declare list_by_time",
    )
    require(
        len(page.items) <= declared.records_max,
        f"a page has {len(page.items)} records, and list_by_time declares {declared.records_max}",
        "declare the records of a page",
    )
    require(
        any(is_of(item, placed) for item in page.items),
        f"an order begun at {begun} is not in the list of {since} to {until}",
        "widen early_s and late_s, and round the range outwards",
    )


# --- inside ------------------------------------------------------------------------------------------


def _carried(rig: Rig, since: datetime, until: datetime) -> set[str | None]:
    return {item.reference for item in listed(rig, since, until)}


def _require_brought_back(
    rig: Rig, client: Any, given: Mapping[str, Any], lost: Payment, *, is_refund_carried: bool
) -> None:
    """The same calls return what was lost, and make nothing."""
    made = len(rig.controls.list_orders(ORDERS_MAX))
    back = attempted(client.create, **given)
    advice = "tell of an order what create was given, and leave out what the company does not tell"
    require(
        back is not None and back.order_number == lost.order_number,
        "the list has our reference of a payment that the ledger lost, and create does not return it",
        advice,
    )
    assert back is not None
    paid = (Status.PAID, lost.paid_minor)
    require(
        (back.status, back.paid_minor) == paid and not back.review,
        f"a payment of which {lost.paid_minor} minor units were paid comes back {back.status} with {back.paid_minor}",
        "map the list's words as those of a query, and read its amounts by the same table",
    )
    require(
        len(rig.controls.list_orders(ORDERS_MAX)) == made,
        "a payment that was brought back got a second order",
        advice,
    )
    if is_refund_carried:
        minor = lost.refunds[0].amount
        again = attempted(client.refund, back.id, reference=REFUND, amount=minor)
        require(
            again is not None and again.refunded_minor == lost.refunded_minor,
            "the list has our reference of a refund that the ledger lost, and the same refund does not return it",
            "list a refund with its own reference, its amount, and the order it goes back from",
        )


def _only_with_list(rig: Rig) -> None:
    if not hasattr(rig.provider, "list"):
        raise NotApplicable("the provider has no list")


def _maker(rig: Rig) -> tuple[Callable[[], PlacedOrder], int]:
    """What makes an order that the list has, and for how many there is time; transactions only are paid orders."""
    product = rig.waiting_product()
    placed, since = rig.place(product), rig.now() - timedelta(seconds=600)
    is_listed = bool(_of(rig, since, rig.now() + timedelta(seconds=600), placed))
    return (lambda: rig.place(product), MANY) if is_listed else (lambda: rig.paid(product), MANY_PAID)


def _wait_for_the_list(rig: Rig) -> None:
    rig.advance(LISTED_AFTER_S)
    rig.renew_session()


def _of(rig: Rig, since: datetime, until: datetime, placed: PlacedOrder) -> list[Listed]:
    return [item for item in listed(rig, since, until) if is_of(item, placed)]


def _require_listed_as_it_is(rig: Rig, item: Listed, placed: PlacedOrder) -> None:
    status = rig.look(placed).status
    require(
        item.observation.status == status,
        f"an order that is {status} is {item.observation.status} in the list",
        "map the list's words as those of a query",
    )
    require(
        item.reference in (None, placed.order.reference),
        f"the order {placed.order.reference} has the reference {item.reference!r} in the list",
        "give the reference that create was given, or None where the company does not carry it",
    )
