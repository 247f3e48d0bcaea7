"""Moments as they are typed: ISO 8601, or a duration ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from paycore.cli import durations
from paycore.cli.endings import UsageProblem

METAVAR = "WHEN"


def moment_of(option: str, text: str, now: datetime) -> datetime:
    """Parse ISO 8601, where a time without a zone is UTC; or a duration such as `2h`, so long before `now`."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return now - timedelta(seconds=durations.seconds(option, text))
    except UsageProblem:
        raise UsageProblem(
            f"{option}: {text!r} is neither a time such as 2025-01-31T12:00:00Z nor a duration such as 2h or 7d"
        ) from None
