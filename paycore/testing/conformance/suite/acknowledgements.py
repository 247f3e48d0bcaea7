"""What is answered to a notification is what the company takes for an answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

from paycore.domain.wire import Reply
from paycore.testing.conformance.arrivals import OTHERS_S, genuine, payable, take_notifications, verified
from paycore.testing.conformance.check import NotApplicable, check, require
from paycore.testing.conformance.rig import Rig

GUIDE = "notifications"
DAY_S = 86_400.0


@check(read=GUIDE)
def acknowledgement_is_constant(rig: Rig) -> None:
    """What is answered to a notification is an HTTP success of fixed bytes, whatever came before."""
    take_notifications(rig)
    first: Any = rig.provider.acknowledge()
    body = getattr(first, "body", None)
    require(
        isinstance(first, Reply) and isinstance(body, bytes),
        f"acknowledge returned {type(first).__name__} with a body of {type(body).__name__}",
        "return paycore.plugin.Reply with the bytes that the company expects",
    )
    require(
        200 <= first.status < 300,
        f"acknowledge answers with HTTP {first.status}, which tells the company to send it again",
        "return a Reply with the status of success that the company expects",
    )
    found = genuine(rig)
    verified(rig, found.received, "a notification of the sandbox")
    others = [rig.provider.acknowledge(), rig.account_with({}).full.acknowledge()]
    require(
        all(other == first for other in others),
        "acknowledge returned something else the next time",
        "return the same bytes each time: it is not told what it acknowledges",
    )


@check(read=GUIDE)
def acknowledged_notification_is_not_sent_again(rig: Rig) -> None:
    """What `acknowledge` returns is what the company takes for an answer: it does not send the notification again."""
    take_notifications(rig)
    rig.receiver.reply = Reply(status=500)
    rig.paid(payable(rig))
    if not rig.notifications() or not any(_comes_again(rig) for _ in range(3)):
        raise NotApplicable("the sandbox does not send a notification again that was not acknowledged")
    rig.receiver.reply = rig.provider.acknowledge()
    count, idle = len(rig.receiver.first(0, 0.0)), 0
    for _ in range(6):
        idle = 0 if _comes_again(rig) else idle + 1
        if idle == 2:
            break
    after = Counter(one.body for one in rig.receiver.first(0, 0.0)[count:])
    require(
        max(after.values(), default=0) < 3,  # one may have been under way when the reply changed
        "the sandbox goes on sending a notification that was answered with what acknowledge returns",
        "return exactly the status, type and bytes that the company's manual asks for",
    )


def _comes_again(rig: Rig) -> bool:
    """Whether a notification comes within a day of the sandbox's clock."""
    count = len(
        rig.receiver.first(len(rig.receiver.first(0, 0.0)) + 1, OTHERS_S / 20)
    )  # the last one is answered
    rig.advance(DAY_S)
    return len(rig.receiver.first(count + 1, OTHERS_S / 2)) > count
