"""Orders are found again, each under its own number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Status
from paycore.domain.provider import Done, Found, Lookup, OrderRef
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.claims import claims_of
from paycore.testing.conformance.listed import listed
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.recorded_flow import record
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.sampled_flows import asked

FINDING = "finding-an-order-again"
OUTCOMES = "what-an-outcome-says-about-the-money"


@check(read=FINDING)
def new_order_is_found_by_its_number(rig: Rig) -> None:
    """
    A query by our number alone finds an order, and a refund, right after it was made: `lookup` is as declared.

    Without `provider_id` and `ids`: they are not known where the reply was lost.
    """
    rig.require_lookup_by_number()
    product = rig.waiting_product()
    placed = rig.paid(product) if product.refund != "none" else rig.place(product)
    refs = [placed.ref(rig.attempt())]
    if product.refund != "none":
        refund = rig.refund_order(placed, placed.order.amount.minor)
        refunded = rig.converse(lambda: rig.provider.refund(refund))
        require(
            isinstance(refunded, Done),
            f"refund: {said(refunded)}",
            "return Done with the observation of the refund where the company accepted it",
        )
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
    product = rig.waiting_product()
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
def foreign_records_are_left_out(rig: Rig) -> None:
    """
    A reply that tells of more orders than were asked about says of ours what it says of it alone.

    The reply to a question about a paid and an unpaid order answers the one about the unpaid order.
    """
    if rig.account.capabilities.query_batch_max == 1:
        raise NotApplicable("a reply tells of one order: query_batch_max is 1")
    product = rig.waiting_product()
    theirs, ours = rig.paid(product), rig.place(product)
    attempt = rig.attempt()
    refs = [theirs.ref(attempt), ours.ref(attempt)]
    for order in (refs, refs[::-1]):
        both = record(rig, "query of two orders", lambda: rig.provider.query(order))  # noqa: B023
        given = iter([*both.responses, *both.responses[-1:] * 9])
        outcome = rig.converse(lambda: rig.provider.query([refs[1]]), lambda _: next(given))  # noqa: B023
        claims = {one for one in claims_of(outcome) if one.startswith(f"{ours.order.number} ")}
        require(
            claims <= {f"{ours.order.number} pending"},
            f"the reply told of a paid order and of ours, which is unpaid, and the flow returned {said(outcome)}",
            "take the record with the number that was asked about, and no other",
        )


@check(read=FINDING)
def query_changes_nothing(rig: Rig) -> None:
    """
    A query only asks: asked three times it says the same, and takes and returns no money.

    Of an unpaid and a paid order, and of one whose payer has agreed: `capture` takes its money. A query may reserve
    it, as Klarna's and PayPal's do with what the payer has agreed to.
    """
    for placed, is_held in _in_every_state(rig):
        number = placed.order.number
        before = _money_of(rig, number)
        told = [_claims(rig, [placed.ref(rig.attempt())]) for _ in range(3)]
        require(
            _money_of(rig, number) == before,
            f"the gateway had {before} of an order before it was asked about, and {_money_of(rig, number)} after it",
            "let a query only read: capture takes the money",
        )
        require(
            is_held or len(set(told)) == 1,
            f"asked three times about one order: {', then '.join(map(_words, told))}",
            "let a query only read, and tell an order alike as long as nothing happens to it",
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
                for item in listed(
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


# --- inside ------------------------------------------------------------------------------------------


def _mixed(rig: Rig) -> Iterator[tuple[str, OrderRef]]:
    """A paid order, one that is not, a refund, and a number that was never sent."""
    product = rig.waiting_product()
    paid = rig.paid(product)
    attempt = rig.attempt()
    yield "the unpaid order", rig.place(product).ref(attempt)
    if rig.account.capabilities.lookup is Lookup.BY_NUMBER:
        yield "the number that was never sent", msgspec.structs.replace(rig.never_sent(), attempt=attempt)
    yield "the paid order", paid.ref(attempt)
    if product.refund != "none":
        refund = rig.refund_order(paid, paid.order.amount.minor)
        outcome = rig.converse(lambda: rig.provider.refund(refund))
        if not isinstance(outcome, Done):
            raise Failed(
                f"refund: {said(outcome)}",
                "return Done with the observation of the refund where the company accepted it",
            )
        yield "the refund", msgspec.structs.replace(rig.refund_ref(refund, outcome.value), attempt=attempt)


def _named(claims: frozenset[str], named: Mapping[str, OrderRef]) -> str:
    """The claims, with words for the numbers in them."""
    text = _words(claims)
    for name, ref in named.items():
        text = text.replace(ref.number, f"{name} is")
    return text


def _in_every_state(rig: Rig) -> Iterator[tuple[PlacedOrder, bool]]:
    """Orders that nobody has asked about since their payer acted, and whether they are to be captured."""
    product = rig.waiting_product()
    yield rig.place(product), False
    yield rig.paid(product), False
    held = next((one for one in rig.products if one.capture != "none"), None)
    if held is not None:
        placed = rig.place(held, capture="manual")
        if placed.seen.status is Status.PENDING:
            rig.controls.pay(placed.order.number)
        yield placed, True


def _claims(rig: Rig, refs: Sequence[OrderRef]) -> frozenset[str]:
    return claims_of(rig.converse(lambda: rig.provider.query(refs)))


def _words(claims: frozenset[str]) -> str:
    return ", ".join(sorted(claims)) or "nothing"


def _money_of(rig: Rig, number: str) -> dict[str, Any]:
    shown = rig.controls.show_order(number)
    return {name: shown[name] for name in ("charges", "paid_minor", "refunded_minor")}


def _names(body: bytes, placed: PlacedOrder) -> bool:
    """Whether the reply has a number or an id of the order."""
    ids = (placed.order.number, placed.seen.provider_id, *placed.ids.values())
    return any(_holds(body, one) for one in ids if one)


def _holds(body: bytes, text: str) -> bool:
    escaped = text.replace("/", "\\/")
    return text.encode() in body or escaped.encode() in body
