"""Bugs for the checks of `lists`."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from paycore.plugin import (
    Attempt,
    Capabilities,
    Done,
    Flow,
    ListByTime,
    Listed,
    Money,
    Page,
    PaymentObservation,
    Response,
    Status,
)
from paycore.testing.toy import ToyProvider
from tests.conformance.bugs import misread
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class Listing(ToyProvider):
    """A list whose pages are changed."""

    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[Any]:
        def changed(outcome: Any, _: Response) -> Any:
            return Done(self.page(outcome.value)) if isinstance(outcome, Done) else outcome

        return (yield from misread(super().list(since, until, cursor, attempt), changed))

    def page(self, page: Page) -> Page:
        """Another page."""
        return page


class ListsPaidOnesTwice(Listing):
    def page(self, page: Page) -> Page:
        paid = tuple(item for item in page.items if item.observation.status is Status.PAID)
        return msgspec.structs.replace(page, items=page.items + paid)


class ListsEverythingAsPending(Listing):
    def page(self, page: Page) -> Page:
        items = tuple(
            Listed(observation=msgspec.structs.replace(item.observation, status=Status.PENDING))
            for item in page.items
        )
        return msgspec.structs.replace(page, items=items)


class ListsNumbersAsReferences(Listing):
    def page(self, page: Page) -> Page:
        items = tuple(msgspec.structs.replace(item, reference=item.observation.number) for item in page.items)
        return msgspec.structs.replace(page, items=items)


class ListsTheLocalDay(ToyProvider):
    """Sends the local time of a place eight hours ahead, as if it were UTC."""

    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[Any]:
        zone = timedelta(hours=8)
        narrow = (until - since) / 2
        return (yield from super().list(since + zone + narrow, until + zone, cursor, attempt))


class ListsEverything(ToyProvider):
    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[Any]:
        ever = timedelta(days=365)
        return (yield from super().list(since - ever, until + ever, cursor, attempt))


class ListsOnePage(Listing):
    def page(self, page: Page) -> Page:
        return msgspec.structs.replace(page, cursor=None)


class ListsTheFirstPageForEver(ToyProvider):
    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[Any]:
        return (yield from super().list(since, until, None, attempt))


class ReadsTwoRequestsAPage(ToyProvider):
    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[Any]:
        yield from super().list(since, until, cursor, attempt)
        return (yield from super().list(since, until, cursor, attempt))


class ListsWhatIsPaid(Listing):
    def page(self, page: Page) -> Page:
        items = tuple(item for item in page.items if item.observation.status is Status.PAID)
        return msgspec.structs.replace(page, items=items)


class ListsNoRefunds(Listing):
    def page(self, page: Page) -> Page:
        items = tuple(item for item in page.items if isinstance(item.observation, PaymentObservation))
        return msgspec.structs.replace(page, items=items)


class GuessesTheMethod(Listing):
    def page(self, page: Page) -> Page:
        items = tuple(msgspec.structs.replace(item, method="cash") for item in page.items)
        return msgspec.structs.replace(page, items=items)


class ListsHundredthsAsWhole(Listing):
    def page(self, page: Page) -> Page:
        return msgspec.structs.replace(page, items=tuple(map(_hundredfold, page.items)))


def _hundredfold(item: Listed) -> Listed:
    seen = item.observation
    if seen.amount is None:
        return item
    more = Money.from_minor(seen.amount.minor * 100, seen.amount.currency)
    return msgspec.structs.replace(item, observation=msgspec.structs.replace(seen, amount=more))


class DeclaresSmallPages(ToyProvider):
    @property
    def capabilities(self) -> Capabilities:
        """One record a page, which is not so."""
        return msgspec.structs.replace(super().capabilities, list_by_time=ListByTime(records_max=1))


BUGS = [
    Planted("list_has_each_order_once", "paid orders are listed twice", toy(ListsPaidOnesTwice)),
    Planted("list_has_each_order_once", "everything is pending in the list", toy(ListsEverythingAsPending)),
    Planted("list_has_each_order_once", "the number is given as reference", toy(ListsNumbersAsReferences)),
    Planted("list_keeps_to_its_range", "the range is in local time", toy(ListsTheLocalDay)),
    Planted("list_keeps_to_its_range", "the range is not sent", toy(ListsEverything)),
    Planted("list_goes_on_by_its_cursor", "only one page is read", toy(ListsOnePage)),
    Planted("list_goes_on_by_its_cursor", "the cursor is not sent", toy(ListsTheFirstPageForEver)),
    Planted("list_tells_all_that_a_ledger_lost", "refunds are left out", toy(ListsNoRefunds)),
    Planted("list_tells_all_that_a_ledger_lost", "the method is a guess", toy(GuessesTheMethod)),
    Planted("list_tells_all_that_a_ledger_lost", "amounts are a hundredfold", toy(ListsHundredthsAsWhole)),
    Planted(
        "list_by_time_tells_of_waiting_orders",
        "a page takes two requests",
        toy(ReadsTwoRequestsAPage, list_page=100),
    ),
    Planted(
        "list_by_time_tells_of_waiting_orders",
        "only paid orders are listed",
        toy(ListsWhatIsPaid, list_page=100),
    ),
    Planted("list_by_time_tells_of_waiting_orders", "more records than declared", toy(DeclaresSmallPages)),
]
