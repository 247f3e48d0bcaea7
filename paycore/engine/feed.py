"""
Reading the change feed for a consumer: waiting for changes, the consumer's lease, acknowledging.

`Feed` is one iteration over it. Its programs are run by either client: `next` waits for a change, `acknowledge` stores
that the one in hand was handled, and `keep`, beside them, renews the lease as long as the process lives.
"""

from __future__ import annotations

import logging
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from datetime import datetime
from functools import partial

from paycore.domain.changes import ChangeKind, PaymentChange, change_key
from paycore.engine.arguments import checked_consumer, checked_kinds
from paycore.engine.effects import Program, UntilReady, in_ledger
from paycore.engine.outages import Outages
from paycore.errors import ConsumerTaken, LedgerUnavailable, PaycoreError
from paycore.ledger.api import Consumer, FeedEntry, FeedPlace, Lease, Ledger, Unsettled

LEASE_S = 10.0
"""How long a consumer's changes wait for a process that died."""

RENEW_S = 3.0
"""How often a lease is renewed."""

STANDBY_S = 1.0
"""How often an iteration looks whether the consumer is free, while another one holds it."""

HANDING_OVER_S = 0.05
HANDING_OVER_MAX = 20
"""How often, and how many times, it looks at first: an iteration that was just left gives its lease back."""

IDLE_S = 5.0
"""How long until the ledger is read although nobody told of a change."""

UNSETTLED_S = 0.02
"""How long until it is read again while a transaction before the next change has not ended."""

SKIPPED_S = 1.0
"""How often it is stored that changes of other kinds were passed over."""

AGAIN_S = 1.0
"""How long until a ledger that can't be reached is tried again."""

_log = logging.getLogger(__name__)


class Feed:
    """
    One iteration over the changes for a consumer; used by one thread or task at a time, beside `keep`.

    `kinds` None means all. With `follow` it goes on until the client closes, and waits while another process holds the
    consumer; without, it ends after the last change there is.
    """

    def __init__(
        self,
        ledger: Ledger,
        consumer: str,
        kinds: Collection[ChangeKind] | None,
        *,
        from_start: bool,
        follow: bool,
    ) -> None:
        self._ledger = ledger
        self._consumer = consumer
        self._kinds = kinds
        self._from_start = from_start
        self._follow = follow
        self._holder = secrets.token_hex(8)
        self._leased_until: datetime | None = None
        self._is_lost = self._may_hold = self._is_handled = False
        self._tries = 0
        self._acknowledged = FeedPlace(0)
        self._stored_at: datetime | None = None
        self._read_to = FeedPlace(0)
        self._unsettled: Unsettled | None = None
        self._ready: deque[FeedEntry] = deque()
        self._in_hand: FeedEntry | None = None
        self._outages = Outages()
        self._stop_watching: Callable[[], None] | None = None
        self._told: Future[None] = Future()
        self._pauses: set[Future[None]] = set()
        self._is_over = False
        self._ending = threading.RLock()  # a signal's handler may close the client within it

    # --- the next change -----------------------------------------------------------------------------

    def next(self) -> Program[PaymentChange | None]:
        """
        The next change; None once the client is closing, or, without `follow`, when there is none.

        Raises `ConsumerTaken` without `follow`, when another process holds the consumer. An unreachable ledger is
        waited for with `follow`.
        """
        while not self._is_over:
            told: Future[None] = Future()
            self._told = told
            try:
                found = yield from self._look()
            except LedgerUnavailable as error:
                if not (self._follow and (self._ledger.is_open or self._is_over)):
                    raise
                self._outages.failed("the ledger", f"the change feed waits: {error}")
                found = AGAIN_S
            else:
                self._outages.answered("the ledger")
            if isinstance(found, PaymentChange):
                return found
            if found is None:
                return None
            if not self._is_over:
                yield UntilReady(told, found)
        return None

    def _look(self) -> Program[PaymentChange | float | None]:
        """The next change, the seconds after which to look again, or None at the end."""
        self._watch()
        if not (yield from self._hold()):
            return self._standby()
        pause_s: float | None = 0.0
        if not self._ready:
            pause_s = yield from self._read()
        if not self._ready:
            return pause_s
        entry = self._ready[0]
        payment = yield from in_ledger(lambda ledger: ledger.get(entry.payment_id))
        with self._ending:
            if self._is_over:
                return None
            self._in_hand, self._is_handled = self._ready.popleft(), False
        return PaymentChange(
            key=change_key(entry.payment_id, entry.seq, entry.kind, entry.refund),
            position=entry.position,
            kind=entry.kind,
            at=entry.at,
            payment=payment,
            refund=entry.refund,
        )

    def _read(self) -> Program[float | None]:
        """Read the next page; the seconds to wait where it has nothing, None at the end."""
        after, unsettled = self._read_to, self._unsettled
        page = yield from in_ledger(lambda ledger: ledger.read_feed(after, unsettled))
        kinds = self._kinds
        self._ready.extend(entry for entry in page.entries if kinds is None or entry.kind in kinds)
        self._read_to, self._unsettled = page.end, page.unsettled
        if self._ready:
            return 0.0
        if page.unsettled is not None:
            return UNSETTLED_S
        is_end = page.is_last and not self._follow
        is_skipping = self._read_to != self._acknowledged
        if is_skipping and (is_end or self._is_long_ago()):
            if not (yield from self._store(self._read_to)):
                return 0.0  # nothing is in hand: stand by
            is_skipping = False
        if not page.is_last:
            return 0.0
        if is_end:
            yield from self._release()
            return None
        return SKIPPED_S if is_skipping else IDLE_S

    def _is_long_ago(self) -> bool:
        """Whether nothing was stored for `SKIPPED_S`."""
        stored_at = self._stored_at
        return stored_at is None or (self._ledger.now() - stored_at).total_seconds() >= SKIPPED_S

    # --- the lease -----------------------------------------------------------------------------------

    def _hold(self) -> Program[bool]:
        """Whether this iteration holds the consumer, which is made on first use; takes the lease if it can."""
        if self._is_lost:
            self._leased_until, self._is_lost = None, False
        if self._leased_until is not None and self._ledger.now() < self._leased_until:
            return True
        known = yield from in_ledger(lambda ledger: ledger.consumers(self._consumer))
        if known and self._is_held_by_another(known[0]):
            self._leased_until = None
            return False
        start = None if known else (yield from self._first_position())
        lease = yield from in_ledger(lambda ledger: self._take(ledger, start))
        if lease is None:
            return False
        if self._leased_until is None or lease.place != self._acknowledged:
            self._ready.clear()
            self._acknowledged = self._read_to = lease.place
            self._unsettled = None
        self._leased_until, self._tries = lease.until, 0
        return True

    def _standby(self) -> float:
        """How long until it is worth while to look again whether the consumer is free."""
        self._tries += 1
        if self._tries < HANDING_OVER_MAX:
            return HANDING_OVER_S
        if not self._follow:
            raise ConsumerTaken(self._consumer)
        if self._tries == HANDING_OVER_MAX:
            _log.info("another process reads the change feed for %r; standing by", self._consumer)
        return STANDBY_S

    def _is_held_by_another(self, consumer: Consumer) -> bool:
        if consumer.holder in (None, self._holder):
            return False
        return consumer.leased_until is not None and self._ledger.now() < consumer.leased_until

    def _first_position(self) -> Program[int]:
        """Where a new consumer begins: at the start, or after everything that may have been recorded before now."""
        if self._from_start:
            return 0
        end = yield from in_ledger(lambda ledger: ledger.feed_end())
        while end.writers and not self._is_over:
            yield from self._pause(UNSETTLED_S)
            end = yield from in_ledger(partial(_end_again, known=end))
        return end.until

    def keep(self) -> Program[None]:
        """Renew the lease until this iteration ends."""
        while not self._is_over:
            yield from self._pause(RENEW_S)
            if self._leased_until is not None:
                yield from self._renew()

    def _renew(self) -> Program[None]:
        """A ledger that can't be reached is tried again later; whoever acknowledges finds out what became of it."""
        with suppress(PaycoreError):
            lease = yield from in_ledger(
                lambda ledger: ledger.renew_consumer(self._consumer, holder=self._holder, lease_s=LEASE_S)
            )
            if lease is not None:
                self._leased_until = lease.until
            elif not self._is_over:
                self._is_lost = True

    def _take(self, ledger: Ledger, start: int | None) -> Future[Lease | None]:
        """Take the lease, unless it is over: then it may have been given back, and is not taken again."""
        with self._ending:
            if not self._is_over:
                self._may_hold = True  # from here on, whenever this is answered
                return ledger.hold_consumer(self._consumer, holder=self._holder, lease_s=LEASE_S, start=start)
        nothing: Future[Lease | None] = Future()
        nothing.set_result(None)
        return nothing

    def _release(self) -> Program[None]:
        """Give the lease back at the end, before anybody hears of it."""
        with self._ending:
            self._is_over, self._may_hold = True, False
        yield from in_ledger(lambda ledger: ledger.release_consumer(self._consumer, self._holder))

    # --- acknowledging -------------------------------------------------------------------------------

    def acknowledge(self) -> Program[None]:
        """
        Store that the change in hand was handled.

        Raises `ConsumerTaken` when another process has taken the consumer over meanwhile. An unreachable ledger is
        waited for with `follow`.
        """
        assert self._in_hand is not None, "acknowledge follows on next"
        is_stored: bool | None = None
        while is_stored is None:
            try:
                is_stored = yield from self._store(self._in_hand.place)
            except LedgerUnavailable as error:
                if not self._follow or self._is_over or not self._ledger.is_open:
                    raise
                self._is_handled = False
                self._outages.failed("the ledger", f"the change feed waits: {error}")
                yield from self._pause(AGAIN_S)
        self._outages.answered("the ledger")
        self._in_hand = None
        if not is_stored:
            raise ConsumerTaken(self._consumer)
        if self._is_over:
            self.interrupt()

    def _store(self, place: FeedPlace) -> Program[bool]:
        """Store how far this iteration has come; False when another holder has taken the consumer."""
        until = yield from in_ledger(partial(self._acknowledge, place))
        if until is None:
            self._is_lost = True
            return False
        self._acknowledged, self._leased_until = place, until
        self._stored_at = self._ledger.now()
        return True

    def _acknowledge(self, place: FeedPlace, ledger: Ledger) -> Future[datetime | None]:
        """Acknowledge; whoever closes from here on can give the lease back, behind this."""
        with self._ending:
            self._is_handled = True
            return ledger.acknowledge(self._consumer, holder=self._holder, place=place, lease_s=LEASE_S)

    # --- its end -------------------------------------------------------------------------------------

    def end(self) -> None:
        """The iteration is over: whatever is in hand is not handled any more."""
        self._in_hand = None
        self.interrupt()

    def interrupt(self) -> None:
        """The client is closing: hand over nothing more. The lease is given back, unless a change is being handled."""
        with self._ending:
            self._is_over = True
            if self._may_hold and (self._in_hand is None or self._is_handled):
                self._ledger.release_consumer(self._consumer, self._holder)
                self._may_hold = False
        if self._stop_watching is not None:
            self._stop_watching()
        for pause in tuple(self._pauses):
            _resolve(pause)
        _resolve(self._told)

    def _pause(self, seconds: float) -> Program[None]:
        """Wait, at most until the end. With a future of its own: what waited for one is kept as long as it is."""
        pause: Future[None] = Future()
        self._pauses.add(pause)
        if not self._is_over:
            yield UntilReady(pause, seconds)
        self._pauses.discard(pause)

    def _watch(self) -> None:
        if self._stop_watching is None:
            self._stop_watching = self._ledger.watch(lambda _: _resolve(self._told))


def _end_again(ledger: Ledger, known: Unsettled) -> Future[Unsettled]:
    return ledger.feed_end(known)


def _resolve(future: Future[None]) -> None:
    """Resolve it, unless somebody has."""
    with suppress(InvalidStateError):
        future.set_result(None)


class Feeds:
    """The iterations of one client over the change feed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._begun: weakref.WeakSet[Feed] = weakref.WeakSet()
        self._changing = threading.RLock()  # a signal's handler may close while its thread begins one

    def open(
        self, consumer: str, kinds: Iterable[ChangeKind | str] | None, *, from_start: bool, follow: bool
    ) -> Feed:
        """Begin one; `InvalidField` for a name or a kind that can't be."""
        name, wanted = checked_consumer(consumer), checked_kinds(kinds)
        feed = Feed(self._ledger, name, wanted, from_start=from_start, follow=follow)
        with self._changing:
            self._begun.add(feed)
        return feed

    def close(self) -> None:
        """End them all: the client is closing."""
        with self._changing:
            begun = tuple(self._begun)
        for feed in begun:
            feed.interrupt()
