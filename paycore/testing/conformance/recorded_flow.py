"""Flows as they went at the gateway, to be gone through again without it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from paycore.domain.payment import Status
from paycore.domain.provider import FullProvider, OrderRef, Product, Secret
from paycore.domain.wire import FLOW_REQUESTS_MAX, Flow, Request, Response
from paycore.engine.provider_class import FLOWS
from paycore.sandbox.api import NotPossible
from paycore.testing.conformance.check import Failed
from paycore.testing.conformance.problem_words import place_of

if TYPE_CHECKING:
    from paycore.testing.conformance.order_desk import PlacedOrder
    from paycore.testing.conformance.rig import Rig

SMALL_MINOR = 100
"""What is refunded in part."""


class RecordedFlow(msgspec.Struct, kw_only=True):
    """
    One flow as it went: what it was given, its requests, their responses and its outcome.

    `left` is what it was given, as the flow left it. `ended` is false where it did not come to its end.
    """

    name: str
    given: tuple[Any, ...]
    left: tuple[Any, ...] = ()
    requests: list[Request] = []
    responses: list[Response] = []
    outcome: Any = None
    ended: bool = False

    @property
    def about(self) -> str:
        """The flow, and what kind of thing it is about."""
        first = self.given[0] if self.given else None
        if isinstance(first, Sequence) and first and isinstance(first[0], OrderRef):
            return f"{self.name} of a {first[0].kind}"
        return self.name

    @property
    def title(self) -> str:
        """The flow, what it is about, and the product."""
        first: Any = self.given[0] if self.given else None
        first = first[0] if isinstance(first, Sequence) and first else first
        order = getattr(first, "order", first)
        if hasattr(order, "method") and hasattr(order, "channel"):
            return f"{self.about} ({order.method}/{order.channel})"
        return self.about

    def begin(self, provider: FullProvider, given: tuple[Any, ...] | None = None) -> Flow[Any]:
        """The flow from its begin, with what it was given or with something else."""
        flow: Flow[Any] = getattr(provider, self.name)(*copied(self.given if given is None else given))
        return flow


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


def pictured(value: Any) -> Any:
    """A value as plain ones that can be compared, secrets revealed and the types named."""
    if isinstance(value, Secret):
        return ("Secret", value.reveal())
    if isinstance(value, msgspec.Struct):
        fields = value.__struct_fields__
        return (type(value).__name__, tuple((name, pictured(getattr(value, name))) for name in fields))
    if isinstance(value, Mapping):
        return (
            "mapping",
            tuple(sorted(((str(key), pictured(item)) for key, item in value.items()), key=repr)),
        )
    if isinstance(value, frozenset | set):
        return ("set", tuple(sorted(map(repr, map(pictured, value)))))
    if isinstance(value, list | tuple):
        return ("items", tuple(map(pictured, value)))
    return value


def copied(value: Any) -> Any:
    """A value whose lists and mappings are its own, down to the innermost; secrets and times stay as they are."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, msgspec.Struct):
        changes = {name: copied(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **changes)
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    return type(value)(map(copied, value)) if type(value) in (list, tuple) else value


# --- recording ---------------------------------------------------------------------------------------------


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


# --- the whole life of orders --------------------------------------------------------------------------------


def lives(rig: Rig, products: Sequence[Product] | None = None) -> list[RecordedFlow]:
    """
    Every flow of the provider at least once for each product: an order that is paid and refunded, one that is closed.

    What goes wrong ends that order, and is for the checks that are about it.
    """
    with recording(rig) as heard:
        rig.renew_session()
        for product in rig.products if products is None else products:
            for live in (_paid_and_refunded, _closed):
                try:
                    live(rig, product)
                except (Failed, NotPossible, LookupError):
                    continue
        _listed(rig)
    return [recorded for recorded in heard if recorded.ended]


def _paid_and_refunded(rig: Rig, product: Product) -> None:
    placed = rig.place(product)
    rig.look(placed)
    if rig.pay(placed).status is Status.AUTHORIZED:
        rig.capture(placed, placed.order.amount.minor)
        rig.look(placed)
    if product.refund != "none" and placed.seen.status is Status.PAID:
        _refunded(rig, placed)


def _refunded(rig: Rig, placed: PlacedOrder) -> None:
    whole = placed.order.amount.minor
    minor = min(SMALL_MINOR, whole) if placed.product.refund == "partial" else whole
    order = rig.refund_order(placed, minor)
    outcome = rig.converse(lambda: rig.provider.refund(order))
    seen = getattr(outcome, "value", None)
    rig.converse(lambda: rig.provider.query([rig.refund_ref(order, seen)]))


def _closed(rig: Rig, product: Product) -> None:
    if not product.close:
        return
    placed = rig.place(product)
    rig.converse(lambda: rig.provider.close(placed.ref(rig.attempt())))


def _listed(rig: Rig) -> None:
    if not hasattr(rig.provider, "list"):
        return
    until: datetime = rig.now()
    rig.converse(lambda: rig.provider.list(until - timedelta(minutes=10), until, None, rig.attempt()))
