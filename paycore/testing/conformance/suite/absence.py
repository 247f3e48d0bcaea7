"""Nothing is absent but what the provider looked for and did not find."""

from __future__ import annotations

import msgspec

from paycore.domain.payment import Status
from paycore.domain.provider import Rejected
from paycore.domain.wire import Response
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.claims import claims_of
from paycore.testing.conformance.hostile import HTML
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.recorded_flow import RecordedFlow, record
from paycore.testing.conformance.replays import told_otherwise
from paycore.testing.conformance.rewording import with_broken_record
from paycore.testing.conformance.rig import Rig

FINDING = "finding-an-order-again"
OUTCOMES = "what-an-outcome-says-about-the-money"
OLD_S = 40 * 24 * 3600.0
"""The age of an order that a query with a range of a month no longer finds."""

LATE_S = 60.0
"""Added to the seconds after which absence is proven."""


@check(read=FINDING)
def unknown_number_is_absent(rig: Rig) -> None:
    """
    A query by a number that was never sent says `absent`, where `query_proves_absence_after_s` declares that it does.

    It is never `Rejected`, which would be about the account, and never found.
    """
    rig.require_lookup_by_number()
    proof_s = rig.account.capabilities.query_proves_absence_after_s
    ref = rig.never_sent()
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
    rig.require_lookup_by_number()
    there, ref = rig.place(rig.waiting_product()), rig.never_sent()
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
    rig.require_lookup_by_number()
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


# --- inside ------------------------------------------------------------------------------------------


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
