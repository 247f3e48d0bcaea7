"""
Sessions with providers: what their flows need beyond the settings, such as an access token.

A session is opened when a flow first needs it, once for all who wait for it, and again when it has ended or was
refused. It is in memory only and belongs to one account; its secrets are masked like those of the settings.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from paycore.domain.provider import Attempt, Done, NotNow, Rejected, Session
from paycore.domain.wire import Flow
from paycore.engine.accounts import Account
from paycore.engine.answers import reading
from paycore.engine.contract import converse, misused, put_off, refused
from paycore.engine.effects import Program, UntilReady
from paycore.engine.timing import Deadline
from paycore.errors import NotSent, PaycoreError

T = TypeVar("T")

DOUBTED_AFTER_S = 60.0
"""The age in seconds from which a session that a notification can't be verified by is opened anew."""

RENEWED_EARLY = 0.1
"""The last part of a session's time in which it is opened anew, so that it holds until a flow has ended."""


class _Held(NamedTuple):
    """An open session, since when, and until when it holds: None for one that lasts until it is refused."""

    session: Any
    since: Deadline
    ends: Deadline | None

    @property
    def is_over(self) -> bool:
        return self.ends is not None and self.ends.left_s <= 0

    def __repr__(self) -> str:
        return f"_Held(is_over={self.is_over})"  # a traceback with its locals shows no token


_Opening = Future[_Held | PaycoreError | None]
"""What came of opening a session; None when whoever opened it was cancelled, or ran out of time."""


class Sessions:
    """The sessions of one client, by account; for threads and tasks alike."""

    def __init__(self, *, now: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id
        self._held: dict[str, _Held] = {}
        self._openings: dict[str, _Opening] = {}
        self._lock = threading.Lock()

    def converse(
        self, account: Account, begin: Callable[[Account], Flow[T]], deadline: Deadline, *, turns: int = 0
    ) -> Program[T]:
        """
        What the flow returns that `begin` makes for the account with its session, by `deadline`.

        Its first `turns` requests have their turn already: see `contract.converse`.

        When the session is refused, another is opened and the flow is run again, once. Raises as
        `contract.converse` does; `NotSent` or `AccountRefused` when no session could be opened.
        """
        if not _has_sessions(account):
            return (yield from converse(account, begin(account), deadline, turns=turns))
        held = yield from self._open_one(account, deadline)
        outcome = yield from self._converse_in(held, account, begin, deadline, turns)
        if _is_refused(outcome):
            held = yield from self._open_one(account, deadline)
            outcome = yield from self._converse_in(held, account, begin, deadline, 0)
        return outcome

    def entered(self, account: Account, deadline: Deadline) -> Program[Account]:
        """The account with its session, which is opened where there is none."""
        if not _has_sessions(account):
            return account
        held = yield from self._open_one(account, deadline)
        return account.in_session(held.session)

    def entered_anew(self, account: Account, deadline: Deadline) -> Program[Account | None]:
        """
        The account with a session opened since; None where there is none, or the one there is was opened just now.

        For what the session may be too old for. A stranger who sends such things causes one a minute at most.
        """
        with self._lock:
            held = self._held.get(account.name)
            if held is None or -held.since.left_s < DOUBTED_AFTER_S:
                return None
            del self._held[account.name]
        return (yield from self.entered(account, deadline))

    def _converse_in(
        self,
        held: _Held,
        account: Account,
        begin: Callable[[Account], Flow[T]],
        deadline: Deadline,
        turns: int,
    ) -> Program[T]:
        within = account.in_session(held.session)
        outcome = yield from converse(within, begin(within), deadline, turns=turns)
        if _is_refused(outcome):
            with self._lock:
                if self._held.get(account.name) is held:
                    del self._held[account.name]
        return outcome

    # --- opening ----------------------------------------------------------------------------------------

    def _open_one(self, account: Account, deadline: Deadline) -> Program[_Held]:
        """The session there is, or one that is opened now, here or by somebody else who began before."""
        while True:
            with self._lock:
                held = self._held.get(account.name)
                if held is not None and not held.is_over:
                    return held
                opening = self._openings.get(account.name)
                is_ours = opening is None
                if opening is None:
                    opening = self._openings[account.name] = _Opening()
            if is_ours:
                return (yield from self._open(account, opening, deadline))
            yield UntilReady(opening, max(deadline.left_s, 0.0))
            if not opening.done():
                raise NotSent(f"account {account.name}: its session was not open in time")
            came = opening.result()
            if isinstance(came, _Held):
                return came
            if came is not None:
                raise copy.copy(came)

    def _open(self, account: Account, opening: _Opening, deadline: Deadline) -> Program[_Held]:
        came: _Held | PaycoreError | None = None
        try:
            came = held = yield from self._ask(account, deadline)
        except PaycoreError as error:
            came = copy.copy(error) if deadline.left_s > 0 else None  # who has more time left tries again
            raise
        else:
            return held
        finally:  # also when whoever called was cancelled
            with self._lock:
                if isinstance(came, _Held):
                    self._held[account.name] = came
                del self._openings[account.name]
            opening.set_result(came)

    def _ask(self, account: Account, deadline: Deadline) -> Program[_Held]:
        asked = Deadline(0.0)
        attempt = account.attempt(self._now(), self._new_id())
        outcome = yield from converse(account, _flow(account, attempt), deadline, all_safe=True)
        match outcome:
            case Done(Session(value=value, lasts_s=lasts_s)):
                used_s = -asked.left_s
                ends = None if lasts_s is None else Deadline(lasts_s * (1 - RENEWED_EARLY) - used_s)
                return _Held(value, asked, ends)
            case Rejected(failure=failure):
                raise refused(account, failure)
            case NotNow():
                raise put_off(account, outcome)
            case _:
                pass
        raise NotSent(f"account {account.name}: it opened no session: {outcome.problem}")


def _has_sessions(account: Account) -> bool:
    return hasattr(account.provider, "open_session")


def _is_refused(outcome: object) -> bool:
    return isinstance(outcome, NotNow) and outcome.is_session_refused


def _flow(account: Account, attempt: Attempt) -> Flow[Any]:
    """The provider's flow, its outcome checked; what is not `Done` is read as every other flow's is."""
    outcome = yield from account.full.open_session(attempt)
    if not isinstance(outcome, Done):
        return (yield from reading(account, partial(_ended, outcome), Session))
    session: Any = outcome.value
    if not isinstance(session, Session):
        problem = f"it returned {type(session).__name__} where a Session belongs"
        raise misused(account, "flow", problem)
    lasts_s = session.lasts_s
    is_time = isinstance(lasts_s, int | float) and math.isfinite(lasts_s) and lasts_s > 0
    if lasts_s is not None and not is_time:
        raise misused(account, "flow", "a session's `lasts_s` is seconds above 0, or None")
    return outcome


def _ended(outcome: T) -> Flow[T]:
    """A flow that has come to its end."""
    yield from ()
    return outcome
