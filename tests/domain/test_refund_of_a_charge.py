"""A payment that was paid more than once: each refund is made from one charge, and stays within it."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore import Money, Payment, RefundStatus, ReviewReason, Status
from paycore.domain.decisions import Numbering
from paycore.domain.events import OperationBegun
from paycore.domain.payment import OperationState, Refund
from paycore.domain.provider import Attempt, Product
from paycore.domain.refunding import begin_refund
from paycore.engine.orders import refund_order
from paycore.errors import NotSupported, RefundTooLarge
from tests.domain.histories import AMOUNT, DEADLINE, NOW, History, product

WHOLE = 8800


def paid_twice() -> History:
    """88.00 HKD charged by two provider orders under one number."""
    return History().accepted().sees(Status.PAID, provider_id="S1").sees(Status.PAID, provider_id="S2")


def begin(
    history: History, reference: str, minor: int | None = None, offered: Product | None = None
) -> tuple[History, Refund]:
    """The history with this refund under way, and the refund."""
    history.change(
        *begin_refund(
            history.payment,
            reference=reference,
            amount=None if minor is None else Money.from_minor(minor, "HKD"),
            reason=None,
            product=offered or product(),
            numbering=Numbering(operation_id=f"refund-{reference}", number=reference),
            now=NOW,
            deadline=DEADLINE,
        )
    )
    refund = history.payment.refund(reference)
    assert refund is not None
    return history, refund


def charge_asked(payment: Payment, reference: str) -> str | None:
    """The charge that the provider is asked to refund."""
    operation = next(op for op in payment.operations if op.refund_reference == reference)
    return refund_order(payment, operation, Attempt(sent_at=NOW, nonce="N")).order.provider_id


def test_refund_without_an_amount_is_all_that_is_left_of_one_charge() -> None:
    """One charge is refunded; a second refund is for the other."""
    history, first = begin(paid_twice(), "back-1")
    assert (first.amount, first.charge_id, history.payment.refundable_minor) == (AMOUNT, "S1", WHOLE)
    history, second = begin(history, "back-2")
    assert (second.amount, second.charge_id, history.payment.refundable_minor) == (AMOUNT, "S2", 0)
    assert [charge_asked(history.payment, reference) for reference in ("back-1", "back-2")] == ["S1", "S2"]
    with pytest.raises(RefundTooLarge, match=r"0\.00 HKD is left of 176\.00 HKD"):
        begin(history, "back-3")


def test_refund_larger_than_any_charge_is_refused_and_says_what_is_left_of_which() -> None:
    """Nothing is sent, and the reference stays free for a smaller amount."""
    history, _ = begin(paid_twice(), "back-1", 8000)
    with pytest.raises(RefundTooLarge, match=r"8\.00 HKD of S1, 88\.00 HKD of S2; make a refund of each"):
        begin(history, "back-2", WHOLE + 800)
    history, refund = begin(history, "back-2", WHOLE)
    assert refund.charge_id == "S2"
    history, rest = begin(history, "back-3")
    assert (rest.amount.minor, rest.charge_id) == (800, "S1")


def test_refund_whose_charge_was_fixed_keeps_it() -> None:
    """A charge reported later does not take over another charge's refund, even if it sorts first."""
    history, refund = begin(History().accepted().sees(Status.PAID, provider_id="S2"), "back-1")
    history.sees(Status.PAID, provider_id="S1")
    assert [charge.provider_id for charge in history.payment.charges] == ["S1", "S2"]
    assert refund.charge_id == "S2"
    assert charge_asked(history.payment, "back-1") == "S2"
    assert begin(history, "back-2")[1].charge_id == "S1"


def test_refund_after_a_refused_one_is_for_the_other_charge() -> None:
    """After a refusal for a charge refunded in the portal, the next refund is for the other charge."""
    history = paid_twice().sees(Status.PAID, provider_id="S1", refunded_minor=WHOLE)
    assert history.payment.refundable_minor == WHOLE
    history, first = begin(history, "back-1")
    history.refund_is(RefundStatus.FAILED, "back-1")
    history, second = begin(history, "back-2")
    assert (first.charge_id, second.charge_id) == ("S1", "S2")


def test_refund_of_a_product_that_is_only_refunded_whole_is_whole_for_its_charge() -> None:
    """The whole of one charge, not of both."""
    whole = product(refund="full")
    with pytest.raises(NotSupported, match="only be refunded whole"):
        begin(paid_twice(), "back-1", 800, whole)
    history, first = begin(paid_twice(), "back-1", WHOLE, whole)
    history, second = begin(history, "back-2", None, whole)
    assert (first.charge_id, second.charge_id) == ("S1", "S2")


def test_refund_of_an_earlier_version_goes_back_from_the_first_charge() -> None:
    """A refund recorded without a charge counts for and is sent to the first one."""
    history = paid_twice()
    (begun,) = begin_refund(
        history.payment,
        reference="back-1",
        amount=Money("20.00", "HKD"),
        reason=None,
        product=product(),
        numbering=Numbering(operation_id="refund-1", number="R1"),
        now=NOW,
        deadline=DEADLINE,
    )
    assert isinstance(begun, OperationBegun)
    assert begun.refund is not None
    fields = {name: getattr(begun.refund, name) for name in begun.refund.__struct_fields__}
    history.change(OperationBegun(operation=begun.operation, refund=Refund(**{**fields, "charge_id": None})))
    assert history.payment.refunds[0].charge_id is None
    assert charge_asked(history.payment, "back-1") == "S1"
    assert [history.payment.left_of(charge) for charge in history.payment.charges] == [6800, WHOLE]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("paid"), st.sampled_from(["S1", "S2", "S3"])),
        st.tuples(st.just("refund"), st.sampled_from([None, 1, 2000, 8000, WHOLE, WHOLE + 1, 2 * WHOLE])),
        st.tuples(st.just("failed"), st.integers(0, 5)),
    ),
    max_size=14,
)


@given(STEPS)
def test_refunds_of_a_charge_are_within_what_it_took(steps: list[tuple[str, Any]]) -> None:
    """In any order of events, and the stated rest of each charge can be refunded."""
    history = History().accepted()
    for n, (kind, value) in enumerate(steps):
        if kind == "paid":
            history.sees(Status.PAID, provider_id=value)
        elif history.payment.status is Status.PAID and kind == "refund":
            try:
                begin(history, f"back-{n}", value)
            except RefundTooLarge:
                least = value or 1
                assert all(history.payment.left_of(c) < least for c in history.payment.charges)
        elif kind == "failed" and value < len(history.payment.refunds):
            history.refund_is(RefundStatus.FAILED, history.payment.refunds[value].number)
    payment = history.payment
    asked = Counter[str | None]()
    for refund in payment.refunds:
        if refund.status is not RefundStatus.FAILED:
            asked[refund.charge_id] += refund.amount.minor
    for charge in payment.charges:
        assert asked[charge.provider_id] <= charge.amount_minor
        assert payment.left_of(charge) == charge.amount_minor - asked[charge.provider_id]
    assert payment.refundable_minor == sum(map(payment.left_of, payment.charges))
    assert ReviewReason.REFUNDED_TOO_MUCH not in payment.review_reasons


def test_refund_that_was_sent_again_keeps_its_charge() -> None:
    """Refused for the account and made again under another number: the same charge."""
    history, _ = begin(paid_twice(), "back-1")
    history.ended(OperationState.UNKNOWN, "refund-back-1")
    history.sent_again("refund-back-1")
    assert charge_asked(history.payment, "back-1") == "S1"
