"""
Notifications: what QFPay posts to the merchant after a payment or refund, and how long it tries.

Source: G4/G5 "Asynchronous Notifications". The figures are read as gaps between attempts (the page leaves that open).
"""

from __future__ import annotations

import uuid

import msgspec

from paycore.sandbox.api import NotPossible
from paycore.sandbox.deliveries import Deliveries
from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.gateway_kinds import NotificationFate, fate_of_notification
from paycore.sandbox.posts import Post, PostQueue, PostResult
from paycore.sandbox.state import StateFile
from paycore.sandbox.virtual_clock import SandboxClock
from qfpay_alipay.sandbox.gateway_faults import NOTIFICATION, distort
from qfpay_alipay.sandbox.order_records import SandboxNotice, SandboxOrder, SandboxRefund
from qfpay_alipay.sandbox.replies import encode, notification
from qfpay_alipay.sandbox.sandbox_settings import SandboxSettings
from qfpay_alipay.sandbox.signing import SIGNATURE, body_signature

GAPS_S = (120, 600, 600, 3600, 7200, 21600, 54000)
"""2 m, 10 m, 10 m, 60 m, 2 h, 6 h, 15 h."""

_FORGER_KEY = "0000000000000000NOTTHEKEY0000000"


class Notifier:
    """Sends notifications on the sandbox clock and records each attempt; goes on after a restart."""

    def __init__(
        self,
        clock: SandboxClock,
        posts: PostQueue,
        state: StateFile,
        faults: FaultBoard,
        settings: SandboxSettings,
    ) -> None:
        self._clock = clock
        self._faults = faults
        self._settings = settings
        self._deliveries = Deliveries(
            SandboxNotice,
            prefix="notice:",
            gaps_s=GAPS_S,
            clock=clock,
            posts=posts,
            state=state,
            post_of=self._post_of,
            accepts=_accepts,
        )

    def resume(self) -> None:
        """Send the notifications that the last process had not delivered."""
        self._deliveries.resume()

    def announce(self, entry: SandboxOrder | SandboxRefund, order: SandboxOrder, cancel: str) -> None:
        """Notify the merchant of a successful payment or refund, if there is a URL."""
        url = self._url(order)
        fate = fate_of_notification(self._faults) if url else NotificationFate(is_lost=True)
        if fate.is_lost:
            return
        fields = notification(entry, order, cancel=cancel, mchid=self._settings.mchid)
        body = encode(distort(fields, self._faults, NOTIFICATION)).decode()
        notice = self._new(entry, order, url, body)
        if fate.is_forged_first:
            self._deliveries.plan(msgspec.structs.replace(notice, id=self._id(), is_forged=True))
        due = self._clock.now_ms() + round(fate.after_s * 1000)
        notice = msgspec.structs.replace(notice, next_at=due)
        for _ in range(fate.copies):
            self._deliveries.plan(msgspec.structs.replace(notice, id=self._id()))

    def send_again(
        self,
        entry: SandboxOrder | SandboxRefund,
        order: SandboxOrder,
        *,
        cancel: str,
        after_s: float = 0.0,
        is_forged: bool = False,
    ) -> SandboxNotice:
        """Send another notification. `NotPossible` when there is no URL."""
        url = self._url(order)
        if not url:
            raise NotPossible("no notify_url: neither the payment nor the account has one")
        fields = notification(entry, order, cancel=cancel, mchid=self._settings.mchid)
        notice = self._new(entry, order, url, encode(fields).decode())
        due = self._clock.now_ms() + round(after_s * 1000)
        notice = msgspec.structs.replace(notice, next_at=due, is_forged=is_forged)
        self._deliveries.plan(notice)
        return notice

    def notices_of(self, order: SandboxOrder) -> list[SandboxNotice]:
        """Oldest first."""
        return [notice for notice in self._deliveries.all() if notice.order == order.syssn]

    def totals(self) -> dict[str, int]:
        return {"notifications": len(self._deliveries.all()), **self._deliveries.totals()}

    def _url(self, order: SandboxOrder) -> str:
        return order.notify_url or self._settings.notify_url

    def _new(
        self, entry: SandboxOrder | SandboxRefund, order: SandboxOrder, url: str, body: str
    ) -> SandboxNotice:
        return SandboxNotice(
            id=self._id(),
            order=order.syssn,
            about=entry.syssn,
            notify_type="refund" if isinstance(entry, SandboxRefund) else "payment",
            url=url,
            body=body,
            next_at=self._clock.now_ms(),
        )

    def _id(self) -> str:
        return uuid.uuid4().hex

    def _post_of(self, notice: SandboxNotice) -> Post:
        body = notice.body.encode("ascii")
        key = _FORGER_KEY if notice.is_forged else self._settings.client_key
        headers = {"Content-Type": "application/json", SIGNATURE: body_signature(body, key=key)}
        return Post(url=notice.url, headers=headers, body=body)


def _accepts(result: PostResult) -> bool:
    """
    HTTP 200 with the body SUCCESS.

    White space around SUCCESS is ignored; how the real gateway compares is undocumented.
    """
    return result.status == 200 and result.body.strip() == b"SUCCESS"
