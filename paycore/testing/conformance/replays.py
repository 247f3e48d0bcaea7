"""Goes through recorded flows again: without the gateway, or with another reply in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from paycore.domain.provider import FullProvider
from paycore.domain.wire import FLOW_REQUESTS_MAX, Request, Response
from paycore.testing.conformance.check import Failed
from paycore.testing.conformance.problem_words import place_of
from paycore.testing.conformance.recorded_flow import RecordedFlow
from paycore.testing.conformance.same_requests import require_same

if TYPE_CHECKING:  # another process, which has no rig, starts sooner
    from paycore.testing.conformance.rig import Rig

READING = frozenset({"open_session", "query", "list"})
"""Flows that move no money, whatever they send."""


# --- with the gateway ------------------------------------------------------------------------------------------


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a flow made of another reply.

    `went_on`: it asked the gateway further questions, whose answers were genuine. `was_safe`: no request up to that
    reply could move money.
    """

    outcome: Any
    went_on: bool
    was_safe: bool


def told_otherwise(rig: Rig, recorded: RecordedFlow, place: int, words: str, response: Response) -> Heard:
    """
    The flow once more, with this response in that place; what it asks after that is answered by the gateway.

    `words` say for a person what is wrong with the response, should the flow raise: `Failed`.
    """
    sent = 0

    def answer(request: Request) -> Response:
        nonlocal sent
        sent += 1
        if sent == place + 1:
            return response
        return recorded.responses[sent - 1] if sent <= place else rig.send(request)

    try:
        outcome = rig.converse(lambda: recorded.begin(rig.provider), answer)
    except Failed as failed:
        problem = f"{recorded.about}: reply {place + 1} was {words}, and {failed.problem}"
        raise Failed(problem, failed.advice) from failed
    return Heard(
        outcome=outcome,
        went_on=sent > place + 1,
        was_safe=recorded.name in READING or all(one.is_safe for one in recorded.requests[: place + 1]),
    )


# --- without it ------------------------------------------------------------------------------------------------


class Retold(msgspec.Struct, frozen=True, kw_only=True):
    """A flow gone through without a gateway: what it sent and returned. `outcome` is `UNENDED` where it wants more."""

    requests: tuple[Request, ...]
    outcome: Any


UNENDED = "no end"


def retold(
    recorded: RecordedFlow,
    provider: FullProvider,
    *,
    given: tuple[Any, ...] | None = None,
    responses: Sequence[Response] | None = None,
    step: Callable[[Callable[[], Any]], Any] = lambda call: call(),
) -> Retold:
    """
    The flow once more, given the same responses or others; `step` makes each call into it.

    It stops where there is no further response. `Failed` for what the flow raises.
    """
    answers = iter(recorded.responses if responses is None else responses)
    requests: list[Request] = []
    try:
        flow = step(lambda: recorded.begin(provider, given))
        request = None if flow is None else step(lambda: next(flow))
        while isinstance(request, Request) and len(requests) <= FLOW_REQUESTS_MAX:
            requests.append(request)
            response = next(answers, None)
            if response is None:
                break
            request = step(lambda: flow.send(response))  # noqa: B023 - called at once
        if flow is not None:
            flow.close()
    except StopIteration as stop:
        return Retold(requests=tuple(requests), outcome=stop.value)
    except Exception as error:
        raise Failed(
            f"{recorded.title} raised {type(error).__name__} at {place_of(error)}",
            "return an outcome for every response: Unknown where it can't be read",
        ) from error
    return Retold(requests=tuple(requests), outcome=UNENDED)


def take_turns(provider: FullProvider, first: RecordedFlow, second: RecordedFlow) -> None:
    """Go through both, a request of each in turn."""
    sent: dict[int, list[Request]] = {0: [], 1: []}
    both = (first, second)
    flows = [one.begin(provider) for one in both]
    waiting = {0: iter([None, *first.responses]), 1: iter([None, *second.responses])}
    while waiting:
        for turn, answers in list(waiting.items()):
            try:
                answer = next(answers)
                request = next(flows[turn]) if answer is None else flows[turn].send(answer)
                sent[turn].append(request)
            except StopIteration:
                del waiting[turn]
            except Exception as error:
                raise Failed(
                    f"{both[turn].title} raised {type(error).__name__} at {place_of(error)} beside another flow",
                    "keep what a flow needs in its own variables, and nothing on the provider",
                ) from error
    for turn, recorded in enumerate(both):
        require_same(recorded, sent[turn], f"it took turns with {both[1 - turn].title}")


def close_after(recorded: RecordedFlow, provider: FullProvider, count: int) -> None:
    """Go through so many requests, and close it."""
    flow = recorded.begin(provider)
    try:
        for place in range(count):
            if place == 0:
                next(flow)
            else:
                flow.send(recorded.responses[place - 1])
        flow.close()
    except StopIteration:
        return
    except Exception as error:
        raise Failed(
            f"{recorded.title}, closed after {count} requests, raised {type(error).__name__} at {place_of(error)}:"
            f" {error}",
            "let GeneratorExit through: no `yield` in `finally`, and no bare `except` around one",
        ) from error
