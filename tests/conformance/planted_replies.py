"""Bugs for the checks of `replies`."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from paycore.plugin import (
    Attempt,
    CaptureOrder,
    Created,
    CreateOrder,
    Done,
    Flow,
    Found,
    Money,
    NotNow,
    OrderRef,
    PaymentObservation,
    Redirect,
    RefundObservation,
    RefundOrder,
    RefundStatus,
    Rejected,
    Response,
    Status,
    Unknown,
)
from paycore.testing.toy import SessionToyProvider, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.bugs import REFUSAL, misread
from tests.conformance.good import toy
from tests.conformance.planting import Planted


def document(response: Response) -> dict[str, Any]:
    """The JSON object in the reply, or none."""
    try:
        found = json.loads(response.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class TakesUnknownWordsForPaid(ToyProvider):
    """What is neither pending nor failed nor closed is paid."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def paid(outcome: Any, response: Response) -> Any:
            records = document(response).get("records", [])
            if not isinstance(outcome, Unknown) or not records:
                return outcome
            number, known = records[0]["number"], records[0]["id"]
            seen = PaymentObservation(number=number, status=Status.PAID, provider_id=known)
            return Done(Found(observations=(seen,)))

        return (yield from misread(super().query(orders), paid))


class TakesUnknownWordsForRefusals(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def refused(outcome: Any, response: Response) -> Any:
            return REFUSAL if isinstance(outcome, Unknown) and "status" in document(response) else outcome

        return (yield from misread(super().create(order), refused))


class TakesUnknownWordsForSuccess(ToyProvider):
    def refund(self, refund: RefundOrder) -> Flow[Any]:
        def succeeded(outcome: Any, response: Response) -> Any:
            seen = RefundObservation(number=refund.number, status=RefundStatus.SUCCEEDED)
            is_new = isinstance(outcome, Unknown) and "status" in document(response)
            return Done(seen) if is_new else outcome

        return (yield from misread(super().refund(refund), succeeded))


class TakesAnyCloseForClosed(ToyProvider):
    def close(self, order: OrderRef) -> Flow[Any]:
        def closed(outcome: Any, response: Response) -> Any:
            seen = PaymentObservation(number=order.number, status=Status.CLOSED)
            return Done(seen) if "status" in document(response) else outcome

        return (yield from misread(super().close(order), closed))


class TakesAnyReplyToCreate(ToyProvider):
    """Does not look whose reply it is."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        def taken(outcome: Any, response: Response) -> Any:
            told = document(response)
            if not isinstance(outcome, Unknown) or "id" not in told:
                return outcome
            seen = PaymentObservation(number=order.number, status=Status.PENDING, provider_id=told["id"])
            return Done(Created(observation=seen, action=Redirect(url=told["url"])))

        return (yield from misread(super().create(order), taken))


class ForbidsNewFields(ToyProvider):
    def capture(self, capture: CaptureOrder) -> Flow[Any]:
        def strict(outcome: Any, response: Response) -> Any:
            known = {"number", "kind", "id", "status", "minor", "currency", "refunded", "ids", "paid", "at"}
            return outcome if document(response).keys() <= known else Unknown(problem="a new field")

        return (yield from misread(super().capture(capture), strict))


class Observing(ToyProvider):
    """Observes something else."""

    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def changed(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            seen = tuple(self.seen(one, orders[0]) for one in outcome.value.observations)
            return Done(msgspec.structs.replace(outcome.value, observations=seen))

        return (yield from misread(super().query(orders), changed))

    def seen(self, one: Any, order: OrderRef) -> Any:
        """Another observation."""
        raise NotImplementedError


class TellsNoAmount(Observing):
    def seen(self, one: Any, order: OrderRef) -> Any:
        return msgspec.structs.replace(one, amount=None, partial_amount=None)


class TellsWholeAmountsOnly(Observing):
    def seen(self, one: Any, order: OrderRef) -> Any:
        return msgspec.structs.replace(one, partial_amount=None)


class TellsTheOrdersAmount(Observing):
    def seen(self, one: Any, order: OrderRef) -> Any:
        return msgspec.structs.replace(one, amount=order.amount, partial_amount=None)


class AssumesTheCurrency(Observing):
    def seen(self, one: Any, order: OrderRef) -> Any:
        if one.amount is None:
            return one
        return msgspec.structs.replace(one, amount=Money.from_minor(one.amount.minor, order.amount.currency))


class TellsTheRefundAsAsked(ToyProvider):
    def refund(self, refund: RefundOrder) -> Flow[Any]:
        def as_asked(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            return Done(msgspec.structs.replace(outcome.value, amount=refund.amount, partial_amount=None))

        return (yield from misread(super().refund(refund), as_asked))


class Opening(SessionToyProvider):
    """Takes a refused key for something else."""

    instead: Callable[[Any], Any]

    def open_session(self, attempt: Attempt) -> Flow[Any]:
        def changed(outcome: Any, _: Response) -> Any:
            return type(self).instead(outcome) if isinstance(outcome, Rejected) else outcome

        return (yield from misread(super().open_session(attempt), changed))


class BlamesThePayer(Opening):
    instead = staticmethod(lambda _: REFUSAL)


class AsksForAnotherSession(Opening):
    instead = staticmethod(lambda _: NotNow(problem="HTTP 401", is_session_refused=True))


class KnowsNothingOfKeys(Opening):
    instead = staticmethod(lambda _: Unknown(problem="HTTP 401"))


SESSION = ToySandbox("toy-session", needs_token=True)
WORD, AMOUNT = "unknown_word_is_no_state", "other_amount_is_noticed"
KEYS = "wrong_credentials_are_the_operators"

BUGS = [
    Planted(WORD, "any other word means paid", toy(TakesUnknownWordsForPaid)),
    Planted(WORD, "any other word refuses", toy(TakesUnknownWordsForRefusals)),
    Planted(WORD, "any other word means refunded", toy(TakesUnknownWordsForSuccess)),
    Planted(WORD, "any answer to a close means closed", toy(TakesAnyCloseForClosed)),
    Planted("reply_about_another_create_is_not_taken", "any reply is taken", toy(TakesAnyReplyToCreate)),
    Planted(
        "new_field_changes_nothing", "new fields are forbidden", toy(ForbidsNewFields, captures="partial")
    ),
    Planted(AMOUNT, "no amount is told", toy(TellsNoAmount)),
    Planted(AMOUNT, "half an amount is not told", toy(TellsWholeAmountsOnly)),
    Planted(AMOUNT, "the order's own amount is told", toy(TellsTheOrdersAmount)),
    Planted(AMOUNT, "the order's currency is assumed", toy(AssumesTheCurrency)),
    Planted(AMOUNT, "the refund's own amount is told", toy(TellsTheRefundAsAsked)),
    Planted(KEYS, "a wrong key is the payer's", toy(BlamesThePayer, SESSION)),
    Planted(KEYS, "a wrong key is a session that has ended", toy(AsksForAnotherSession, SESSION)),
    Planted(KEYS, "a wrong key is unknown", toy(KnowsNothingOfKeys, SESSION)),
]
