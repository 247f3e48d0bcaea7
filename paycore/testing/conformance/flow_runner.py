"""Runs the provider's flows by themselves against the gateway: no client, no ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from paycore.domain.provider import Attempt, Done, Session, Unknown
from paycore.domain.wire import FLOW_REQUESTS_MAX, Flow, Request, Response
from paycore.engine.orders import new_id
from paycore.engine.timing import Deadline
from paycore.engine.transport import Sender
from paycore.errors import MaybeSent, NotSent
from paycore.sandbox.api import Gateway
from paycore.testing.conformance.account_at_sandbox import TIMEOUT_S, AccountAtSandbox
from paycore.testing.conformance.check import Failed
from paycore.testing.conformance.problem_words import WHATEVER, said, told_of
from paycore.testing.conformance.proxy import unsigned
from paycore.testing.conformance.subject import Subject

T = TypeVar("T")

GIVE_SESSION = "return Done(Session(value=..., lasts_s=...)) where the company answers with a session"


class FlowRunner(AccountAtSandbox):
    """
    An account whose flows are run one at a time, with a session where the provider has one.

    `is_paced` says whether they keep to the declared budget: the clocks are set ahead where it is used up.
    """

    def __init__(self, subject: Subject, folder: Path, url: str, gateway: Gateway) -> None:
        super().__init__(subject, folder, url, gateway)
        self.is_paced = True
        self._sender = Sender(url)
        self._sent = 0
        self._session: Any = None
        self._has_session = False

    def attempt(self) -> Attempt:
        """A new attempt to send a flow, with the account's session where it has one."""
        if hasattr(self.provider, "open_session") and not self._has_session:
            self._has_session = True
            outcome = self.converse(
                lambda: self.provider.open_session(self.account.attempt(self.now(), new_id()))
            )
            if not (isinstance(outcome, Done) and isinstance(outcome.value, Session)):
                raise Failed(f"open_session returned {said(outcome)}", GIVE_SESSION)
            self._session = outcome.value.value
        attempt = self.account.attempt(self.now(), new_id())
        return msgspec.structs.replace(attempt, session=self._session)

    def sign(self, body: bytes) -> Mapping[str, str]:
        """Headers that make a reply with this body authentic, where the gateway signs its replies."""
        signed: Mapping[str, str] = getattr(self.gateway, "sign_reply", unsigned)(body)
        return signed

    def renew_session(self) -> None:
        """Get a new session for the next attempt."""
        self._has_session, self._session = False, None

    def converse(
        self, begin: Callable[[], Flow[T]], answer: Callable[[Request], Response] | None = None
    ) -> T | Unknown:
        """
        Run one flow against the gateway, over HTTP; `Unknown` where no answer came.

        `answer` answers in the gateway's place. `Failed` for what the flow raises, and for more requests than it may
        send.
        """
        flow, response = begin(), None
        answer = answer or self.send
        name = getattr(flow, "__name__", "the flow")
        for _ in range(FLOW_REQUESTS_MAX + 1):
            try:
                request = next(flow) if response is None else flow.send(response)
            except StopIteration as stop:
                result: T = stop.value
                return result
            except WHATEVER as error:
                raise Failed(
                    f"{name} raised {told_of(error)}",
                    "return an outcome for every response: Unknown where it can't be read",
                ) from error
            if not isinstance(request, Request):
                raise Failed(
                    f"{name} yielded {type(request).__name__}",
                    "yield a paycore.plugin.Request for each request, and return the outcome at the end",
                )
            try:
                response = answer(request)
            except (NotSent, MaybeSent) as error:
                flow.close()
                return Unknown(problem=str(error))
        flow.close()
        raise Failed(
            f"{name} sent more than {FLOW_REQUESTS_MAX} requests",
            "count what is sent, and return what is known by then: Unknown or Found(undecided=...); the core asks again"
            " later",
        )

    def send(self, request: Request) -> Response:
        """Send one request; the clocks are set ahead where the declared budget is used up."""
        if self.is_paced:
            self._pace()
        return self._sender.send(request, Deadline(TIMEOUT_S))

    def _pace(self) -> None:
        budget = self.account.capabilities.budget
        self._sent += 1
        if self._sent % budget.per_minute == 0:
            self.advance(60.0)
        elif self._sent % max(1, budget.per_second - 1) == 0:
            self.advance(1.0)

    def close(self) -> None:
        """Close what was opened."""
        self._sender.close()
