"""The history: each event is chained to the one before, and decodes to what was encoded."""

from typing import Any

import msgspec
import pytest

from paycore import Money, Status
from paycore.domain.action import AppCall, ClientCall, Instructions, QRCode, WalletCall
from paycore.domain.codec import decode, encode
from paycore.domain.events import (
    GENESIS,
    Change,
    Event,
    Finding,
    FoundUnresolvable,
    Observed,
    OperationBegun,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
    Returned,
    ReviewAcknowledged,
    Source,
    chain_hash,
)
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Failure, OperationKind, OperationState, Payment, RefundStatus, ReviewReason
from tests.domain.histories import AMOUNT, LINK, NOW, QUIET, History

CHAINED: dict[str, Any] = {
    "prev_hash": GENESIS,
    "payment_id": "P1",
    "seq": 1,
    "at_ms": 1_767_225_600_000,
    "source": "caller",
    "change": b'{"type":"observed"}',
}


def test_chain_hash_never_changes() -> None:
    """Existing ledgers are verified with it, so the function and its initial value never change."""
    assert bytes(32) == GENESIS
    assert chain_hash(**CHAINED).hex() == "26979a224035451339b3a12424ac8f49a14ba87e4eb2c61ed4588d472e8e5dfb"


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("prev_hash", b"\x01" * 32),
        ("payment_id", "P2"),
        ("seq", 2),
        ("at_ms", 1_767_225_600_001),
        ("source", "operator"),
        ("change", b'{"type":"observed" }'),
    ],
)
def test_chain_hash_depends_on_everything_stored(field: str, other: object) -> None:
    """A change of any part of an event changes its hash."""
    assert chain_hash(**{**CHAINED, field: other}) != chain_hash(**CHAINED)


def changes() -> list[Change]:
    """One of each kind, with every optional field set."""
    history = History().accepted().sees(Status.PAID)
    operation = history.payment.creation
    refund = History().accepted().sees(Status.PAID).refunding().payment.refunds[0]
    failure = Failure(code="1108", message="bad signature", who_acts="operator", advice="Mend it.")
    begun = PaymentBegun(
        payment_id="P1", account="hk", provider="toy", order=history.payment.order, operation=operation
    )
    ended = OperationEnded(
        operation_id="op", state=OperationState.DONE, in_flight_until=QUIET, failure=failure
    )
    seen = RefundObservation(number="R1", status=RefundStatus.SUCCEEDED, amount=AMOUNT, words={"respcd": "0"})
    actions = [
        LINK,
        QRCode(content="x"),
        WalletCall(call="tradePay", params={"a": [1, None]}),
        AppCall(order="o", params={}),
        ClientCall(script="https://toy.example/pay.js", params={"session": "1"}),
        Instructions(fields={"iban": "GB00"}),
    ]
    finding = Finding(by="ops", note="portal")
    authorized = PaymentObservation(
        number="N1",
        status=Status.AUTHORIZED,
        ids={"intent": "pi_1"},
        amount=AMOUNT,
        paid_minor=1,
        charged_back_minor=3,
        charge_back_won_minor=2,
        action=LINK,
        occurred_at=NOW,
    )
    capture = msgspec.structs.replace(
        operation, kind=OperationKind.CAPTURE, order_number="N1", amount_minor=7000, not_before=NOW, nonce="X"
    )
    return [
        begun,
        msgspec.structs.replace(begun, ignored=("subject",), namespace="a"),
        OperationBegun(operation=operation, refund=refund),
        OperationBegun(operation=capture),
        OperationSent(operation_id="op", sent_at=NOW, in_flight_until=QUIET, nonce="X"),
        msgspec.structs.replace(ended, not_before=NOW, finding=finding, observation=authorized),
        Observed(observation=authorized, finding=finding),
        Returned(params={"token": "1"}),
        FoundUnresolvable(operation_id="op"),
        ReviewAcknowledged(reason=ReviewReason.CHARGED_BACK, finding=finding),
        *(msgspec.structs.replace(ended, action=action) for action in actions),
        Observed(observation=seen),
        Observed(observation=history.order_is(Status.PAID)),
        ProvenAbsent(number="N1"),
    ]


@pytest.mark.parametrize("change", changes(), ids=lambda change: type(change).__name__)
def test_change_reads_back_as_it_was_written(change: Change) -> None:
    """Stored JSON decodes to the same change, money included."""
    assert decode(encode(change), Change) == change  # type: ignore[arg-type]


def test_payment_reads_back_as_it_was_written() -> None:
    """Stored JSON decodes to the same payment."""
    payment = History().accepted().sees(Status.PAID).refunding().refund_is(RefundStatus.PENDING).payment
    assert decode(encode(payment), Payment) == payment


@pytest.mark.parametrize(
    "stored", [b"", b"{}", b'{"type":"no_such_change"}', b'{"type":"proven_absent"}', b"[[[["]
)
def test_change_that_can_not_be_read_is_an_error(stored: bytes) -> None:
    """Invalid JSON of a change is refused."""
    with pytest.raises(msgspec.MsgspecError):
        decode(stored, Change)  # type: ignore[arg-type]


def test_codec_writes_money_exactly_and_nothing_unknown() -> None:
    """Money is encoded as its three parts; a value of an unknown type is refused."""
    assert encode(Money("88.00", "HKD")) == b'[8800,"HKD",2]'
    assert decode(b'[8800,"HKD",2]', Money) == Money("88.00", "HKD")
    with pytest.raises(TypeError, match="complex can't be encoded"):
        encode(1j)


def test_event_names_its_kind() -> None:
    """The kind is the change's tag, as stored and shown."""
    event = Event(
        payment_id="P1",
        seq=1,
        at=NOW,
        source=Source.POLL,
        status_from=Status.PENDING,
        status_to=Status.PAID,
        change=ProvenAbsent(number="N1"),
        prev_hash=GENESIS,
        hash=b"",
    )
    assert event.kind == "proven_absent"


@pytest.mark.parametrize(
    "amount", ['[-1, "HKD", 2]', '[8800, "HKD", 9]', '["1", "HKD", 2]', "[8800]", "88.0"]
)
def test_codec_reads_money_strictly(amount: str) -> None:
    """Invalid amounts are refused."""
    with pytest.raises(msgspec.ValidationError):
        decode(amount, Money)
