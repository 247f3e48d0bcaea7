"""A mention is an unsigned hint with an id: the provider is asked at once, and only its answer moves the payment."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from paycore import Payment, Status
from tests.engine.conftest import OpenTill
from tests.engine.tills import Kind, Till
from tests.support.toy_http import ToyServer, toy_config, toy_plugins


@pytest.fixture
def till(open_till: OpenTill) -> Till:
    """A till at an account whose notifications are unsigned ids, and count as trusted all the same."""
    return open_till(mentions=True, captures="full", notifications_trusted=True)


def eventually(till: Till, payment: Payment, is_so: Callable[[Payment], bool]) -> Payment:
    """The payment once this holds, or as it is after ten seconds."""
    for _ in range(200):
        payment = till.get(payment.id)
        if is_so(payment):
            break
        till.sleep(0.05)
    return payment


def test_mention_by_its_id_has_the_payment_asked_about(till: Till, gateway: ToyServer) -> None:
    """Nobody waits or asks: the client that took it does, once."""
    payment = till.create()
    gateway.pay(payment.order_number)
    reply = till.receive(*gateway.gateway.mention(payment.order_number))
    assert reply.body == b"ok"
    assert eventually(till, payment, lambda known: known.status.is_final).status is Status.PAID
    assert gateway.counts().requests["/query"] == 1


def test_mention_by_a_further_id_has_the_payment_asked_about(till: Till, gateway: ToyServer) -> None:
    """Any id that was told of it names it; a capture follows where that is due."""
    payment = till.create(channel="hold", capture="manual")
    gateway.pay(payment.order_number)
    payment = till.query(payment)
    assert payment.ids.keys() == {"authorization"}
    till.do("capture", payment.id)
    gateway.gateway.charge_back(payment.order_number)
    till.receive(*gateway.gateway.mention(payment.order_number, "authorization"))
    payment = eventually(till, payment, lambda known: known.charged_back_minor > 0)
    assert payment.charged_back_minor == payment.amount.minor


def test_forged_mention_moves_nothing(till: Till, gateway: ToyServer) -> None:
    """Whoever knows an id can make the provider be asked, and no more."""
    payment = till.create()
    till.receive(*gateway.gateway.mention(payment.order_number))
    till.sleep(0.5)
    assert till.get(payment.id).status is Status.PENDING
    assert gateway.counts().requests["/query"] == 1


def test_same_mention_again_has_it_asked_about_again(till: Till, gateway: ToyServer) -> None:
    """Some send the same words whenever anything happens."""
    payment = till.create()
    mention = gateway.gateway.mention(payment.order_number)
    till.receive(*mention)
    eventually(till, payment, lambda _: gateway.counts().requests.get("/query", 0) > 0)
    gateway.pay(payment.order_number)
    till.receive(*mention)
    assert eventually(till, payment, lambda known: known.status.is_final).status is Status.PAID


def test_mention_at_another_account_of_the_provider_is_the_owners(
    kind: Kind, gateway: ToyServer, tmp_path: Path
) -> None:
    """One URL for several accounts: the one whose order has that id asks its provider."""
    config = toy_config(gateway.url, f"sqlite:///{tmp_path / 'paycore.db'}", mentions=True)
    other = msgspec.structs.replace(config.accounts["toy"], name="other")
    config = msgspec.structs.replace(config, accounts={**config.accounts, "other": other})
    till = Till(kind, config, toy_plugins())
    try:
        payment = till.create(account="other")
        gateway.pay(payment.order_number)
        assert till.receive(*gateway.gateway.mention(payment.order_number), account="toy").body == b"ok"
        payment = eventually(till, payment, lambda known: known.status.is_final)
        assert (payment.account, payment.status) == ("other", Status.PAID)
    finally:
        till.shutdown()


def test_mention_of_what_nobody_has_is_acknowledged_and_told(
    till: Till, gateway: ToyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept and counted, and asks nobody."""
    till.create()
    reply = till.receive(b'{"id": "T999999"}', {})
    assert reply.body == b"ok"
    assert "names T999999, which no payment here has" in caplog.text
    assert "/query" not in gateway.counts().requests
