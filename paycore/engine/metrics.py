"""
What a client's Prometheus registry holds: what this client did, and on each scrape what the ledger has.

Needs the extra `metrics`. Each client has a registry of its own, and nothing is registered globally. No label takes
what a stranger sends: accounts are those of the configuration, the rest are closed sets of words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from threading import Lock
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from paycore.domain.budget import Spent, share, used
from paycore.domain.events import Event, Observed, OperationEnded
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Status
from paycore.domain.wire import Response
from paycore.engine.accounts import Accounts
from paycore.engine.telling import Given
from paycore.engine.timing import Deadline, Stopwatch
from paycore.engine.turns import TOO_MANY_REQUESTS
from paycore.errors import NotSent, PaycoreError
from paycore.ledger.api import Census, Committed, Consumer, Ledger
from paycore.ledger.clock import to_ms

T = TypeVar("T")

READ_S = 5.0
"""Seconds that a reading of the ledger may take in a scrape."""

CENSUS_PART = 20
"""Payments are counted in a part of the time at most: one second of counting is followed by so many of rest."""

KNOWN_BUCKETS_S = (0.5, 1, 2, 3, 4, 6, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
REQUEST_BUCKETS_S = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)
OPERATION_BUCKETS_S = (0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)

_VERDICTS = {"NotAuthentic": "forged", "MalformedNotification": "malformed"}


class Metrics:
    """The registry of one client; it counts from when it is made."""

    def __init__(self, ledger: Ledger, accounts: Accounts) -> None:
        self._accounts = accounts
        self.registry = CollectorRegistry()
        self._operations = self._counter(
            "operations", "Operations that ended, by outcome.", "verb", "outcome"
        )
        self._operation_s = self._histogram(
            "operation_seconds", "Time from an operation's call to its end.", OPERATION_BUCKETS_S, "verb"
        )
        self._requests = self._counter(
            "requests", "Requests to a provider, by what came of them.", "account", "outcome"
        )
        self._request_s = self._histogram(
            "request_seconds", "Time that a request to a provider took.", REQUEST_BUCKETS_S, "account"
        )
        self._notifications = self._counter(
            "notifications", "Notifications that arrived, by verdict.", "account", "verdict"
        )
        self._changes = self._counter(
            "status_changes", "Payments that came to a status, recorded by this client.", "account", "status"
        )
        self._known_s = self._histogram(
            "paid_to_known_seconds",
            "Time from when the provider says that a payment was paid to when that was recorded.",
            KNOWN_BUCKETS_S,
            "account",
        )
        self.registry.register(_LedgerCollector(ledger, accounts))

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"paycore_{name}", words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"paycore_{name}", words, labels, buckets=buckets, registry=self.registry)

    # --- what a client does: see `telling.Counter` ----------------------------------------------------

    def operated(self, verb: str, given: Given, outcome: str, seconds: float) -> None:
        """See `telling.Counter`."""
        self._operations.labels(verb, outcome).inc()
        self._operation_s.labels(verb).observe(seconds)
        if verb == "receive" and given.account is not None and given.account in self._accounts:
            is_word = outcome in ("new", "repeat", "again", "stray")
            verdict = outcome if is_word else _VERDICTS.get(outcome, "not_taken")
            self._notifications.labels(given.account, "repeat" if verdict == "again" else verdict).inc()

    def requested(self, account: str, came: Response | PaycoreError, seconds: float) -> None:
        """See `telling.Counter`."""
        self._requests.labels(account, _outcome(came)).inc()
        self._request_s.labels(account).observe(seconds)

    def committed(self, payments: Sequence[Committed]) -> None:
        """See `telling.Counter`."""
        for one in payments:
            for event in one.events:
                if event.status_to != event.status_from:
                    self._changes.labels(one.payment.account, event.status_to.value).inc()
                    paid_at = _paid_at(event)
                    if paid_at is not None:
                        known_s = max(0.0, (event.at - paid_at).total_seconds())
                        self._known_s.labels(one.payment.account).observe(known_s)


def _outcome(came: Response | PaycoreError) -> str:
    """What came of a request, in one word."""
    if isinstance(came, PaycoreError):
        return "not_sent" if isinstance(came, NotSent) else "maybe_sent"
    if came.status == TOO_MANY_REQUESTS:
        return "refused"
    return "failed" if came.status >= 500 else "answered"


def _paid_at(event: Event) -> datetime | None:
    """When the provider says that the payer paid, where this event made the payment paid."""
    if event.status_to is not Status.PAID or not isinstance(event.change, Observed | OperationEnded):
        return None
    seen = event.change.observation
    return seen.occurred_at if isinstance(seen, PaymentObservation) else None


class _LedgerCollector(Collector):
    """What the ledger has, read when it is asked for."""

    def __init__(self, ledger: Ledger, accounts: Accounts) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._counting = Lock()
        self._census: Census | None = None
        self._rests = Deadline(0.0)

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the registry would read the ledger to find the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All gauges; without those of a ledger that can't be read now."""
        try:
            families = [*self._of_payments(), *self._of_budgets(), *self._of_the_feed()]
        except (PaycoreError, TimeoutError):
            families = []
        yield _gauge(
            "ledger_up", "Whether the ledger could be read: 1 or 0.", (), {(): float(bool(families))}
        )
        yield from families

    def _counted(self) -> Census:
        """How many payments there are; of a while ago, where counting them takes long."""
        with self._counting:
            if self._census is None or self._rests.left_s <= 0:
                watch = Stopwatch()
                self._census = _read(self._ledger.census)
                self._rests = Deadline(CENSUS_PART * watch.seconds)
            return self._census

    def _of_payments(self) -> Iterator[Metric]:
        census, now = self._counted(), self._ledger.now()
        names = {*self._accounts.config.accounts, *(account for account, _ in census.payments)}
        yield _gauge(
            "payments",
            "Payments in the ledger, by account and status.",
            ("account", "status"),
            {(name, word): census.payments.get((name, word), 0) for name in names for word in Status},
        )
        opened = {name: census.open.get(name) for name in names}
        yield _gauge(
            "open_payments",
            "Payments that are not final in every part, refunds included.",
            ("account",),
            {(name,): one.total if one else 0 for name, one in opened.items()},
        )
        yield _gauge(
            "oldest_open_seconds",
            "Age of the oldest payment that is open; 0 where none is.",
            ("account",),
            {
                (name,): max(0.0, (now - one.oldest_at).total_seconds()) if one else 0
                for name, one in opened.items()
            },
        )
        yield _gauge(
            "review_payments",
            "Payments that a person must look at.",
            ("account",),
            {(name,): census.review.get(name, 0) for name in names},
        )
        yield _gauge(
            "uncertain_payments",
            "Payments with an operation of which the outcome is not known.",
            ("account",),
            {(name,): census.uncertain.get(name, 0) for name in names},
        )

    def _of_budgets(self) -> Iterator[Metric]:
        spent, now_ms = _read(self._ledger.budgets), to_ms(self._ledger.now())
        by_name = {name: spent.get(name, Spent()) for name in self._accounts.config.accounts}
        yield _gauge(
            "budget_used_requests",
            "Requests that count against the account's minute, by all processes.",
            ("account",),
            {(name,): used(one, now_ms) for name, one in by_name.items()},
        )
        yield _gauge(
            "budget_limit_requests",
            "Requests that the account may send in a minute.",
            ("account",),
            {(name,): limit for name in by_name if (limit := self._limit(name)) is not None},
        )
        yield _gauge(
            "budget_share_ratio",
            "Part of the budget that questions may use: less than 1 after the provider refused requests.",
            ("account",),
            {(name,): share(one, now_ms) for name, one in by_name.items()},
        )

    def _limit(self, name: str) -> int | None:
        """The requests in a minute, None where the account can't be used."""
        try:
            return self._accounts.get(name).capabilities.budget.per_minute
        except PaycoreError:
            return None

    def _of_the_feed(self) -> Iterator[Metric]:
        consumers, now = _read(self._ledger.consumers), self._ledger.now()
        yield _gauge(
            "feed_behind_events",
            "Events that a consumer of the change feed has not acknowledged, about.",
            ("consumer",),
            {(one.name,): one.behind for one in consumers},
        )
        yield _gauge(
            "feed_behind_seconds",
            "Age of the oldest event that a consumer of the change feed has not acknowledged; 0 where there is none.",
            ("consumer",),
            {(one.name,): _behind_s(one, now) for one in consumers},
        )


def _behind_s(consumer: Consumer, now: datetime) -> float:
    return 0.0 if consumer.oldest_at is None else max(0.0, (now - consumer.oldest_at).total_seconds())


def _gauge(
    name: str, words: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"paycore_{name}", words, labels=labels)
    for of, value in sorted(values.items()):
        family.add_metric(of, value)
    return family


def _read(reading: Callable[[], Future[T]]) -> T:
    return reading().result(READ_S)


def page(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """The metrics as text, in the newest format that `accept` names, and its content type. Reads the ledger."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
