"""Receive: verified first, durable before it is acknowledged; a repeat changes nothing."""

import threading
import time

import pytest

from paycore import Payment, Status
from paycore.errors import ConfigError, MalformedNotification, NotAuthentic, PluginError
from paycore.testing.toy import ToyProvider, sign
from tests.engine.conftest import OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import KEY, ToyServer


def paid_order(till: Till, gateway: ToyServer) -> tuple[Payment, bytes, dict[str, str]]:
    """A pending payment that its payer has paid, and the genuine notification of it."""
    payment = till.create()
    gateway.pay(payment.order_number)
    return payment, *gateway.notification(payment.order_number)


def test_receive_trusted_notification_moves_the_payment_once(till: Till, gateway: ToyServer) -> None:
    """A trusted authentic notification pays; a repeat changes nothing."""
    payment, body, headers = paid_order(till, gateway)
    assert till.receive(body, headers).body == b"ok"
    paid = till.get(payment.id)
    assert paid.status is Status.PAID
    assert till.receive(body, {name.upper(): value for name, value in headers.items()}).body == b"ok"
    assert till.get(payment.id) == paid
    assert gateway.counts().requests == {"/orders": 1}


def until_paid(till: Till, payment: Payment) -> Payment:
    """The payment once it is recorded as paid, without anybody waiting for it."""
    give_up_at = time.monotonic() + 20
    while (found := till.get(payment.id)).status is not Status.PAID:
        assert time.monotonic() < give_up_at, found
        till.sleep(0.02)
    return found


def test_receive_untrusted_notification_has_the_provider_asked(
    open_till: OpenTill, gateway: ToyServer
) -> None:
    """An untrusted notification changes nothing itself: the client queries, and that answer pays."""
    till = open_till(notifications_trusted=False)
    payment, body, headers = paid_order(till, gateway)
    assert till.receive(body, headers).body == b"ok"
    paid = until_paid(till, payment)
    assert [event.source for event in till.events(paid)][-1] == "poll"


def test_receive_untrusted_notification_is_confirmed_after_the_provider_was_away(
    open_till: OpenTill, gateway: ToyServer
) -> None:
    """An unanswered query is repeated, though nobody waits."""
    till = open_till(notifications_trusted=False)
    payment, body, headers = paid_order(till, gateway)
    gateway.set_faults(lose_reply=1, path="/query")
    till.receive(body, headers)
    until_paid(till, payment)
    assert gateway.counts().requests["/query"] > 1


@pytest.mark.parametrize("kind", ["sync"])  # a till's loop runs one verb at a time
def test_receive_untrusted_notification_wakes_a_waiter_at_once(
    open_till: OpenTill, gateway: ToyServer
) -> None:
    """A waiter is served by a query right after the notification, not by the next poll."""
    till = open_till(notifications_trusted=False)
    payment = till.create()
    found: list[Payment] = []
    waiting = threading.Thread(target=lambda: found.append(till.wait(payment, timeout_s=20)))
    begun = time.monotonic()
    waiting.start()
    gateway.pay(payment.order_number)
    till.receive(*gateway.notification(payment.order_number))
    waiting.join()
    assert found[0].status is Status.PAID
    assert time.monotonic() - begun < 1.5, "the first poll comes after 1.6 s at the earliest"


def test_receive_notification_of_a_wrong_amount_is_never_paid(till: Till, gateway: ToyServer) -> None:
    """A valid signature over another amount needs review, and the status is unchanged."""
    payment = till.create()
    gateway.gateway.orders[0].minor = 1
    gateway.pay(payment.order_number)
    till.receive(*gateway.notification(payment.order_number))
    found = till.get(payment.id)
    assert (found.status, found.review_reasons) == (Status.PENDING, ("amount_differs",))


def test_receive_notification_of_an_unknown_number_is_acknowledged(till: Till) -> None:
    """An order of another system on the merchant account changes nothing, and the notification is acknowledged."""
    body = b'{"number":"NOTOURS","kind":"payment","id":"T9","status":"paid","minor":1,"currency":"HKD","refunded":0}'
    assert till.receive(body, {"x-toy-signature": sign(body, KEY)}).body == b"ok"
    assert till.list() == ()


def test_receive_forged_notification_changes_nothing(till: Till, gateway: ToyServer) -> None:
    """No signature, a changed body, another merchant's key: refused, and not kept."""
    payment, body, headers = paid_order(till, gateway)
    forgeries = [
        (body, {}),
        (body, {"x-toy-signature": ""}),
        (body, {"x-toy-signature": sign(body, "another")}),
        (body, {"x-toy-signature": "\u00e9" * 64}),
        (body + b" ", headers),
        (body.replace(b"8800", b"1"), headers),
    ]
    for forged, with_headers in forgeries:
        with pytest.raises(NotAuthentic):
            till.receive(forged, with_headers)
    assert till.get(payment.id) == payment


def test_receive_unreadable_notification_changes_nothing(till: Till) -> None:
    """Authentic bytes that are no record, and bodies above the limit, are refused as malformed."""
    for body in (b"", b"[]", b"[" * 60_000, b'{"number": "\xff"}', b"x" * 65_537):
        with pytest.raises(MalformedNotification):
            till.receive(body, {"x-toy-signature": sign(body, KEY)})


def test_receive_at_an_unknown_account_names_those_there_are(till: Till) -> None:
    """An unknown account is a configuration error that names the known ones."""
    with pytest.raises(ConfigError, match="no account is called 'gone'"):
        till.receive(b"", {}, account="gone")


def test_receive_plugin_that_fails_is_named(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `verify` that breaks its contract is a `PluginError`; nothing is recorded or acknowledged."""

    def broken(*_: object) -> None:
        raise KeyError("sign")

    monkeypatch.setattr(ToyProvider, "verify", broken)
    with pytest.raises(PluginError, match="account toy: provider toy failed: KeyError") as caught:
        till.receive(b"{}", {})
    assert (caught.value.plugin, caught.value.stage) == ("toy", "verify")
