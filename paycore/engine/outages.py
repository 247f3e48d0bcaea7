"""Logs an outage at most once a minute for each account, and logs once that it is over."""

from __future__ import annotations

import logging
from typing import Any

from paycore.domain.safe_text import printable
from paycore.engine.timing import Deadline, Stopwatch

WARN_EVERY_S = 60.0
"""Seconds between two warnings about the same account."""

_log = logging.getLogger(__name__)


class _Outage:
    """The failures of one account since it last answered, and what was said of them."""

    def __init__(self) -> None:
        self.lasts = Stopwatch()
        self.next_warning = Deadline(0.0)
        self.unsaid = 0
        self.is_under_way = False
        self.is_said = False


class Outages:
    """The outages one worker meets, by whom: an account, or the ledger."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Outage] = {}

    def failed(self, who: str, problem: str, **options: Any) -> None:
        """
        A question to `who` had no answer; a warning says why, unless one was given within the last minute.

        `options` are the logger's own, such as `exc_info`.
        """
        outage = self._under_way.setdefault(who, _Outage())
        if not outage.is_under_way:
            outage.is_under_way, outage.lasts = True, Stopwatch()
        if outage.next_warning.left_s > 0:
            outage.unsaid += 1
            return
        more = f" (and {outage.unsaid} times more since this was last said)" if outage.unsaid else ""
        _log.warning("%s%s", printable(problem), more, **options)
        outage.next_warning, outage.unsaid, outage.is_said = Deadline(WARN_EVERY_S), 0, True

    def answered(self, who: str) -> None:
        """`who` answers: a warning says that it does again, and how long it did not, where that was said."""
        outage = self._under_way.get(who)
        if outage is None or not outage.is_under_way:
            return
        if outage.is_said:
            _log.warning("%s answers again, after %d s", who, outage.lasts.ms // 1000)
        outage.is_under_way = outage.is_said = False
