"""Goes through recorded flows again, and finds what differs."""

from __future__ import annotations

from collections.abc import Sequence

from paycore.domain.provider import FullProvider
from paycore.domain.wire import Request
from paycore.testing.conformance.check import Failed, require
from paycore.testing.conformance.problem_words import place_of
from paycore.testing.conformance.recorded_flow import RecordedFlow


def require_same(recorded: RecordedFlow, requests: Sequence[Request], how: str) -> None:
    """`Failed` where these requests are not those of the recorded flow."""
    for place, (one, other) in enumerate(zip(recorded.requests, requests, strict=False)):
        require(
            one == other,
            f"{recorded.title}: request {place + 1} differs when {how}: {_first_difference(one, other)}",
            "make a request of the flow's arguments only: no clock, no random value, nothing kept on the provider,"
            " and no order of a set",
        )
    require(
        len(requests) == len(recorded.requests),
        f"{recorded.title} sent {len(requests)} requests where it sent {len(recorded.requests)}, {how}",
        "make requests of the flow's arguments and responses only",
    )


def _first_difference(one: Request, other: Request) -> str:
    for name in ("method", "host", "path", "headers", "safe"):
        if getattr(one, name) != getattr(other, name):
            return f"its {name}"
    place = next(
        (place for place, pair in enumerate(zip(one.body, other.body, strict=False)) if pair[0] != pair[1]),
        min(len(one.body), len(other.body)),
    )
    return f"byte {place} of its body, {shown_start(one.body[place : place + 24])}"


def shown_start(body: bytes) -> str:
    """The start of a body, for a problem."""
    return f"{body[:40]!r}{'...' if len(body) > 40 else ''}"


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
