"""
What an authentic notification says.

Source: sdk.qfapi.com "Asynchronous Notifications"; SOURCES.md §7.
"""

from __future__ import annotations

from collections.abc import Sequence

from paycore.plugin import Mention, Notice, Status
from qfpay_alipay import messages
from qfpay_alipay.observations import read_payment, read_refund


def read_notice(body: bytes, *, mchid: str | None) -> Sequence[Notice]:
    """
    The payment or refund it is about; of other kinds, and for another merchant, only its number is read.

    `mchid` is the account's own. Agents have one URL and one key for all their merchants, so the number may be
    another account's. Raises `messages.Malformed`.
    """
    head = messages.read_message(body, messages.NotificationHead)
    told = messages.text_of(head.mchid)
    is_for_another = bool(told and mchid and told != mchid)
    if is_for_another or head.notify_type not in ("payment", "refund"):
        return _mention(head.number)
    notice = messages.decode(body, messages.TradeNotification)
    if not notice.number:
        raise messages.Malformed("without out_trade_no")
    if messages.trimmed(notice.status) not in ("", "1"):
        return _mention(notice.number)
    seen = read_payment(notice) if head.notify_type == "payment" else read_refund(notice)
    # An order may be tried several times, so one notification does not prove that no money was taken.
    is_promise = seen is not None and seen.status in (Status.CLOSED, Status.FAILED)
    return _mention(notice.number) if seen is None or is_promise else (seen,)


def _mention(number: str) -> Sequence[Mention]:
    """A hint that something about this number changed, where there is one; for notifications that are not read."""
    return (Mention(number=number),) if number else ()
