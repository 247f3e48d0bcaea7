"""
Sums over payments, by what they have in common: in one statement, so that they are of one moment.

The columns of a payment have all that is summed but charge backs, which stand in its body alone. Few payments have
any, so each of those is a group of its own in SQL, with its body. Days depend on a time zone, which not every database
knows: SQL groups by spans of time in which no day of the zone begins, and the spans of a day are added up here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from math import gcd
from operator import add
from typing import Any

from paycore.domain.payment import Status
from paycore.domain.totals import Totals, TotalsBy
from paycore.ledger.api import Summed
from paycore.ledger.clock import to_ms
from paycore.ledger.lists import TIMES
from paycore.ledger.rows import check_storable, read_payment
from paycore.ledger.transaction import Row, Transaction

_DAY_S = 86400
_OFFSETS_FROM = datetime(2015, 1, 1, tzinfo=UTC)
"""Earlier than any payment; a zone's offset from UTC is looked up once a week from then on."""

_CHARGED_BACK = '%"charged_back_minor":%'
_TOLD = "CASE WHEN body LIKE ? THEN id || ' ' || body END AS told"
_AS_IT_STANDS = " LIMIT 9223372036854775807"
"""Keeps SQLite from reading the table for the groups themselves: it would sort every body."""

_SUMMED = ("amount_minor", "paid_minor", "refunded_minor")
_PART = 10**9
"""Sums are made in two parts: of many large amounts they are more than 64 bits hold."""

_SUMS = (
    "count",
    "amount_minor",
    "paid_minor",
    "refunded_minor",
    "charged_back_minor",
    "charge_back_won_minor",
)
"""The fields of `Totals` that are added up, in the order of the tuples below."""

_Key = tuple[Any, ...]
_Sums = tuple[int, ...]


def totals(tx: Transaction, which: Summed) -> tuple[Totals, ...]:
    """See `Ledger.totals`."""
    check_storable(account=which.account)
    found: dict[_Key, _Sums] = {}
    for key, sums in _groups(tx, which):
        known = found.get(key)
        found[key] = sums if known is None else tuple(map(add, known, sums))
    names = (*_keys(which.by), "exponent")
    given = [Totals(**dict(zip((*names, *_SUMS), (*key, *sums), strict=True))) for key, sums in found.items()]
    return tuple(sorted(given, key=lambda one: [_place(name, getattr(one, name)) for name in names]))


def _keys(by: Sequence[TotalsBy]) -> tuple[TotalsBy, ...]:
    """What is grouped by, in the order asked for; by currency in any case."""
    return tuple(dict.fromkeys((*by, "currency")))


def _place(name: str, value: Any) -> Any:
    """Where a group comes in the order of `name`; statuses in the order in which they follow each other."""
    return list(Status).index(value) if name == "status" else value


def _groups(tx: Transaction, which: Summed) -> Iterator[tuple[_Key, _Sums]]:
    """The groups of SQL, each with its key; several may have the same."""
    keys, time = _keys(which.by), TIMES[which.time]
    span_s = _span_s(which.timezone) if "day" in keys else _DAY_S
    read = [f"{time} / {span_s * 1000} AS day" if key == "day" else key for key in keys]
    terms = list(_terms(which, time))
    where = f" WHERE {' AND '.join(sql for sql, _ in terms)}" if terms else ""
    groups = ", ".join((*keys, "exponent", "told"))
    sums = [f"sum({name} {part} {_PART})" for name in _SUMMED for part in ("/", "%")]
    rows = tx.execute(
        f"SELECT {groups}, count(*), {', '.join(sums)} FROM ("  # noqa: S608 - all ours, values are bound
        f"SELECT {', '.join((*read, 'exponent', _TOLD, *_SUMMED))} FROM payments{where}{_AS_IT_STANDS}"
        f") AS summed GROUP BY {groups}",
        (_CHARGED_BACK, *(value for _, values in terms for value in values)),
    ).fetchall()
    for row in rows:
        *key, told, count = row[: len(keys) + 3]
        yield _key(keys, key, which.timezone, span_s), _sums(told, count, row[len(keys) + 3 :])


def _terms(which: Summed, time: str) -> Iterator[tuple[str, Row]]:
    """The conditions, each with the values to bind."""
    if which.time == "paid":
        yield f"{time} IS NOT NULL", ()  # only they are in its index
    if which.account is not None:
        yield "account = ?", (which.account,)
    if which.since is not None:
        yield f"{time} >= ?", (to_ms(which.since),)
    if which.until is not None:
        yield f"{time} < ?", (to_ms(which.until),)


def _span_s(zone: tzinfo) -> int:
    """The longest seconds, counted from 1970 in UTC, in none of which a day of the zone begins: for UTC a day."""
    moments = (_OFFSETS_FROM + timedelta(weeks=n) for n in range(52 * (datetime.now(UTC).year - 2013)))
    offsets = {moment.astimezone(zone).utcoffset() for moment in moments}
    return gcd(_DAY_S, *(int(offset.total_seconds()) for offset in offsets if offset is not None))


def _key(keys: Sequence[TotalsBy], row: Sequence[Any], zone: tzinfo, span_s: int) -> _Key:
    """The values that a row's group has in common, as they are in `Totals`."""
    values = dict(zip((*keys, "exponent"), row, strict=True))
    if "day" in values:
        values["day"] = _day(values["day"] * span_s, zone)
    if "status" in values:
        values["status"] = Status(values["status"])
    return tuple(values.values())


def _day(since_s: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(since_s, UTC).astimezone(zone).date()


def _sums(told: str | None, count: int, parts: Sequence[Any]) -> _Sums:
    """The sums of a group: of the parts in which they were made, and of the body that tells of a charge back."""
    whole = [int(high) * _PART + int(low) for high, low in zip(parts[::2], parts[1::2], strict=True)]
    back_minor = won_minor = 0
    if told is not None:
        payment_id, _, body = told.partition(" ")
        payment = read_payment(payment_id, body)
        back_minor, won_minor = payment.charged_back_minor, payment.charge_back_won_minor
    return (count, *whole, back_minor, won_minor)
