"""
Finds out whether a provider takes an account's credentials, by requests that move nothing and record nothing.

The provider's own list of a minute that is over is asked for; where it has none, or does not show it to this account,
a number that nobody has.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from paycore.domain.money import Money
from paycore.domain.provider import Attempt, Found, ListReply, Lookup, OrderRef, Unknown
from paycore.domain.wire import Flow, Response
from paycore.engine.accounts import Account
from paycore.engine.answers import reading
from paycore.engine.attempts import Attempts
from paycore.engine.contract import answer_of
from paycore.engine.effects import Program
from paycore.engine.provider_list import listing
from paycore.errors import AccountRefused, NotSent, NotSupported, PaycoreError

LISTED_S = 60.0
LISTED_BEFORE_S = 3600.0
"""The range that is listed: so many seconds, so long ago."""


class Accepted(NamedTuple):
    """
    The credentials are accepted: `asked` says what was asked for.

    `list_problem`, unless None: the provider refused its own list, and answered what else was asked.
    """

    asked: str
    list_problem: str | None = None


class _Guard:
    """Ends a flow before it sends what may move money; `is_used` says whether it had to."""

    def __init__(self) -> None:
        self.is_used = False

    def __call__(self, flow: Flow[Any]) -> Flow[Any]:
        """The flow, guarded."""
        response: Response | None = None
        while True:
            try:
                request = flow.send(response)  # type: ignore[arg-type]
            except StopIteration as stop:
                return stop.value
            if not getattr(request, "is_safe", True):  # what is no request is refused where it is sent
                flow.close()
                self.is_used = True
                return Unknown(problem="it would be asked by what may move money")
            response = yield request


def try_credentials(account: Account, attempts: Attempts) -> Program[Accepted]:
    """
    Ask the provider something harmless.

    Raises `AccountRefused` where it refuses the account, `NotSent` or `MaybeSent` without a usable answer, and
    `NotSupported` where the provider can't be asked without an order. No money moves.
    """
    try:
        return (yield from _try(account, attempts))
    except PaycoreError as error:
        error.money_moved = "no"
        raise


def _try(account: Account, attempts: Attempts) -> Program[Accepted]:
    list_problem: AccountRefused | None = None
    if hasattr(account.provider, "list"):
        try:
            yield from _answered(account, attempts, _list_flow)
        except AccountRefused as error:
            list_problem = error
        else:
            return Accepted("for its list of a past minute")
    asked = yield from _otherwise(account, attempts)
    if asked is not None:
        return Accepted(asked, None if list_problem is None else list_problem.message)
    raise list_problem or NotSupported(
        f"account {account.name}: its provider declares no request that can't move money, before there is an order"
    )


def _otherwise(account: Account, attempts: Attempts) -> Program[str | None]:
    """What else was asked for; None where there is nothing."""
    if account.capabilities.lookup is Lookup.BY_NUMBER and account.capabilities.products:
        try:
            yield from _answered(account, attempts, _query_flow)
        except NotSupported:
            pass  # it does not say that its query is safe
        else:
            return "about a number that no order has"
    if hasattr(account.provider, "open_session"):
        yield from attempts.sessions.entered(account, account.call_deadline())
        return "for a session"
    return None


def _answered(
    account: Account, attempts: Attempts, begin: Callable[[Account, Attempt], Flow[Any]]
) -> Program[None]:
    """Nothing, once the flow has a usable answer; `NotSupported` where it would send what may move money."""
    now, nonce, guard = attempts.now(), attempts.new_id(), _Guard()
    try:
        outcome = yield from attempts.sessions.converse(
            account,
            lambda entered: guard(begin(entered, entered.attempt(now, nonce))),
            account.call_deadline(),
        )
    except NotSent:
        if guard.is_used:
            raise NotSupported(f"account {account.name}: it would be asked by what may move money") from None
        raise
    answer_of(account, outcome)


def _list_flow(account: Account, attempt: Attempt) -> Flow[ListReply]:
    until = attempt.sent_at - timedelta(seconds=LISTED_BEFORE_S)
    return listing(account, until - timedelta(seconds=LISTED_S), until, None, attempt)


def _query_flow(account: Account, attempt: Attempt) -> Flow[Any]:
    product = account.capabilities.products[0]
    currency, (least, _) = next(iter(sorted(product.currencies.items())))
    nobodys = OrderRef(
        kind="payment",
        number=attempt.nonce,
        provider_id=None,
        begun_at=attempt.sent_at,
        attempt=attempt,
        amount=Money.from_minor(least, currency),
        method=product.method,
        channel=product.channel,
    )
    return reading(account, lambda: account.provider.query([nobodys]), Found)
