"""Each answer has the outcome that says the truth about the money."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import msgspec

from paycore.domain.provider import RETRY_AFTER_MAX_S, Done, Found, NotNow, Page, Rejected, Session, Unknown
from paycore.domain.wire import Response
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.claims import claims_of
from paycore.testing.conformance.flow_runner import GIVE_SESSION
from paycore.testing.conformance.hostile import HTML, odd, unreadable
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.recorded_flow import RecordedFlow, record
from paycore.testing.conformance.replays import Heard, told_otherwise
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.sampled_flows import each_flow

OUTCOMES = "what-an-outcome-says-about-the-money"
SOON_S, ENDED_S = 5.0, 40 * 24 * 3600.0
"""So long before its end a session holds; so much later none does."""

RETRY_AFTER = ("7", "Sat, 28 Nov 2026 10:00:00 GMT", "soon", "-1", "1e999", "NaN", "")
"""Values of the header: seconds, a date, and what no document allows."""


@check(read=OUTCOMES)
def unreadable_reply_is_unknown(rig: Rig) -> None:
    """
    A reply in which nothing can be read is `Unknown`, for each request of each flow.

    HTML under status 200, half a document, empty, deep and hostile JSON. Never `Rejected`: money may have moved. Never
    an exception. A flow that has only read may return `NotNow`, and a query `Found(undecided=...)`.
    """
    for recorded in each_flow(rig):
        for place in recorded.places:
            replies = unreadable(recorded.responses[place], rig.sign)
            _require_unknown(rig, recorded, place, replies)


@check(read=OUTCOMES)
def odd_value_claims_nothing(rig: Rig) -> None:
    """
    JSON with values that no document allows raises nothing, refuses nothing, and claims nothing that is not so.

    Texts that are not UTF-8, empty or endless, numbers that are infinite or negative, keys that come twice, for each
    request of each flow. An order whose state can't be read is pending, undecided or `Unknown`.
    """
    for recorded in each_flow(rig):
        for place in recorded.places:
            for words, reply in odd(recorded.responses[place], rig.sign):
                heard = told_otherwise(rig, recorded, place, words, reply)
                at = f"{recorded.about}: reply {place + 1} was {words}, and the flow returned {said(heard.outcome)}"
                require(
                    heard.went_on or not isinstance(heard.outcome, Rejected),
                    at,
                    "return Rejected only for a code that the company documents as a refusal",
                )
                claims = {one for one in claims_of(heard.outcome) if not one.endswith(" pending")}
                require(
                    claims <= recorded.claims,
                    at,
                    "claim a state only for the words that the company documents for it",
                )


@check(read=OUTCOMES)
def server_error_is_unknown(rig: Rig) -> None:
    """
    HTTP 500, 502 and 503 are `Unknown`, for each request of each flow: the server may have acted before it failed.

    With a line of text, with an HTML page, with a JSON error that nobody documented, with nothing, and with the body of
    the good reply.
    """
    bodies = (b"Internal Server Error", HTML, b'{"error": {"code": "internal"}}', b"")
    replies = [
        (f"HTTP {status} with {body.decode()[:30]!r}", Response(status=status, body=body))
        for status in (500, 502, 503)
        for body in bodies
    ]
    for recorded in each_flow(rig):
        for place, good in enumerate(recorded.responses):
            same = ("HTTP 500 with the body of a good reply", msgspec.structs.replace(good, status=500))
            _require_unknown(rig, recorded, place, [*replies, same])


@check(read=OUTCOMES)
def page_of_a_firewall_is_no_refusal(rig: Rig) -> None:
    """
    An HTML page under HTTP 400, 403 or 404 refuses nothing: it is a proxy's or a firewall's, and not the company's.

    Only of the flows that move money: a query may read a bare 404 as absence.
    """
    replies = [
        (f"HTTP {status} with an HTML page", Response(status=status, body=HTML)) for status in (400, 403, 404)
    ]
    for recorded in each_flow(rig):
        for place in recorded.places:
            for words, reply in replies:
                heard = told_otherwise(rig, recorded, place, words, reply)
                require(
                    heard.was_safe or not isinstance(heard.outcome, Rejected),
                    f"{recorded.about}: {words} was taken for a refusal: {said(heard.outcome)}",
                    "return Rejected for a code that the company documents, and Unknown for what has none",
                )


@check(read="not-now")
def too_many_requests_is_not_now(rig: Rig) -> None:
    """
    HTTP 429 is `NotNow`, for each request of each flow, whatever its body and its `Retry-After`.

    `retry_after_s` is finite, 0 to a day. After an earlier request of the same flow that can move money it may be
    `Unknown`.
    """
    for recorded in each_flow(rig):
        for place in recorded.places:
            for after in RETRY_AFTER:
                words = f"HTTP 429 with retry-after {after!r}"
                reply = Response(status=429, headers={"retry-after": after}, body=b"Too Many Requests")
                _require_not_now(recorded, place, words, told_otherwise(rig, recorded, place, words, reply))


@check(read=OUTCOMES)
def refusal_under_a_server_error_is_unknown(rig: Rig) -> None:
    """
    The body of a refusal under HTTP 500 or 503 is `Unknown`: the server failed, whatever else it says.

    The refusal of a refund of more than was paid, or of a number in use, as this gateway writes it.
    """
    refusals = [one for one in _refusals(rig) if one.responses and isinstance(one.outcome, Rejected)]
    if not refusals:
        raise NotApplicable("the gateway refuses neither a refund of too much nor a number in use")
    for recorded in refusals:
        place = len(recorded.responses) - 1
        good = recorded.responses[place]
        replies = [
            (f"HTTP {status} with the body of a refusal", msgspec.structs.replace(good, status=status))
            for status in (500, 503)
        ]
        _require_unknown(rig, recorded, place, replies)


@check(read="sessions-tokens-and-certificates")
def ended_session_is_opened_again(rig: Rig) -> None:
    """
    A request with a session that has ended is `NotNow(is_session_refused=True)`, and one just before its end is done.

    `lasts_s` is what the company says, less a margin: an order that meets the end of a session is not refused.
    """
    if not hasattr(rig.provider, "open_session"):
        raise NotApplicable("the provider has no session")
    attempt = rig.account.attempt(rig.now(), "N" * 26)
    opened = rig.converse(lambda: rig.provider.open_session(attempt))
    require(isinstance(opened, Done), f"open_session: {said(opened)}", GIVE_SESSION)
    session: Session = opened.value  # type: ignore[union-attr]
    order = rig.create_order(rig.waiting_product())
    attempt = msgspec.structs.replace(order.attempt, session=session.value)
    order = msgspec.structs.replace(order, attempt=attempt)
    if session.lasts_s is not None:
        rig.advance(max(0.0, session.lasts_s - SOON_S))
        outcome = rig.converse(lambda: rig.provider.create(order))
        require(
            isinstance(outcome, Done),
            f"create {SOON_S:.0f} s before the session ends returned {said(outcome)}",
            "declare less than the company says in Session.lasts_s, and count from before it was asked for",
        )
    rig.advance(ENDED_S)
    second = msgspec.structs.replace(rig.create_order(rig.waiting_product()), attempt=attempt)
    outcome = rig.converse(lambda: rig.provider.create(second))
    if isinstance(outcome, Done):
        raise NotApplicable(f"a session holds for more than {ENDED_S:.0f} s at this gateway")
    require(
        isinstance(outcome, NotNow) and outcome.is_session_refused,
        f"create with a session that has ended returned {said(outcome)}",
        "return NotNow(problem=..., is_session_refused=True) where the company refuses the token: another is opened",
    )


# --- inside ------------------------------------------------------------------------------------------


def _refusals(rig: Rig) -> Iterator[RecordedFlow]:
    """What a gateway refuses, where it can be asked for it."""
    product = rig.waiting_product()
    placed = rig.paid(product)
    again = msgspec.structs.replace(placed.order, attempt=rig.attempt())
    yield record(rig, "create of a number in use", lambda: rig.provider.create(again))
    if product.refund != "none":
        refund = rig.refund_order(placed, placed.order.amount.minor + 1)
        yield record(rig, "refund of more than was paid", lambda: rig.provider.refund(refund))


def _require_unknown(
    rig: Rig, recorded: RecordedFlow, place: int, replies: Iterable[tuple[str, Response]]
) -> None:
    for words, reply in replies:
        heard = told_otherwise(rig, recorded, place, words, reply)
        at = f"{recorded.about}: reply {place + 1} was {words}, and the flow"
        if isinstance(heard.outcome, Rejected) and not heard.went_on:
            raise Failed(
                f"{at} returned {said(heard.outcome)}",
                "return Unknown: Rejected says that nothing moved, and nobody knows that",
            )
        if isinstance(heard.outcome, NotNow) and not heard.was_safe:
            raise Failed(
                f"{at} returned {said(heard.outcome)}",
                "return Unknown: NotNow says that nothing moved, and nobody knows that",
            )
        require(
            not isinstance(heard.outcome, Done) or _is_backed(recorded, place, heard),
            f"{at} returned {said(heard.outcome)}",
            "return Unknown for a reply that is not as documented, or Found(undecided=...) for the numbers that"
            " it was to tell of; demand the fields that tell the state, without a default",
        )
        require(
            isinstance(heard.outcome, (Done, Rejected, NotNow, Unknown)),
            f"{at} returned {said(heard.outcome)}",
            "return Done, Rejected, NotNow or Unknown at every end of a flow",
        )


def _is_backed(recorded: RecordedFlow, place: int, heard: Heard) -> bool:
    """Whether a `Done` says no more than what other replies of the same flow have said."""
    value = heard.outcome.value
    others_spoke = place > 0 or heard.went_on
    if isinstance(value, Session | Page):
        return others_spoke and value == recorded.outcome.value
    claims = claims_of(heard.outcome)
    return claims <= recorded.claims if others_spoke else isinstance(value, Found) and not claims


def _require_not_now(recorded: RecordedFlow, place: int, words: str, heard: Heard) -> None:
    outcome = heard.outcome
    was_moved = not all(request.is_safe for request in recorded.requests[:place])
    if heard.went_on or (was_moved and isinstance(outcome, Unknown)):
        return
    if isinstance(outcome, Done) and _is_backed(recorded, place, heard):
        return  # what was read before is told, without what was put off
    require(
        isinstance(outcome, NotNow),
        f"{recorded.about}: {words} and the flow returned {said(outcome)}",
        "return NotNow for status 429, whatever its body, before anything else is read",
    )
    seconds = outcome.retry_after_s
    require(
        isinstance(seconds, (int, float)) and math.isfinite(seconds) and 0 <= seconds <= RETRY_AFTER_MAX_S,
        f"{recorded.about}: {words} and the flow returned NotNow(retry_after_s={seconds!r})",
        f"take Retry-After only where it is a number of seconds, at most {RETRY_AFTER_MAX_S}",
    )
