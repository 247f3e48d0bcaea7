"""Flows as they went at the gateway, to be gone through again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from paycore.domain.money import Money
from paycore.domain.provider import Done, FullProvider, OrderRef
from paycore.domain.wire import Flow, Request, Response
from paycore.engine.provider_class import FLOWS
from paycore.testing.conformance.check import Failed
from paycore.testing.conformance.claims import claims_of
from paycore.testing.conformance.plain_values import copied
from paycore.testing.conformance.problem_words import said

if TYPE_CHECKING:  # another process, which has no rig, starts sooner
    from paycore.testing.conformance.rig import Rig


class RecordedFlow(msgspec.Struct, kw_only=True):
    """
    One flow as it went: what it was given, its requests, their responses and its outcome.

    `name` is the provider's method. `called` says for a person what the flow did, where that was told. `left` is what
    it was given, as the flow left it. `ended` is false where it did not come to its end.
    """

    name: str
    given: tuple[Any, ...]
    called: str = ""
    left: tuple[Any, ...] = ()
    requests: list[Request] = []
    responses: list[Response] = []
    outcome: Any = None
    ended: bool = False

    @property
    def about(self) -> str:
        """The flow, and what kind of thing it is about."""
        first = self._first
        kind = (
            f"{self.name} of a {first.kind}"
            if self._is_of_many and isinstance(first, OrderRef)
            else self.name
        )
        return self.called or kind

    @property
    def title(self) -> str:
        """The flow, what it is about, and the product."""
        order = getattr(self._first, "order", self._first)
        if hasattr(order, "method") and hasattr(order, "channel"):
            return f"{self.about} ({order.method}/{order.channel})"
        return self.about

    @property
    def amount(self) -> Money | None:
        """The amount of the order or the refund; of several it is the first one's, and None of none."""
        amount: Money | None = getattr(self._first, "amount", None)
        return amount

    @property
    def places(self) -> range:
        """The places of its responses, from 0."""
        return range(len(self.responses))

    @property
    def claims(self) -> frozenset[str]:
        """What its outcome says of orders and refunds."""
        return claims_of(self.outcome)

    def begin(self, provider: FullProvider, given: tuple[Any, ...] | None = None) -> Flow[Any]:
        """The flow from its begin, with what it was given or with something else."""
        flow: Flow[Any] = getattr(provider, self.name)(*copied(self.given if given is None else given))
        return flow

    @property
    def _is_of_many(self) -> bool:
        return bool(self.given) and isinstance(self.given[0], Sequence)

    @property
    def _first(self) -> Any:
        """What it is about, or the first of several."""
        first = self.given[0] if self.given else None
        return first[0] if isinstance(first, Sequence) and first else first


def record(rig: Rig, called: str, begin: Callable[[], Flow[Any]]) -> RecordedFlow:
    """
    Run one flow of `rig.provider` against the gateway, and keep how it went; `called` says for a person what it does.

    `begin` begins it. `Unknown` is the outcome where no answer came.
    """
    with recording(rig) as heard:
        outcome = rig.converse(begin)
    recorded = heard[-1]
    recorded.called, recorded.outcome = called, outcome
    return recorded


def record_done(rig: Rig, called: str, begin: Callable[[], Flow[Any]]) -> RecordedFlow:
    """The same; `Failed` where its outcome is not `Done`."""
    recorded = record(rig, called, begin)
    if not isinstance(recorded.outcome, Done):
        raise Failed(
            f"{called}: {said(recorded.outcome)}, though nothing is wrong",
            "return Done where the gateway did what it was asked for",
        )
    return recorded


@contextmanager
def recording(rig: Rig) -> Iterator[list[RecordedFlow]]:
    """Every flow that the rig runs inside the block, in their order."""
    heard: list[RecordedFlow] = []
    account = rig.account
    rig.account = msgspec.structs.replace(account, provider=_Recording(account.provider, heard))
    try:
        yield heard
    finally:
        rig.account = account


class _Recording:
    """A provider whose flows are listened to."""

    def __init__(self, provider: Any, heard: list[RecordedFlow]) -> None:
        self._provider = provider
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._provider, name)
        return self._listened(name, member) if name in FLOWS else member

    def _listened(self, name: str, member: Callable[..., Flow[Any]]) -> Any:
        def begin(*given: Any) -> Any:
            flow: Any = _heard_out(self._heard, name, member, given)
            flow.__name__ = name
            return flow

        return begin


def _heard_out(
    heard: list[RecordedFlow], name: str, member: Callable[..., Flow[Any]], given: tuple[Any, ...]
) -> Generator[Request, Response, Any]:
    recorded = RecordedFlow(name=name, given=copied(given), left=given)
    heard.append(recorded)
    flow = member(*given)
    response: Response | None = None
    while True:
        try:
            request = next(flow) if response is None else flow.send(response)
        except StopIteration as stop:
            recorded.outcome, recorded.ended = stop.value, True
            return stop.value
        recorded.requests.append(request)
        response = yield request
        recorded.responses.append(response)
