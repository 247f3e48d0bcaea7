"""The provider's list is complete, in its range, and goes on to its end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from paycore.domain.provider import Listed
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
