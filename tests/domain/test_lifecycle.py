"""The rules: observations merge in any order, paid is never undone, contradictions need review."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from paycore import Money, Payment, RefundStatus, ReviewReason, Status
from paycore.domain.codec import decode, encode
from paycore.domain.events import Observed, PaymentBegun, Returned
from paycore.domain.lifecycle import evolve
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Failure
from tests.domain.histories import AMOUNT, NOW, History


def begun() -> Payment:
    return History(needs_action=False).payment


def refunding() -> Payment:
    """Paid, with a refund of 20.00 HKD under way."""
    return History(needs_action=False).sees(Status.PAID, provider_id="S1").refunding().payment


def seen(status: Status, provider_id: str = "S1", **fields: object) -> PaymentObservation:
    return PaymentObservation(number="N1", status=status, provider_id=provider_id, amount=AMOUNT, **fields)  # type: ignore[arg-type]


def after(payment: Payment, *observations: Observation) -> Payment:
    for observation in observations:
        payment = evolve(payment, Observed(observation=observation), NOW)
    return payment


def test_payment_begins_as_it_was_asked_for() -> None:
    """Every field of its beginning is the payment's."""
    started = History(subject="shoes").payment
    change = PaymentBegun(
        payment_id="P2",
        account="hk",
        provider="toy",
        order=started.order,
        operation=started.creation,
        expires_at=NOW,
        namespace="shop-a",
        ignored=("subject",),
    )
    payment = evolve(None, change, NOW)
    told = (payment.id, payment.namespace, payment.expires_at, payment.ignored, payment.order)
    assert told == ("P2", "shop-a", NOW, ("subject",), started.order)


def test_what_the_payer_came_back_with_is_kept_and_proves_nothing() -> None:
    """The last of it; the same again changes nothing, and nothing else of the payment does."""
    before = begun()
    payment = evolve(before, Returned(params={"token": "1"}), NOW)
    assert payment.returned == {"token": "1"}
    assert replace(payment, returned={}, return_count=0, version=1) == before
    assert evolve(payment, Returned(params={"token": "1"}), NOW) is payment
    again = evolve(payment, Returned(params={"a": "2"}), NOW)
    assert (again.returned, payment.return_count, again.return_count) == ({"a": "2"}, 1, 2)


def test_paid_is_never_undone() -> None:
    """No observation after paid changes the status."""
    payment = after(begun(), seen(Status.PAID), seen(Status.PENDING), seen(Status.CLOSED))
    assert payment.status is Status.PAID


@pytest.mark.parametrize("earlier", [Status.CLOSED, Status.FAILED])
def test_late_money_is_recognised_and_flagged(earlier: Status) -> None:
    """Money after closing or failing is counted and needs review."""
    payment = after(begun(), seen(earlier), seen(Status.PAID))
    assert (payment.status, payment.review_reasons) == (Status.PAID, (ReviewReason.PAID_AFTER_CLOSING,))


@pytest.mark.parametrize("amount", [Money("87.99", "HKD"), Money("88.00", "USD"), Money("8800", "JPY")])
def test_another_amount_or_currency_is_never_paid(amount: Money) -> None:
    """An authentic observation of another amount or currency never pays; it needs review."""
    wrong = PaymentObservation(number="N1", status=Status.PAID, provider_id="S1", amount=amount)
    payment = after(begun(), wrong)
    assert (payment.status, payment.paid_minor) == (Status.CREATED, 0)
    assert payment.review_reasons == (ReviewReason.AMOUNT_DIFFERS,)


def test_two_orders_paid_is_paid_twice() -> None:
    """Two paid orders: both charges are counted, and the payment needs review."""
    payment = after(begun(), seen(Status.PAID, "S1"), seen(Status.PAID, "S2"))
    assert (payment.paid_minor, payment.review_reasons) == (17600, (ReviewReason.PAID_TWICE,))


def test_a_repeated_observation_changes_nothing() -> None:
    """The same payment object is returned: no new version, no new event."""
    payment = after(begun(), seen(Status.PENDING))
    later = PaymentObservation(
        number="N1",
        status=Status.PENDING,
        provider_id="S1",
        amount=AMOUNT,
        occurred_at=NOW + timedelta(days=1),
        words={"respcd": "1145"},
    )
    assert evolve(payment, Observed(observation=later), NOW + timedelta(days=1)) is payment


def test_an_unknown_number_changes_nothing() -> None:
    """An observation of an unknown number is ignored."""
    payment = begun()
    other = PaymentObservation(number="N9", status=Status.PAID, provider_id="S9", amount=AMOUNT)
    assert evolve(payment, Observed(observation=other), NOW) is payment


def test_refund_of_another_amount_is_flagged() -> None:
    """A refund of another amount is not counted as the requested one, and needs review."""
    payment = refunding()
    wrong = RefundObservation(number="R1", status=RefundStatus.SUCCEEDED, amount=Money("21.00", "HKD"))
    payment = after(payment, wrong)
    assert (payment.refunded_minor, payment.review_reasons) == (0, (ReviewReason.REFUND_AMOUNT_DIFFERS,))


_observations = st.lists(
    st.one_of(
        st.builds(
            seen,
            st.sampled_from([Status.PENDING, Status.PAID, Status.FAILED, Status.CLOSED]),
            st.sampled_from(["S1", "S2"]),
            refunded_minor=st.sampled_from([None, 2000, 8800, 9000]),
            failure=st.sampled_from(
                [None, Failure(code="1205", message="no"), Failure(code="1201", message="")]
            ),
        ),
        st.builds(
            RefundObservation,
            number=st.just("R1"),
            status=st.sampled_from([RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED]),
            provider_id=st.sampled_from(["F1", "F2"]),
            amount=st.sampled_from([None, Money("20.00", "HKD"), Money("1.00", "HKD")]),
        ),
    ),
    max_size=6,
)


@given(_observations, st.randoms())
def test_any_order_with_repeats_ends_in_one_state_and_one_set_of_events(
    observations: list[Observation], random: object
) -> None:
    """Polls, notifications and other processes converge, in any order and with repeats."""
    start = refunding()
    shuffled = [*observations, *observations]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = after(start, *observations), after(start, *shuffled)
    assert one == other
    assert one.version - start.version == len({*one.evidence} - {*start.evidence})


@given(_observations)
def test_what_is_stored_reads_back_equal(observations: list[Observation]) -> None:
    """A payment survives the ledger's JSON exactly."""
    payment = after(refunding(), *observations)
    assert decode(encode(payment), Payment) == payment
