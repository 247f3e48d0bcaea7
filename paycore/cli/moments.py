"""Moments as they are typed: ISO 8601, or a duration ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from paycore.cli.endings import UsageProblem
from paycore.domain.duration_text import seconds_typed

METAVAR = "WHEN"


def moment_of(option: str, text: str, now: datetime, zone: tzinfo = UTC) -> datetime:
    """
    Parse ISO 8601, where a time without a zone is of `zone`; or a duration such as `2h`, so long before `now`.

    A duration has a unit: a number alone is half a date, such as `2025`.
    """
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        ago_s = seconds_typed(text) if text[-1:].isalpha() else None
        if ago_s is not None:
            return now - timedelta(seconds=ago_s)
    except OverflowError:
        pass
    raise UsageProblem(
        f"{option}: {text!r} is neither a time such as 2025-01-31T12:00:00Z nor a duration such as 2h or 7d"
    )


def range_of(
    since: str | None, until: str | None, zone: tzinfo = UTC
) -> tuple[datetime | None, datetime | None]:
    """Return the moments of `--since` and `--until`; None for one that was not given."""
    now = datetime.now(UTC)
    begin = None if since is None else moment_of("--since", since, now, zone)
    end = None if until is None else moment_of("--until", until, now, zone)
    if begin is not None and end is not None and begin >= end:
        raise UsageProblem("--until: must be later than --since, or nothing is between them")
    return begin, end
