"""Totals are the sums of the payments they name, on both databases, whatever they are grouped by."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from paycore import Money, Payment, Status
from paycore.domain.events import Observed
from paycore.domain.lifecycle import evolve
from paycore.domain.money import MINOR_MAX
from paycore.domain.payment import RefundStatus
from paycore.domain.totals import Totals, TotalsBy
from paycore.ledger.api import Filter, Summed
from paycore.ledger.base import SqlLedger
from paycore.ledger.rows import COLUMNS
from tests.ledger.conftest import Database
from tests.ledger.many import row, store
from tests.ledger.workload import begun, refund_seen, refunding, seen

BEGIN = datetime(2026, 3, 28, 20, tzinfo=UTC)
"""The evening before a day of 23 hours in Berlin."""

SEEN = (Status.PENDING, Status.AUTHORIZED, Status.PAID, Status.PAID, Status.FAILED, Status.CLOSED)
RETURNED = (RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.SUCCEEDED, RefundStatus.REVERSED)
ZONES = (
    UTC,
    *map(ZoneInfo, ("Asia/Hong_Kong", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe")),
    timezone(timedelta(minutes=-7)),
)
AMOUNTS = (
    Money("88.00", "HKD"),
    Money("5", "JPY"),
    Money.from_minor(7, "JPY", exponent=2),
    Money("0.01", "USD"),
)
KEYS: Sequence[TotalsBy] = ("day", "account", "status", "currency")


def made(random: Random, n: int) -> Payment:
    """A payment in some state, with refunds and charge backs, made at some time of three days."""
    at, amount = BEGIN + timedelta(minutes=random.randrange(3 * 24 * 60)), random.choice(AMOUNTS)
    begin = begun(f"order-{n}", account=random.choice(("hk", "sg")))[1](at)
    payment = evolve(None, replace(begin, order=replace(begin.order, amount=amount)), at)
    became = random.choice((None, *SEEN))
    if became is None:
        return payment
    later = at + timedelta(minutes=random.randrange(2 * 24 * 60))
    told = replace(seen(payment.order_number, became, charge=f"C{n}"), amount=amount)
    payment = evolve(payment, Observed(observation=told), later)
    if payment.status is not Status.PAID:
        return payment
    if random.random() < 0.3:
        part = Money.from_minor(1, amount.currency, exponent=amount.exponent)
        for change in refunding("back", part)(payment, later):
            payment = evolve(payment, change, later)
        back = refund_seen(payment.refunds[0].number, random.choice(RETURNED))
        payment = evolve(payment, Observed(observation=back), later)
    if random.random() < 0.3:
        lost = {"charged_back_minor": amount.minor, "charge_back_won_minor": random.randrange(2)}
        told = replace(told, paid_minor=amount.minor, **lost)
        payment = evolve(payment, Observed(observation=told), later)
    return payment


def summed(payments: Sequence[Payment], which: Summed) -> list[Totals]:
    """What the totals are of these payments, counted one by one."""

    def at(payment: Payment) -> datetime | None:
        moment: datetime | None = getattr(payment, f"{which.time}_at")
        return moment

    def key(payment: Payment) -> dict[str, Any]:
        moment = at(payment)
        assert moment is not None
        every = {
            "day": moment.astimezone(which.timezone).date(),
            "account": payment.account,
            "status": payment.status,
            "currency": payment.amount.currency,
        }
        names = [*which.by, *(() if "currency" in which.by else ("currency",))]
        return {name: every[name] for name in names} | {"exponent": payment.amount.exponent}

    def place(payment: Payment) -> list[Any]:
        values = key(payment)
        return [list(Status).index(value) if name == "status" else value for name, value in values.items()]

    def is_meant(payment: Payment) -> bool:
        moment = at(payment)
        return (
            moment is not None
            and which.account in (None, payment.account)
            and (which.since is None or moment >= which.since)
            and (which.until is None or moment < which.until)
        )

    groups = groupby(sorted(filter(is_meant, payments), key=place), key)
    return [
        Totals(
            **values,
            count=len(some),
            amount_minor=sum(payment.amount.minor for payment in some),
            paid_minor=sum(payment.paid_minor for payment in some),
            refunded_minor=sum(payment.refunded_minor for payment in some),
            charged_back_minor=sum(payment.charged_back_minor for payment in some),
            charge_back_won_minor=sum(payment.charge_back_won_minor for payment in some),
        )
        for values, some in ((values, list(group)) for values, group in groups)
    ]


def asked(random: Random, payments: Sequence[Payment]) -> Iterator[Summed]:
    """Questions of every kind."""
    yield Summed()
    yield Summed(by=("day", "account", "status"), time="paid", timezone=ZONES[3])
    for _ in range(100):
        moments = [random.choice(payments).updated_at if random.random() < 0.3 else None for _ in range(2)]
        yield Summed(
            by=tuple(random.sample(KEYS, random.randrange(5))),
            account=random.choice((None, None, "hk", "nobody")),
            time=random.choice(("created", "updated", "paid")),
            since=moments[0],
            until=moments[1],
            timezone=random.choice(ZONES),
        )


def test_totals_are_the_sums_of_the_payments_they_name(database: Database) -> None:
    """Count and every sum, by any of the keys in their order, in any range and time zone."""
    random, ledger = Random(5), database.open()
    store(database.dsn, (row(made(random, n)) for n in range(160)))
    payments = ledger.list(Filter(limit=1000)).result()
    assert sum(payment.charged_back_minor > 0 for payment in payments) > 5
    assert sum(payment.charge_back_won_minor > 0 for payment in payments) > 2
    assert sum(payment.refunded_minor > 0 for payment in payments) > 3
    sizes = set()
    for which in asked(random, payments):
        found = list(ledger.totals(which).result())
        assert found == summed(payments, which), which
        sizes.add(len(found))
    assert len(sizes) > 10, "the questions have many different answers"


def test_no_payments_no_totals(ledger: SqlLedger) -> None:
    """An empty ledger, an account that nobody has, and a name that no database stores."""
    assert ledger.totals(Summed(by=("day",))).result() == ()
    ledger.begin(*begun("order-1")).result()
    assert ledger.totals(Summed(account="nobody")).result() == ()


def test_sums_are_exact_whatever_they_are(database: Database) -> None:
    """More than 64 bits hold, and 10,000 of the largest amount do: no overflow and no rounding."""
    ledger = database.open()
    begin = begun("order")[1](BEGIN)
    largest = replace(begin.order, amount=Money.from_minor(MINOR_MAX, "HKD"))
    same = dict(enumerate(row(evolve(None, replace(begin, order=largest), BEGIN))))
    place = COLUMNS.index("reference")
    named = ({**same, place: f"order-{n}", len(same) - 1: f"P{n}"} for n in range(10_000))
    store(database.dsn, (tuple(one.values()) for one in named))
    (total,) = ledger.totals(Summed()).result()
    assert (total.count, total.amount_minor) == (10_000, 10_000 * MINOR_MAX)
    assert total.amount_minor > 2**63


def test_a_reference_that_looks_like_a_charge_back_is_none(ledger: SqlLedger) -> None:
    """Only what the provider told is a charge back, not what somebody wrote."""
    for reference in ('"charged_back_minor":5', "charged_back_minor", "%"):
        ledger.begin(*begun(reference)).result()
    (total,) = ledger.totals(Summed()).result()
    assert (total.count, total.charged_back_minor) == (3, 0)
