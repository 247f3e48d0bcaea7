"""What is under way: who looks after it, who is told of it, and what waits for a person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache

from paycore.cli.doctor.diagnosis import Area, Checks, Diagnosis
from paycore.cli.endings import Exit
from paycore.cli.options import GlobalOptions, to_type
from paycore.cli.render.text import count, duration, moment
from paycore.domain.payment import Payment
from paycore.errors import PaycoreError
from paycore.ledger.api import Census, Consumer, Filter, RunningWorker
from paycore.ledger.overdue import Overdue, overdue
from paycore.ledger.reads import LedgerReads
from paycore.ledger.workers import STALE_S

OVERDUE_S = 15 * 60.0
"""Seconds that a payment may be due without being asked about: `paycore resolve` may run every ten minutes."""

LAG_WARNING_S, LAG_PROBLEM_S = 10 * 60.0, 24 * 3600.0
"""How long a change may wait for its consumer."""

UNCERTAIN_PROBLEM_S = 15 * 60.0
"""How long an outcome may be unknown: a query resolves it in seconds, once the provider answers."""

UNCERTAIN_READ = 1000

AREA = Area("work")
CHECKS = ("workers", "accounts", "feed", "review", "uncertain")


def check_work(records: LedgerReads, names: Collection[str], now: datetime, options: GlobalOptions) -> Checks:
    """Workers, consumers of the change feed, reviews and unknown outcomes, of these accounts; `now`: the ledger's."""
    census = cache(lambda: records.census().result())  # it looks through an index of all payments
    checks: Mapping[str, Callable[[], Checks]] = {
        "workers": lambda: _workers(records, census, names, now, options),
        "accounts": lambda: _left_accounts(census(), names, options),
        "feed": lambda: _feed(records.consumers().result(), now, options),
        "review": lambda: _review(census(), names, options),
        "uncertain": lambda: _uncertain(records, names, now, options),
    }
    for name, check in checks.items():
        try:
            yield from check()
        except PaycoreError as error:
            yield AREA.unchecked(name, error.message)


# --- workers -----------------------------------------------------------------------------------------


def _workers(
    records: LedgerReads,
    census: Callable[[], Census],
    names: Collection[str],
    now: datetime,
    options: GlobalOptions,
) -> Checks:
    known = [one for one in records.workers().result() if set(one.accounts) & set(names)]
    alive = [one for one in known if now - one.seen_at <= timedelta(seconds=STALE_S)]
    for one in alive:
        found = f"{_who(one)} looks after {', '.join(one.accounts)} since {moment(one.started_at)}"
        yield AREA.ok("workers", found)
    looked_after = {name for one in alive for name in one.accounts}
    yield from (_gone(one, looked_after, options) for one in known if one not in alive)
    late = records.read(lambda tx: overdue(tx, now - timedelta(seconds=OVERDUE_S))).result()
    said = {name for one in known if one not in alive for name in one.accounts} | looked_after
    for name in names:
        if name in late:
            yield _late(name, late[name], options, is_looked_after=name in looked_after)
        elif name not in said:
            yield _nobody(name, census(), options)


def _who(one: RunningWorker) -> str:
    return f"process {one.pid} on {one.host}"


def _gone(one: RunningWorker, looked_after: Collection[str], options: GlobalOptions) -> Diagnosis:
    """A worker that did not end, and was not seen for a while."""
    found = f"{_who(one)} is not running since {moment(one.seen_at)}; it did not end by itself"
    left = [name for name in one.accounts if name not in looked_after]
    if not left:
        advice = (
            "start it again if it is needed: others look after its accounts, and this line goes within a week"
        )
        return AREA.warning("workers", found, advice)
    found += f", and nobody looks after {', '.join(left)}"
    return AREA.problem("workers", found, f"start it again: `{to_type(options, 'worker')}`", Exit.REVIEW)


def _late(name: str, late: Overdue, options: GlobalOptions, *, is_looked_after: bool) -> Diagnosis:
    found = (
        f"account {name}: {count(late.total, 'payment')} due since {moment(late.since)}, and not asked about"
    )
    if is_looked_after:
        return AREA.warning("workers", found, "see the lines on the account: its provider, or its budget")
    advice = f"run `{to_type(options, 'worker')}`, or `{to_type(options, 'resolve')}` every few minutes"
    return AREA.problem("workers", f"{found}: no worker is running", advice, Exit.REVIEW)


def _nobody(name: str, census: Census, options: GlobalOptions) -> Diagnosis:
    opened = census.open.get(name)
    if opened is None:
        return AREA.ok("workers", f"account {name}: no worker is running, and nothing is open")
    advice = f"run `{to_type(options, 'worker')}`, or `{to_type(options, 'resolve')}` every few minutes"
    found = f"account {name}: no worker is running, and {count(opened.total, 'payment')} open"
    return AREA.warning("workers", found, advice)


def _left_accounts(census: Census, names: Collection[str], options: GlobalOptions) -> Checks:
    """Accounts that the configuration has no more, and the ledger has: nobody can ask about their payments."""
    if options.account is not None:
        return
    left = {name: found for name, found in census.open.items() if name not in names}
    for name, found in left.items():
        yield AREA.problem(
            "accounts",
            f"{count(found.total, 'payment')} open of account {name}, which the configuration does not have",
            f"put it back until they are final: `{to_type(options, 'list', '--account', name, '--open')}`",
            Exit.REVIEW,
        )
    if not left:
        yield AREA.ok("accounts", "every open payment is of an account of the configuration")


# --- the change feed ---------------------------------------------------------------------------------


def _feed(consumers: Sequence[Consumer], now: datetime, options: GlobalOptions) -> Checks:
    if not consumers:
        yield AREA.ok("feed", "nobody reads the change feed")
    for one in consumers:
        if one.oldest_at is None:
            yield AREA.ok("feed", f"{one.name} has acknowledged everything")
            continue
        lag_s = (now - one.oldest_at).total_seconds()
        is_read = one.leased_until is not None and one.leased_until > now
        reads = "a process reads for it" if is_read else "no process reads for it"
        found = f"{one.name} has {count(one.behind, 'event')} left, the oldest {duration(lag_s)} old; {reads}"
        forget = to_type(options, "changes", "--consumer", one.name, "--forget")
        advice = f"see why what reads for it does not go on; if it is not needed any more: `{forget}`"
        if lag_s > LAG_PROBLEM_S:
            yield AREA.problem("feed", found, advice, Exit.REVIEW)
        else:
            yield AREA.warning("feed", found, advice) if lag_s > LAG_WARNING_S else AREA.ok("feed", found)


# --- what waits for a person -------------------------------------------------------------------------


def _review(census: Census, names: Collection[str], options: GlobalOptions) -> Checks:
    open_ones = {name: census.review[name] for name in names if census.review.get(name)}
    if not open_ones:
        yield AREA.ok("review", "no payment needs review")
        return
    found = ", ".join(f"{count(number, 'payment')} of {name}" for name, number in open_ones.items())
    advice = f"`{to_type(options, 'review', 'list')}` lists them with their reasons"
    yield AREA.problem("review", f"to be looked at by a person: {found}", advice, Exit.REVIEW)


def _uncertain(records: LedgerReads, names: Collection[str], now: datetime, options: GlobalOptions) -> Checks:
    payments = [
        payment
        for name in names
        for payment in records.list(Filter(account=name, uncertain=True, limit=UNCERTAIN_READ)).result()
    ]
    if not payments:
        yield AREA.ok("uncertain", "no outcome is unknown")
        return
    oldest = min(payments, key=_uncertain_since)
    age_s = (now - _uncertain_since(oldest)).total_seconds()
    found = (
        f"{count(len(payments), 'payment')} with an unknown outcome; the oldest, {oldest.id} of {oldest.account},"
        f" for {duration(age_s)}"
    )
    advice = f"`{to_type(options, 'query', oldest.id)}` resolves it, or says why not"
    if age_s > UNCERTAIN_PROBLEM_S:
        yield AREA.problem("uncertain", found, advice, Exit.REVIEW)
    else:
        yield AREA.warning("uncertain", found, advice)


def _uncertain_since(payment: Payment) -> datetime:
    begun = (operation.begun_at for operation in payment.operations if operation.is_uncertain)
    return min(begun, default=payment.updated_at)
