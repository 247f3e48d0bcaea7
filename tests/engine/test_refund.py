"""Refund: once per reference, never more than was paid; an unknown one is queried."""

import threading

import pytest

from paycore import Money, Payment, RefundStatus, Status
from paycore.domain.payment import OperationKind, OperationState
from paycore.errors import (
    AccountRefused,
    InvalidField,
    NotFound,
    NotSent,
    ReferenceConflict,
    RefundTooLarge,
    WrongState,
)
from paycore.testing.toy import ToyOrder
from tests.engine.conftest import OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

HKD_20 = Money("20.00", "HKD")


@pytest.fixture
def paid(till: Till) -> Payment:
    """A payment of 88.00 HKD that was paid at once."""
    return till.create(channel="card")


def only(payment: Payment) -> tuple[RefundStatus, int]:
    """Status and minor units of the payment's one refund."""
    (refund,) = payment.refunds
    return refund.status, refund.amount.minor


def test_refund_whole(till: Till, paid: Payment, gateway: ToyServer) -> None:
    """Without an amount the whole rest is refunded, and the payment stays paid."""
    payment = till.refund(paid)
    assert only(payment) == (RefundStatus.SUCCEEDED, 8800)
    assert (payment.status, payment.refunded_minor, payment.refundable_minor) == (Status.PAID, 8800, 0)
    assert gateway.counts().refunds == {payment.refunds[0].number: 1}


def test_refund_in_parts_until_nothing_is_left(till: Till, paid: Payment, gateway: ToyServer) -> None:
    """Parts add up; the rest needs no amount; one minor unit too many is refused before any I/O."""
    till.refund(paid, "one", amount=HKD_20)
    with pytest.raises(RefundTooLarge, match=r"68\.00 HKD is left"):
        till.refund(paid, "two", amount=Money("68.01", "HKD"))
    payment = till.refund(paid, "two")
    assert [refund.amount.minor for refund in payment.refunds] == [2000, 6800]
    with pytest.raises(RefundTooLarge):
        till.refund(paid, "three", amount=Money("0.01", "HKD"))
    assert gateway.counts().requests["/refunds"] == 2


def test_refund_of_nothing_is_refused(till: Till, paid: Payment) -> None:
    """A refund's amount is above zero."""
    with pytest.raises(RefundTooLarge):
        till.refund(paid, amount=Money("0", "HKD"))
    assert till.get(paid.id) == paid


@pytest.mark.parametrize(
    ("reference", "reason"), [("", None), ("x" * 129, None), ("a\x00b", None), ("ok", "bell\x07")]
)
def test_refund_with_unusable_text_is_refused(
    till: Till, paid: Payment, reference: str, reason: str | None
) -> None:
    """A refund's reference has a payment reference's bounds, and its reason no control characters."""
    with pytest.raises(InvalidField):
        till.refund(paid, reference, reason=reason)


def test_refund_unpaid_is_refused(till: Till) -> None:
    """Only what is paid can be refunded."""
    with pytest.raises(WrongState, match="pending"):
        till.refund(till.create())


def test_refund_of_an_unknown_id_is_not_found(till: Till) -> None:
    """An unknown id is an error."""
    with pytest.raises(NotFound):
        till.do("refund", "nobody", reference="back-1")


def test_refund_same_reference_is_the_same_refund(till: Till, paid: Payment, gateway: ToyServer) -> None:
    """A reference always names one refund; other content is a conflict that names the field."""
    first = till.refund(paid, amount=HKD_20, reason="returned")
    assert till.refund(paid, amount=HKD_20, reason="returned") == first
    assert till.refund(paid, reason="returned") == first, "no amount asks for the refund as it is"
    with pytest.raises(ReferenceConflict, match="amount differs"):
        till.refund(paid, amount=Money("21.00", "HKD"), reason="returned")
    with pytest.raises(ReferenceConflict, match="reason differs"):
        till.refund(paid)
    assert gateway.counts().requests["/refunds"] == 1


def test_refund_reference_of_another_payment_is_a_conflict(till: Till, paid: Payment) -> None:
    """A refund reference used by another payment is refused, and nothing is recorded."""
    other = till.create("order-2", channel="card")
    till.refund(paid, amount=HKD_20)
    with pytest.raises(ReferenceConflict, match="back-1"):
        till.refund(other, amount=HKD_20)
    assert till.get(other.id) == other


def test_refund_refused_by_the_provider_is_failed_and_frees_its_share(
    till: Till, paid: Payment, gateway: ToyServer
) -> None:
    """After a refusal the reference stays failed, and its amount can be refunded under another one."""
    gateway.gateway.orders[0].refunded = 8000
    payment = till.refund(paid, amount=HKD_20)
    assert only(payment) == (RefundStatus.FAILED, 2000)
    assert till.refund(paid, amount=HKD_20) == payment
    assert payment.refundable_minor == 8800


def test_refund_reply_lost_is_asked_about_not_repeated(till: Till, paid: Payment, gateway: ToyServer) -> None:
    """An unanswered refund is unknown; a query finds it, and it was made once."""
    gateway.set_faults(lose_reply=1, path="/refunds")
    unknown = till.refund(paid, amount=HKD_20)
    assert only(unknown)[0] is RefundStatus.UNKNOWN
    assert unknown.refundable_minor == 6800, "what may have gone back can't be asked twice"
    settled = till.refund(paid, amount=HKD_20)
    assert (only(settled)[0], settled.uncertain) == (RefundStatus.SUCCEEDED, False)
    assert gateway.counts().requests["/refunds"] == 1


@pytest.mark.parametrize("verb", ["refund", "query"])
def test_refund_request_lost_is_sent_again_with_the_same_number(
    till: Till, paid: Payment, gateway: ToyServer, verb: str
) -> None:
    """Once proven absent the same refund number is sent again, once, by any verb."""
    gateway.set_faults(lose_request=1, path="/refunds")
    unknown = till.refund(paid)
    settled = till.refund(paid) if verb == "refund" else till.query(paid)
    assert only(settled) == (RefundStatus.SUCCEEDED, 8800)
    assert gateway.counts().refunds == {unknown.refunds[0].number: 1}


def test_refund_absence_that_is_never_proof_is_not_acted_on(open_till: OpenTill, gateway: ToyServer) -> None:
    """Where "not found" proves nothing, an unknown refund is never sent again."""
    till = open_till(proof_s=None)
    paid = till.create(channel="card")
    gateway.set_faults(lose_request=1, path="/refunds")
    till.refund(paid)
    assert only(till.query(paid))[0] is RefundStatus.UNKNOWN
    assert gateway.counts().refunds == {}


def test_refund_gateway_down_keeps_its_own_number(open_till: OpenTill, gateway: ToyServer) -> None:
    """
    Not sent: the refund stays `created`, and calling again sends it under its number.

    Also after another refund was made in between.
    """
    till, nowhere = open_till(), open_till(url="http://127.0.0.1:1")
    paid = till.create(channel="card")
    for _ in range(2):
        with pytest.raises(NotSent):
            nowhere.refund(paid, "first", amount=HKD_20)
    waiting = till.get(paid.id)
    assert (only(waiting)[0], waiting.uncertain) == (RefundStatus.CREATED, False)
    till.refund(paid, "second", amount=Money("1.00", "HKD"))
    done = till.refund(paid, "first", amount=HKD_20)
    assert {refund.reference: refund.status for refund in done.refunds} == {
        "first": RefundStatus.SUCCEEDED,
        "second": RefundStatus.SUCCEEDED,
    }
    assert gateway.counts().refunds == {refund.number: 1 for refund in done.refunds}


def test_refund_after_an_account_error_gets_a_new_number(
    till: Till, paid: Payment, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an account error the refund is `created`; once corrected, the same reference works."""
    monkeypatch.setattr(gateway.gateway, "_refund", lambda fields: {"error": "bad_key"})
    with pytest.raises(AccountRefused) as caught:
        till.refund(paid, amount=HKD_20)
    assert caught.value.payment_id == paid.id
    refused = till.get(paid.id)
    assert (only(refused)[0], refused.uncertain) == (RefundStatus.CREATED, False)
    monkeypatch.undo()
    done = till.refund(paid, amount=HKD_20)
    assert only(done) == (RefundStatus.SUCCEEDED, 2000)
    assert done.refunds[0].number != refused.refunds[0].number


def test_refund_whose_sender_died_is_joined_and_settled(
    till: Till, paid: Payment, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refund whose sender died is awaited, queried and finished by the next caller."""
    with monkeypatch.context() as dying:
        dying.setattr("paycore.engine.sessions.converse", _die)
        with pytest.raises(KeyboardInterrupt):
            till.refund(paid, amount=HKD_20)
    left = till.get(paid.id)
    assert left.operations[-1].state is OperationState.SENT
    assert only(till.refund(paid, amount=HKD_20))[0] is RefundStatus.SUCCEEDED
    assert gateway.counts().refunds == {left.refunds[0].number: 1}


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_refunds_at_once_never_exceed_what_was_paid(open_till: OpenTill, gateway: ToyServer) -> None:
    """Of concurrent refunds of 20.00 as many as fit are made; the others are refused."""
    tills = [open_till(timeout_s=5.0) for _ in range(6)]
    paid = tills[0].create(channel="card")
    refused: list[Exception] = []

    def ask(number: int) -> None:
        try:
            tills[number].refund(paid, f"back-{number}", amount=HKD_20)
        except RefundTooLarge as error:
            refused.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 2
    assert tills[0].get(paid.id).refunded_minor == 8000 == gateway.gateway.orders[0].refunded


def test_refunds_of_a_payment_paid_twice_give_back_both_charges(till: Till, gateway: ToyServer) -> None:
    """Each charge takes one refund; one refund for both is refused and leaves the reference free."""
    payment = till.create()
    gateway.pay(payment.order_number)
    first = gateway.gateway.orders[0]
    again = gateway.gateway._add(ToyOrder(first.number, "payment", first.minor, first.currency))
    again.status = "paid"
    payment = till.query(payment)
    assert (payment.review_reasons, payment.paid_minor) == (("paid_twice",), 17600)
    with pytest.raises(RefundTooLarge, match=r"88\.00 HKD of T000001, 88\.00 HKD of T000002"):
        till.refund(payment, "one", amount=Money("176.00", "HKD"))
    payment = till.refund(payment, "one")
    assert (payment.refunded_minor, payment.refundable_minor) == (8800, 8800)
    payment = till.refund(payment, "two")
    assert [refund.status for refund in payment.refunds] == [RefundStatus.SUCCEEDED] * 2
    assert (payment.refunded_minor, payment.refundable_minor) == (17600, 0)
    assert (first.refunded, again.refunded) == (8800, 8800)
    assert "refunded_too_much" not in payment.review_reasons


def test_waiting_client_sees_a_put_off_refund_through(open_till: OpenTill, gateway: ToyServer) -> None:
    """Both clients look after it while somebody waits for the payment, and nothing is refunded twice."""
    till = open_till()
    payment = till.create(channel="card")
    gateway.set_faults(not_now=1, retry_after_s=0.5, path="/refunds")
    with pytest.raises(NotSent):
        till.refund(payment, amount=Money("20.00", "HKD"))
    payment = till.wait(payment, 10)
    assert payment.refunds[0].status is RefundStatus.SUCCEEDED
    assert payment.refunded_minor == 2000
    (operation,) = [op for op in payment.operations if op.kind is OperationKind.REFUND]
    assert gateway.counts().refunds == {operation.number: 1}
