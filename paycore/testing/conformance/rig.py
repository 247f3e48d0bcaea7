"""What a check works with: the provider's sandbox on a socket, a proxy that breaks, and the real core."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from paycore.domain.payment import Payment
from paycore.errors import PaycoreError, PluginError
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.sandbox.api import Gateway
from paycore.testing.conformance.account_at_sandbox import TIMEOUT_S
from paycore.testing.conformance.check import Failed, NotApplicable, contract_broken
from paycore.testing.conformance.notification_receiver import ReceivedNotification, Receiver
from paycore.testing.conformance.order_desk import OrderDesk
from paycore.testing.conformance.proxy import FaultProxy
from paycore.testing.conformance.subject import Subject
from paycore.testing.twins import TWINS

RESTS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
"""How far the clocks are set ahead between two tries of a caller who tries again."""

NOTIFIED_S, SILENT_S = 5.0, 0.5
"""How long a sandbox may take to send a notification, in real time; and one that has sent none in that time before."""

_SILENT: deque[object] = deque(maxlen=8)


class Rig(OrderDesk):
    """
    One sandbox, opened for one check by `opened_sandbox.opened`.

    It is made of layers, each in a module of its own: the account and the clocks (`AccountAtSandbox`), flows by
    themselves (`FlowRunner`), orders made by them (`OrderDesk`), and here the real clients. `url` is the gateway's,
    through the `proxy`. What paycore logs meanwhile is in `logged`.
    """

    def __init__(
        self,
        subject: Subject,
        folder: Path,
        url: str,
        gateway: Gateway,
        proxy: FaultProxy,
        receiver: Receiver,
    ) -> None:
        super().__init__(subject, folder, url, gateway, receiver)
        self.proxy = proxy
        self.logged: list[logging.LogRecord] = []
        self._stack = ExitStack()

    def client(self, kind: str = "sync", *, timeout_s: float = TIMEOUT_S, ledger: str = "kit.db") -> Any:
        """
        A client, `sync` or `async`, whose verbs are called alike; all are on one ledger unless said otherwise.

        Its ledger has the rig's clock.
        """
        opened = SqliteLedger(self.folder / ledger, clock=self.now)
        client = TWINS[kind](self.config(timeout_s=timeout_s), self.plugins, opened)
        self._stack.callback(client.shutdown)
        return client

    def settled(
        self,
        call: Callable[[], Payment],
        is_so: Callable[[Payment], bool],
        what: str,
        advice: str,
    ) -> Payment:
        """
        What `call` returns once it is so, as a caller would try: again and again, a little later each time.

        `Failed` where it never is; `what` says then what was waited for, `advice` what to change.
        """
        last: object = None
        for rest_s in RESTS_S:
            self.advance(rest_s)
            try:
                payment = call()
            except PluginError as error:
                raise contract_broken(error) from error
            except PaycoreError as error:
                last = f"{type(error).__name__}: {error}"
                continue
            if is_so(payment):
                return payment
            reviewed = (
                f", under review: {', '.join(payment.review_reasons)}" if payment.review_reasons else ""
            )
            last = f"{payment.status}{', uncertain' if payment.uncertain else ''}{reviewed}"
        raise Failed(f"{what}; after {sum(RESTS_S):.0f} s it was still: {last}", advice)

    def notifications(self, count: int = 1) -> tuple[ReceivedNotification, ...]:
        """The notifications that the sandbox has sent, once there are so many; `NotApplicable` without any."""
        is_silent = any(one is self.subject.sandbox for one in _SILENT)
        arrived = self.receiver.first(count, SILENT_S if is_silent else NOTIFIED_S)
        if not arrived:
            _SILENT.append(self.subject.sandbox)
            raise NotApplicable("the sandbox sends no notifications")
        return arrived

    def close(self) -> None:
        """Close what was opened."""
        self._stack.close()
        super().close()
