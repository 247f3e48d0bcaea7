"""Create: once per reference, whatever goes wrong between intent and answer."""

import threading

import pytest

from paycore import Money, Payment, Status
from paycore.domain.action import Redirect
from paycore.domain.payment import OperationKind, OperationState
from paycore.errors import (
    AccountRefused,
    IncompleteReply,
    InvalidField,
    MaybeSent,
    NotFound,
    NotSent,
    NotSupported,
    ReferenceConflict,
)
from paycore.testing.toy import ToyGateway
from tests.engine.conftest import OpenTill
from tests.engine.tills import Kind, Till
from tests.support.toy_http import ToyServer, toy_server


def test_create_gives_a_pending_payment_with_what_the_payer_must_do(till: Till, gateway: ToyServer) -> None:
    """One request makes one order under the recorded number, and its link is returned."""
    payment = till.create()
    assert payment.status is Status.PENDING
    assert payment.action == Redirect(url="https://toy.example/pay/T000001")
    assert not payment.uncertain
    assert gateway.counts().creates == {payment.order_number: 1}
    assert till.get(payment.id) == payment == till.find("order-1")
    assert till.list() == (payment,)


def test_create_paid_at_once_is_paid(till: Till) -> None:
    """A method that charges in the reply needs no action and no query."""
    payment = till.create(channel="card")
    assert (payment.status, payment.paid_minor, payment.action) == (Status.PAID, 8800, None)


def test_create_declined_is_failed_and_returned(till: Till, gateway: ToyServer) -> None:
    """A decline is a result, not an error: the payment has the provider's reason."""
    gateway.gateway.reject = "insufficient_funds"
    payment = till.create()
    assert payment.status is Status.FAILED
    assert payment.failure is not None
    assert payment.failure.code == "insufficient_funds"
    gateway.gateway.reject = None
    assert till.create() == payment, "the same reference is the same failed payment"


def test_create_same_reference_comes_back(open_till: OpenTill, gateway: ToyServer) -> None:
    """The same reference and content give the same payment, from any process, with one request."""
    first = open_till().create()
    assert open_till().create() == first
    assert gateway.counts().requests == {"/orders": 1}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount": Money("88.01", "HKD")}, "amount"),
        ({"amount": Money("8800", "JPY")}, "amount"),
        ({"channel": "lane"}, "channel"),
        ({"subject": "tea"}, "subject"),
        ({"return_url": "https://shop.example"}, "return_url"),
        ({"expires_in_s": 60}, "expires_in_s"),
    ],
)
def test_create_same_reference_with_other_content_is_refused(
    till: Till, gateway: ToyServer, changed: dict[str, object], field: str
) -> None:
    """`ReferenceConflict` names the first field that differs, and nothing is sent."""
    payment = till.create()
    with pytest.raises(ReferenceConflict, match=field) as caught:
        till.create(**changed)  # type: ignore[arg-type]
    assert (caught.value.field, caught.value.payment_id) == (field, payment.id)
    assert gateway.counts().requests == {"/orders": 1}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"return_url": f"https://shop.example/{500 * 'x'}"}, InvalidField),
        ({"reference": ""}, InvalidField),
        ({"amount": Money("0", "HKD")}, InvalidField),
        ({"amount": Money("1", "USD")}, NotSupported),
        ({"channel": "barcode"}, NotSupported),
        ({"payer_id": "p"}, NotSupported),
        ({"extra": {"colour": "red"}}, NotSupported),
    ],
)
def test_create_what_can_not_be_done_is_refused_before_any_io(
    till: Till, gateway: ToyServer, fields: dict[str, object], error: type[Exception]
) -> None:
    """The provider's bounds are checked before anything is recorded or sent."""
    with pytest.raises(error):
        till.create(**fields)  # type: ignore[arg-type]
    assert till.list() == ()
    assert gateway.counts().requests == {}


def test_create_gateway_down_is_not_sent_and_can_be_called_again(
    open_till: OpenTill, gateway: ToyServer
) -> None:
    """No connection: `NotSent`, the payment is `created`; each retry keeps its number until one is sent."""
    nowhere = open_till(url="http://127.0.0.1:1")
    payment = None
    for _ in range(3):
        with pytest.raises(NotSent, match="account toy") as caught:
            nowhere.create()
        payment = nowhere.get(caught.value.payment_id or "")
        assert (payment.status, payment.uncertain) == (Status.CREATED, False)
        assert payment.creation.state is OperationState.INTENT
    assert payment is not None
    again = open_till().create()
    assert (again.id, again.order_number, again.status) == (payment.id, payment.order_number, Status.PENDING)
    assert gateway.counts().requests == {"/orders": 1}


def test_create_reply_lost_is_unknown_and_query_settles_it(till: Till, gateway: ToyServer) -> None:
    """The money was taken and the reply lost: unknown, then paid by a query; never sent twice."""
    gateway.set_faults(lose_reply=1)
    payment = till.create(channel="card")
    assert (payment.status, payment.uncertain) == (Status.UNKNOWN, True)
    payment = till.query(payment)
    assert (payment.status, payment.uncertain) == (Status.PAID, False)
    assert gateway.counts().creates == {payment.order_number: 1}


def test_create_request_lost_is_sent_again_with_the_same_number(till: Till, gateway: ToyServer) -> None:
    """Once the order is proven absent, the same number is sent again."""
    gateway.set_faults(lose_request=1)
    payment = till.create()
    assert payment.status is Status.UNKNOWN
    recovered = till.query(payment)
    assert recovered.status is Status.PENDING
    assert recovered.order_number == payment.order_number
    assert gateway.counts().creates == {payment.order_number: 1}
    assert recovered.action is not None


def test_create_absence_that_is_never_proof_is_not_acted_on(open_till: OpenTill, gateway: ToyServer) -> None:
    """Where "not found" proves nothing the order is queried, and never sent twice."""
    till = open_till(proof_s=None)
    gateway.set_faults(lose_request=1)
    payment = till.create()
    for _ in range(3):
        assert till.query(payment).status is Status.UNKNOWN
    assert gateway.counts().creates == {}


def test_create_reply_too_late_is_unknown(till: Till, gateway: ToyServer) -> None:
    """A reply after the deadline does not count; a query gets its content."""
    gateway.set_faults(delay_s=2.0, path="/orders")
    payment = till.create(channel="card")
    assert payment.status is Status.UNKNOWN
    assert till.query(payment).status is Status.PAID


def test_create_link_lost_is_recovered_by_the_same_number(kind: Kind, open_till: OpenTill) -> None:
    """A provider that answers a resend with the existing order returns its link."""
    with toy_server(ToyGateway(duplicates="same_result", key="toy")) as gateway:
        till = open_till(url=gateway.url, create_resend="same_result")
        gateway.set_faults(lose_reply=1)
        payment = till.create()
        recovered = till.query(payment)
        assert recovered.order_number == payment.order_number
        assert recovered.action == Redirect(url="https://toy.example/pay/T000001")
        assert gateway.counts().orders == {payment.order_number: 1}


@pytest.mark.parametrize("resend", ["refused_as_duplicate", "unsafe", "same_result"])
def test_create_link_lost_for_good_closes_the_order_and_makes_a_new_one(
    open_till: OpenTill, gateway: ToyServer, resend: str
) -> None:
    """
    With the number taken, the old order is closed before a new number is sent.

    Whatever the provider declares about resending: this gateway refuses duplicates.
    """
    till = open_till(create_resend=resend)
    gateway.set_faults(lose_reply=1)
    payment = till.create()
    recovered = till.create()
    assert recovered.id == payment.id
    assert recovered.status is Status.PENDING
    assert recovered.action is not None
    assert recovered.order_number != payment.order_number
    statuses = {record["number"]: record["status"] for record in gateway.counts().records}
    assert statuses == {payment.order_number: "closed", recovered.order_number: "pending"}
    kinds = [operation.kind for operation in recovered.operations]
    assert kinds == [OperationKind.CREATE, OperationKind.CLOSE, OperationKind.CREATE]


def test_create_link_lost_and_paid_meanwhile_is_paid(till: Till, gateway: ToyServer) -> None:
    """An order that was paid despite its lost link is not replaced."""
    gateway.set_faults(lose_reply=1)
    payment = till.create()
    gateway.pay(payment.order_number)
    assert till.create().status is Status.PAID
    assert len(gateway.counts().records) == 1


def test_create_incomplete_reply_keeps_the_order_known(
    till: Till, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted without a link: `IncompleteReply`, and calling again recovers the link."""
    handle = gateway.gateway.handle

    def without_link(request: object) -> object:
        response = handle(request)  # type: ignore[arg-type]
        return type(response)(status=200, body=response.body.replace(b'"url"', b'"uri"'))

    monkeypatch.setattr(gateway.gateway, "handle", without_link)
    with pytest.raises(IncompleteReply, match="without a url") as caught:
        till.create()
    payment = till.get(caught.value.payment_id or "")
    assert (payment.status, payment.uncertain, payment.action) == (Status.PENDING, True, None)
    monkeypatch.undo()
    recovered = till.create()
    assert recovered.id == payment.id
    assert recovered.action is not None
    payable = [record for record in gateway.counts().records if record["status"] == "pending"]
    assert len(payable) == 1


def test_create_after_an_account_error_gets_a_new_number(till: Till, gateway: ToyServer) -> None:
    """After an account error the payment is `created`; once corrected, the same reference works."""
    gateway.gateway.reject = "bad_key"
    with pytest.raises(AccountRefused, match="account toy: the provider refused with bad_key") as caught:
        till.create()
    payment = till.get(caught.value.payment_id or "")
    assert (payment.status, payment.uncertain, caught.value.code) == (Status.CREATED, False, "bad_key")
    gateway.gateway.reject = None
    again = till.create()
    assert (again.id, again.status) == (payment.id, Status.PENDING)
    assert again.order_number != payment.order_number


@pytest.mark.parametrize("body", [b"<html>", b'{"id": ', b"[]", b"\xff\xfe", b"[" * 100_000, b""])
def test_create_garbage_reply_is_unknown(
    till: Till, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """An unreadable reply leaves the order unknown; a query resolves it."""
    handle = gateway.gateway.handle
    monkeypatch.setattr(
        gateway.gateway, "handle", lambda request: type(handle(request))(status=200, body=body)
    )
    payment = till.create(channel="card")
    assert payment.status is Status.UNKNOWN
    with pytest.raises(MaybeSent):
        till.query(payment)
    monkeypatch.undo()
    assert till.query(payment).status is Status.PAID


def test_create_at_once_from_many_threads_is_one_provider_call(
    open_till: OpenTill, gateway: ToyServer
) -> None:
    """Two concurrent calls: one provider call, and both return the same payment."""
    gateway.set_faults(delay_s=0.1, path="/orders")
    tills = [open_till(timeout_s=5.0) for _ in range(4)]
    found: list[Payment] = []
    threads = [threading.Thread(target=lambda till=till: found.append(till.create())) for till in tills]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert {(payment.id, payment.status) for payment in found} == {(found[0].id, Status.PENDING)}
    assert gateway.counts().requests == {"/orders": 1}


def test_get_unknown_payment_is_not_found(till: Till) -> None:
    """An unknown id or reference is `NotFound` in every verb."""
    for verb in ("get", "find", "query", "close", "wait"):
        with pytest.raises(NotFound, match="nobody"):
            till.do(verb, "nobody")
