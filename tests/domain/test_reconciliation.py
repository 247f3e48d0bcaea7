"""What counts as a difference between the ledger and a provider's list, and what an untold order can do."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from paycore import Money, Status
from paycore.domain.bringing_back import FoundOrder, bring_back
from paycore.domain.lifecycle import evolve
from paycore.domain.observation import PartialAmount, PaymentObservation, RefundObservation
from paycore.domain.payment import OperationKind, Payment, RefundStatus
from paycore.domain.provider import Capabilities, NumberFormat, Product, RequestBudget
from paycore.domain.reconciliation import (
    differs_in_amount,
    has_id,
    is_promise,
    is_same_status,
    is_unreadable,
    operation_with_id,
    status_of_order,
)

AMOUNT = Money("88.00", "HKD")
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def seen(status: Status = Status.PAID, **changes: object) -> PaymentObservation:
    """What a list says of an order."""
    whole = PaymentObservation(
        number="N1", status=status, provider_id="P1", ids={"charge": "C1"}, amount=AMOUNT
    )
    return replace(whole, **changes)


def payment(observation: PaymentObservation, **changes: object) -> Payment:
    """A payment of which this is known, brought back."""
    found = FoundOrder(
        payment_id="I1",
        operation_id="O1",
        capture_id="O2",
        capture_number="N2",
        account="shop",
        provider="toy",
        namespace="",
        reference="order-1",
        amount=AMOUNT,
        observation=observation,
        made_at=NOW - timedelta(hours=1),
    )
    begun, more = bring_back(NOW, found=replace(found, **changes))
    known = evolve(None, begun, NOW)
    for change in more:
        known = evolve(known, change, NOW)
    return known


@pytest.mark.parametrize(
    "status", [Status.PENDING, Status.AUTHORIZED, Status.PAID, Status.FAILED, Status.CLOSED]
)
def test_status_of_an_order_is_what_is_known_of_it(status: Status) -> None:
    """Of the order in force, and as it was observed."""
    known = payment(seen(status))
    assert status_of_order(known, known.creation) is status
    assert known.status is status


def test_which_word_says_that_nothing_moved_is_no_difference() -> None:
    """Failed and closed are as good; all others are what they are."""
    assert is_same_status(Status.FAILED, Status.CLOSED)
    assert is_same_status(Status.PAID, Status.PAID)
    assert not is_same_status(Status.PENDING, Status.CLOSED)
    promised = [status for status in list(Status)[2:] if is_promise(seen(status))]
    assert promised == [Status.FAILED, Status.CLOSED]


@pytest.mark.parametrize(
    ("listed", "differs"),
    [
        (seen(), False),
        (seen(amount=None), False),
        (seen(amount=Money("87.00", "HKD")), True),
        (seen(amount=Money("88.00", "USD")), True),
        (seen(amount=None, partial_amount=PartialAmount(minor=1)), True),
        (seen(amount=None, partial_amount=PartialAmount(currency="HKD")), False),
        (seen(paid_minor=8800), False),
        (seen(paid_minor=8700), True),
        (seen(Status.PENDING, paid_minor=1), False),
    ],
)
def test_amounts_are_compared_as_far_as_they_are_told(listed: PaymentObservation, differs: bool) -> None:
    """With the order's, and with what was taken."""
    known = payment(seen())
    assert differs_in_amount(known, known.creation, listed) is differs


def test_what_was_taken_may_be_listed_as_the_amount() -> None:
    """A list of transactions has the money, not the order; another part of it is a difference."""
    known = payment(seen(paid_minor=3000))
    assert (known.status, known.paid_minor) == (Status.PAID, 3000)
    assert not differs_in_amount(known, known.creation, seen(amount=Money("30.00", "HKD")))
    assert differs_in_amount(known, known.creation, seen(amount=Money("31.00", "HKD")))


@pytest.mark.parametrize("paid_minor", [0, 8801])
def test_no_capture_explains_more_than_the_whole_or_nothing(paid_minor: int) -> None:
    """It is not paid by that, and needs review."""
    known = payment(seen(paid_minor=paid_minor))
    assert (known.paid_minor, known.review) == (0, True)
    assert [op.kind for op in known.operations] == [OperationKind.CREATE]


def test_a_made_up_time_is_never_ahead() -> None:
    """The provider's clock may be ahead of the ledger's."""
    assert payment(seen(), made_at=NOW + timedelta(hours=1)).created_at == NOW
    assert payment(seen()).created_at == NOW - timedelta(hours=1)


def test_what_is_not_told_is_named() -> None:
    """By the names of `create`; what is told is not among them."""
    untold = payment(seen()).untold
    assert {"auth_code", "capture", "channel", "method", "subject"} <= set(untold)
    told = payment(seen(), method="card", channel="web", capture="automatic")
    assert {"capture", "channel", "method"}.isdisjoint(told.untold)
    assert told.order.capture == "automatic"


@pytest.mark.parametrize(
    ("entry", "unreadable"),
    [
        (seen(), False),
        (seen(Status.PENDING, provider_id=None), False),
        (seen(Status.PENDING, provider_id=None, amount=None, ids={}), True),
        (seen(amount=None, partial_amount=PartialAmount(unreadable="x")), True),
        (seen(is_signed_wrong=True), True),
        (RefundObservation(number="R1", status=RefundStatus.PENDING), True),
        (RefundObservation(number="R1", status=RefundStatus.PENDING, provider_id="R"), False),
    ],
)
def test_an_entry_that_says_too_little_is_unreadable(
    entry: PaymentObservation | RefundObservation, unreadable: bool
) -> None:
    """Neither an amount nor an id, an amount that is none, or a wrong signature."""
    assert is_unreadable(entry) is unreadable


def test_an_order_is_found_by_any_of_its_ids() -> None:
    """Of its own kind, and not by an empty one."""
    known = payment(seen())
    for entry in (seen(provider_id="P1", ids={}), seen(Status.PENDING, provider_id=None, ids={"x": "C1"})):
        assert operation_with_id(known, OperationKind.CREATE, entry) == known.creation
    assert operation_with_id(known, OperationKind.REFUND, seen()) is None
    assert operation_with_id(known, OperationKind.CREATE, seen(provider_id="P2", ids={"x": ""})) is None
    assert [has_id(known, text) for text in ("P1", "C1", "P2")] == [True, True, False]


def product(method: str, channel: str = "web", **changes: object) -> Product:
    return replace(Product(method=method, channel=channel, currencies={}), **changes)


def test_an_order_of_a_product_nobody_told_can_do_what_all_can() -> None:
    """Only a capture is any's: what can't be captured is never authorized."""
    products = (
        product("card", capture="partial"),
        product("card", "app", refund="full"),
        product("debit", close=False, refund="none"),
    )
    account = Capabilities(
        products=products,
        number=NumberFormat(length_max=64),
        budget=RequestBudget(per_second=1, per_minute=1),
    )
    assert account.product_of_order("card", "web") is products[0]
    assert account.product_of_order("cash", "web") is None
    assert account.product_of_order("cash", "") is None
    card, web, any_of = (account.product_of_order(*names) for names in (("card", ""), ("", "web"), ("", "")))
    assert card is not None
    assert web is not None
    assert any_of is not None
    assert (card.refund, card.capture, card.close) == ("full", "partial", True)
    assert (web.refund, web.capture, web.close) == ("none", "partial", False)
    assert (any_of.refund, any_of.capture, any_of.close) == ("none", "partial", False)
