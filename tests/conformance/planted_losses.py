"""Bugs for the checks of `losses`."""

import json
from collections.abc import Sequence
from typing import Any

from paycore.plugin import (
    CreateOrder,
    Done,
    Flow,
    Found,
    NotNow,
    OrderRef,
    Rejected,
    Response,
)
from paycore.testing import Subject
from paycore.testing.toy import ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.bugs import REFUSAL, misread
from tests.conformance.good import toy
from tests.conformance.planting import Planted


class NeverFindsAbsence(ToyProvider):
    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def undecided(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            found: Found = outcome.value
            return Done(Found(observations=found.observations, undecided=found.absent))

        return (yield from misread(super().query(orders), undecided))


class FindsOnlyWhatItKnows(ToyProvider):
    """Takes an order for absent whose id it has never been told."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def found(outcome: Any, _: Response) -> Any:
            unheard = frozenset(order.number for order in orders if order.provider_id is None)
            return Done(Found(absent=unheard)) if unheard and isinstance(outcome, Done) else outcome

        return (yield from misread(super().query(orders), found))


class RefusesOn500(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def refused(outcome: Any, response: Response) -> Any:
            return REFUSAL if response.status == 500 else outcome

        return (yield from misread(super().create(order), refused))


class TriesAgainAfter500(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def later(outcome: Any, response: Response) -> Any:
            return NotNow(problem="HTTP 500") if response.status == 500 else outcome

        return (yield from misread(super().create(order), later))


class RefusesDuplicates(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def refused(outcome: Any, _: Response) -> Any:
            is_duplicate = isinstance(outcome, Rejected) and outcome.is_duplicate
            return REFUSAL if is_duplicate else outcome

        return (yield from misread(super().create(order), refused))


class NeedsRetryAfter(ToyProvider):
    """Reads a header that need not be there."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def later(outcome: Any, response: Response) -> Any:
            if response.status != 429:
                return outcome
            return NotNow(problem="HTTP 429", retry_after_s=float(response.headers["retry-after"]))

        return (yield from misread(super().query(orders), later))


class RaisesOnHalfADocument(ToyProvider):
    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def raising(outcome: Any, response: Response) -> Any:
            return outcome if response.body.endswith(b"}") else json.loads(response.body)

        return (yield from misread(super().query(orders), raising))


def blind(provider: type[ToyProvider] = ToyProvider, **settings: Any) -> Subject:
    """At a gateway that makes another order each time."""
    return toy(provider, ToySandbox(duplicates="charge_blindly"), **settings)


BLIND_BY_ID = blind(create_resend="same_result", lookup="by_provider_id", window_s=3500.0)
"""Declares keys that its gateway does not have."""

FORGETFUL = toy(
    sandbox=ToySandbox(duplicates="same_result", window_s=600.0), create_resend="same_result", window_s=3500.0
)


BUGS = [
    Planted(
        "lost_request_makes_one_order",
        "an unknown number is never absent, though the declaration says so",
        toy(NeverFindsAbsence, create_resend="unsafe"),
    ),
    Planted("lost_reply_makes_one_order", "the gateway has no keys as declared", BLIND_BY_ID),
    Planted(
        "lost_reply_makes_one_order",
        "an order whose id was never told is absent",
        blind(FindsOnlyWhatItKnows, create_resend="unsafe"),
    ),
    Planted("failed_reply_makes_one_order", "HTTP 500 is a refusal", toy(RefusesOn500)),
    Planted(
        "failed_reply_makes_one_order",
        "HTTP 500 means later",
        blind(TriesAgainAfter500, create_resend="unsafe"),
    ),
    Planted("stalled_reply_makes_one_order", "the gateway has no keys as declared", BLIND_BY_ID),
    Planted("payment_outlives_one_fault", "HTTP 429 without Retry-After raises", toy(NeedsRetryAfter)),
    Planted("payment_outlives_one_fault", "half a document raises", toy(RaisesOnHalfADocument)),
    Planted(
        "resend_does_what_is_declared",
        "duplicates are refused where the same result is declared",
        toy(create_resend="same_result"),
    ),
    Planted("resend_does_what_is_declared", "a duplicate is refused as any other", toy(RefusesDuplicates)),
    Planted("resend_does_what_is_declared", "the gateway forgets inside the window", FORGETFUL),
    Planted("resend_does_what_is_declared", "a second order is made", blind()),
]
