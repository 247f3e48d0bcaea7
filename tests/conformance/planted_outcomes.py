"""Bugs for the checks of `outcomes`."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from paycore.plugin import (
    Attempt,
    CaptureOrder,
    CreateOrder,
    Done,
    Flow,
    Found,
    NotNow,
    OrderRef,
    Page,
    PaymentObservation,
    RefundOrder,
    Response,
    Secret,
    Session,
    Status,
    Unknown,
)
from paycore.testing.toy import SessionToyProvider, ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.bugs import REFUSAL, misread
from tests.conformance.good import toy
from tests.conformance.planting import Planted


def refused(outcome: Any, _: Response) -> Any:
    """Takes whatever can't be read for a refusal."""
    return REFUSAL if isinstance(outcome, Unknown) else outcome


class RefusesWhatItCannotRead(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        return (yield from misread(super().create(order), refused))


class RefusesACaptureItCannotRead(ToyProvider):
    def capture(self, capture: CaptureOrder) -> Flow[Any]:
        return (yield from misread(super().capture(capture), refused))


class RaisesOnHtml(ToyProvider):
    def refund(self, refund: RefundOrder) -> Flow[Any]:
        def raising(outcome: Any, response: Response) -> Any:
            json.loads(response.body)
            return outcome

        return (yield from misread(super().refund(refund), raising))


class FindsNothingInWhatItCannotRead(ToyProvider):
    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def absent(outcome: Any, _: Response) -> Any:
            numbers = frozenset(order.number for order in orders)
            return Done(Found(absent=numbers)) if isinstance(outcome, Unknown) else outcome

        return (yield from misread(super().query(orders), absent))


class ListsNothingWhereItCannotRead(ToyProvider):
    def list(self, since: Any, until: Any, cursor: str | None, attempt: Attempt) -> Flow[Any]:
        def empty(outcome: Any, _: Response) -> Any:
            return Done(Page(items=())) if isinstance(outcome, Unknown) else outcome

        return (yield from misread(super().list(since, until, cursor, attempt), empty))


class TakesAnEmptyToken(SessionToyProvider):
    def open_session(self, attempt: Attempt) -> Flow[Any]:
        def opened(outcome: Any, response: Response) -> Any:
            is_object = response.body.startswith(b"{") and isinstance(outcome, Unknown)
            return Done(Session(value=Secret("none"))) if is_object else outcome

        return (yield from misread(super().open_session(attempt), opened))


class TriesAgainAfterHtml(ToyProvider):
    def refund(self, refund: RefundOrder) -> Flow[Any]:
        def later(outcome: Any, response: Response) -> Any:
            return NotNow(problem="no JSON") if response.body.startswith(b"<") else outcome

        return (yield from misread(super().refund(refund), later))


class CountsInfinity(ToyProvider):
    def refund(self, refund: RefundOrder) -> Flow[Any]:
        def counted(outcome: Any, response: Response) -> Any:
            return Unknown(problem="less") if int(json.loads(response.body).get("minor", 0)) < 0 else outcome

        return (yield from misread(super().refund(refund), counted))


class TakesWhatItCannotReadForPaid(ToyProvider):
    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def paid(outcome: Any, response: Response) -> Any:
            seen = PaymentObservation(number=orders[0].number, status=Status.PAID, provider_id="T1")
            return Done(Found(observations=(seen,))) if b'"records"' in response.body else outcome

        return (
            yield from misread(
                super().query(orders),
                lambda outcome, response: (
                    paid(outcome, response) if isinstance(outcome, Unknown) else outcome
                ),
            )
        )


class RefusesOnServerErrors(ToyProvider):
    def close(self, order: OrderRef) -> Flow[Any]:
        def instead(outcome: Any, response: Response) -> Any:
            return REFUSAL if response.status >= 500 else outcome

        return (yield from misread(super().close(order), instead))


class TakesAnyStatus(ToyProvider):
    """Reads the body only."""

    def refund(self, refund: RefundOrder) -> Flow[Any]:
        flow = super().refund(refund)
        response = yield next(flow)
        try:
            flow.send(msgspec.structs.replace(response, status=200))
        except StopIteration as stop:
            return stop.value


class TriesAgainAfterServerErrors(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def instead(outcome: Any, response: Response) -> Any:
            return NotNow(problem="maintenance") if response.status == 503 else outcome

        return (yield from misread(super().create(order), instead))


class RefusesOnClientErrors(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def instead(outcome: Any, response: Response) -> Any:
            return REFUSAL if 400 <= response.status < 429 else outcome

        return (yield from misread(super().create(order), instead))


class NeverWaits(ToyProvider):
    def query(self, orders: Sequence[OrderRef]) -> Flow[Any]:
        def instead(outcome: Any, response: Response) -> Any:
            return Unknown(problem="HTTP 429") if response.status == 429 else outcome

        return (yield from misread(super().query(orders), instead))


class ReadsRetryAfterAsANumber(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def instead(outcome: Any, response: Response) -> Any:
            if response.status != 429:
                return outcome
            return NotNow(problem="HTTP 429", retry_after_s=float(response.headers["retry-after"]))

        return (yield from misread(super().create(order), instead))


class WaitsForEver(ToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def instead(outcome: Any, response: Response) -> Any:
            if response.status != 429:
                return outcome
            try:
                return NotNow(problem="HTTP 429", retry_after_s=float(response.headers["retry-after"]))
            except ValueError:
                return NotNow(problem="HTTP 429")

        return (yield from misread(super().create(order), instead))


class ReadsNoStatus(ToyProvider):
    """Reads an error in the body, whatever the status."""

    def refund(self, refund: RefundOrder) -> Flow[Any]:
        def refused(outcome: Any, response: Response) -> Any:
            return REFUSAL if isinstance(outcome, Unknown) and b'"error"' in response.body else outcome

        return (yield from misread(super().refund(refund), refused))


class RefusesWithoutASession(SessionToyProvider):
    def create(self, order: CreateOrder) -> Flow[Any]:
        def refused(outcome: Any, _: Response) -> Any:
            return REFUSAL if isinstance(outcome, NotNow) and outcome.is_session_refused else outcome

        return (yield from misread(super().create(order), refused))


class KeepsItsSessionTooLong(SessionToyProvider):
    def open_session(self, attempt: Attempt) -> Flow[Any]:
        def longer(outcome: Any, _: Response) -> Any:
            if not isinstance(outcome, Done):
                return outcome
            return Done(Session(value=outcome.value.value, lasts_s=outcome.value.lasts_s + 60.0))

        return (yield from misread(super().open_session(attempt), longer))


SHORT_SESSION = ToySandbox("toy-session", needs_token=True, token_lasts_s=600.0)
SESSION = ToySandbox("toy-session", needs_token=True)

BUGS = [
    Planted("unreadable_reply_is_unknown", "a create it can't read is refused", toy(RefusesWhatItCannotRead)),
    Planted(
        "unreadable_reply_is_unknown",
        "a capture it can't read is refused",
        toy(RefusesACaptureItCannotRead, captures="partial"),
    ),
    Planted("unreadable_reply_is_unknown", "a refund raises on HTML", toy(RaisesOnHtml)),
    Planted(
        "unreadable_reply_is_unknown", "a query it can't read is absence", toy(FindsNothingInWhatItCannotRead)
    ),
    Planted(
        "unreadable_reply_is_unknown", "a list it can't read is empty", toy(ListsNothingWhereItCannotRead)
    ),
    Planted("unreadable_reply_is_unknown", "a missing token is a token", toy(TakesAnEmptyToken, SESSION)),
    Planted("unreadable_reply_is_unknown", "HTML means later", toy(TriesAgainAfterHtml)),
    Planted("odd_value_claims_nothing", "infinity is counted", toy(CountsInfinity)),
    Planted("odd_value_claims_nothing", "any word but failed means paid", toy(TakesWhatItCannotReadForPaid)),
    Planted("server_error_is_unknown", "HTTP 5xx refuses a close", toy(RefusesOnServerErrors)),
    Planted("server_error_is_unknown", "the status is not read", toy(TakesAnyStatus)),
    Planted("server_error_is_unknown", "HTTP 503 means later", toy(TriesAgainAfterServerErrors)),
    Planted("page_of_a_firewall_is_no_refusal", "HTTP 4xx refuses", toy(RefusesOnClientErrors)),
    Planted("too_many_requests_is_not_now", "HTTP 429 is unknown", toy(NeverWaits)),
    Planted("too_many_requests_is_not_now", "Retry-After is a number", toy(ReadsRetryAfterAsANumber)),
    Planted("too_many_requests_is_not_now", "Retry-After may be infinite", toy(WaitsForEver)),
    Planted("refusal_under_a_server_error_is_unknown", "the status is not read", toy(ReadsNoStatus)),
    Planted(
        "ended_session_is_opened_again",
        "an ended session refuses",
        toy(RefusesWithoutASession, SHORT_SESSION),
    ),
    Planted(
        "ended_session_is_opened_again",
        "a session is kept too long",
        toy(KeepsItsSessionTooLong, SHORT_SESSION),
    ),
]
