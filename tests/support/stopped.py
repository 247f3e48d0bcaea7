"""A clock as tools that stop it in tests have one: `datetime` is replaced by a subclass wherever a module holds it."""

from datetime import UTC, datetime
from typing import Any, Self


class StoppedDatetime(datetime):
    """What stands in for `datetime`."""

    @classmethod
    def now(cls, tz: Any = None) -> Self:
        """The real time: only its type is another."""
        return cls.fromtimestamp(datetime.now(UTC).timestamp(), tz)
