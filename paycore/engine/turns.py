"""The turns of an account's requests: waiting for one within its budget, and resting after a refusal."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Protocol

from paycore.domain.capabilities import Capabilities
from paycore.domain.wire import Response
from paycore.engine.effects import Pause, Program, in_ledger
from paycore.engine.timing import Deadline
from paycore.errors import LedgerError
from paycore.ledger.api import Spending

TOO_MANY_REQUESTS = 429

SECONDS_DIGITS_MAX = 9


class Budgeted(Protocol):
    """Whose requests are within a budget."""

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...


def wait_until(at: datetime | None, now: datetime) -> Program[None]:
    """Wait for a turn at that time by the ledger's clock, which showed `now` just now; None: it has come."""
    if at is not None and at > now:
        yield Pause((at - now).total_seconds())


def take_turn(account: Budgeted, deadline: Deadline) -> Program[None]:
    """Spend one request, and wait until it may be sent; `NotSent` where that leaves too little time for an answer."""
    spending = Spending(account.name, account.capabilities.budget, max(0.0, deadline.left_s / 2))
    turn = yield from in_ledger(lambda ledger: ledger.spend(spending))
    yield from wait_until(turn.send_at, turn.now)


def rest_if_refused(account: Budgeted, response: Response) -> Program[None]:
    """After a 429: record that the account rests, for all processes, unless the ledger can't: the answer counts."""
    if response.status == TOO_MANY_REQUESTS:
        retry_after_s = _retry_after_s(response)
        with suppress(LedgerError):
            yield from in_ledger(lambda ledger: ledger.rest(account.name, retry_after_s))


def _retry_after_s(response: Response) -> float | None:
    """The seconds a refusal asks to wait, None where it names none (RFC 9110, 10.2.3; a date is not read)."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= SECONDS_DIGITS_MAX else None
