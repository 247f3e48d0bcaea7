"""`show` lists the events in order, each with its reason, the rare ones too."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from paycore import Money, Payment, ReviewReason
from paycore.cli.render import facts
from paycore.cli.render.timeline import tell
from paycore.domain import bounds
from paycore.domain.decisions import new_operation, renumber
from paycore.domain.events import (
    Change,
    OperationBegun,
    OperationEnded,
    OperationSent,
    PaymentBegun,
    ProvenAbsent,
    Source,
)
from paycore.domain.observation import RefundObservation
from paycore.domain.payment import Failure, OperationKind, OperationState, RefundStatus, Status
from paycore.domain.recovery import give_up_absent
from paycore.ledger.api import Ledger
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.plugin import PartialAmount
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, order, write_config
from tests.ledger.workload import (
    begun,
    notice,
    numbering,
    observe,
    paid_payment,
    pending_payment,
    refund_seen,
    refunding,
    seen,
)

SOON = timedelta(seconds=10)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """An empty ledger."""
    with closing(SqliteLedger(tmp_path / "ledger.db", inline=True)) as opened:
        yield opened


def _change(ledger: Ledger, payment: Payment, source: Source, *changes: Change) -> Payment:
    return ledger.change(payment.id, lambda _payment, _now: changes, source).result().payment


def _ended(payment: Payment, state: OperationState, now: datetime, **fields: object) -> OperationEnded:
    return OperationEnded(operation_id=payment.operations[-1].id, state=state, in_flight_until=now, **fields)  # type: ignore[arg-type]


def _told(ledger: Ledger, payment: Payment) -> list[str]:
    return [f"{entry.source}: {entry.what}" for entry in tell(ledger.events(payment.id).result())]


def _close(payment: Payment, now: datetime, *, replaces: bool = False) -> Sequence[Change]:
    operation = replace(new_operation(OperationKind.CLOSE, numbering(), now, SOON), replaces=replaces)
    return [OperationBegun(operation=replace(operation, number=payment.order_number))]


def test_lost_link_recovered(cli: Cli, shop: SandboxServer) -> None:
    """A reply lost with its link: the query, the old order closed and the new one made, each with the reason."""
    shop.gateway.faults.add("lose_reply")
    first = cli(*order(), "--json").json
    cli("query", first["id"])
    second = cli("show", first["id"], "--json").json
    told = [event["what"] for event in second["events"]]
    assert told[3] == (
        f"recorded that order {first['order_number']} is to be closed:"
        " its link is lost, so the payment gets a new order"
    )
    assert told[5] == (
        f"recorded a new attempt at the order, as number {second['order_number']}: the last one is closed"
    )


def test_unsent_order_is_not_called_a_repetition(cli: Cli, shop: SandboxServer) -> None:
    """An unsent order says so, and its later sending is not called a repetition."""
    write_config("http://127.0.0.1:1")
    assert cli(*order()).code == 7
    write_config(shop.url)
    told = [event["what"] for event in cli("show", cli.create()["id"], "--json").json["events"]]
    assert told[1].startswith("the order was not sent: account shop: the provider could not be reached")
    assert told[2] == "sent the order now, with the same number"


def test_order_refused_for_the_account_is_made_anew(ledger: SqliteLedger) -> None:
    """A new attempt after a refused account gives that reason."""
    payment = ledger.begin(*begun("order-1")).result().payment
    failure = Failure(code="1108", message="wrong signature", who_acts="operator")
    refused = _ended(payment, OperationState.REJECTED, ledger.now(), failure=failure)
    payment = _change(ledger, payment, Source.REPLY, refused)
    changes = renumber(payment, ledger.now(), numbering(), SOON)
    payment = _change(ledger, payment, Source.RECOVERY, *changes)
    assert _told(ledger, payment)[1:] == [
        "reply: the provider refused the order: 1108 wrong signature",
        (
            f"recovery: recorded a new attempt at the order, as number {payment.order_number}:"
            " the last one was refused for the account's sake"
        ),
    ]


def test_order_proven_absent_is_sent_again_or_given_up(ledger: SqliteLedger) -> None:
    """Proven absence and giving up are shown as such, not as a refusal by the provider."""
    payment = ledger.begin(*begun("order-1")).result().payment
    unknown = _ended(payment, OperationState.UNKNOWN, ledger.now(), problem="no answer")
    payment = _change(ledger, payment, Source.REPLY, unknown)
    absent = ProvenAbsent(number=payment.order_number)
    payment = _change(ledger, payment, Source.RECOVERY, absent)
    sent = OperationSent(operation_id=payment.creation.id, sent_at=ledger.now(), in_flight_until=ledger.now())
    payment = _change(ledger, payment, Source.RECOVERY, sent)
    payment = _change(ledger, payment, Source.RECOVERY, absent)
    payment = _change(ledger, payment, Source.RECOVERY, *give_up_absent(payment.creation, ledger.now()))
    never = f"recovery: the provider does not know number {payment.order_number}: it never arrived there"
    assert _told(ledger, payment)[1:] == [
        "reply: no definite answer to the order: no answer",
        never,
        "recovery: sent the order again, with the same number",
        never,
        "recovery: gave up the order: the order never reached the provider, and its time has passed",
    ]


@pytest.mark.parametrize(
    ("source", "reason"),
    [(Source.CALLER, ""), (Source.RECOVERY, ": its time to be paid is over")],
)
def test_closing_shows_its_cause_and_its_result(ledger: SqliteLedger, source: Source, reason: str) -> None:
    """A close says whether the caller or the expiry caused it, and how its result was learnt."""
    payment = pending_payment(ledger, "order-1")
    payment = _change(ledger, payment, source, *_close(payment, ledger.now()))
    lost = _ended(payment, OperationState.UNKNOWN, ledger.now(), problem="no answer")
    payment = _change(ledger, payment, Source.REPLY, lost)
    observe(ledger, seen(payment.order_number, Status.CLOSED))
    done = _ended(payment, OperationState.DONE, ledger.now())
    payment = _change(ledger, payment, Source.RECOVERY, done)
    assert _told(ledger, payment)[2:] == [
        f"{source}: recorded that order {payment.order_number} is to be closed{reason}",
        "reply: no definite answer to the closing: no answer",
        f"poll: the provider says closed, 88.00 HKD, its id C1-{payment.order_number}",
        "recovery: the closing is resolved: the order is closed",
    ]


def test_notification_is_shown_as_the_source(ledger: SqliteLedger) -> None:
    """A notification's event names it as the source; a repeated one adds no event."""
    payment = pending_payment(ledger, "order-1")
    paid = seen(payment.order_number, Status.PAID)
    for body in (b"paid", b"paid again"):
        ledger.record_notification("hk", notice(body, ledger.now()), [paid], is_evidence=True).result()
    assert _told(ledger, payment)[2:] == [
        f"notification: the provider says paid, 88.00 HKD, its id C1-{payment.order_number}"
    ]


def test_refunds_are_shown_with_their_references(ledger: SqliteLedger) -> None:
    """Each line of a refund has its reference."""
    payment = paid_payment(ledger, "order-1")
    for reference in ("r1", "r2"):
        refund = refunding(reference, Money("10.00", "HKD"))
        payment = ledger.change(payment.id, refund, Source.CALLER).result().payment
    lost = _ended(payment, OperationState.UNKNOWN, ledger.now(), problem="no answer")
    _change(ledger, payment, Source.REPLY, lost)
    observe(ledger, refund_seen(payment.refunds[0].number), refund_seen(payment.refunds[1].number))
    assert _told(ledger, payment)[3:] == [
        f"caller: recorded the refund r1 of 10.00 HKD as number {payment.refunds[0].number}",
        f"caller: recorded the refund r2 of 10.00 HKD as number {payment.refunds[1].number}",
        "reply: no definite answer to the refund r2: no answer",
        "poll: the provider says of the refund r1: succeeded, its id F1",
        "poll: the provider says of the refund r2: succeeded, its id F1",
    ]


def test_review_shows_each_reason_once(ledger: SqliteLedger) -> None:
    """The first event that needs review gives the reason, each reason once."""
    payment = pending_payment(ledger, "order-1")
    observe(ledger, seen(payment.order_number, Status.PAID, amount=Money("88.01", "HKD")))
    observe(ledger, seen(payment.order_number, Status.CLOSED))
    observe(ledger, seen(payment.order_number, Status.PAID))
    observe(ledger, seen(payment.order_number, Status.PAID, charge="C2"))
    told = _told(ledger, payment)[2:]
    assert [line.partition("; needs review: ")[2] for line in told] == [
        "the amount differs, 88.00 HKD was asked for",
        "",
        "it is paid after it was closed or refused",
        f"it is paid twice, as C1-{payment.order_number} and C2",
    ]


def test_review_shows_what_was_reported_of_the_amount(ledger: SqliteLedger) -> None:
    """Partial and unreadable amounts, a charge of another payment and a wrong signature are named."""
    other, payment = paid_payment(ledger, "order-0"), pending_payment(ledger, "order-1")
    paid = replace(seen(payment.order_number, Status.PAID), amount=None)
    observe(ledger, replace(paid, partial_amount=PartialAmount(minor=10)))
    observe(ledger, replace(paid, partial_amount=PartialAmount(currency="USD")))
    observe(ledger, replace(paid, partial_amount=PartialAmount(currency="HKD", unreadable="txamt 8800.0")))
    observe(ledger, replace(paid, provider_id=other.provider_id))
    observe(ledger, replace(paid, amount=payment.amount, is_signed_wrong=True))
    own_id = f"its id {paid.provider_id}"
    says = [line.removeprefix("poll: the provider says paid, ") for line in _told(ledger, payment)[2:]]
    assert [one.partition("; needs review: ")[0] for one in says] == [
        f"10 minor units without a currency, {own_id}",
        f"USD without an amount, {own_id}",
        f"HKD without an amount, an amount that can't be read: txamt 8800.0, {own_id}",
        f"its id {other.provider_id}",
        f"88.00 HKD, {own_id}, with a wrong signature",
    ]
    assert [one.partition("; needs review: ")[2] for one in says] == [
        "the amount differs, 88.00 HKD was asked for",
        "",
        "the amount told can't be read, 88.00 HKD was asked for",
        f"its id is the charge of payment {other.id}",
        "an answer's signature is wrong, so nothing of it counts",
    ]
    assert ledger.get(payment.id).result().status is Status.PENDING


def test_every_reason_for_review_has_a_description() -> None:
    """Every reason for review has a description."""
    assert set(facts._CONTRADICTIONS) == set(ReviewReason)


def test_review_of_a_refund_shows_the_contradiction(ledger: SqliteLedger) -> None:
    """Refunds that contradict the request, an earlier observation or the paid amount."""
    payment = paid_payment(ledger, "order-1")
    payment = ledger.change(payment.id, refunding("r1"), Source.CALLER).result().payment
    number = payment.refunds[0].number
    status = RefundStatus.SUCCEEDED
    other = RefundObservation(number=number, status=status, amount=Money("1.00", "HKD"))
    observe(ledger, other)
    observe(ledger, refund_seen(number, RefundStatus.FAILED))
    observe(ledger, refund_seen(number))
    observe(ledger, replace(seen(payment.order_number, Status.PAID), refunded_minor=9000))
    told = _told(ledger, payment)[4:]
    assert [line.partition("; needs review: ")[2] for line in told] == [
        "the refund's amount differs from what was asked for",
        "",
        "the refund took place after it was refused",
        "more went back than was paid",
    ]


def test_history_with_missing_events_is_shown(ledger: SqliteLedger) -> None:
    """With events missing, the remaining ones are shown."""
    payment = paid_payment(ledger, "order-1")
    events = ledger.events(payment.id).result()
    assert isinstance(events[0].change, PaymentBegun)
    own_id = payment.provider_id
    assert [entry.what for entry in tell(events[1:])] == [
        f"the provider accepted an operation nothing is recorded of: pending, 88.00 HKD, its id {own_id}",
        f"the provider says paid, 88.00 HKD, its id {own_id}",
    ]


def test_what_is_beyond_the_bounds_of_a_payment(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An observation beyond the bounds is shown as such, with the reason for review."""
    monkeypatch.setattr(bounds, "FACTS_MAX", 1)
    payment = pending_payment(ledger, "order-1")
    observe(ledger, seen(payment.order_number, Status.PAID))
    *_, last = tell(ledger.events(payment.id).result())
    assert "more than is kept of one payment; needs review: the provider tells more of it" in last.what
    assert last.status_to is Status.PAID
