"""What the gateway is declared to take: numbers, batches, requests in a time, lifetimes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from paycore.domain.payment import Status
from paycore.domain.provider import Done, Found, Lookup, NotNow, OrderRef, Product
from paycore.engine.orders import new_id
from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig

_CAPABILITIES = "capabilities"

REQUESTS_MAX = 600
"""So many requests of a budget are tried: a larger one takes too long."""

BATCH_MAX = 200
"""So many numbers of a batch are asked about."""

_LIFETIMES = (
    "declare the range of lifetimes that the company takes, with a margin for the time that a request takes"
)

SHORT_S = 60
"""A shorter lifetime may be over before the payer has paid: the sandbox's clock goes on meanwhile."""

LATE_S = 120.0
"""How much later than it says a gateway may end an order; of a long one, a hundredth."""

REAL_ORDERS = 5
"""So many numbers of a batch are those of orders, where an order is found by its number."""


@check(read=_CAPABILITIES)
def numbers_as_declared_are_taken(rig: Rig) -> None:
    """
    Numbers of the declared length, of all the declared characters, make orders that are found again as they are.

    The same for a refund's number, where a product refunds.
    """
    for number in _numbers(rig):
        product = rig.products[0]
        order = msgspec.structs.replace(rig.create_order(product), number=number)
        advice = "declare the length and the characters that the company takes, and quote a number in a path"
        placed = rig.accepted(product, order, f"number {number!r}", advice)
        if rig.account.capabilities.lookup is Lookup.BY_NUMBER:
            _look(rig, placed, advice)
        try:
            rig.controls.show_order(number)
        except UnknownOrder as error:
            raise Failed(f"number {number!r} is another at the gateway: {error}", advice) from error
        require(placed.seen.number == number, f"{number!r} is told as {placed.seen.number!r}", advice)
    _refund_numbers(rig)


@check(read=_CAPABILITIES)
def batch_is_answered_in_one_query(rig: Rig) -> None:
    """
    A query of `query_batch_max` numbers tells of each of them, in no more requests than one number takes.

    A few pages aside. Where orders are found by number, most of the numbers are of no order: those are absent, or
    undecided, and in no observation.
    """
    size = min(rig.account.capabilities.query_batch_max, BATCH_MAX)
    if size == 1:
        raise NotApplicable("a query asks about one order at a time")
    is_by_number = rig.account.capabilities.lookup is Lookup.BY_NUMBER
    placed = [rig.place(rig.products[0]) for _ in range(min(size, REAL_ORDERS) if is_by_number else size)]
    rig.advance(1.0)
    real = [one.ref(rig.attempt()) for one in placed]
    others = [
        msgspec.structs.replace(real[0], number=new_id(), provider_id=None, ids={}) for _ in range(size)
    ]
    refs = [*real, *others][:size]
    alone = _requests(rig, real[:1], real[:1])
    count = _requests(rig, refs, real)
    require(
        count <= max(2 * alone, size // 20),
        f"a query of {size} numbers took {count} requests, and one of one number {alone}",
        "declare as query_batch_max how many numbers one request of the company's query takes; 1 where it is one",
    )


@check(read=_CAPABILITIES)
def gateway_takes_the_declared_rate(rig: Rig) -> None:
    """
    The gateway takes as many requests in a second and in a minute as the budget declares.

    At most 600 are tried. The core sends no more than the budget, and rests when the company refuses one.
    """
    placed = rig.place(rig.products[0])
    budget = rig.account.capabilities.budget
    rig.advance(61.0)
    rig.proxy.clear()
    total = min(budget.per_minute, REQUESTS_MAX)
    rig.is_paced = False
    while len(rig.proxy.exchanges) < total:
        before = len(rig.proxy.exchanges)
        outcome: Any = rig.converse(lambda: rig.provider.query([placed.ref(rig.attempt())]))
        if len(rig.proxy.exchanges) == before:  # nothing to ask about before the payer has come
            outcome = rig.converse(lambda: rig.provider.create(rig.create_order(rig.products[0])))
        sent = len(rig.proxy.exchanges)
        statuses = [one.status for one in rig.proxy.exchanges[before:]]
        require(
            429 not in statuses and not isinstance(outcome, NotNow),
            f"request {sent} of {budget.per_second} a second and {budget.per_minute} a minute was refused:"
            f" {said(outcome)}",
            "declare a budget that the company takes: the manual's figures",
        )
        if sent == before:
            raise NotApplicable("neither a query nor a create sends a request")
        if sent // budget.per_second > before // budget.per_second:
            rig.advance(1.0)


@check(read=_CAPABILITIES)
def lifetimes_are_the_gateways(rig: Rig) -> None:
    """
    The shortest and the longest lifetime that a product declares are taken, and the gateway keeps to them.

    An order can be paid until it expires, and not afterwards. How long that is: `Created.expires_in_s`, or what was
    asked for where it is left out. A lifetime that is told without being asked for is kept as well.
    """
    checked = [_keeps_its_lifetime(rig, product, None, is_over=True) for product in rig.products]
    for product in rig.products:
        for seconds in product.expires_in_s or ():
            if seconds >= SHORT_S:
                checked.append(_keeps_its_lifetime(rig, product, seconds, is_over=False))
            checked.append(_keeps_its_lifetime(rig, product, seconds, is_over=True))
    if not any(checked):
        raise NotApplicable("no order of this account has a lifetime that is told or can be set")


# --- numbers ----------------------------------------------------------------------------------------------------


def _numbers(rig: Rig) -> Iterator[str]:
    """Numbers of the declared length that have every declared character between them, each with a part of its own."""
    declared = rig.account.capabilities.number
    own, length = new_id(), declared.length_max
    characters = "".join(sorted(declared.characters))
    room = max(1, length - len(own))
    for place in range(math.ceil(len(characters) / room)):
        part = characters[place * room : (place + 1) * room]
        own = new_id()
        filled = (part * math.ceil(length / len(part)))[: length - len(own)]
        yield f"{filled}{own}" if length > len(own) else own
        if length <= len(own):
            return


def _look(rig: Rig, placed: PlacedOrder, advice: str) -> None:
    """Query the order; `Failed` with both pieces of advice where it is not found."""
    try:
        rig.look(placed)
    except Failed as failed:
        number = placed.order.number
        raise Failed(f"number {number!r}: {failed.problem}", f"{advice}; {failed.advice}") from failed


def _refund_numbers(rig: Rig) -> None:
    product = next((one for one in rig.products if one.refund != "none"), None)
    if product is None:
        return
    placed = rig.place(product)
    if rig.pay(placed).status is Status.AUTHORIZED:
        rig.capture(placed, placed.order.amount.minor)
        rig.look(placed)
    if placed.seen.status is not Status.PAID:
        return
    number = next(_numbers(rig))
    refund = rig.refund_order(placed, placed.order.amount.minor, number)
    outcome = rig.converse(lambda: rig.provider.refund(refund))
    require(
        isinstance(outcome, Done) and outcome.value.number == number,
        f"a refund with the number {number!r} returned {said(outcome)}",
        "declare the length and the characters that the company takes for refunds too",
    )


# --- batches ----------------------------------------------------------------------------------------------------


def _requests(rig: Rig, refs: list[OrderRef], real: list[OrderRef]) -> int:
    """How many requests a query of these took; `Failed` where it does not tell of each."""
    rig.proxy.clear()
    outcome = rig.converse(lambda: rig.provider.query(refs))
    advice = "ask about as many numbers as one request takes, and read all its pages; put what is open into `undecided`"
    if not (isinstance(outcome, Done) and isinstance(outcome.value, Found)):
        raise Failed(f"a query of {len(refs)} numbers returned {said(outcome)}", advice)
    told = {one.number for one in outcome.value.observations}
    missing = {ref.number for ref in real} - told
    require(
        not missing, f"a query of {len(refs)} numbers does not tell of {len(missing)} of the orders", advice
    )
    foreign = told - {ref.number for ref in real}
    require(not foreign, f"a query tells of {len(foreign)} orders that were never made", advice)
    return len(rig.proxy.exchanges)


# --- lifetimes ------------------------------------------------------------------------------------------------


def _keeps_its_lifetime(rig: Rig, product: Product, seconds: int | None, *, is_over: bool) -> bool:
    """
    Place an order for so long (None: unsaid), and have its payer pay amid its time, or after its end.

    False where there is nothing to see: the order is not pending, or has no lifetime.
    """
    order = rig.create_order(product, expires_in_s=seconds)
    asked = "without a lifetime" if seconds is None else f"for {seconds} s"
    placed = rig.accepted(product, order, asked, _LIFETIMES)
    lasts_s = placed.lasts_s or seconds
    if placed.seen.status is not Status.PENDING or lasts_s is None:
        return False
    rig.advance(lasts_s + max(LATE_S, lasts_s * 0.01) if is_over else lasts_s * 0.5)
    rig.renew_session()
    try:
        rig.controls.pay(order.number)
    except (NotPossible, UnknownOrder) as refusal:
        require(
            is_over,
            f"{_name(product)}: half of its {lasts_s} s after it was made the order can't be paid: {refusal}",
            "send the lifetime in the company's unit, and report the one that the order got in Created.expires_in_s",
        )
        return True
    require(
        not is_over,
        f"{_name(product)}: made {asked}, the order can still be paid when its {lasts_s} s are over",
        "send the lifetime in the company's unit, and report the one that the order got in Created.expires_in_s;"
        " without either leave expires_in_s out",
    )
    return True


def _name(product: Product) -> str:
    return f"{product.method}/{product.channel}"
