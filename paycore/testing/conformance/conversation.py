"""What a flow and the gateway said to each other, once for real; then again, with another reply in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec

from paycore.domain.money import Money
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Status
from paycore.domain.provider import (
    Created,
    Done,
    Found,
    OrderRef,
    Page,
    Product,
    Unknown,
)
from paycore.domain.wire import Flow, Request, Response
from paycore.testing.conformance.check import Failed
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import said
from paycore.testing.conformance.rig import Rig

READING = frozenset({"open_session", "query", "list"})
"""Flows that move no money, whatever they send."""

LISTED_S = 3600.0
"""The range of a list reaches so far to both sides of now."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a flow made of another reply.

    `went_on`: it asked the gateway further questions, whose answers were genuine. `was_safe`: no request up to that
    reply could move money.
    """

    outcome: Any
    went_on: bool
    was_safe: bool


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """
    One flow that ran to its end against the gateway.

    `about` says for a person what it did. `begin` begins the same flow again, with the same input. `amount` is the
    order's, or the refund's; None where it is about none.
    """

    flow: str
    about: str
    begin: Callable[[], Flow[Any]]
    requests: tuple[Request, ...]
    responses: tuple[Response, ...]
    outcome: Any
    amount: Money | None = None

    @property
    def places(self) -> range:
        """The places of its replies."""
        return range(len(self.responses))

    @property
    def claims(self) -> frozenset[str]:
        """What its outcome says of orders and refunds."""
        return claims_of(self.outcome)

    def told(self, rig: Rig, place: int, words: str, response: Response) -> Heard:
        """
        The same flow, with this reply in that place; what it asks after that is answered by the gateway.

        `words` say for a person what is wrong with the reply, should the flow raise.
        """
        sent = 0

        def answer(request: Request) -> Response:
            nonlocal sent
            sent += 1
            if sent == place + 1:
                return response
            return self.responses[sent - 1] if sent <= place else rig.send(request)

        try:
            outcome = rig.converse(self.begin, answer)
        except Failed as failed:
            problem = f"{self.about}: reply {place + 1} was {words}, and {failed.problem}"
            raise Failed(problem, failed.advice) from failed
        return Heard(
            outcome=outcome,
            went_on=sent > place + 1,
            was_safe=self.flow in READING or all(request.is_safe for request in self.requests[: place + 1]),
        )


def recorded(
    rig: Rig, about: str, begin: Callable[[], Flow[Any]], amount: Money | None = None
) -> Conversation:
    """Run a flow against the gateway, and keep what was said."""
    requests, responses = [], []

    def answer(request: Request) -> Response:
        requests.append(request)
        responses.append(rig.send(request))
        return responses[-1]

    outcome = rig.converse(begin, answer)
    return Conversation(
        flow=about.partition(" ")[0],
        about=about,
        begin=begin,
        requests=tuple(requests),
        responses=tuple(responses),
        outcome=outcome,
        amount=amount,
    )


def fruitful(
    rig: Rig, about: str, begin: Callable[[], Flow[Any]], amount: Money | None = None
) -> Conversation:
    """The same; `Failed` where its outcome is not `Done`."""
    conversation = recorded(rig, about, begin, amount)
    if not isinstance(conversation.outcome, Done):
        raise Failed(
            f"{about}: {said(conversation.outcome)}, though nothing is wrong",
            "return Done where the gateway did what it was asked for",
        )
    return conversation


def conversations(rig: Rig) -> Iterator[Conversation]:
    """Each flow that the provider has, in each state that makes a difference to it."""
    if hasattr(rig.provider, "open_session"):
        attempt = rig.account.attempt(rig.now(), "N" * 26)
        yield fruitful(rig, "open_session", lambda: rig.provider.open_session(attempt))
    first = waiting_product(rig)
    yield from _of_waiting(rig, first)
    immediate = next((one for one in rig.products if not one.needs_action), None)
    if immediate is not None and immediate is not first:
        yield _creation(rig, immediate)[1]
    yield from _of_captures(rig)
    if hasattr(rig.provider, "list"):
        yield listing(rig)


def waiting_product(rig: Rig) -> Product:
    """A product whose payer does something; the first one where there is none. It takes the money by itself."""
    products = sorted(rig.products, key=lambda one: (not one.needs_action, one.capture != "none"))
    return products[0]


def asked(rig: Rig, placed: PlacedOrder, what: str) -> Conversation:
    """A query of that one order."""
    ref = placed.ref(rig.attempt())
    return fruitful(rig, f"query of {what}", lambda: rig.provider.query([ref]), ref.amount)


def asked_for(rig: Rig, ref: OrderRef, what: str) -> Conversation:
    """A query of what is referred to."""
    return fruitful(rig, f"query of {what}", lambda: rig.provider.query([ref]), ref.amount)


def listing(rig: Rig) -> Conversation:
    """The first page of what was made about now."""
    attempt, now = rig.attempt(), rig.now()
    since, until = now - timedelta(seconds=LISTED_S), now + timedelta(seconds=LISTED_S)
    return fruitful(rig, "list of what was made", lambda: rig.provider.list(since, until, None, attempt))


def _creation(rig: Rig, product: Product) -> tuple[PlacedOrder, Conversation]:
    order = rig.create_order(product)
    conversation = recorded(
        rig, f"create of {product.method}/{product.channel}", lambda: rig.provider.create(order), order.amount
    )
    return rig.placed(product, order, conversation.outcome), conversation


def _of_waiting(rig: Rig, product: Product) -> Iterator[Conversation]:
    """What is asked of an order that its payer pays, and is refunded."""
    placed, conversation = _creation(rig, product)
    yield conversation
    yield asked(rig, placed, "an unpaid order")
    if product.close:
        closing = rig.place(product).ref(rig.attempt())
        yield fruitful(rig, "close of an unpaid order", lambda: rig.provider.close(closing), closing.amount)
    paid = rig.paid(product)
    yield asked(rig, paid, "a paid order")
    if product.refund == "none":
        return
    minor = paid.order.amount.minor
    refund = rig.refund_order(paid, minor if product.refund == "full" else max(1, minor // 2))
    refunding = fruitful(rig, "refund of a paid order", lambda: rig.provider.refund(refund), refund.amount)
    yield refunding
    seen = refunding.outcome.value
    yield asked_for(rig, rig.refund_ref(refund, seen), "a refund")


def _of_captures(rig: Rig) -> Iterator[Conversation]:
    product = next((one for one in rig.products if one.capture != "none"), None)
    if product is None:
        return
    placed = rig.place(product)
    if rig.pay(placed).status is not Status.AUTHORIZED:
        return
    yield asked(rig, placed, "an authorized order")
    minor = placed.order.amount.minor
    capture = rig.capture_order(placed, minor)
    yield fruitful(
        rig, "capture of an authorized order", lambda: rig.provider.capture(capture), capture.amount
    )


# --- what an outcome says ----------------------------------------------------------------------------


def observed_in(outcome: Any) -> tuple[Observation, ...]:
    """What an outcome has observed of orders and refunds."""
    match outcome:
        case Done(value=Created(observation=seen)):
            return (seen,)
        case Done(value=Found(observations=told)):
            return told
        case Done(value=Page(items=items)):
            return tuple(item.observation for item in items)
        case Done(value=(PaymentObservation() | RefundObservation()) as seen):
            return (seen,)
        case Unknown(observation=seen) if seen is not None:
            return (seen,)
        case _:
            return ()


def claims_of(outcome: Any) -> frozenset[str]:
    """What an outcome says of orders and refunds, a claim each; what is signed wrong says nothing."""
    is_answer = isinstance(outcome, Done) and isinstance(outcome.value, Found)
    absent = outcome.value.absent if is_answer else frozenset[str]()
    told = {f"{one.number} {one.status}" for one in observed_in(outcome) if not one.is_signed_wrong}
    return frozenset(told | {f"{number} absent" for number in absent})
