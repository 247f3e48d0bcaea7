"""
When to ask again for what QFPay refuses for a time only.

Source: 91APP's notes on refunds (SOURCES.md §5.1); how long QFPay wants to be left alone is documented nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from paycore.plugin import NotNow, Rejected
from qfpay_alipay.messages import QFPAY_ZONE, Answer
from qfpay_alipay.respcodes import Code, failure_of, problem_of

PUT_OFF_MAX = timedelta(days=3)
"""How long something is put off; a refusal after that is final, and its caller decides what to do."""

_DAY_S = 24 * 3600


class _Pause(msgspec.Struct, frozen=True, kw_only=True):
    """
    When a refusal passes: at the end of certain hours of QFPay's day, at other times after `otherwise_s`.

    `barred` is the beginning of these hours and how long they last, in seconds, the beginning from midnight.
    """

    otherwise_s: float
    barred: tuple[int, int] = (0, 0)


_PAUSES: Mapping[str, _Pause] = {
    "1120": _Pause(otherwise_s=600.0),
    # Refunds are barred from 23:30 to 00:30, and in promotions.
    "1265": _Pause(barred=(23 * 3600 + 1800, 3600), otherwise_s=3600.0),
    # "Please retry after 11 AM"; later in the day the takings grow.
    "1269": _Pause(barred=(0, 11 * 3600), otherwise_s=3600.0),
}


def put_off(answer: Answer, code: Code, *, begun_at: datetime, sent_at: datetime) -> NotNow | Rejected:
    """The outcome of what was begun and sent then, and refused for a time: `Rejected` once that took too long."""
    if sent_at - begun_at > PUT_OFF_MAX:
        return Rejected(failure=failure_of(answer, code))
    return NotNow(problem=problem_of(answer, code), retry_after_s=pause_s(code.respcd, sent_at))


def pause_s(respcd: str, at: datetime) -> float:
    """Seconds to wait after this refusal at that time."""
    pause = _PAUSES[respcd]
    begins_s, lasts_s = pause.barred
    local = at.astimezone(QFPAY_ZONE)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    since_s = ((local - midnight).total_seconds() - begins_s) % _DAY_S
    return lasts_s - since_s if since_s < lasts_s else pause.otherwise_s
