"""One pass over everything of an account that is open: each payment is asked about once, and then it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from paycore.domain.asking import Due, Question
from paycore.domain.payment import Payment
from paycore.engine.accounts import Account
from paycore.engine.effects import Pause, Program
from paycore.engine.worker import Worker

TRIES_MAX = 3
"""Questions about one payment at most, and those without an answer after each other: then the account is left."""


class Resolved(msgspec.Struct, frozen=True):
    """
    A payment that was open, as it is after the pass, and as it was `before`.

    `problem` says why the provider told nothing of it, None where it did.
    """

    payment: Payment
    before: Payment
    problem: str | None = None


class _NothingLeft(Exception):
    """All that is left was asked about often enough."""


class Pass:
    """
    Asks about all of an account that is due at any time: open payments, refunds and captures, late checks.

    Each question takes its turn in the request budget, like those of a worker. After a few without an answer the
    account is left.
    """

    def __init__(self, worker: Worker, account: Account) -> None:
        self._worker = worker
        self._account = account
        self._since = worker.now()
        self._tries: Counter[str] = Counter()
        self._failures = 0
        self._problem = ""
        self._left: dict[str, Payment] = {}
        self.is_over = False

    def next(self) -> Program[Sequence[Resolved]]:
        """What the next question told; at the end those that nothing was told of. `is_over`: that was the last."""
        try:
            claimed = yield from self._worker.claim(self._account, self._choose, not_asked_since=self._since)
        except _NothingLeft:
            return self._end()
        if claimed.question is None:
            if claimed.next_at is None:
                return self._end()
            yield Pause(max(0.0, (claimed.next_at - self._worker.now()).total_seconds()))
            return ()
        self._tries.update(claimed.question.ids)
        answer = yield from self._worker.ask(self._account, claimed, claimed.question)
        before = {payment.id: payment for payment in claimed.payments}
        self._left |= before
        if answer.problem is not None:
            self._failures, self._problem = self._failures + 1, answer.problem
            return self._end() if self._failures == TRIES_MAX else ()
        self._failures = 0
        return [
            Resolved(payment, self._left.pop(payment.id))
            for payment in answer.payments
            if payment.id in self._left
        ]

    def _choose(self, due: Sequence[Due], now_ms: int) -> Question:
        left = [one for one in due if self._tries[one.id] < TRIES_MAX]
        if not left:
            raise _NothingLeft
        return self._worker.choose(self._account, left, now_ms)

    def _end(self) -> Sequence[Resolved]:
        self.is_over = True
        problem = self._problem or "the provider told nothing of it"
        return [Resolved(payment, payment, problem) for payment in self._left.values()]
