"""Where the list, or the ledger, is another one than it seems: nothing is paid or given back twice because of it."""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Client, Money, Status
from paycore.engine.reconciling_refunds import Refunds
from paycore.errors import AccountRefused, NotSent
from paycore.ledger.audit import verify
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.plugin import Done, Found, Listed, RefundObservation, RefundStatus
from paycore.sandbox.server import SandboxServer
from stripe_checkout.provider import StripeCheckout
from stripe_checkout.sandbox import StripeSandbox
from tests.engine.reconcile.shops import ORDERS, SANDBOXES, Shop, reconcile
from tests.engine.reconcile.test_dangers import kinds, listed_as, lose_all


def refunds_listed_as(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Have the provider list its refunds otherwise than they are."""
    listed_as(
        monkeypatch,
        lambda item: (
            replace(item, observation=replace(item.observation, **changes))
            if isinstance(item.observation, RefundObservation)
            else item
        ),
    )


def test_what_may_be_of_another_namespace_is_not_brought_back_unasked(stripe_shop: Shop) -> None:
    """
    Two accounts at one merchant's, each with references of its own: nobody tells of which one a lost order is.

    Taken for the wrong one's, `create` of the right one would make a second order.
    """
    shop = stripe_shop
    other = {"other": {"namespace": "other"}}
    with shop.open(accounts=other) as pay:
        theirs = pay.create(reference="order-1", account="other", **ORDERS[shop.provider])
        shop.pay(theirs.order_number)
    lose_all(shop)
    with shop.open(accounts=other) as pay:
        found = reconcile(pay)
        assert kinds(found) == [("missing_here", False)]
        assert "account other" in found.discrepancies[0].advice
        assert pay.list() == ()
        assert kinds(reconcile(pay, account="other", bring_back=True)) == [("missing_here", True)]
        back = pay.create(reference="order-1", account="other", **ORDERS[shop.provider])
        assert (back.order_number, back.status) == (theirs.order_number, "paid")


def test_another_merchant_has_lost_nothing_of_ours(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the key of another merchant: its list has none of this ledger's payments, so none of it is this ledger's."""
    clock = [datetime.now(UTC) - timedelta(hours=1)]
    monkeypatch.setattr(time, "time_ns", lambda: int(clock[0].timestamp() * 1e9))
    with stripe_shop.open(now=lambda: clock[0]) as pay:
        ours = stripe_shop.paid(pay, "order-1")
    clock[0] += timedelta(minutes=30)
    with SandboxServer(StripeSandbox(), settings=SANDBOXES["stripe-checkout"][1]) as sandbox:
        shop = Shop("stripe-checkout", sandbox, tmp_path)
        shop.file = tmp_path / "theirs.db"
        with shop.open(now=lambda: clock[0]) as pay:
            shop.paid(pay, "order-2")
        shop.file = stripe_shop.file
        with shop.open() as pay:
            found = reconcile(pay)
            assert kinds(found) == [("missing_here", False), ("missing_there", False)]
            assert "another merchant" in found.discrepancies[0].advice
            assert pay.list() == (ours,)


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_lost_refund_failed_by_the_list_alone_has_not_failed(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool
) -> None:
    """The money went back: another refund in its place would return it twice."""
    shop = stripe_shop
    with shop.open() as pay:
        paid = shop.paid(pay, "order-1")
    backup = shop.backup()
    with shop.open() as pay:
        pay.refund(paid.id, reference="back-1", amount=shop.price("20.00"))
    shop.restore(backup)
    refunds_listed_as(monkeypatch, status=RefundStatus.FAILED)
    if not is_asked:
        _tell_nothing(monkeypatch)
    with shop.open() as pay:
        assert kinds(reconcile(pay)) == [("missing_here", is_asked)]
        (back,) = pay.get(paid.id).refunds
        assert (back.reference, back.status) == ("back-1", "succeeded" if is_asked else "pending")
        assert pay.get(paid.id).refundable_minor == paid.paid_minor - 2000


def _tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def undecided(_: StripeCheckout, orders: Any) -> Any:
        yield from ()
        return Done(Found(undecided=frozenset(order.number for order in orders)))

    monkeypatch.setattr(StripeCheckout, "query", undecided)


@pytest.mark.parametrize("was_sent", [True, False])
def test_a_refund_that_got_another_number_since_is_not_made_again(
    stripe_shop: Shop, *, was_sent: bool
) -> None:
    """
    It was refused because of the account when the backup was made, or not sent; and made under a new number later.

    The ledger's own number of it is dead, and the provider has the reference under the other one.
    """
    shop = stripe_shop
    back: Any = {"reference": "back-1", "amount": shop.price("5.00")}

    def refused(pay: Client) -> None:
        with pytest.raises(AccountRefused):
            pay.refund(paid.id, **back)

    with shop.open() as pay:
        paid = shop.paid(pay, "order-1")
    if was_sent:
        with shop.open(api_key="sk_test_wrong") as pay:
            refused(pay)
    else:
        with shop.open(base_url="http://127.0.0.1:9") as pay, pytest.raises(NotSent):
            pay.refund(paid.id, **back)
    backup = shop.backup()
    if not was_sent:
        with shop.open(api_key="sk_test_wrong") as pay:
            refused(pay)
    with shop.open() as pay:
        made = pay.refund(paid.id, **back)
        assert made.refunded_minor == 500
    shop.restore(backup)
    with shop.open() as pay:
        assert kinds(reconcile(pay)) == [("missing_here", True)]
        asked = shop.requests()
        again = pay.refund(paid.id, **back)
        assert (again.refunded_minor, again.refunds[0].number) == (500, made.refunds[0].number)
        assert (again.uncertain, again.review, shop.requests()) == (False, False, asked)
        assert reconcile(pay).discrepancies == ()
        pay.resolve()
        assert pay.query(paid.id).refunded_minor == 500
    with closing(SqliteLedger(shop.file)) as ledger:
        assert [verdict for verdict in verify(ledger) if verdict.difference] == []


def test_all_that_went_back_elsewhere_counts(stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Two refunds made in the portal, which the list gives the number of their order; beside one that came back.

    No query tells what they returned.
    """
    shop = stripe_shop
    with shop.open() as pay:
        paid = shop.paid(pay, "order-1")
        made = pay.refund(paid.id, reference="back-1", amount=shop.price("4.00"))
        shop.sandbox.gateway.controls.fail_refund(made.refunds[0].number)  # type: ignore[attr-defined]
        assert pay.query(paid.id).refunded_minor == 0
        for minor in (300, 500):
            shop.refund_elsewhere(paid.ids["payment_intent"], minor)
        _tell_nothing(monkeypatch)
        listed_as(
            monkeypatch,
            lambda item: (
                replace(item, observation=replace(item.observation, number=paid.order_number))
                if isinstance(item.observation, RefundObservation) and item.reference is None
                else item
            ),
        )
        found = reconcile(pay)
        assert kinds(found) == [("refunded_elsewhere", False)] * 2
        assert all("not made here" in one.advice for one in found.discrepancies)
        assert pay.get(paid.id).refunded_minor == 800
        assert {one.amount_there for one in found.discrepancies} == {
            Money("3.00", "EUR"),
            Money("5.00", "EUR"),
        }


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_second_order_closed_by_the_list_alone_may_have_been_paid(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool
) -> None:
    """Two orders of one reference were paid, and the list has one as closed: the query counts, or a person looks."""
    shop = stripe_shop
    numbers = []
    for _ in range(2):
        lose_all(shop)
        with shop.open() as pay:
            numbers.append(shop.paid(pay, "order-1").order_number)
    listed_as(
        monkeypatch,
        lambda item: (
            replace(item, observation=replace(item.observation, status=Status.CLOSED, paid_minor=None))
            if item.observation.number == numbers[0]
            else item
        ),
    )
    if not is_asked:
        _tell_nothing(monkeypatch)
    with shop.open() as pay:
        second = ("paid_twice", False) if is_asked else ("missing_here", False)
        assert kinds(reconcile(pay)) == [second]


def test_two_runs_at_once_count_a_refund_once(stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run brings the refund back between this one's look and its own: it is no second one."""
    shop = stripe_shop
    with shop.open() as pay:
        paid = shop.paid(pay, "order-1")
    backup = shop.backup()
    with shop.open() as pay:
        pay.refund(paid.id, reference="back-1", amount=shop.price("5.00"))
    shop.restore(backup)
    find = Refunds._found
    runs: list[Any] = []

    def while_another_runs(self: Refunds, item: Listed) -> Any:
        if not runs:
            runs.append(None)
            with shop.open() as other:
                runs.append(kinds(reconcile(other)))
        return find(self, item)

    monkeypatch.setattr(Refunds, "_found", while_another_runs)
    with shop.open() as pay:
        assert kinds(reconcile(pay)) == []
        assert runs == [None, [("missing_here", True)]]
        after = pay.get(paid.id)
        assert (after.refunded_minor, len(after.refunds)) == (500, 1)
