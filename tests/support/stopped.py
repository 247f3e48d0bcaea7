"""A stopped clock, as test tools make it: `datetime` is replaced by a subclass in every module that holds it."""

from datetime import UTC, datetime
from typing import Any, Self


class StoppedDatetime(datetime):
    """The replacement of `datetime`."""

    @classmethod
    def now(cls, tz: Any = None) -> Self:
        """The real time, of the subclass."""
        return cls.fromtimestamp(datetime.now(UTC).timestamp(), tz)
