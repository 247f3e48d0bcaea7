"""Orders are found again, each under its own number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Status
from paycore.domain.provider import Done, Found, Lookup, OrderRef, Rejected
from paycore.domain.wire import Response
from paycore.engine.orders import new_id
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.claims import claims_of
from paycore.testing.conformance.hostile import HTML
from paycore.testing.conformance.listed import listed
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.recorded_flow import RecordedFlow, record
from paycore.testing.conformance.replays import told_otherwise
from paycore.testing.conformance.rewording import with_broken_record
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.sampled_flows import asked

FINDING = "finding-an-order-again"
OUTCOMES = "what-an-outcome-says-about-the-money"
OLD_S = 40 * 24 * 3600.0
"""The age of an order that a query with a range of a month no longer finds."""

LATE_S = 60.0
"""Added to the seconds after which absence is proven."""


@check(read=FINDING)
def new_order_is_found_by_its_number(rig: Rig) -> None:
    """
    A query by our number alone finds an order, and a refund, right after it was made: `lookup` is as declared.

    Without `provider_id` and `ids`: they are not known where the reply was lost.
    """
    _only_by_number(rig)
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
def unfinished_search_is_no_absence(rig: Rig) -> None:
    """
    A number that was looked for in several requests, one of which got no answer, is not absent.

    Of a number that was fixed 40 days ago and never sent, asked about alone, and together with an order that is there
    where a query asks about several. Each reply in turn is an HTML page, HTTP 500 or HTTP 429.
    """
    _only_by_number(rig)
    there, ref = rig.place(rig.waiting_product()), _never_made(rig)
    rig.advance(OLD_S)
    rig.renew_session()
    attempt = rig.attempt()
    ref = msgspec.structs.replace(ref, attempt=attempt)
    batches = [[ref]]
    if rig.account.capabilities.query_batch_max > 1:
        batches.append([there.ref(attempt), ref])
    for refs in batches:
        search = record(rig, "query of a number that was never sent", lambda: rig.provider.query(refs))  # noqa: B023
        for place in search.places:
            _require_no_absence(rig, search, place, ref.number)


@check(read=FINDING)
def old_order_is_not_absent(rig: Rig) -> None:
    """
    An order that exists is not absent 40 days later, paid or not: what a query did not look for is not absent.

    An API whose query has a time range says absent only where the range holds the order.
    """
    _only_by_number(rig)
    product = rig.waiting_product()
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


@check(read=OUTCOMES)
def broken_record_is_no_absence(rig: Rig) -> None:
    """
    An order whose record can't be read is undecided: neither absent nor paid, failed or closed.

    Asked about alone, and together with another one where a query asks about several. What is skipped is not absent:
    an order that is absent is made again.
    """
    product = rig.waiting_product()
    other, ours = rig.paid(product), rig.place(product)
    attempt, tried = rig.attempt(), 0
    names = frozenset({ours.order.number, ours.seen.provider_id or ours.order.number})
    together = [[ours], [other, ours]] if rig.account.capabilities.query_batch_max > 1 else [[ours]]
    for orders in together:
        refs = [placed.ref(attempt) for placed in orders]
        asking = record(rig, "query of an unpaid order", lambda: rig.provider.query(refs))  # noqa: B023
        for place in asking.places:
            reply = with_broken_record(asking.responses[place], names, rig.sign)
            if reply is None:
                continue
            tried += 1
            outcome = told_otherwise(rig, asking, place, "one whose record is broken", reply).outcome
            claims = {one for one in claims_of(outcome) if one.startswith(f"{ours.order.number} ")}
            require(
                claims <= {f"{ours.order.number} pending"},
                f"the record of an unpaid order could not be read, and the flow returned {said(outcome)}",
                "put the number of a record that can't be read into Found(undecided=...), or return Unknown",
            )
    if not tried:
        raise NotApplicable("no reply to a query names its order")


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


def _only_by_number(rig: Rig) -> None:
    if rig.account.capabilities.lookup is not Lookup.BY_NUMBER:
        raise NotApplicable("an order is found by the company's id only: lookup is by_provider_id")


def _never_made(rig: Rig) -> OrderRef:
    """A number that was fixed, and never sent."""
    order = rig.create_order(rig.waiting_product())
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


def _require_no_absence(rig: Rig, search: RecordedFlow, place: int, number: str) -> None:
    for words, reply in (
        ("an HTML page", Response(status=200, body=HTML)),
        ("HTTP 500", Response(status=500, body=b"")),
        ("HTTP 429", Response(status=429, body=b"")),
    ):
        heard = told_otherwise(rig, search, place, words, reply)
        require(
            heard.went_on or f"{number} absent" not in claims_of(heard.outcome),
            f"reply {place + 1} of {len(search.responses)} was {words}, and the flow returned {said(heard.outcome)}",
            "say absent only after every request of the search was answered, else Found(undecided=...) or Unknown",
        )


def _mixed(rig: Rig) -> Iterator[tuple[str, OrderRef]]:
    """A paid order, one that is not, a refund, and a number that was never sent."""
    product = rig.waiting_product()
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
