"""Faults that every gateway has beside those of the connection: of notifications and of refunds."""

from __future__ import annotations

import msgspec

from paycore.sandbox.faults import FaultBoard, FaultKind

NOTIFICATION_FAULTS = (
    FaultKind(name="drop_notification", help="the next notification is never sent"),
    FaultKind(
        name="late_notification",
        help="the next notification is first sent after `seconds`",
        options={"seconds": 60.0},
    ),
    FaultKind(
        name="duplicate_notification",
        help="the next notification is sent `copies` times",
        options={"copies": 2},
    ),
    FaultKind(
        name="forged_notification", help="before the next notification comes one signed with another key"
    ),
)

REFUSE_REFUND = "refuse_refund"
FAILING_REFUND = "failing_refund"

REFUND_FAULTS = (
    FaultKind(name=REFUSE_REFUND, help="the next refund is refused, and nothing moves"),
    FaultKind(
        name=FAILING_REFUND,
        help="the next refund is accepted, and fails after `seconds`",
        options={"seconds": 2.0},
    ),
)


COMMON_FAULTS = (*NOTIFICATION_FAULTS, *REFUND_FAULTS)


class NotificationFate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a notification: sent `copies` times, first after `after_s`, after a forged one, or never."""

    is_lost: bool = False
    is_forged_first: bool = False
    after_s: float = 0.0
    copies: int = 1


def fate_of_notification(faults: FaultBoard) -> NotificationFate:
    """What the board has for the next notification."""
    if faults.take("drop_notification") is not None:
        return NotificationFate(is_lost=True)
    forged, late = faults.take("forged_notification"), faults.take("late_notification")
    copies = faults.take("duplicate_notification")
    return NotificationFate(
        is_forged_first=forged is not None,
        after_s=0.0 if late is None else late.number("seconds"),
        copies=1 if copies is None else int(copies.number("copies")),
    )
