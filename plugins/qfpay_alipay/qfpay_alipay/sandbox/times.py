"""
QFPay's times: `YYYY-MM-DD hh:mm:ss`, 24 hours; those of QFPay's clock are in UTC+8.

Source: format G5 "Request Format"; UTC+8 inferred from the samples (SOURCES.md §1).
"""

from __future__ import annotations

import calendar
import datetime
import re

_ZONE = datetime.timezone(datetime.timedelta(hours=8))
_FORMAT = "%Y-%m-%d %H:%M:%S"
_SHAPE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def render_time(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms // 1000, tz=_ZONE).strftime(_FORMAT)


def parse_time(text: str) -> int:
    """Milliseconds since the epoch; `ValueError` for what is not such a time."""
    if not _SHAPE.fullmatch(text):
        raise ValueError("not YYYY-MM-DD hh:mm:ss")
    at = datetime.datetime.strptime(text, _FORMAT).replace(tzinfo=_ZONE)
    return int(at.timestamp()) * 1000


def month_of(at_ms: int) -> tuple[int, int]:
    at = datetime.datetime.fromtimestamp(at_ms // 1000, tz=_ZONE)
    return at.year, at.month


def month_bounds(at_ms: int) -> tuple[int, int]:
    """The first and the last second of the month `at_ms` is in, UTC+8."""
    year, month = month_of(at_ms)
    first = datetime.datetime(year, month, 1, tzinfo=_ZONE)
    last = first.replace(day=calendar.monthrange(year, month)[1], hour=23, minute=59, second=59)
    return int(first.timestamp()) * 1000, int(last.timestamp()) * 1000


def date_digits(at_ms: int) -> str:
    return render_time(at_ms)[:10].replace("-", "")


def ms_of_day(at_ms: int) -> int:
    return (at_ms + 8 * 3_600_000) % 86_400_000
