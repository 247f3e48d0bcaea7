"""A process that forks in the middle of a call sends its request once: what goes on in the child sends nothing."""

import os
from pathlib import Path

import pytest

from paycore import Client, Event, Money, PaycoreError
from paycore.engine.plugins import Plugins
from paycore.plugin import hookimpl
from paycore.testing.toy import ToyGateway
from tests.support.forked import ended
from tests.support.toy_http import ToyPlugin, toy_config, toy_server

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class ForksPlugin:
    """Forks once, when a payment is recorded and not sent yet; the call goes on in both processes."""

    def __init__(self) -> None:
        self.child: int | None = None

    @hookimpl
    def paycore_after_commit(self, event: Event) -> None:
        """See `paycore.hookspecs`."""
        if self.child is None:
            self.child = os.fork()


def test_forked_call_is_sent_once(tmp_path: Path) -> None:
    """The gateway, which would charge each request, is asked once; the child is told, and the parent has its order."""
    forks = ForksPlugin()
    plugins = Plugins(extra=[("toy", ToyPlugin()), ("forks", forks)])
    with toy_server(ToyGateway(duplicates="charge_blindly")) as server:
        pay = Client(toy_config(server.url, f"sqlite:///{tmp_path / 'paycore.db'}"), plugins=plugins)
        try:
            payment = pay.create(
                reference="order-1", amount=Money("88.00", "HKD"), method="toy", channel="web"
            )
        except PaycoreError as error:
            if forks.child == 0:
                os._exit(0 if "forked" in error.message else 1)
            raise
        if forks.child == 0:
            os._exit(2)
        assert forks.child is not None
        assert ended(forks.child) == 0
        assert payment.status == "pending"
        assert server.counts().creates == {payment.order_number: 1}
        pay.shutdown()
