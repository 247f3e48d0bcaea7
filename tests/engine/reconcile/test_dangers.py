"""What must never come of it: a second order, money without evidence, a payment overwritten, a create sent again."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import AsyncClient, Money, Payment, Reconciliation, Status
from paycore.errors import NotSent
from paycore.plugin import Done, Failure, Found, Listed, OrderRef, PartialAmount
from stripe_checkout.provider import StripeCheckout
from tests.engine.reconcile.shops import ORDERS, Shop, reconcile

ORDER = ORDERS["stripe-checkout"]
DEAD = "http://127.0.0.1:9"
"""A port where nobody listens."""


def kinds(found: Reconciliation) -> list[tuple[str, bool]]:
    """What was found, and whether it is settled."""
    return sorted((str(one.kind), one.is_settled) for one in found.discrepancies)


def listed_as(monkeypatch: pytest.MonkeyPatch, change: Callable[[Listed], Listed]) -> None:
    """Have the provider list its entries otherwise than a query tells of them."""
    listing = StripeCheckout.list

    def changed(*given: Any) -> Any:
        outcome = yield from listing(*given)
        if isinstance(outcome, Done):
            return Done(replace(outcome.value, items=tuple(map(change, outcome.value.items))))
        return outcome

    monkeypatch.setattr(StripeCheckout, "list", changed)


def of_order(**changes: Any) -> Callable[[Listed], Listed]:
    """The change of every entry's observation."""
    return lambda item: replace(item, observation=replace(item.observation, **changes))


def lose_all(shop: Shop) -> None:
    """Go on with an empty ledger."""
    shop.restore(shop.empty)


def test_what_this_ledger_believes_unsent_is_not_sent_again(stripe_shop: Shop) -> None:
    """
    A create and a refund that had not been sent when the backup was made, and were later.

    Without reconciling the same calls would send them with the same numbers, for a provider to refuse or not.
    """
    shop = stripe_shop
    with shop.open() as pay:
        paid = shop.paid(pay, "order-1")
    with shop.open(base_url=DEAD) as pay:
        with pytest.raises(NotSent):
            pay.create(reference="order-2", **ORDER)
        with pytest.raises(NotSent):
            pay.refund(paid.id, reference="back-1", amount=shop.price("5.00"))
    backup = shop.backup()
    with shop.open() as pay:
        sent = shop.paid(pay, "order-2")
        pay.refund(paid.id, reference="back-1", amount=shop.price("5.00"))
    shop.restore(backup)
    with shop.open() as pay:
        assert kinds(reconcile(pay)) == [("state_differs", True), ("state_differs", True)]
        asked = shop.requests()
        again = pay.create(reference="order-2", **ORDER)
        assert (again.id, again.status, again.order_number) == (sent.id, Status.PAID, sent.order_number)
        again = pay.refund(paid.id, reference="back-1", amount=shop.price("5.00"))
        assert again.refunded_minor == 500
        assert shop.requests() == asked


def test_a_payment_that_has_the_reference_by_now_stays_as_it_is(stripe_shop: Shop) -> None:
    """The application went on before it was reconciled: what is lost is for a person, and nothing is merged."""
    shop = stripe_shop
    with shop.open() as pay:
        for reference in ("both-paid", "lost-paid", "lost-open"):
            payment = pay.create(reference=reference, **ORDER)
            if reference != "lost-open":
                shop.pay(payment.order_number)
    lose_all(shop)
    with shop.open() as pay:
        made = [shop.paid(pay, "both-paid"), pay.create(reference="lost-paid", **ORDER)]
        made.append(pay.create(reference="lost-open", **ORDER))
        orders = shop.orders()
        found = reconcile(pay)
        assert kinds(found) == [("missing_here", False), ("missing_here", False), ("paid_twice", False)]
        assert {one.reference: one.payment_id for one in found.discrepancies} == {
            one.reference: one.id for one in made
        }
        assert [pay.get(one.id) for one in made] == made
        assert shop.orders() == orders


@pytest.mark.parametrize("are_paid", [(True, False), (False, True), (True, True)])
def test_of_two_lost_orders_the_one_that_took_money_comes_back(
    stripe_shop: Shop, are_paid: tuple[bool, bool]
) -> None:
    """One reference, one order closed and one paid, whichever the list names first; of two paid ones it is told."""
    shop = stripe_shop
    for is_paid in are_paid:
        lose_all(shop)
        with shop.open() as pay:
            payment = pay.create(reference="order-1", **ORDER)
            if is_paid:
                shop.pay(payment.order_number)
            else:
                pay.close(payment.id)
    lose_all(shop)
    with shop.open() as pay:
        other = ("paid_twice", False) if all(are_paid) else ("missing_here", True)
        assert kinds(reconcile(pay)) == [("missing_here", True), other]
        orders = shop.orders()
        assert pay.create(reference="order-1", **ORDER).status is Status.PAID
        assert shop.orders() == orders


def test_orders_of_another_account_at_the_same_merchant_are_left_alone(stripe_shop: Shop) -> None:
    """Theirs and those of other software are counted; a namespace of its own makes no second payment of them."""
    shop = stripe_shop
    with shop.open(accounts={"other": {"namespace": "other"}}) as pay:
        theirs = pay.create(reference="order-1", account="other", **ORDER)
        shop.pay(theirs.order_number)
        theirs = pay.refund(pay.query(theirs.id).id, reference="back-1", amount=shop.price("5.00"))
        shop.foreign_order()
        found = reconcile(pay)
        assert (found.discrepancies, found.orders, found.foreign) == ((), 2, 3)
        assert pay.list() == (theirs,)


def test_nothing_is_brought_back_where_that_is_not_wanted(stripe_shop: Shop) -> None:
    """Another ledger at the same merchant's made it: it is told of, and this ledger stays as it is."""
    shop = stripe_shop
    with shop.open() as pay:
        theirs = shop.paid(pay, "order-1")
        theirs = pay.refund(theirs.id, reference="back-1", amount=shop.price("5.00"))
    lose_all(shop)
    with shop.open() as pay:
        found = reconcile(pay, bring_back=False)
        assert kinds(found) == [("missing_here", False)] * 2
        assert pay.list() == ()


@pytest.mark.parametrize(
    ("wanted", "is_back"), [({}, False), ({"bring_back": True}, True), ({"bring_back": False}, False)]
)
def test_what_another_ledger_made_is_not_taken_for_lost(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, bool], is_back: bool
) -> None:
    """
    Two ledgers at one merchant's: this one has a payment from between those that it lacks.

    A ledger that lost its end has none. What was brought back before is no such payment.
    """
    shop = stripe_shop
    clock = [datetime.now(UTC) - timedelta(hours=1)]
    monkeypatch.setattr(time, "time_ns", lambda: int(clock[0].timestamp() * 1e9))
    for reference in ("theirs-1", "ours", "theirs-2"):
        shop.file = shop.file.with_name("ours.db" if reference == "ours" else "theirs.db")
        with shop.open(now=lambda: clock[0]) as pay:
            shop.paid(pay, reference)
        clock[0] += timedelta(minutes=10)
    shop.file = shop.file.with_name("ours.db")
    with shop.open() as pay:
        assert kinds(reconcile(pay, **wanted)) == [("missing_here", is_back)] * 2
        assert sorted(one.reference for one in pay.list()) == (
            ["ours", "theirs-1", "theirs-2"] if is_back else ["ours"]
        )
    shop.file = shop.file.with_name("lost.db")
    with shop.open() as pay, monkeypatch.context() as patch:
        listing = StripeCheckout.list

        def one_of_them(*given: Any) -> Any:
            outcome: Any = yield from listing(*given)
            ours = (item for item in outcome.value.items if item.reference == "ours")
            items = tuple(replace(item, made_at=None) for item in ours)  # its number's time counts
            return Done(replace(outcome.value, items=items))

        patch.setattr(StripeCheckout, "list", one_of_them)
        assert kinds(reconcile(pay)) == [("missing_here", True)]
        patch.setattr(StripeCheckout, "list", listing)
        assert kinds(reconcile(pay)) == [("missing_here", True)] * 2


def test_a_namespace_gets_back_what_is_its_own(stripe_shop: Shop) -> None:
    """The account's namespace is the payment's, so that its references stay its own."""
    shop = stripe_shop
    spaces = {"shop": {"namespace": "tickets"}}
    with shop.open(accounts=spaces) as pay:
        lost = shop.paid(pay, "order-1")
    lose_all(shop)
    with shop.open(accounts=spaces) as pay:
        assert kinds(reconcile(pay)) == [("missing_here", True)]
        back = pay.create(reference="order-1", **ORDER)
        assert (back.namespace, back.order_number) == ("tickets", lost.order_number)


@pytest.mark.parametrize("is_lost", [True, False])
def test_paid_by_the_list_alone_is_not_paid(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    """Where a query says that it is open, it is open, in the ledger and when it is brought back; a person looks."""
    shop = stripe_shop
    with shop.open() as pay:
        payment = pay.create(reference="order-1", **ORDER)
    if is_lost:
        lose_all(shop)
    listed_as(monkeypatch, of_order(status=Status.PAID))
    with shop.open() as pay:
        found = reconcile(pay)
        assert kinds(found) == [("missing_here" if is_lost else "state_differs", False)]
        back = pay.create(reference="order-1", **ORDER)
        assert (back.status, back.order_number, back.paid_minor) == (Status.PENDING, payment.order_number, 0)


@pytest.mark.parametrize("is_lost", [True, False])
def test_closed_by_the_list_alone_is_not_closed(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    """A paid one comes back as paid, and stays it."""
    shop = stripe_shop
    with shop.open() as pay:
        shop.paid(pay, "order-1")
    if is_lost:
        lose_all(shop)
    listed_as(monkeypatch, of_order(status=Status.CLOSED, paid_minor=None))
    with shop.open() as pay:
        assert kinds(reconcile(pay)) == ([("missing_here", True)] if is_lost else [])
        back = pay.create(reference="order-1", **ORDER)
        assert (back.status, back.review) == (Status.PAID, False)


def test_what_nobody_confirms_is_not_recorded(stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed by the list, and a query tells nothing definite: it may have been paid, so a person looks."""
    shop = stripe_shop
    with shop.open() as pay:
        pay.close(pay.create(reference="order-1", **ORDER).id)
    lose_all(shop)

    def undecided(_: StripeCheckout, orders: Sequence[OrderRef]) -> Any:
        yield from ()
        return Done(Found(undecided=frozenset(order.number for order in orders)))

    monkeypatch.setattr(StripeCheckout, "query", undecided)
    with shop.open() as pay:
        assert kinds(reconcile(pay)) == [("missing_here", False)]
        assert pay.list() == ()


def test_async_client_reconciles_too(stripe_shop: Shop) -> None:
    """Both clients run the same program."""
    shop = stripe_shop
    with shop.open() as pay:
        lost = shop.paid(pay, "order-1")
    lose_all(shop)

    async def run() -> tuple[Reconciliation, Payment]:
        async with AsyncClient(shop.config()) as client:
            found = await client.reconcile(since=lost.created_at - timedelta(hours=1))
            return found, await client.find("order-1")

    found, back = asyncio.run(run())
    assert kinds(found) == [("missing_here", True)]
    assert (back.order_number, back.status) == (lost.order_number, Status.PAID)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (of_order(amount=Money("1.00", "EUR")), "missing_here"),
        (of_order(amount=None, partial_amount=PartialAmount(unreadable="x")), "unreadable"),
        (of_order(number="01J-TOO-SHORT"), "missing_here"),
        (lambda item: replace(item, reference="x" * 129), "missing_here"),
        (lambda item: replace(item, reference=None), "missing_here"),
    ],
)
def test_what_is_told_in_part_or_contradicts_itself_is_for_a_person(
    stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch, change: Callable[[Listed], Listed], kind: str
) -> None:
    """Nothing is recorded of it."""
    shop = stripe_shop
    with shop.open() as pay:
        shop.paid(pay, "order-1")
    lose_all(shop)
    listed_as(monkeypatch, change)
    with shop.open() as pay:
        found = reconcile(pay)
        assert kinds(found) == [(kind, False)]
        assert pay.list() == ()


def test_an_amount_that_differs_is_told(stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list has another amount of a paid payment than the ledger: a person looks; what is recorded stays."""
    shop = stripe_shop
    with shop.open() as pay:
        paid = shop.paid(pay, "order-1")
        listed_as(monkeypatch, of_order(amount=Money("1.00", "EUR")))
        (one,) = reconcile(pay).discrepancies
        assert (one.kind, one.is_settled) == ("amount_differs", False)
        assert (one.amount_here, one.amount_there) == (paid.amount, Money("1.00", "EUR"))
        assert pay.get(paid.id).paid_minor == paid.paid_minor


def test_what_the_provider_does_not_know_is_told(stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    After a query that does not find it either; an account of another merchant, say.

    A list that lags says nothing: each payment and refund is asked about, and found.
    """
    shop = stripe_shop
    until = datetime.now(UTC) + timedelta(hours=1)
    with shop.open() as pay:
        paid, unpaid = shop.paid(pay, "order-1"), pay.create(reference="order-2", **ORDER)
        paid = pay.refund(paid.id, reference="back-1", amount=shop.price("5.00"))
        closed = pay.close(pay.create(reference="order-3", **ORDER).id)
        with monkeypatch.context() as patch:
            listing = StripeCheckout.list
            patch.setattr(
                StripeCheckout, "list", lambda own, since, _, *more: listing(own, since, since, *more)
            )
            lags = reconcile(pay, until=until)
            assert (lags.orders, lags.discrepancies) == (0, ())
    with shop.elsewhere() as pay:
        found = reconcile(pay, until=until)
        assert kinds(found) == [("missing_there", False)] * 3
        assert {(one.payment_id, one.refund) for one in found.discrepancies} == {
            (paid.id, None),
            (paid.id, "back-1"),
            (unpaid.id, None),
        }
        assert pay.get(closed.id) == closed
        assert [pay.get(one.id).status for one in (paid, unpaid)] == [Status.PAID, Status.PENDING]
        near_the_ends = reconcile(pay, until=datetime.now(UTC) + timedelta(minutes=4))
        assert near_the_ends.discrepancies == ()


def test_a_refund_that_came_back_is_learned(stripe_shop: Shop) -> None:
    """It had succeeded here; the list has it as failed after that, and so has the query."""
    shop = stripe_shop
    with shop.open() as pay:
        paid = shop.paid(pay, "order-1")
        paid = pay.refund(paid.id, reference="back-1", amount=shop.price("5.00"))
        controls: Any = shop.sandbox.gateway.controls
        controls.fail_refund(paid.refunds[0].number)
        (one,) = reconcile(pay).discrepancies
        assert (one.kind, one.is_settled, one.refund) == ("state_differs", True, "back-1")
        assert (one.status_here, one.status_there) == ("succeeded", "reversed")
        paid = pay.get(paid.id)
        assert (paid.refunds[0].status, paid.refunded_minor) == ("reversed", 0)
        assert reconcile(pay).discrepancies == ()


def test_money_returned_elsewhere_counts(stripe_shop: Shop) -> None:
    """A refund made in the portal: a person looks, and not more than is left can be refunded here."""
    shop = stripe_shop
    with shop.open() as pay:
        paid = shop.paid(pay, "order-1")
        shop.refund_elsewhere(paid.ids["payment_intent"], 1000)
        (one,) = reconcile(pay).discrepancies
        assert (one.kind, one.is_settled, one.is_refund) == ("refunded_elsewhere", False, True)
        assert (one.amount_there, one.payment_id) == (Money("10.00", "EUR"), paid.id)
        paid = pay.get(paid.id)
        assert (paid.refunded_minor, paid.refundable_minor) == (1000, paid.paid_minor - 1000)


def test_a_lost_reply_is_found_by_the_list(stripe_shop: Shop) -> None:
    """An order whose answer was lost, which no query finds at Stripe: the list has its id and its link."""
    shop = stripe_shop
    with shop.open(timeout_s=1.0) as pay:
        shop.lose_next_reply()
        with suppress(NotSent):
            pay.create(reference="order-1", **ORDER)
        lost = pay.find("order-1")
        assert (lost.status, lost.provider_id) == (Status.UNKNOWN, None)
        assert kinds(reconcile(pay)) == [("state_differs", True)]
        found = pay.get(lost.id)
        assert (found.status, found.uncertain) == (Status.PENDING, False)
        assert found.action is not None


def test_failed_is_as_good_as_closed(stripe_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which word says that no money was taken makes no difference."""
    shop = stripe_shop
    with shop.open() as pay:
        closed = pay.close(pay.create(reference="order-1", **ORDER).id)
        listed_as(monkeypatch, of_order(status=Status.FAILED, failure=Failure(code="x", message="x")))
        assert reconcile(pay).discrepancies == ()
        assert pay.get(closed.id) == closed
