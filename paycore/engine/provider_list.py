"""The provider's own list of orders and refunds, page by page: for reconciling, and for a ledger that lost its end."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from paycore.domain.provider import Attempt, Listed, ListReply, Page
from paycore.domain.wire import Flow
from paycore.engine.accounts import Account
from paycore.engine.answers import reading
from paycore.engine.attempts import Attempts
from paycore.engine.contract import answer_of, misused
from paycore.engine.effects import Program
from paycore.errors import NotSupported, PaycoreError


def listing(
    account: Account, since: datetime, until: datetime, cursor: str | None, attempt: Attempt
) -> Flow[ListReply]:
    """The flow that asks for a page of the list, its outcome checked."""
    return reading(account, partial(account.full.list, since, until, cursor, attempt), Page)


class Listing:
    """What the provider has of [since, until), read on as far as it is asked for; nothing of it is recorded."""

    def __init__(self, account: Account, attempts: Attempts, since: datetime, until: datetime) -> None:
        if not hasattr(account.provider, "list"):
            raise NotSupported(f"account {account.name}: its provider has no list of its own")
        self._account = account
        self._attempts = attempts
        self._since, self._until = since.astimezone(UTC), until.astimezone(UTC)
        self._cursor: str | None = None
        self._known: set[str] = set()
        self.is_over = False

    def next_page(self) -> Program[tuple[Listed, ...]]:
        """
        The items of the next page; `is_over` says whether it was the last.

        Raises `NotSent` or `MaybeSent` when no answer came: the same page is asked for next time. No money moves.
        """
        account, attempts = self._account, self._attempts
        now, nonce = attempts.now(), attempts.new_id()
        try:
            outcome: ListReply = yield from attempts.sessions.converse(
                account,
                lambda entered: listing(
                    entered, self._since, self._until, self._cursor, entered.attempt(now, nonce)
                ),
                account.call_deadline(),
            )
            page = answer_of(account, outcome)
        except PaycoreError as error:
            error.money_moved = "no"
            raise
        if page.cursor is not None and page.cursor in self._known:
            raise misused(account, "list", "its list begins anew: a page named a cursor that was used before")
        self.is_over = page.cursor is None
        self._known |= set() if page.cursor is None else {page.cursor}
        self._cursor = page.cursor
        return page.items
