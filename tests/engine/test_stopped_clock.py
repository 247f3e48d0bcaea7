"""Tools that stop the clock in an application's tests replace `datetime` by a subclass: every verb still works."""

from datetime import UTC, datetime
from typing import Any

import pytest

from paycore import Money, Status
from paycore.engine.plugins import Plugins
from paycore.ledger import clock
from paycore.plugin import Done, Flow, Found, PaymentObservation, hookimpl
from paycore.testing.toy import ToyProvider
from tests.domain.test_codec import MarkedText, Word
from tests.engine.conftest import OpenTill
from tests.support.stopped import StoppedDatetime
from tests.support.toy_http import ToyServer


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock during a test."""
    monkeypatch.setattr(clock, "datetime", StoppedDatetime)


class TellsTimes(ToyProvider):
    """The toy, which also reports a time that it made itself."""

    def query(self, orders: Any) -> Flow[Any]:
        """Like the toy's, with the stopped clock's time."""
        outcome = yield from super().query(orders)
        assert isinstance(outcome, Done)
        at = StoppedDatetime.now(UTC)
        seen = [self._at(observation, at) for observation in outcome.value.observations]
        return Done(Found(observations=tuple(seen), absent=outcome.value.absent))

    def _at(self, seen: Any, at: datetime) -> Any:
        if not isinstance(seen, PaymentObservation):
            return seen
        fields = {name: getattr(seen, name) for name in seen.__struct_fields__}
        return PaymentObservation(**{**fields, "occurred_at": at})


class TellsTimesPlugin:
    """Offers `TellsTimes`."""

    @hookimpl
    def paycore_register_providers(self) -> list[type[ToyProvider]]:
        return [TellsTimes]


def test_every_verb_works_while_the_clock_is_stopped(open_till: OpenTill, gateway: ToyServer) -> None:
    """No plugin error, and decoded times have the standard library's type."""
    till = open_till(plugins=Plugins(extra=[("toy", TellsTimesPlugin())]))
    payment = till.create(expires_in_s=600)
    assert payment.status is Status.PENDING
    assert till.receive(*gateway.notification(payment.order_number)).status == 200
    gateway.pay(payment.order_number)
    assert till.query(payment).status is Status.PAID
    till.refund(payment, amount=Money("1.00", "HKD"))
    assert till.close(till.create("order-2")).status is Status.CLOSED
    assert len(till.list(until=StoppedDatetime.now(UTC))) == 2
    assert type(till.get(payment.id).created_at) is datetime
    assert till.events(payment)


def test_text_of_an_applications_own_type_is_taken(open_till: OpenTill, gateway: ToyServer) -> None:
    """A reference of a `str` subclass counts as its text."""
    till = open_till()
    payment = till.create(MarkedText("order-1"), subject=Word.TOP_UP)
    assert till.create("order-1", subject="top-up") == payment
    assert till.find(MarkedText("order-1")).id == payment.id
    gateway.pay(payment.order_number)
    till.query(payment)
    refunded = till.refund(payment, MarkedText("back-1"), reason=MarkedText("broken"))
    assert till.refund(payment, "back-1", reason="broken") == refunded
