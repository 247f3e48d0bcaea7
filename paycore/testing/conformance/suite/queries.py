"""Orders are found again, each under its own number; the provider's list is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Status
from paycore.domain.provider import Done, Found, Listed, Lookup, OrderRef, Page, Rejected
from paycore.engine.orders import new_id
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.conversation import asked, claims_of, recorded, waiting_product
from paycore.testing.conformance.rig import PlacedOrder, Rig, said

FINDING = "finding-an-order-again"
LIST = "the-providers-own-list"
OLD_S = 40 * 24 * 3600.0
"""The age of an order that a query with a range of a month no longer finds."""

LATE_S = 60.0
"""Added to the seconds after which absence is proven."""

PAGES_MAX = 60
MANY, MANY_PAID = 105, 25
"""Orders that fill a page of most lists, and of one that has transactions only, which take longer to make."""

APART_S = 3 * 24 * 3600.0
"""Between two orders, where a list is to tell of one of them."""

LISTED_AFTER_S = 24 * 3600.0
"""By then a list of transactions has those that were made (PayPal's lags by three hours)."""


@check(read=FINDING)
def new_order_is_found_by_its_number(rig: Rig) -> None:
    """
    A query by our number alone finds an order, and a refund, right after it was made: `lookup` is as declared.

    Without `provider_id` and `ids`: they are not known where the reply was lost.
    """
    _only_by_number(rig)
    product = waiting_product(rig)
    placed = rig.paid(product) if product.refund != "none" else rig.place(product)
    refs = [placed.ref(rig.attempt())]
    if product.refund != "none":
        refund = rig.refund_order(placed, placed.order.amount.minor)
        refunded = rig.converse(lambda: rig.provider.refund(refund))
        require(isinstance(refunded, Done), f"refund: {said(refunded)}", "return Done where it was accepted")
        refs.append(rig.refund_ref(refund, None))
    for ref in refs:
        unheard = msgspec.structs.replace(ref, provider_id=None, ids={})
        outcome = rig.converse(lambda: rig.provider.query([unheard]))  # noqa: B023 - called at once
        require(
            any(claim.startswith(f"{ref.number} ") for claim in claims_of(outcome) if "absent" not in claim),
            f"a {ref.kind} that was made a moment ago is not found by its number: {said(outcome)}",
            "look it up by order.number, or declare lookup=Lookup.BY_PROVIDER_ID",
        )


@check(read=FINDING)
def unknown_number_is_absent(rig: Rig) -> None:
    """
    A query by a number that was never sent says `absent`, where `query_proves_absence_after_s` declares that it does.

    It is never `Rejected`, which would be about the account, and never found.
    """
    _only_by_number(rig)
    proof_s = rig.account.capabilities.query_proves_absence_after_s
    ref = _never_made(rig)
    rig.advance(LATE_S + (proof_s or 0.0))
    outcome = rig.converse(lambda: rig.provider.query([ref]))
    require(
        not isinstance(outcome, Rejected),
        f"query of a number that was never sent: {said(outcome)}",
        "return Found(absent=...): Rejected from a query says that the account is refused",
    )
    claims = claims_of(outcome)
    require(
        claims <= {f"{ref.number} absent"},
        f"query of a number that was never sent: {said(outcome)}",
        "observe only what the reply tells of the number that was asked about",
    )
    require(
        proof_s is None or bool(claims),
        f"query of a number that was never sent: {said(outcome)}; absence is declared to be proven after {proof_s} s",
        "return Found(absent=...) for a number that the company does not know, or declare None",
    )


@check(read=FINDING)
def old_order_is_not_absent(rig: Rig) -> None:
    """
    An order that exists is not absent 40 days later, paid or not: what a query did not look for is not absent.

    An API whose query has a time range says absent only where the range holds the order.
    """
    _only_by_number(rig)
    product = waiting_product(rig)
    orders = [rig.place(product), rig.paid(product)]
    rig.advance(OLD_S)
    rig.renew_session()
    for placed in orders:
        ref = msgspec.structs.replace(placed.ref(rig.attempt()), provider_id=None, ids={})
        outcome = rig.converse(lambda: rig.provider.query([ref]))  # noqa: B023 - called at once
        was = "paid" if placed.seen.status is Status.PAID else "unpaid"
        require(
            f"{ref.number} absent" not in claims_of(outcome),
            f"an {was} order of 40 days ago: {said(outcome)}",
            "ask in the time the order was begun at (order.begun_at), or put its number into Found(undecided=...)",
        )


@check(read=FINDING)
def each_order_is_told_under_its_own_number(rig: Rig) -> None:
    """
    Of orders that are asked about together each is told as when it is asked about alone, in whatever order.

    A paid and an unpaid order, a refund, and a number that was never sent, in batches as `query_batch_max` has them.
    """
    named = dict(_mixed(rig))
    refs = list(named.values())
    alone = frozenset[str]().union(*(_claims(rig, [ref]) for ref in refs))
    size = rig.account.capabilities.query_batch_max
    for together in (refs, refs[::-1], refs[1:] + refs[:1]):
        told: frozenset[str] = frozenset()
        for start in range(0, len(together), size):
            told |= _claims(rig, together[start : start + size])
        told = frozenset(claim for claim in told if claim.partition(" ")[0] in {ref.number for ref in refs})
        require(
            told == alone,
            f"asked about together: {_named(told - alone, named)}; asked about alone: {_named(alone - told, named)}",
            "find the record of each number by the number in it, never by its place",
        )


@check(read=FINDING)
def reply_about_another_order_is_not_believed(rig: Rig) -> None:
    """
    A reply to a query that tells of another order, which is paid, pays nothing.

    The order's own number or id in the reply says whom it is about.
    """
    product = waiting_product(rig)
    theirs, ours = rig.paid(product), rig.place(product)
    reply = asked(rig, theirs, "a paid order")
    if not any(_names(response.body, theirs) for response in reply.responses):
        raise NotApplicable("the replies to a query do not say whom they are about")
    ref = ours.ref(rig.attempt())
    given = iter([*reply.responses, *reply.responses[-1:] * 9])
    outcome = rig.converse(lambda: rig.provider.query([ref]), lambda _: next(given))
    seen = (
        outcome.value.observations if isinstance(outcome, Done) and isinstance(outcome.value, Found) else ()
    )
    for one in seen:
        is_ours = one.number == ours.order.number and one.status in (Status.PAID, Status.AUTHORIZED)
        is_noticed = one.is_signed_wrong or (
            ours.seen.provider_id is not None and one.provider_id != ours.seen.provider_id
        )
        require(
            not is_ours or is_noticed,
            f"the reply told of {theirs.order.number}, which is paid, and the flow returned {ours.order.number} as"
            f" {one.status}",
            "compare the number in the reply, or its id, with the one that was asked about; else return Unknown",
        )


@check(read=FINDING)
def query_changes_nothing(rig: Rig) -> None:
    """
    A query only asks: asked three times, it says the same, and the order at the gateway is as it was.

    Of an unpaid, an authorized and a paid order. Taking the money of an authorized order is what `capture` is for.
    """
    for placed in _in_every_state(rig):
        number = placed.order.number
        before = _shown(rig, number)
        told = [_claims(rig, [placed.ref(rig.attempt())]) for _ in range(3)]
        require(
            len(set(told)) == 1,
            f"asked three times about one order: {', then '.join(map(_words, told))}",
            "let a query only read",
        )
        require(
            _shown(rig, number) == before,
            f"the order was {before} before it was asked about, and {_shown(rig, number)} after it",
            "let a query only read: capture takes the money, close cancels",
        )


@check(read="several-ids")
def ids_stay_as_they_are(rig: Rig) -> None:
    """
    `provider_id` and each of `ids` stay the same from the reply to `create` on, and are the company's own texts.

    Over the reply to `create`, queries while the order is unpaid and paid, and the provider's list.
    """
    for product in rig.products:
        placed = rig.place(product)
        seen = [placed.seen, rig.look(placed), rig.pay(placed), rig.look(placed)]
        if hasattr(rig.provider, "list"):
            seen += [
                item.observation
                for item in _listed(
                    rig, rig.now() - timedelta(seconds=600), rig.now() + timedelta(seconds=600)
                )
                if isinstance(item.observation, PaymentObservation)
                and item.observation.number == placed.order.number
            ]
        told: dict[str, list[str]] = {}
        for one in seen:
            ids = {"provider_id": one.provider_id, **one.ids}
            for name, value in ids.items():
                if value is not None:
                    told.setdefault(name, []).append(value)
        for name, values in told.items():
            different = list(dict.fromkeys(values))
            require(
                len(different) == 1,
                f"{product.method}/{product.channel}: {name} was {', then '.join(map(repr, different))}",
                "let provider_id be the id that stays the same for the order, and give the others by name in ids",
            )
            require(
                any(_holds(exchange.reply + exchange.body, values[0]) for exchange in rig.proxy.exchanges),
                f"{product.method}/{product.channel}: {name} {values[0]!r} is in no reply of the gateway's",
                "give an id as the company writes it",
            )


@check(read=LIST)
def list_has_each_order_once(rig: Rig) -> None:
    """
    The provider's list has each order of its time range once, with its state, and with our reference or none.

    Of an unpaid and a paid order; a list of transactions only, as PayPal's, has no unpaid ones, and may lag by hours.
    """
    _only_with_list(rig)
    product = waiting_product(rig)
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
        items = list(_listed(rig, since, until))
        require(
            any(_is_of(item, wanted) for item in items),
            f"the list of {since} to {until} has not the order of {wanted.order.begun_at}",
            "send the range as the company wants it: its zone, its format, whole seconds rounded outwards",
        )
        require(
            not any(_is_of(item, other) for item in items),
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
    pages = list(_pages(rig, since, until))
    if len(pages) == 1 and len(pages[0].items) >= many:
        raise NotApplicable(f"a page of the list has {many} orders and more")
    items = [item for page in pages for item in page.items]
    for placed in orders:
        times = sum(_is_of(item, placed) for item in items)
        require(
            times == 1,
            f"of {many} orders on {len(pages)} pages one is listed {times} times",
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
    product = waiting_product(rig)
    placed, _ = rig.place(product), rig.place(product)
    attempt, begun = rig.attempt(), placed.order.begun_at
    since = begun - timedelta(seconds=declared.early_s)
    until = begun + timedelta(seconds=declared.late_s)
    conversation = recorded(rig, "list by time", lambda: rig.provider.list(since, until, None, attempt))
    page = _page(conversation.outcome)
    require(
        len(conversation.requests) == 1,
        f"a page of the list took {len(conversation.requests)} requests",
        "read one page a request, or do not declare list_by_time",
    )
    require(
        len(page.items) <= declared.records_max,
        f"a page has {len(page.items)} records, and list_by_time declares {declared.records_max}",
        "declare the records of a page",
    )
    require(
        any(_is_of(item, placed) for item in page.items),
        f"an order begun at {begun} is not in the list of {since} to {until}",
        "widen early_s and late_s, and round the range outwards",
    )


# --- inside ------------------------------------------------------------------------------------------


def _only_by_number(rig: Rig) -> None:
    if rig.account.capabilities.lookup is not Lookup.BY_NUMBER:
        raise NotApplicable("an order is found by the company's id only: lookup is by_provider_id")


def _only_with_list(rig: Rig) -> None:
    if not hasattr(rig.provider, "list"):
        raise NotApplicable("the provider has no list")


def _never_made(rig: Rig) -> OrderRef:
    """A number that was fixed, and never sent."""
    order = rig.create_order(waiting_product(rig))
    return OrderRef(
        kind="payment",
        number=new_id(),
        provider_id=None,
        begun_at=order.begun_at,
        attempt=rig.attempt(),
        amount=order.amount,
        method=order.method,
        channel=order.channel,
    )


def _mixed(rig: Rig) -> Iterator[tuple[str, OrderRef]]:
    """A paid order, one that is not, a refund, and a number that was never sent."""
    product = waiting_product(rig)
    paid = rig.paid(product)
    attempt = rig.attempt()
    yield "the unpaid order", rig.place(product).ref(attempt)
    if rig.account.capabilities.lookup is Lookup.BY_NUMBER:
        yield "the number that was never sent", msgspec.structs.replace(_never_made(rig), attempt=attempt)
    yield "the paid order", paid.ref(attempt)
    if product.refund != "none":
        refund = rig.refund_order(paid, paid.order.amount.minor)
        outcome = rig.converse(lambda: rig.provider.refund(refund))
        if not isinstance(outcome, Done):
            raise Failed(f"refund: {said(outcome)}", "return Done where it was accepted")
        yield "the refund", msgspec.structs.replace(rig.refund_ref(refund, outcome.value), attempt=attempt)


def _named(claims: frozenset[str], named: Mapping[str, OrderRef]) -> str:
    """The claims, with words for the numbers in them."""
    text = _words(claims)
    for name, ref in named.items():
        text = text.replace(ref.number, f"{name} is")
    return text


def _in_every_state(rig: Rig) -> Iterator[PlacedOrder]:
    product = waiting_product(rig)
    yield rig.place(product)
    yield rig.paid(product)
    held = next((one for one in rig.products if one.capture != "none"), None)
    if held is not None:
        placed = rig.place(held, capture="manual")
        if placed.seen.status is Status.PENDING:
            rig.controls.pay(placed.order.number)  # and nobody has asked yet
        yield placed


def _claims(rig: Rig, refs: Sequence[OrderRef]) -> frozenset[str]:
    return claims_of(rig.converse(lambda: rig.provider.query(refs)))


def _words(claims: frozenset[str]) -> str:
    return ", ".join(sorted(claims)) or "nothing"


def _shown(rig: Rig, number: str) -> dict[str, Any]:
    shown = rig.controls.show_order(number)
    return {name: shown[name] for name in ("state", "charges", "paid_minor", "refunded_minor")}


def _names(body: bytes, placed: PlacedOrder) -> bool:
    """Whether the reply has a number or an id of the order."""
    ids = (placed.order.number, placed.seen.provider_id, *placed.ids.values())
    return any(_holds(body, one) for one in ids if one)


def _holds(body: bytes, text: str) -> bool:
    escaped = text.replace("/", "\\/")
    return text.encode() in body or escaped.encode() in body


def _is_of(item: Listed, placed: PlacedOrder) -> bool:
    seen = item.observation
    if not isinstance(seen, PaymentObservation):
        return False
    return seen.number == placed.order.number if seen.number else seen.provider_id == placed.seen.provider_id


def _maker(rig: Rig) -> tuple[Callable[[], PlacedOrder], int]:
    """What makes an order that the list has, and for how many there is time; transactions only are paid orders."""
    product = waiting_product(rig)
    placed, since = rig.place(product), rig.now() - timedelta(seconds=600)
    is_listed = bool(_of(rig, since, rig.now() + timedelta(seconds=600), placed))
    return (lambda: rig.place(product), MANY) if is_listed else (lambda: rig.paid(product), MANY_PAID)


def _wait_for_the_list(rig: Rig) -> None:
    rig.advance(LISTED_AFTER_S)
    rig.renew_session()


def _of(rig: Rig, since: datetime, until: datetime, placed: PlacedOrder) -> list[Listed]:
    return [item for item in _listed(rig, since, until) if _is_of(item, placed)]


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


def _listed(rig: Rig, since: datetime, until: datetime) -> Iterator[Listed]:
    for page in _pages(rig, since, until):
        yield from page.items


def _pages(rig: Rig, since: datetime, until: datetime) -> Iterator[Page]:
    cursor, known = None, set[str]()
    for _ in range(PAGES_MAX):
        attempt = rig.attempt()
        page = _page(rig.converse(lambda: rig.provider.list(since, until, cursor, attempt)))  # noqa: B023
        yield page
        cursor = page.cursor
        if cursor is None:
            return
        require(
            cursor not in known,
            f"the list returned the cursor {cursor!r} again",
            "return the cursor of the next page",
        )
        known.add(cursor)
    require(False, f"the list goes on after {PAGES_MAX} pages", "return None as cursor after the last page")


def _page(outcome: Any) -> Page:
    if not (isinstance(outcome, Done) and isinstance(outcome.value, Page)):
        require(
            False, f"list returned {said(outcome)}", "return Done(Page(...)), also where there is nothing"
        )
    page: Page = outcome.value
    return page
