"""Each answer has the outcome that says the truth about the money."""

from __future__ import annotations

import math
from collections.abc import Iterable

from paycore.domain.provider import RETRY_AFTER_MAX_S, Done, Found, NotNow, Page, Rejected, Session, Unknown
from paycore.domain.wire import Response
from paycore.testing.conformance.check import Failed, check, require
from paycore.testing.conformance.conversation import Conversation, Heard, claims_of, conversations
from paycore.testing.conformance.hostile import HTML, odd, unreadable
from paycore.testing.conformance.rig import Rig, said

OUTCOMES = "what-an-outcome-says-about-the-money"
RETRY_AFTER = ("7", "Sat, 28 Nov 2026 10:00:00 GMT", "soon", "-1", "1e999", "NaN", "")
"""Values of the header: seconds, a date, and what no document allows."""


@check(read=OUTCOMES)
def unreadable_reply_is_unknown(rig: Rig) -> None:
    """
    A reply in which nothing can be read is `Unknown`, for each request of each flow.

    HTML under status 200, half a document, empty, deep and hostile JSON. Never `Rejected`: money may have moved. Never
    an exception. A flow that has only read may return `NotNow`, and a query `Found(undecided=...)`.
    """
    for conversation in conversations(rig):
        for place in conversation.places:
            replies = unreadable(conversation.responses[place], rig.sign)
            _require_unknown(rig, conversation, place, replies)


@check(read=OUTCOMES)
def odd_value_claims_nothing(rig: Rig) -> None:
    """
    JSON with values that no document allows raises nothing, refuses nothing, and claims nothing that is not so.

    Texts that are not UTF-8, empty or endless, numbers that are infinite or negative, keys that come twice, for each
    request of each flow. An order whose state can't be read is pending, undecided or `Unknown`.
    """
    for conversation in conversations(rig):
        for place in conversation.places:
            for words, reply in odd(conversation.responses[place], rig.sign):
                heard = conversation.told(rig, place, words, reply)
                at = f"{conversation.about}: reply {place + 1} was {words}, and the flow returned {said(heard.outcome)}"
                require(
                    heard.went_on or not isinstance(heard.outcome, Rejected),
                    at,
                    "return Rejected only for a code that the company documents as a refusal",
                )
                claims = {one for one in claims_of(heard.outcome) if not one.endswith(" pending")}
                require(
                    claims <= conversation.claims,
                    at,
                    "claim a state only for the words that the company documents for it",
                )


@check(read=OUTCOMES)
def server_error_is_unknown(rig: Rig) -> None:
    """
    HTTP 500, 502 and 503 are `Unknown`, for each request of each flow: the server may have acted before it failed.

    With a line of text, with an HTML page, with a JSON error that nobody documented, and with nothing.
    """
    bodies = (b"Internal Server Error", HTML, b'{"error": {"code": "internal"}}', b"")
    replies = [
        (f"HTTP {status} with {body.decode()[:30]!r}", Response(status=status, body=body))
        for status in (500, 502, 503)
        for body in bodies
    ]
    for conversation in conversations(rig):
        for place in conversation.places:
            _require_unknown(rig, conversation, place, replies)


@check(read=OUTCOMES)
def page_of_a_firewall_is_no_refusal(rig: Rig) -> None:
    """
    An HTML page under HTTP 400, 403 or 404 refuses nothing: it is a proxy's or a firewall's, and not the company's.

    Only of the flows that move money: a query may read a bare 404 as absence.
    """
    replies = [
        (f"HTTP {status} with an HTML page", Response(status=status, body=HTML)) for status in (400, 403, 404)
    ]
    for conversation in conversations(rig):
        for place in conversation.places:
            for words, reply in replies:
                heard = conversation.told(rig, place, words, reply)
                require(
                    heard.was_safe or not isinstance(heard.outcome, Rejected),
                    f"{conversation.about}: {words} was taken for a refusal: {said(heard.outcome)}",
                    "return Rejected for a code that the company documents, and Unknown for what has none",
                )


@check(read="not-now")
def too_many_requests_is_not_now(rig: Rig) -> None:
    """
    HTTP 429 is `NotNow`, for each request of each flow, whatever its body and its `Retry-After`.

    `retry_after_s` is finite, 0 to a day. After an earlier request of the same flow that can move money it may be
    `Unknown`.
    """
    for conversation in conversations(rig):
        for place in conversation.places:
            for after in RETRY_AFTER:
                words = f"HTTP 429 with retry-after {after!r}"
                reply = Response(status=429, headers={"retry-after": after}, body=b"Too Many Requests")
                _require_not_now(conversation, place, words, conversation.told(rig, place, words, reply))


# --- inside ------------------------------------------------------------------------------------------


def _require_unknown(
    rig: Rig, conversation: Conversation, place: int, replies: Iterable[tuple[str, Response]]
) -> None:
    for words, reply in replies:
        heard = conversation.told(rig, place, words, reply)
        at = f"{conversation.about}: reply {place + 1} was {words}, and the flow"
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
            not isinstance(heard.outcome, Done) or _is_backed(conversation, place, heard),
            f"{at} returned {said(heard.outcome)}",
            "return Unknown for a reply that is not as documented, or Found(undecided=...) for the numbers that"
            " it was to tell of; demand the fields that tell the state, without a default",
        )
        require(
            isinstance(heard.outcome, (Done, Rejected, NotNow, Unknown)),
            f"{at} returned {said(heard.outcome)}",
            "return an outcome",
        )


def _is_backed(conversation: Conversation, place: int, heard: Heard) -> bool:
    """Whether a `Done` says no more than what other replies of the same flow have said."""
    value = heard.outcome.value
    others_spoke = place > 0 or heard.went_on
    if isinstance(value, Session | Page):
        return others_spoke and value == conversation.outcome.value
    claims = claims_of(heard.outcome)
    return claims <= conversation.claims if others_spoke else isinstance(value, Found) and not claims


def _require_not_now(conversation: Conversation, place: int, words: str, heard: Heard) -> None:
    outcome = heard.outcome
    was_moved = not all(request.is_safe for request in conversation.requests[:place])
    if heard.went_on or (was_moved and isinstance(outcome, Unknown)):
        return
    if isinstance(outcome, Done) and _is_backed(conversation, place, heard):
        return  # what was read before is told, without what was put off
    require(
        isinstance(outcome, NotNow),
        f"{conversation.about}: {words} and the flow returned {said(outcome)}",
        "return NotNow for status 429, whatever its body, before anything else is read",
    )
    seconds = outcome.retry_after_s
    require(
        isinstance(seconds, (int, float)) and math.isfinite(seconds) and 0 <= seconds <= RETRY_AFTER_MAX_S,
        f"{conversation.about}: {words} and the flow returned NotNow(retry_after_s={seconds!r})",
        f"take Retry-After only where it is a number of seconds, at most {RETRY_AFTER_MAX_S}",
    )
