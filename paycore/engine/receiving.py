"""
Notifications: verified, recorded and followed up, whichever account of their provider they arrived at.

Nothing is answered before the commit. A notification changes a payment only where its account trusts
notifications; elsewhere, and for a mere mention, the provider is asked. One that comes again within a minute is
verified, and answered without the ledger: it says nothing new, and what it named is looked after already.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import structs

from paycore.domain.payment import Payment, Status
from paycore.domain.provider import Mention, Notice
from paycore.domain.safe_text import printable
from paycore.domain.wire import Notification, Reply
from paycore.engine.accounts import Account, Accounts
from paycore.engine.answers import counted_notices, read_told
from paycore.engine.arguments import check_arrived
from paycore.engine.attempts import Attempts
from paycore.engine.contract import ask, misused
from paycore.engine.effects import Program, in_ledger
from paycore.engine.secrecy import harmless
from paycore.engine.timing import Deadline
from paycore.errors import ConfigError, NotAuthentic, NotificationError, PluginError
from paycore.ledger.api import Committed, Recorded, Rescheduled, named_by

_log = logging.getLogger(__name__)

REPEAT_S = 60.0
"""Seconds in which a notification that comes again is known by memory: so long a client looks after what it named."""

REPEATS_MAX = 16_384
"""Notifications known by memory; of more the oldest are forgotten, and known by the ledger."""

STRAYS_SAID = 10
"""Warnings of strays in `STRAYS_S` seconds, of one account; the count in the next one has those that were left out."""

STRAYS_S = 60.0


class Received(NamedTuple):
    """
    What to answer to a notification, and which payments it named.

    `to_confirm` has the ids of those that the provider is to be asked about, by account. `verdict`: "new"; "repeat",
    it was recorded before; "again", it was answered less than a minute ago, and nothing was looked up or recorded; or
    "stray", it names what no payment here has.
    """

    reply: Reply
    payments: tuple[Payment, ...]
    to_confirm: Mapping[str, Collection[str]]
    verdict: Literal["new", "repeat", "again", "stray"] = "new"


class Receiving:
    """Takes notifications; counts those that name what nobody here knows."""

    def __init__(self, accounts: Accounts, attempts: Attempts) -> None:
        self._accounts = accounts
        self._attempts = attempts
        self._strays: Counter[str] = Counter()
        self._strays_said: dict[str, tuple[Deadline, int]] = {}  # by account: until when, how many
        self._counting = threading.Lock()
        self._answered = _Answered()

    def receive(self, account_name: str, notification: Notification) -> Program[Received]:
        """
        Keep a notification, once it is verified, and merge what it says or make its payments due now.

        Orders of other accounts of the same provider that it names are theirs, if it verifies there, too.
        Raises `NotAuthentic` or `MalformedNotification`: nothing changed, and nothing is to be acknowledged.
        """
        account = self._accounts.get(account_name)
        check_arrived(notification)
        # What its provider names of it: `verify` is given no more, and no more is kept.
        info = account.provider.info
        notification = notification.only(info.notification_headers, query=info.notification_query)
        told = yield from self._verified(account, notification)
        key = (account.name, notification.digest)
        if key in self._answered:
            return Received(_reply(account), payments=(), to_confirm={}, verdict="again")
        recorded = yield from self._record(told, notification)
        named, due, strays = [*recorded.payments], [*recorded.due], list(recorded.unknown)
        for neighbour in self._neighbours(account, recorded.unknown):
            told_too = yield from self._verified_too(neighbour, notification)
            if told_too is not None:
                taken = yield from self._record(told_too, notification)
                named += taken.payments
                due += taken.due
                theirs = {named_by(item) for item in told_too.notices} - taken.unknown.keys()
                strays = [name for name in strays if name not in theirs]
        if strays and not recorded.is_repeat:
            self._tell_of_strays(account, strays)
        due += yield from self._made_due(named)
        reply = _reply(account)
        if not any(isinstance(item, Mention) for item in told.notices):  # those are due anew each time
            self._answered.add(key)
        return Received(
            reply,
            payments=tuple(committed.payment for committed in named),
            to_confirm=_by_account(named, due),
            verdict="repeat" if recorded.is_repeat else "stray" if strays else "new",
        )

    def _record(self, told: _Told, notification: Notification) -> Program[Recorded]:
        account = told.account
        headers = {name: harmless(value, account.secrets) for name, value in notification.headers.items()}
        kept = structs.replace(notification, headers=headers)
        is_evidence = account.capabilities.notifications_trusted
        return self._attempts.commit(
            lambda ledger: ledger.record_notification(
                account.name, kept, told.notices, is_evidence=is_evidence
            )
        )

    def _made_due(self, named: Sequence[Committed]) -> Program[list[str]]:
        """Of those that it authorized, the ids of those to be captured at once: due now, for whoever looks first."""
        due = [
            Rescheduled(committed.payment.id, committed.payment.version, committed.now)
            for committed in named
            if committed.events and committed.payment.status is Status.AUTHORIZED
            if committed.payment.order.capture == "automatic"
        ]
        if due:
            yield from in_ledger(lambda ledger: ledger.reschedule(due))
        return [one.payment_id for one in due]

    def _verified(self, account: Account, notification: Notification) -> Program[_Told]:
        """What it says by the account's keys and session; anew where the session may be too old for it."""
        sessions, deadline = self._attempts.sessions, account.call_deadline()
        within = yield from sessions.entered(account, deadline)
        try:
            return _verify(within, notification)
        except NotAuthentic as error:
            refusal = error
        anew = yield from sessions.entered_anew(account, deadline)
        if anew is None:
            raise refusal
        return _verify(anew, notification)

    def _verified_too(self, neighbour: Account, notification: Notification) -> Program[_Told | None]:
        """
        What it says by the keys of an account it did not arrive at; None when it does not hold there.

        Raises where that account's session can't be opened now: it is not acknowledged then, and comes again.
        """
        try:
            return (yield from self._verified(neighbour, notification))
        except (NotificationError, PluginError, ConfigError) as error:
            _log.warning(
                "account %s: a notification that names an order of it is refused: %s", neighbour.name, error
            )
            return None

    def _neighbours(self, account: Account, unknown: Mapping[str, tuple[str, ...]]) -> list[Account]:
        """The other accounts of this provider that have one of these numbers or ids, and can be used."""
        found = []
        for name in sorted({owner for owners in unknown.values() for owner in owners}):
            known = self._accounts.config.accounts.get(name)
            if known is None or known.provider != account.provider_name:
                continue
            try:
                found.append(self._accounts.get(name))
            except (ConfigError, PluginError) as error:
                _log.warning("account %s: a notification for it can't be taken: %s", name, error)
        return found

    def _tell_of_strays(self, account: Account, strays: Sequence[str]) -> None:
        with self._counting:
            self._strays[account.name] += 1
            count = self._strays[account.name]
            until, said = self._strays_said.get(account.name, (Deadline(STRAYS_S), 0))
            if until.left_s <= 0:
                until, said = Deadline(STRAYS_S), 0
            self._strays_said[account.name] = (until, said + 1)
        if said >= STRAYS_SAID:
            return
        first, *more = strays
        _log.warning(
            "account %s: a notification names %s%s, which no payment here has; it is kept in the ledger"
            " (%d such since this client was opened)",
            account.name,
            printable(first),
            f" and {len(more)} more" if more else "",
            count,
        )


class _Answered:
    """The notifications that were answered within the last minute, by account and digest."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], Deadline] = {}  # the oldest first
        self._lock = threading.Lock()

    def __contains__(self, key: tuple[str, str]) -> bool:
        until = self._until.get(key)
        return until is not None and until.left_s > 0

    def add(self, key: tuple[str, str]) -> None:
        with self._lock:
            self._until.pop(key, None)
            self._until[key] = Deadline(REPEAT_S)
            while len(self._until) > REPEATS_MAX:
                del self._until[next(iter(self._until))]


def _reply(account: Account) -> Reply:
    """What the provider wants as an answer."""
    reply: Any = ask(account, "acknowledge", account.full.acknowledge)
    if not isinstance(reply, Reply):
        raise misused(account, "acknowledge", f"it returned {type(reply).__name__} where a Reply belongs")
    given: Any = reply  # whatever its fields say that they are
    status, kind = given.status, given.content_type
    is_status = type(status) is int and 200 <= status <= 599
    is_header = isinstance(kind, str) and kind.isascii() and kind.isprintable()
    if not (is_status and is_header and isinstance(given.body, bytes)):
        problem = "a Reply has an HTTP status from 200 to 599, a type of printable ASCII, and a body of bytes"
        raise misused(account, "acknowledge", problem)
    return reply


class _Told(NamedTuple):
    """What a notification says by the keys of an account, which has the session it was verified by."""

    account: Account
    notices: tuple[Notice, ...]


def _verify(account: Account, notification: Notification) -> _Told:
    given = structs.replace(notification, session=account.session)
    told = ask(account, "verify", lambda: account.full.verify(given), may_raise=(NotificationError,))
    return _Told(account, counted_notices(read_told(account, told), account.capabilities))


def _by_account(named: Sequence[Committed], due: Collection[str]) -> Mapping[str, Collection[str]]:
    """The ids of what is due, by the account of the payment."""
    grouped: dict[str, set[str]] = {}
    for committed in named:
        if committed.payment.id in due:
            grouped.setdefault(committed.payment.account, set()).add(committed.payment.id)
    return grouped
