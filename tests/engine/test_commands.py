"""The verbs, sync and async, over real HTTP to a gateway that counts, with a real SQLite file."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from paycore import Money, Payment, RefundStatus, Status
from paycore.domain.payment import OperationKind, OperationState
from paycore.errors import (
    AccountRefused,
    IncompleteReply,
    InvalidField,
    MalformedNotification,
    NotAuthentic,
    NotFound,
    NotSent,
    NotSupported,
    ReferenceConflict,
    RefundTooLarge,
    WrongState,
)
from paycore.testing.toy import ToyGateway
from tests.engine.twins import TWINS
from tests.support.toy_http import KEY, ToyServer, toy_config, toy_plugins, toy_server

AMOUNT = Money("88.00", "HKD")
Open = Callable[..., Any]


@pytest.fixture
def gateway() -> Iterator[ToyServer]:
    with toy_server(ToyGateway(key=KEY)) as server:
        yield server


@pytest.fixture(params=sorted(TWINS))
def open_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Open clients on one ledger; all are shut down at the end."""
    opened = []

    def open_one(url: str, *, timeout_s: float = 2.0, **settings: Any) -> Any:
        config = toy_config(url, f"sqlite:///{tmp_path}/paycore.db", timeout_s=timeout_s, **settings)
        opened.append(TWINS[request.param](config, toy_plugins()))
        return opened[-1]

    yield open_one
    for client in opened:
        client.shutdown()


def order(reference: str = "order-1", **fields: Any) -> dict[str, Any]:
    return {"reference": reference, "amount": AMOUNT, "method": "toy", "channel": "web", **fields}


def kinds(client: Any, payment: Payment) -> list[str]:
    return [event.kind for event in client.events(payment.id)]


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# --- create ------------------------------------------------------------------------------------------


def test_create_accepted_is_pending_with_an_action(gateway: ToyServer, open_client: Open) -> None:
    """An accepted order is pending, knows its provider id, and says what the payer must do."""
    payment = open_client(gateway.url).create(**order())
    assert (payment.status, payment.uncertain, payment.review) == (Status.PENDING, False, False)
    assert payment.action.url == f"https://toy.example/pay/{payment.provider_id}"
    assert len(payment.order_number) == 26


def test_create_same_reference_is_the_same_payment(gateway: ToyServer, open_client: Open) -> None:
    """The same reference and content come back as the same payment, with one provider call."""
    first, second = open_client(gateway.url), open_client(gateway.url)
    payment = first.create(**order())
    assert second.create(**order()) == payment
    assert gateway.counts().creates == {payment.order_number: 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", Money("89.00", "HKD")), ("channel", "card"), ("subject", "tea"), ("expires_in_s", 600)],
)
def test_create_same_reference_other_content_is_refused(
    gateway: ToyServer, open_client: Open, field: str, value: object
) -> None:
    """Different content under one reference is a conflict that names the first field that differs."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    with pytest.raises(ReferenceConflict) as conflict:
        client.create(**order(**{field: value}))
    assert (conflict.value.field, conflict.value.payment_id) == (field, payment.id)
    assert gateway.counts().requests == {"/orders": 1}


def test_create_at_once_from_many_threads_is_one_provider_call(gateway: ToyServer, open_client: Open) -> None:
    """Two at once: one provider call, the others join it and get the same payment."""
    gateway.set_faults(delay_s=0.3)
    clients = [open_client(gateway.url) for _ in range(4)]
    got: list[Payment] = []
    threads = [threading.Thread(target=lambda c=c: got.append(c.create(**order()))) for c in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {payment.id for payment in got} == {got[0].id}
    assert [payment.action for payment in got] == [got[0].action] * 4
    assert list(gateway.counts().creates.values()) == [1]


def test_create_gateway_down_is_not_sent_and_can_be_retried(open_client: Open) -> None:
    """Nothing listens: `NotSent`, the payment is `created`, and the same reference sends the same number."""
    port = free_port()
    client = open_client(f"http://127.0.0.1:{port}")
    with pytest.raises(NotSent) as error:
        client.create(**order())
    payment = client.get(error.value.payment_id)
    assert (payment.status, payment.uncertain) == (Status.CREATED, False)
    gateway = ToyServer(ToyGateway(key=KEY), port=port)
    thread = threading.Thread(target=gateway.serve, daemon=True)
    thread.start()
    try:
        again = client.create(**order())
        assert (again.id, again.status) == (payment.id, Status.PENDING)
        assert again.order_number == payment.order_number
    finally:
        gateway.stop()
        thread.join()


def test_create_reply_lost_is_unknown_until_asked(gateway: ToyServer, open_client: Open) -> None:
    """A lost reply leaves `unknown`; a query finds the order, and the lost link is recovered safely."""
    client = open_client(gateway.url)
    gateway.set_faults(lose_reply=1, path="/orders")
    payment = client.create(**order())
    assert (payment.status, payment.uncertain) == (Status.UNKNOWN, True)
    settled = client.query(payment.id)
    assert (settled.status, settled.uncertain) == (Status.PENDING, False)
    assert settled.action is not None
    open_orders = [record for record in gateway.counts().records if record["status"] == "pending"]
    assert [record["number"] for record in open_orders] == [settled.order_number]


def test_create_reply_lost_same_number_gives_the_link_where_resending_is_safe(
    gateway: ToyServer, open_client: Open
) -> None:
    """Where a resend is answered with the same order, the number stays."""
    gateway.gateway.duplicates = "same_result"
    client = open_client(gateway.url, create_resend="same_result")
    gateway.set_faults(lose_reply=1, path="/orders")
    payment = client.create(**order())
    settled = client.create(**order())
    assert settled.order_number == payment.order_number
    assert settled.action is not None
    assert len(gateway.counts().records) == 1


def test_create_request_lost_is_sent_again_with_the_same_number(
    gateway: ToyServer, open_client: Open
) -> None:
    """Not found, asked late enough to be proof: the same number is sent again."""
    client = open_client(gateway.url, proof_s=0.2)
    gateway.set_faults(lose_request=1, path="/orders")
    payment = client.create(**order())
    assert payment.status is Status.UNKNOWN
    settled = client.query(payment.id)
    assert (settled.status, settled.order_number) == (Status.PENDING, payment.order_number)
    assert "proven_absent" in kinds(client, settled)
    assert gateway.counts().orders == {payment.order_number: 1}


def test_create_absence_is_never_proof_where_the_provider_says_so(
    gateway: ToyServer, open_client: Open
) -> None:
    """Without a proof window nothing is ever sent again on a "not found"."""
    client = open_client(gateway.url, proof_s=None)
    gateway.set_faults(lose_request=1, path="/orders")
    payment = client.create(**order())
    assert client.query(payment.id).status is Status.UNKNOWN
    assert gateway.counts().orders == {}


def test_create_declined_is_failed_not_raised(gateway: ToyServer, open_client: Open) -> None:
    """A refusal about the payment is an outcome: failed, with the provider's code, for good."""
    client = open_client(gateway.url)
    gateway.gateway.reject = "no_money"
    payment = client.create(**order())
    assert (payment.status, payment.failure.code) == (Status.FAILED, "no_money")
    gateway.gateway.reject = None
    assert client.create(**order()).status is Status.FAILED


def test_create_account_refused_stays_created_and_gets_a_new_number(
    gateway: ToyServer, open_client: Open
) -> None:
    """A refusal about the account raises, names the code, and leaves the payment to be retried."""
    client = open_client(gateway.url)
    gateway.gateway.reject = "bad_key"
    with pytest.raises(AccountRefused, match=r"toy.*bad_key") as refused:
        client.create(**order())
    payment = client.get(refused.value.payment_id)
    assert (payment.status, payment.uncertain) == (Status.CREATED, False)
    gateway.gateway.reject = None
    again = client.create(**order())
    assert (again.id, again.status) == (payment.id, Status.PENDING)
    assert again.order_number != payment.order_number


def test_create_accepted_without_a_link_keeps_the_order(
    gateway: ToyServer, open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accepted reply that lacks the link is a typed error; the order is known, and retrying recovers it."""
    whole = gateway.gateway._create
    monkeypatch.setattr(gateway.gateway, "_create", lambda fields: {**whole(fields), "url": None})
    client = open_client(gateway.url)
    with pytest.raises(IncompleteReply) as error:
        client.create(**order())
    known = client.get(error.value.payment_id)
    assert (known.status, known.provider_id, known.action) == (Status.PENDING, "T000001", None)
    monkeypatch.undo()
    assert client.create(**order()).action is not None


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"channel": "barcode"}, NotSupported, "toy/web, toy/card, toy/lane"),
        ({"amount": Money("1.00", "USD")}, NotSupported, "HKD, JPY"),
        ({"amount": Money("0", "HKD")}, InvalidField, "0.01 to 100000.00"),
        ({"subject": "x" * 21}, InvalidField, "21 characters; at most 20"),
        ({"reference": ""}, InvalidField, "1 to 128"),
        ({"reference": "a\nb"}, InvalidField, "control characters"),
        ({"subject": "\ud800"}, InvalidField, "Unicode"),
        ({"expires_in_s": 0}, InvalidField, "1 to 86400"),
        ({"auth_code": "2812"}, NotSupported, "auth_code"),
        ({"extra": {"colour": "red"}}, NotSupported, "colour"),
    ],
)
def test_create_out_of_bounds_is_refused_before_anything_is_recorded(
    gateway: ToyServer, open_client: Open, fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    """What the account does not offer is refused before any I/O, naming what it does offer."""
    client = open_client(gateway.url)
    with pytest.raises(error, match=words):
        client.create(**order(**fields))
    assert client.list() == ()
    assert gateway.counts().requests == {}


# --- wait --------------------------------------------------------------------------------------------


def test_wait_is_woken_by_what_a_poll_finds(gateway: ToyServer, open_client: Open) -> None:
    """Waiting polls by itself and returns as soon as the payment is paid."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    gateway.pay(payment.order_number)
    assert client.wait(payment.id, timeout_s=20).status is Status.PAID


def test_wait_is_woken_by_another_client_on_the_same_ledger(gateway: ToyServer, open_client: Open) -> None:
    """What another process records wakes a waiter here."""
    here, there = open_client(gateway.url), open_client(gateway.url)
    payment = here.create(**order())
    got: list[Payment] = []
    waiting = threading.Thread(target=lambda: got.append(here.wait(payment.id, timeout_s=20)))
    waiting.start()
    gateway.pay(payment.order_number)
    there.query(payment.id)
    waiting.join()
    assert got[0].status is Status.PAID


def test_wait_gives_the_state_at_the_timeout(gateway: ToyServer, open_client: Open) -> None:
    """At the timeout the payment comes back as it is; nothing moved."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    assert client.wait(payment.id, timeout_s=0.1) == payment


def test_wait_for_nobody_is_not_found(gateway: ToyServer, open_client: Open) -> None:
    """An id that names no payment is an error at once."""
    with pytest.raises(NotFound, match="01NOBODY"):
        open_client(gateway.url).wait("01NOBODY", timeout_s=5)


# --- refund ------------------------------------------------------------------------------------------


def paid(client: Any, gateway: ToyServer) -> Payment:
    payment: Payment = client.create(**order(channel="card"))
    assert payment.status is Status.PAID
    return payment


def test_refund_in_parts_until_nothing_is_left(gateway: ToyServer, open_client: Open) -> None:
    """Parts add up; the rest needs no amount; one minor unit more than is left is refused before any I/O."""
    client = open_client(gateway.url)
    payment = paid(client, gateway)
    part = client.refund(payment.id, reference="r1", amount=Money("20.00", "HKD"))
    assert (part.status, part.refunded_minor, part.refunds[0].status) == (
        Status.PAID,
        2000,
        RefundStatus.SUCCEEDED,
    )
    with pytest.raises(RefundTooLarge, match=r"68\.00 HKD is left"):
        client.refund(payment.id, reference="r2", amount=Money("68.01", "HKD"))
    assert client.refund(payment.id, reference="r2").refunded_minor == 8800
    with pytest.raises(RefundTooLarge):
        client.refund(payment.id, reference="r3", amount=Money("0.01", "HKD"))
    assert gateway.counts().requests["/refunds"] == 2


def test_refund_same_reference_is_the_same_refund(gateway: ToyServer, open_client: Open) -> None:
    """A refund's reference names one refund for ever; other content is a conflict."""
    client = open_client(gateway.url)
    payment = paid(client, gateway)
    first = client.refund(payment.id, reference="r1", amount=Money("20.00", "HKD"))
    assert client.refund(payment.id, reference="r1", amount=Money("20.00", "HKD")) == first
    with pytest.raises(ReferenceConflict, match="amount"):
        client.refund(payment.id, reference="r1", amount=Money("21.00", "HKD"))
    assert gateway.counts().requests["/refunds"] == 1


def test_refund_reference_of_another_payment_is_a_conflict(gateway: ToyServer, open_client: Open) -> None:
    """One refund reference can't stand for refunds of two payments."""
    client = open_client(gateway.url)
    one, two = client.create(**order("a", channel="card")), client.create(**order("b", channel="card"))
    client.refund(one.id, reference="r1", amount=Money("1.00", "HKD"))
    with pytest.raises(ReferenceConflict, match="r1"):
        client.refund(two.id, reference="r1", amount=Money("1.00", "HKD"))
    assert client.get(two.id).refunds == ()


def test_refund_reply_lost_is_asked_about_not_repeated(gateway: ToyServer, open_client: Open) -> None:
    """A refund without an answer is asked about; asking finds it, and the money went back once."""
    client = open_client(gateway.url)
    payment = paid(client, gateway)
    gateway.set_faults(lose_reply=1, path="/refunds")
    unknown = client.refund(payment.id, reference="r1", amount=Money("20.00", "HKD"))
    assert unknown.refunds[0].status is RefundStatus.UNKNOWN
    settled = client.refund(payment.id, reference="r1", amount=Money("20.00", "HKD"))
    assert settled.refunds[0].status is RefundStatus.SUCCEEDED
    assert gateway.counts().refunds == {settled.refunds[0].number: 1}


def test_refund_request_lost_is_sent_again_with_the_same_number(
    gateway: ToyServer, open_client: Open
) -> None:
    """Proven absent: the same refund number is sent again, once."""
    client = open_client(gateway.url, proof_s=0.2)
    payment = paid(client, gateway)
    gateway.set_faults(lose_request=1, path="/refunds")
    unknown = client.refund(payment.id, reference="r1")
    settled = client.query(payment.id)
    assert settled.refunds[0].status is RefundStatus.SUCCEEDED
    assert settled.refunds[0].number == unknown.refunds[0].number


def test_refund_unpaid_is_refused(gateway: ToyServer, open_client: Open) -> None:
    """Only what is paid can be refunded."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    with pytest.raises(WrongState, match="pending"):
        client.refund(payment.id, reference="r1")


# --- close -------------------------------------------------------------------------------------------


def test_close_unpaid_is_closed_by_the_provider(gateway: ToyServer, open_client: Open) -> None:
    """Closing asks the provider, and its answer closes."""
    client = open_client(gateway.url)
    closed = client.close(client.create(**order()).id)
    assert (closed.status, closed.action) == (Status.CLOSED, None)
    assert client.close(closed.id) == closed


def test_close_too_late_finds_the_payment_paid(gateway: ToyServer, open_client: Open) -> None:
    """A payer who was quicker wins: the close is refused and the payment is paid."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    gateway.pay(payment.order_number)
    assert client.close(payment.id).status is Status.PAID
    with pytest.raises(WrongState, match="refund"):
        client.close(payment.id)


def test_close_where_the_product_cannot_is_refused(gateway: ToyServer, open_client: Open) -> None:
    """A product that can't be closed says so before any I/O."""
    client = open_client(gateway.url)
    with pytest.raises(NotSupported, match="expires by itself"):
        client.close(client.create(**order(channel="lane")).id)


def test_close_reply_lost_is_settled_by_a_query(gateway: ToyServer, open_client: Open) -> None:
    """A close without an answer is settled by what the provider says of the order."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    gateway.set_faults(lose_reply=1, path="/close")
    closed = client.close(payment.id)
    assert (closed.status, closed.uncertain) == (Status.CLOSED, False)
    states = {op.kind: op.state for op in closed.operations}
    assert states[OperationKind.CLOSE] is OperationState.DONE


# --- finding -----------------------------------------------------------------------------------------


def test_find_and_list_show_what_is_recorded(gateway: ToyServer, open_client: Open) -> None:
    """Payments are found by reference, listed newest first, filtered by status."""
    client = open_client(gateway.url)
    old, new = client.create(**order("old")), client.create(**order("new", channel="card"))
    assert client.find("old") == old
    assert [payment.id for payment in client.list()] == [new.id, old.id]
    assert client.list(status=Status.PAID) == (new,)
    with pytest.raises(NotFound):
        client.find("nobody")


# --- notifications -----------------------------------------------------------------------------------


def test_receive_trusted_notification_moves_the_payment(gateway: ToyServer, open_client: Open) -> None:
    """Where notifications are evidence, an authentic one pays; brought again it changes nothing."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    gateway.pay(payment.order_number)
    body, headers = gateway.notification(payment.order_number)
    assert client.receive("toy", body=body, headers=headers).body == b"ok"
    paid_once = client.get(payment.id)
    assert paid_once.status is Status.PAID
    client.receive("toy", body=body, headers={name.upper(): value for name, value in headers.items()})
    assert client.get(payment.id) == paid_once


def test_receive_untrusted_notification_only_makes_the_payment_due(
    gateway: ToyServer, open_client: Open
) -> None:
    """Elsewhere the confirming query moves the payment, and a waiter is served by it at once."""
    client = open_client(gateway.url, notifications_trusted=False)
    payment = client.create(**order())
    gateway.pay(payment.order_number)
    body, headers = gateway.notification(payment.order_number)
    client.receive("toy", body=body, headers=headers)
    assert client.get(payment.id).status is Status.PENDING
    assert client.wait(payment.id, timeout_s=10).status is Status.PAID


def test_receive_forged_or_unreadable_notification_changes_nothing(
    gateway: ToyServer, open_client: Open
) -> None:
    """A wrong signature, another body under a good one, an oversized body: refused, nothing kept."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    body, headers = gateway.notification(payment.order_number)
    for forged, with_headers in (
        (body, {}),
        (body + b" ", headers),
        (body.replace(b"pending", b"paid"), headers),
    ):
        with pytest.raises(NotAuthentic):
            client.receive("toy", body=forged, headers=with_headers)
    with pytest.raises(MalformedNotification, match="65536"):
        client.receive("toy", body=b"x" * 65537, headers=headers)
    assert client.get(payment.id) == payment
