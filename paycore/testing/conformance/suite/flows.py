"""What a flow is: a computation of requests, without anything beside it, that always ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any, cast

import msgspec

from paycore.domain.provider import (
    Attempt,
    CreateOrder,
    Done,
    FullProvider,
    Lookup,
    NotNow,
    OrderRef,
    Product,
    RefundOrder,
    Rejected,
    Unknown,
)
from paycore.domain.wire import FLOW_REQUESTS_MAX, Request, Response
from paycore.engine.orders import new_id
from paycore.sandbox.api import UnknownOrder
from paycore.testing.conformance.any_answer import hostile_answers
from paycore.testing.conformance.check import Failed, NotApplicable, check, require
from paycore.testing.conformance.other_process import requests_elsewhere
from paycore.testing.conformance.plain_values import copied, pictured
from paycore.testing.conformance.purity import Watched
from paycore.testing.conformance.recorded_flow import RecordedFlow
from paycore.testing.conformance.replays import UNENDED, close_after, retold, take_turns
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.same_requests import (
    require_same,
    require_same_but_for_the_attempt,
    shown_start,
)
from paycore.testing.conformance.sampled_flows import lives

_NEVER = "what-a-provider-never-does"
_FLOWS = "flows"


@check(read=_NEVER)
def provider_only_computes(rig: Rig) -> None:
    """
    A provider does nothing but compute: no socket, clock, random value, file, thread, log or print.

    Watched are its constructor, `capabilities`, `check`, `mode_of`, `base_urls_of`, `acknowledge`, and every flow, gone
    through with the responses that the gateway gave it.
    """
    flows = _all_of(rig)
    watched = Watched()
    kind: Any = rig.subject.provider
    settings = rig.read_settings()
    provider: Any = watched.call(lambda: kind(settings))
    if provider is not None:
        watched.call(lambda: provider.capabilities)
        if hasattr(provider, "acknowledge"):
            watched.call(provider.acknowledge)
        for recorded in flows:
            if recorded.name == "create" and hasattr(provider, "check"):
                watched.call(partial(provider.check, *recorded.given))
            retold(recorded, provider, step=watched.call)
    if hasattr(kind, "mode_of"):
        watched.call(lambda: kind.mode_of(settings))
    if hasattr(kind, "base_urls_of"):
        watched.call(lambda: kind.base_urls_of(settings, "live"))
    seen = dict.fromkeys(f"{one.place} {one.what}" for one in watched.impurities)
    require(
        not seen,
        "; ".join(seen),
        "take times and nonces from `order.attempt`, let the core send, and return what is worth telling",
    )


@check(read=_FLOWS)
def same_input_makes_the_same_requests(rig: Rig) -> None:
    """
    A flow that is given the same sends the same bytes and returns the same, whatever else the provider did.

    Every flow is gone through again by the provider that it used, by a new one, and by one in another process, where
    sets have another order.
    """
    flows = _all_of(rig)
    for is_new in (False, True):
        name = "a new provider" if is_new else "the provider it used"
        for recorded in flows:
            again = retold(recorded, _fresh(rig) if is_new else rig.provider)
            require_same(recorded, again.requests, f"gone through again by {name}")
            require(
                pictured(again.outcome) == pictured(recorded.outcome),
                f"{recorded.title} returned something else when gone through again by {name} with the same"
                " responses",
                "make an outcome of the arguments and the responses only",
            )
    elsewhere = requests_elsewhere(rig.subject.provider, rig.read_settings(), flows, rig.folder)
    for recorded, requests in zip(flows, elsewhere or (), strict=False):
        require_same(recorded, requests, "gone through in another process")


@check(read=_FLOWS)
def flows_share_nothing(rig: Rig) -> None:
    """
    Flows of one provider that run at the same time send what each would send alone.

    Threads and tasks share a provider. Two flows of a kind take turns, request by request.
    """
    provider = _fresh(rig)
    flows = _all_of(rig)
    for first, second in pairwise(flows):
        take_turns(provider, first, second)
    for recorded in flows:
        same = [one for one in flows if one.name == recorded.name and one is not recorded]
        for other in same[-1:]:
            take_turns(provider, recorded, other)


@check(read="time-and-nonce-of-an-attempt")
def resend_differs_by_its_attempt_only(rig: Rig) -> None:
    """
    What is sent again is the same but for what its attempt brings: a time, a nonce, a signature over them.

    Every flow that moves money is gone through again with another `attempt`. The same are: method, host and path, the
    names of headers and fields, a key by which the company knows a repeat, and every value that is neither a
    rendering of the attempt's time or nonce nor a signature. A time that is reckoned from the attempt's, such as an
    expiry, is another order.
    """
    for recorded in _all_of(rig):
        if recorded.name not in ("create", "capture", "refund", "close"):
            continue
        attempt = rig.attempt()
        attempt = msgspec.structs.replace(attempt, sent_at=attempt.sent_at + timedelta(seconds=61))
        again = retold(recorded, rig.provider, given=tuple(_replaced(one, attempt) for one in recorded.given))
        require(
            len(again.requests) == len(recorded.requests),
            f"{recorded.title} sent {len(recorded.requests)} requests, and {len(again.requests)} with another"
            " attempt",
            "send as many requests whatever `attempt` has: only values in them are made of it",
        )
        for one, other in zip(recorded.requests, again.requests, strict=True):
            require_same_but_for_the_attempt(recorded.title, one, other, attempt.sent_at)


@check(read="finding-an-order-again")
def number_reaches_the_company(rig: Rig) -> None:
    """
    Two orders that differ by their number only are different requests; so are two refunds.

    By that number the company finds an order again, or knows that it was sent before. Asked of creates where an
    order is looked up by number or may be sent again, and of refunds where they may be.
    """
    declared = rig.account.capabilities
    by_number = declared.lookup is Lookup.BY_NUMBER
    wanted = {
        "create": by_number or declared.create_resend.effect != "unsafe",
        "refund": declared.refund_resend.effect != "unsafe",
    }
    checked = [one for one in _all_of(rig) if wanted.get(one.name) and one.requests]
    if not checked:
        raise NotApplicable("no order is looked up by number, and none is sent again")
    for recorded in checked:
        order = recorded.given[0]
        other = retold(recorded, rig.provider, given=(msgspec.structs.replace(order, number=new_id()),))
        require(
            other.requests != tuple(recorded.requests),
            f"{recorded.title}: another number makes the same requests",
            "send `number` as the merchant's number of the order, or as its idempotency key; `reference` is the"
            " application's, and two orders may have the same",
        )


@check(read=_FLOWS)
def flows_end_on_any_answer(rig: Rig) -> None:
    """
    Whatever answers come, a flow returns an outcome within its ten requests, and raises nothing.

    Each response of each flow is replaced, from there to the end, by others: of every status, empty, cut off, HTML,
    JSON of other types, deep, bytes that are no text, and one that came earlier, for ever.
    """
    tried: set[str] = set()
    for recorded in _one_of_each(_all_of(rig)):
        is_first = recorded.about not in tried
        tried.add(recorded.about)
        for place, answer in hostile_answers(recorded, is_thorough=is_first):
            responses = [*recorded.responses[:place], *[answer] * (FLOW_REQUESTS_MAX + 1)]
            told = f"HTTP {answer.status}, {shown_start(answer.body)}"
            try:
                again = retold(recorded, rig.provider, responses=responses)
            except Failed as failed:
                raise Failed(f"{failed.problem}, answered {told}", failed.advice) from failed
            require(
                again.outcome is not UNENDED and len(again.requests) <= FLOW_REQUESTS_MAX,
                f"{recorded.title} goes on without an end when it is answered {told}",
                "count its pages and tries, and return what is known by then",
            )
            require(
                isinstance(again.outcome, Done | Rejected | NotNow | Unknown),
                f"{recorded.title} returned {type(again.outcome).__name__}, answered {told}",
                "return Done, Rejected, NotNow or Unknown at every end of a flow",
            )


@check(read=_FLOWS)
def closed_flow_lets_go(rig: Rig) -> None:
    """
    A flow that is closed while it waits for a response ends there, and the provider serves the next as before.

    The core closes a flow when its time is over, or no answer came.
    """
    flows = _all_of(rig)
    provider = _fresh(rig)
    for recorded in flows:
        for count in range(len(recorded.requests) + 1):
            close_after(recorded, provider, count)
        again = retold(recorded, provider)
        require_same(recorded, again.requests, "gone through after another was closed early")


@check(read=_FLOWS)
def flows_change_nothing_they_are_given(rig: Rig) -> None:
    """
    What a flow is given is as it was when the flow has ended: orders, their ids and extra fields, lists, responses.

    The core gives the same order to the flow that is sent again.
    """
    for recorded in _all_of(rig):
        require(
            pictured(recorded.left) == pictured(recorded.given),
            f"{recorded.title} changed what it was given",
            "copy `extra`, `ids` and `returned` before you add to them: {**order.extra, ...}",
        )
        answers = copied(recorded.responses)
        retold(recorded, rig.provider, responses=answers)
        require(
            pictured(recorded.responses) == pictured(answers),
            f"{recorded.title} changed the headers of a response",
            "copy headers before you add to them",
        )


@check(read="what-the-core-enforces")
def requests_can_be_sent(rig: Rig) -> None:
    """
    Every request has a known method, a declared host, a path without secrets and headers that HTTP can hold.

    The core sends no other.
    """
    for recorded in _all_of(rig):
        for request in recorded.requests:
            problem = rig.request_problem(request)
            require(
                problem is None,
                f"{recorded.title}: {problem}",
                "declare further hosts in ProviderInfo.hosts; keep headers to one line of ASCII, and secrets out of"
                " paths",
            )


@check(read="safe-requests")
def safe_requests_move_no_money(rig: Rig) -> None:
    """
    No request that is safe takes money or gives it back.

    Safe is a GET, and what says `safe=True`. A flow that ends after safe requests only is taken to have moved nothing,
    and its caller may do it again with another number. Looked at is what the gateway took and returned, before and
    after each.
    """
    moved: list[str] = []
    numbers: list[str] = []

    def noted(product: Product, **changes: Any) -> CreateOrder:
        order = create_order(product, **changes)
        numbers.append(order.number)
        return order

    def compared(request: Request) -> Response:
        before = _moved_minor(rig, numbers) if request.is_safe else ()
        response = send(request)
        if request.is_safe and _moved_minor(rig, numbers) != before:
            moved.append(f"{request.method} {request.path.partition('?')[0]}")
        return response

    create_order, send = rig.create_order, rig.send
    rig.create_order, rig.send = noted, compared  # type: ignore[method-assign]
    _all_of(rig)
    require(
        not moved,
        f"{moved[0] if moved else ''} is safe, and money moved by it",
        "leave `safe` out of every request that makes, captures, refunds or closes something",
    )


# --- what is gone through -------------------------------------------------------------------------------------


def _all_of(rig: Rig) -> list[RecordedFlow]:
    """Every flow of the provider, as it went."""
    found = lives(rig)
    if not found:
        raise Failed(
            "no flow came to its end against the sandbox",
            "mend `create` first: run the check every_product_makes_an_order",
        )
    return found


def _moved_minor(rig: Rig, numbers: Sequence[str]) -> list[tuple[Any, ...]]:
    """What the gateway has taken and returned for each of these orders."""
    moved = []
    for number in numbers:
        with suppress(UnknownOrder):
            order = rig.controls.show_order(number)
            moved.append((number, order["charges"], order["paid_minor"], order["refunded_minor"]))
    return [one for one in moved if any(one[1:])]


def _one_of_each(flows: Sequence[RecordedFlow]) -> list[RecordedFlow]:
    """One of each flow and product, the longest."""
    longest: dict[str, RecordedFlow] = {}
    for one in flows:
        if one.title not in longest or len(one.requests) > len(longest[one.title].requests):
            longest[one.title] = one
    return list(longest.values())


def _fresh(rig: Rig) -> FullProvider:
    """Another provider of the same account."""
    kind: Any = rig.subject.provider
    return cast("FullProvider", kind(rig.read_settings()))


# --- sent again -----------------------------------------------------------------------------------------------


def _replaced(value: Any, attempt: Attempt) -> Any:
    """The value with this attempt in the place of each of its own."""
    if isinstance(value, Attempt):
        return attempt
    if isinstance(value, CreateOrder | OrderRef | RefundOrder) or hasattr(value, "attempt"):
        changes = {
            name: _replaced(getattr(value, name), attempt)
            for name in ("attempt", "order", "payment")
            if getattr(value, name, None) is not None
        }
        return msgspec.structs.replace(value, **changes)
    return value
