"""A partial amount is compared as far as it goes; an unreadable one is recorded and pays nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from paycore import Money, RefundStatus, ReviewReason, Status
from paycore.domain.money import MINOR_MAX
from paycore.domain.observation import UNREADABLE_LENGTH_MAX, PartialAmount, read_amount
from paycore.domain.payment import OperationState
from tests.domain.histories import History


@pytest.mark.parametrize(
    ("minor", "currency", "amount", "told"),
    [
        (8800, "HKD", Money("88.00", "HKD"), None),
        (None, None, None, None),
        (None, "", None, None),
        (8800, None, None, PartialAmount(minor=8800)),
        (8800, "", None, PartialAmount(minor=8800)),
        (None, "HKD", None, PartialAmount(currency="HKD")),
        (8800, "hkd", None, PartialAmount(minor=8800, unreadable="currency hkd")),
        (-1, "HKD", None, PartialAmount(currency="HKD", unreadable="-1 minor units")),
        (MINOR_MAX + 1, "HKD", None, PartialAmount(currency="HKD", unreadable="1.000e+15 minor units")),
        pytest.param(
            10**5000, "HKD", None, PartialAmount(currency="HKD", unreadable="too many minor units"), id="huge"
        ),
        pytest.param(
            -(10**5000),
            "HKD",
            None,
            PartialAmount(currency="HKD", unreadable="less than no minor units"),
            id="debt",
        ),
        (10**30, None, None, PartialAmount(unreadable="1.000e+30 minor units")),
        (10**30 + 1, None, None, PartialAmount(unreadable="too many minor units")),
        (0, "HKD", Money("0", "HKD"), None),
        (MINOR_MAX, "HKD", Money.from_minor(MINOR_MAX, "HKD"), None),
        (0, None, None, PartialAmount(minor=0)),
        (MINOR_MAX, None, None, PartialAmount(minor=MINOR_MAX)),
    ],
)
def test_amount_is_whole_half_or_none(
    minor: int | None, currency: str | None, amount: Money | None, told: PartialAmount | None
) -> None:
    """Both parts make an amount, a single part is kept, and nothing is dropped."""
    assert read_amount(minor, currency) == (amount, told)


def test_unreadable_is_kept_short_and_on_one_line() -> None:
    """An unreadable amount is cut to a bounded text on one line."""
    _, told = read_amount(None, None, unreadable="a\nb\x1b" + "c" * 1000)
    assert told is not None
    assert told.unreadable is not None
    assert (told.unreadable[:5], len(told.unreadable)) == ("a b c", UNREADABLE_LENGTH_MAX)


@pytest.mark.parametrize(
    "fields", [{"minor": -1}, {"minor": MINOR_MAX + 1}, {"unreadable": "a\nb"}, {"unreadable": "x" * 65}]
)
def test_partial_amount_out_of_bounds_is_refused(fields: dict[str, Any]) -> None:
    """A partial amount constructed by a plugin has the same bounds."""
    with pytest.raises(ValueError, match=r"`(minor|unreadable)` is"):
        PartialAmount(**fields)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (PartialAmount(minor=8800), "8800 minor units without a currency"),
        (PartialAmount(currency="HKD"), "HKD without an amount"),
        (PartialAmount(unreadable="abc"), "an amount that can't be read: abc"),
        (
            PartialAmount(minor=8800, unreadable="currency hkd"),
            "8800 minor units without a currency, an amount that can't be read: currency hkd",
        ),
    ],
)
def test_reported_amount_is_described(told: PartialAmount, shown: str) -> None:
    """The review describes what was reported and what was missing."""
    assert str(told) == shown


DIFFERS, UNREADABLE = ReviewReason.AMOUNT_DIFFERS, ReviewReason.AMOUNT_UNREADABLE
TOLD = [
    (PartialAmount(minor=10), DIFFERS),
    (PartialAmount(currency="USD"), DIFFERS),
    (PartialAmount(minor=10, unreadable="currency"), DIFFERS),
    (PartialAmount(unreadable="abc"), UNREADABLE),
    (PartialAmount(minor=8800, unreadable="currency hkd"), UNREADABLE),
]


def by_query(payment: History, told: PartialAmount) -> History:
    """Reported by a query, a poll or a notification."""
    return payment.accepted().sees(Status.PAID, amount=None, partial_amount=told)


def by_reply(payment: History, told: PartialAmount) -> History:
    """Reported by the reply to a scanned code."""
    seen = payment.order_is(Status.PAID, amount=None, partial_amount=told)
    return payment.ended(OperationState.DONE, observation=seen)


@pytest.mark.parametrize("brought", [by_query, by_reply])
@pytest.mark.parametrize(("told", "reason"), TOLD)
def test_partial_amount_that_differs_or_is_unreadable_needs_review(
    brought: Callable[[History, PartialAmount], History], told: PartialAmount, reason: ReviewReason
) -> None:
    """From any source; a complete answer resolves the payment later."""
    history = brought(History(needs_action=False), told)
    assert (history.payment.status, history.payment.review_reasons) == (Status.PENDING, (reason,))
    history.sees(Status.PAID)
    assert (history.payment.status, history.payment.review_reasons) == (Status.PAID, (reason,))


@pytest.mark.parametrize("told", [PartialAmount(minor=8800), PartialAmount(currency="HKD"), None])
def test_partial_amount_that_fits_is_accepted(told: PartialAmount | None) -> None:
    """A matching part is accepted, and so is an answer without an amount."""
    payment = by_query(History(), told) if told else History().accepted().sees(Status.PAID, amount=None)
    assert isinstance(payment, History)
    assert (payment.payment.status, payment.payment.review) == (Status.PAID, False)


@pytest.mark.parametrize(
    ("told", "status", "reasons"),
    [
        (PartialAmount(minor=1), RefundStatus.UNKNOWN, (ReviewReason.REFUND_AMOUNT_DIFFERS,)),
        (PartialAmount(currency="USD"), RefundStatus.UNKNOWN, (ReviewReason.REFUND_AMOUNT_DIFFERS,)),
        (PartialAmount(unreadable="abc"), RefundStatus.UNKNOWN, (UNREADABLE,)),
        (PartialAmount(minor=2000), RefundStatus.SUCCEEDED, ()),
    ],
)
def test_partial_amount_of_a_refund_is_compared(
    told: PartialAmount, status: RefundStatus, reasons: tuple[ReviewReason, ...]
) -> None:
    """A refund whose reported part differs has not succeeded."""
    history = History().accepted().sees(Status.PAID).refunding(2000)
    history.ended(OperationState.UNKNOWN, "refund-R1").refund_is(RefundStatus.SUCCEEDED, partial_amount=told)
    assert history.payment.refunds[0].status is status
    assert history.payment.review_reasons == reasons


def test_wrong_signature_changes_no_status() -> None:
    """A wrong signature changes no status of payment or refund, and needs review."""
    for status in (Status.PAID, Status.CLOSED, Status.FAILED, Status.PENDING):
        history = History().unknown().sees(status, is_signed_wrong=True)
        payment = history.payment
        assert (payment.status, payment.review_reasons) == (Status.UNKNOWN, (ReviewReason.SIGNATURE_WRONG,))
        assert payment.provider_id is None
        history.sees(Status.PAID)
        assert history.payment.status is Status.PAID
    history = History().accepted().sees(Status.PAID).refunding()
    for told in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
        history.refund_is(told, is_signed_wrong=True)
    assert history.payment.refunds[0].status is RefundStatus.CREATED
    assert history.payment.refundable_minor == 6800
