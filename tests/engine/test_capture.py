"""An authorized payment is captured once: at once by whoever sees it first, or when its caller says so."""

import pytest

from paycore import Money, Payment, Status
from paycore.domain import bounds
from paycore.domain.payment import OperationKind, OperationState
from paycore.errors import InvalidField, NotSent, NotSupported, ReferenceConflict, WrongState
from tests.engine.conftest import OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

HKD_80 = Money("80.00", "HKD")


@pytest.fixture
def till(open_till: OpenTill) -> Till:
    """A till at an account that captures, also a part."""
    return open_till(captures="partial")


def authorized(till: Till, gateway: ToyServer) -> Payment:
    """A payment whose payer has agreed, as a query shows it; captured by its caller only."""
    payment = till.create(channel="hold", capture="manual")
    gateway.pay(payment.order_number)
    return till.query(payment)


def states(payment: Payment, kind: OperationKind) -> list[OperationState]:
    return [operation.state for operation in payment.operations if operation.kind is kind]


def test_payment_authorized_at_once_is_captured_by_create(till: Till, gateway: ToyServer) -> None:
    """A caller who wants the money at once gets a paid payment from `create`, with one capture."""
    payment = till.create(channel="tab")
    assert payment.status is Status.PAID
    assert payment.paid_minor == payment.amount.minor
    assert gateway.counts().captures == {payment.order_number: 1}


def test_query_captures_what_it_finds_authorized(till: Till, gateway: ToyServer) -> None:
    """A query that shows the payer's agreement takes the money."""
    payment = till.create(channel="hold")
    assert payment.status is Status.PENDING
    assert payment.action is not None
    gateway.pay(payment.order_number)
    assert till.query(payment).status is Status.PAID
    assert gateway.counts().captures == {payment.order_number: 1}


def test_wait_captures_what_a_poll_finds_authorized(till: Till, gateway: ToyServer) -> None:
    """The worker of a client that waits takes the money."""
    payment = till.create(channel="hold")
    gateway.pay(payment.order_number)
    assert till.wait(payment, 10).status is Status.PAID
    assert gateway.counts().captures == {payment.order_number: 1}


@pytest.mark.parametrize("is_trusted", [True, False])
def test_notification_of_an_authorization_leads_to_its_capture(
    open_till: OpenTill, gateway: ToyServer, is_trusted: bool
) -> None:
    """Whether or not it is evidence, the client that took it captures, and nobody needs to wait or ask."""
    till = open_till(captures="partial", notifications_trusted=is_trusted)
    payment = till.create(channel="hold")
    gateway.pay(payment.order_number)
    till.receive(*gateway.notification(payment.order_number))
    for _ in range(40):
        if (payment := till.get(payment.id)).status is Status.PAID:
            break
        till.sleep(0.05)
    assert payment.status is Status.PAID
    assert gateway.counts().captures == {payment.order_number: 1}


def test_returned_payer_is_asked_about_and_captured(till: Till, gateway: ToyServer) -> None:
    """What the payer came back with is kept, the provider is asked at once, and the money is taken."""
    payment = till.create(channel="hold")
    gateway.pay(payment.order_number)
    payment = till.do("returned", payment.id, {"token": "T1", "PayerID": "P 1"})
    assert payment.status is Status.PAID
    assert payment.returned == {"token": "T1", "PayerID": "P 1"}
    assert gateway.counts().captures == {payment.order_number: 1}


def test_manual_payment_stays_authorized_until_its_caller_captures(till: Till, gateway: ToyServer) -> None:
    """No query and no wait takes the money; waiting can't help and ends at once."""
    payment = authorized(till, gateway)
    assert payment.status is Status.AUTHORIZED
    assert payment.authorized_minor == payment.amount.minor
    assert till.wait(payment, 5).status is Status.AUTHORIZED
    assert gateway.counts().captures == {}
    captured = till.do("capture", payment.id)
    assert captured.status is Status.PAID
    assert captured.authorized_minor == 0


def test_part_is_captured_once(till: Till, gateway: ToyServer) -> None:
    """A part is what was paid; a second call takes nothing more, another amount is a conflict."""
    payment = authorized(till, gateway)
    assert till.do("capture", payment.id, amount=HKD_80).paid_minor == 8000
    assert till.do("capture", payment.id).paid_minor == 8000
    assert till.do("capture", payment.id, amount=HKD_80).paid_minor == 8000
    with pytest.raises(ReferenceConflict, match="amount"):
        till.do("capture", payment.id, amount=Money("88.00", "HKD"))
    assert gateway.counts().captures == {payment.order_number: 1}
    assert till.get(payment.id).refundable_minor == 8000


@pytest.mark.parametrize("amount", ["88.01", "0.00"])
def test_amount_that_is_not_authorized_is_refused(till: Till, gateway: ToyServer, amount: str) -> None:
    """More than what is authorized, and nothing at all, are refused before anything is sent."""
    payment = authorized(till, gateway)
    with pytest.raises(InvalidField) as caught:
        till.do("capture", payment.id, amount=Money(amount, "HKD"))
    assert caught.value.field == "amount"
    assert gateway.counts().captures == {}


def test_pending_payment_is_not_captured(till: Till, gateway: ToyServer) -> None:
    """Before the payer agreed nothing can be captured."""
    payment = till.create(channel="hold", capture="manual")
    with pytest.raises(WrongState, match="pending"):
        till.do("capture", payment.id)
    assert "/captures" not in gateway.counts().requests


def test_product_without_capture_refuses_both(till: Till, gateway: ToyServer) -> None:
    """A product that is paid at once takes neither `capture="manual"` nor a capture."""
    with pytest.raises(NotSupported, match="paid at once"):
        till.create(channel="web", capture="manual")
    assert till.list() == ()
    payment = till.create(channel="card", reference="order-2")
    with pytest.raises(NotSupported, match="no capture"):
        till.do("capture", payment.id)


def test_lost_reply_to_a_capture_is_asked_about(till: Till, gateway: ToyServer) -> None:
    """The money may have moved: the payment is uncertain, and a query finds that it was taken, once."""
    payment = authorized(till, gateway)
    gateway.set_faults(lose_reply=1, path="/captures")
    payment = till.do("capture", payment.id)
    assert payment.uncertain
    assert states(payment, OperationKind.CAPTURE) == [OperationState.UNKNOWN]
    payment = till.query(payment)
    assert payment.status is Status.PAID
    assert not payment.uncertain
    assert gateway.counts().captures == {payment.order_number: 1}


def test_lost_capture_is_sent_again_with_its_number(till: Till, gateway: ToyServer) -> None:
    """Once a query proves that it never arrived, the same capture goes again."""
    payment = authorized(till, gateway)
    gateway.set_faults(lose_request=1, path="/captures")
    payment = till.do("capture", payment.id, amount=HKD_80)
    assert payment.uncertain
    payment = till.query(payment)
    assert (payment.status, payment.paid_minor) == (Status.PAID, 8000)
    (capture,) = [fields for path, fields in gateway.gateway.requests if path == "/captures"]
    assert capture["minor"] == 8000
    assert states(payment, OperationKind.CAPTURE) == [OperationState.DONE]


def test_captured_payment_is_not_closed(till: Till, gateway: ToyServer) -> None:
    """After a capture may have been sent nothing voids the authorization."""
    payment = authorized(till, gateway)
    gateway.set_faults(lose_request=1, path="/captures")
    till.do("capture", payment.id)
    with pytest.raises(WrongState, match="capture was sent"):
        till.close(payment)
    assert "/close" not in gateway.counts().requests


def test_closing_voids_and_prevents_every_capture(till: Till, gateway: ToyServer) -> None:
    """An authorized payment that is closed is never captured, even where the close has no answer."""
    payment = authorized(till, gateway)
    gateway.set_faults(lose_request=9, path="/close")
    payment = till.close(payment)
    assert (payment.status, payment.uncertain) == (Status.AUTHORIZED, True)
    with pytest.raises(WrongState, match="closed"):
        till.do("capture", payment.id)
    gateway.set_faults()
    payment = till.wait(payment, 10)
    assert payment.status is Status.CLOSED
    with pytest.raises(WrongState):
        till.do("capture", payment.id)
    assert gateway.counts().captures == {}


def test_close_of_an_authorized_payment_is_the_providers_answer(till: Till, gateway: ToyServer) -> None:
    """Voided is what the provider says is closed."""
    payment = authorized(till, gateway)
    assert till.close(payment).status is Status.CLOSED
    assert gateway.counts().captures == {}


def test_declined_capture_waits_for_the_payer_again(
    till: Till, gateway: ToyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A capture refused for the payer leaves the payment pending; their new agreement is captured."""
    payment = till.create(channel="hold")
    gateway.pay(payment.order_number)
    gateway.gateway.declines_captures = True
    payment = till.query(payment)
    assert payment.status is Status.PENDING
    assert payment.action is not None
    assert f"payment {payment.id}: account toy refused its capture: declined" in caplog.text
    gateway.gateway.declines_captures = False
    gateway.pay(payment.order_number)
    payment = till.wait(payment, 10)
    assert payment.status is Status.PAID
    assert gateway.counts().captures == {payment.order_number: 1}
    assert states(payment, OperationKind.CAPTURE) == [OperationState.REJECTED, OperationState.DONE]


def test_two_clients_capture_once(open_till: OpenTill, gateway: ToyServer) -> None:
    """Two processes that both see it authorized send one capture."""
    tills = [open_till(captures="full") for _ in range(2)]
    payment = tills[0].create(channel="hold")
    gateway.pay(payment.order_number)
    assert [till.query(payment).status for till in tills] == [Status.PAID, Status.PAID]
    assert gateway.counts().captures == {payment.order_number: 1}
    assert gateway.counts().requests["/captures"] == 1


# --- put off by the provider ---------------------------------------------------------------------------


def test_automatic_capture_that_is_put_off_goes_on_by_itself(till: Till, gateway: ToyServer) -> None:
    """It is no failure of the query that saw the payment authorized; a worker captures when it may."""
    payment = till.create(channel="hold")
    gateway.pay(payment.order_number)
    gateway.set_faults(not_now=1, retry_after_s=0.5, path="/captures")
    payment = till.query(payment)
    assert payment.status is Status.AUTHORIZED
    assert states(payment, OperationKind.CAPTURE) == [OperationState.INTENT]
    assert till.wait(payment, 10).status is Status.PAID
    assert gateway.counts().captures == {payment.order_number: 1}


def test_manual_capture_that_is_put_off_goes_on_by_itself(till: Till, gateway: ToyServer) -> None:
    """Its caller is told when, not only once; nothing is sent before; then a worker takes what was asked for."""
    payment = authorized(till, gateway)
    gateway.set_faults(not_now=1, retry_after_s=1.5, path="/captures")
    with pytest.raises(NotSent) as caught:
        till.do("capture", payment.id, amount=HKD_80)
    assert (caught.value.retry_after_s, caught.value.payment_id) == (1.5, payment.id)
    with pytest.raises(NotSent) as again:
        till.do("capture", payment.id, amount=HKD_80)
    assert again.value.retry_after_s is not None
    assert 0 < again.value.retry_after_s <= 1.5
    assert "/captures" not in gateway.counts().requests
    paid = till.wait(payment, 10)
    assert (paid.status, paid.paid_minor) == (Status.PAID, 8000)
    assert gateway.counts().captures == {payment.order_number: 1}


def test_payment_with_the_most_captures_can_still_be_queried(
    till: Till, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That no further capture is made is logged; what the provider says is recorded and returned all the same."""
    monkeypatch.setattr(bounds, "OPERATIONS_MAX", 1)
    payment = till.create(channel="hold")
    gateway.pay(payment.order_number)
    gateway.gateway.declines_captures = True
    assert till.query(payment).status is Status.PENDING
    gateway.pay(payment.order_number)
    till.sleep(2.1)
    assert till.query(payment).status is Status.AUTHORIZED
    assert "takes no more" in caplog.text
    assert gateway.counts().requests["/captures"] == 1
