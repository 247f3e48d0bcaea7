"""After a backup of an hour ago was restored, every payment and refund made since is found."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from paycore import Client, Payment, RefundStatus, Status
from paycore.domain.reconciliation import Discrepancy, Reconciliation
from paycore.ledger.audit import verify
from paycore.ledger.copying import copy_ledger
from paycore.ledger.opening import open_read_only
from tests.engine.reconcile.shops import ORDERS, SANDBOXES, Shop, reconcile, shop_at


@pytest.fixture(params=sorted(SANDBOXES))
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop at each sandbox."""
    with shop_at(request.param, tmp_path) as shop:
        yield shop


def found_of(found: Reconciliation) -> dict[tuple[bool, str | None], Discrepancy]:
    """What was found, by whether it is a refund and its number."""
    return {(one.is_refund, one.number): one for one in found.discrepancies}


def test_all_that_was_made_since_is_found(shop: Shop) -> None:
    """
    Paid, refunded in part, captured in part, authorized, pending, closed; and what was known and went on.

    Brought back where the provider carries the reference, with its state and its refunds; else listed, by number,
    amount and time. Then `create` and `refund` of the same references return them and make nothing, and the ledger's
    history holds. A second run changes nothing more.
    """
    order = ORDERS[shop.provider]
    with shop.open() as pay:
        known = pay.create(reference="known", **order)
    backup = shop.backup()
    with shop.open() as pay:
        shop.pay(known.order_number)
        known = pay.query(known.id)
        known = pay.refund(known.id, reference="known-back", amount=shop.price("3.00"))
        lost = [shop.paid(pay, "lost-paid"), shop.paid(pay, "lost-refunded")]
        lost[1] = pay.refund(lost[1].id, reference="lost-back", amount=shop.price("5.00"))
        if shop.has_capture:
            lost += shop.captured(pay)
        open_ones = [pay.create(reference="lost-open", **order)] if shop.lists_unpaid else []
        if shop.lists_unpaid:
            open_ones.append(pay.close(pay.create(reference="lost-closed", **order).id))
    shop.restore(backup)
    with shop.open() as pay:
        found = reconcile(pay)
        by_number = found_of(found)
        for payment in [*lost, *open_ones]:
            one = by_number[False, payment.order_number]
            is_settled = shop.carries or payment.status is Status.CLOSED  # which took no money
            assert (one.kind, one.status_there, one.is_settled) == (
                "missing_here",
                payment.status,
                is_settled,
            )
            assert one.at is not None
            assert abs((one.at - payment.created_at).total_seconds()) < 5
            assert one.amount_there in (payment.amount, shop.price(f"{payment.paid_minor / 100:.2f}"))
        assert by_number[False, known.order_number].kind == "state_differs"
        assert by_number[False, known.order_number].is_settled
        for refund in (*known.refunds, *lost[1].refunds):
            one = by_number[True, refund.number]
            is_lost = refund.reference == "lost-back" and not shop.carries
            assert one.kind == ("missing_here" if shop.carries or is_lost else "refunded_elsewhere")
            assert (one.is_settled, one.amount_there) == (shop.carries, refund.amount)
        assert found.needs_person is not shop.carries
        assert pay.get(known.id).refunded_minor == 300
        made = shop.orders()
        if shop.carries:
            for payment in [*lost, *open_ones]:
                assert_is_back(shop, pay, payment)
            assert_goes_on(shop, pay)
            again = pay.refund(known.id, reference="known-back", amount=shop.price("3.00"))
            assert (again.refunded_minor, shop.orders()) == (300, made)
        versions = {one.id: one.version for one in pay.list(limit=100)}
        repeated = reconcile(pay)
        assert {one.id: one.version for one in pay.list(limit=100)} == versions
        assert repeated.needs_person is not shop.carries
        assert len(repeated.discrepancies) == (0 if shop.carries else len(found.discrepancies) - 1)
    with closing(open_read_only(f"sqlite:///{shop.file}")) as ledger:
        assert [verdict for verdict in verify(ledger) if verdict.difference] == []


def assert_is_back(shop: Shop, pay: Client, lost: Payment) -> None:
    """The same call returns the lost payment, as it was, and sends nothing."""
    order = ORDERS[shop.provider] | {"capture": lost.order.capture, "subject": "of no matter"}
    if lost.paid_minor and lost.paid_minor < lost.amount.minor:
        order["amount"] = shop.told_amount(lost)
    back = pay.create(reference=lost.reference, **order)
    assert (back.status, back.order_number) == (lost.status, lost.order_number)
    assert (back.paid_minor, back.refunded_minor) == (lost.paid_minor, lost.refunded_minor)
    assert (back.review_reasons, back.is_brought_back) == ((), True)
    for refund in lost.refunds:
        again = pay.refund(back.id, reference=refund.reference, amount=refund.amount, reason="asked again")
        assert [(one.reference, one.status) for one in again.refunds] == [
            (refund.reference, RefundStatus.SUCCEEDED)
        ]
        assert again.refunded_minor == lost.refunded_minor
    if lost.status is Status.PENDING and lost.action is not None and shop.provider == "stripe-checkout":
        assert back.action == lost.action


def assert_goes_on(shop: Shop, pay: Client) -> None:
    """What was brought back is refunded and captured as any other payment."""
    paid = pay.find("lost-paid")
    paid = pay.refund(paid.id, reference="new-back", amount=shop.price("1.00"))
    assert (paid.refunds[0].status, paid.refunded_minor) == (RefundStatus.SUCCEEDED, 100)
    for authorized in pay.list(status="authorized"):
        assert pay.query(authorized.id).status is Status.AUTHORIZED  # nobody has asked for its money
        captured = pay.capture(authorized.id)
        assert (captured.status, captured.paid_minor) == (Status.PAID, captured.amount.minor)


def test_a_backup_is_restored_into_postgresql(stripe_shop: Shop, postgres_dsn: str, tmp_path: Path) -> None:
    """What was lost is brought back there too, and goes along when that ledger is copied."""
    shop = stripe_shop
    with shop.open() as pay:
        shop.paid(pay, "known")
    backup = shop.backup()
    with shop.open() as pay:
        lost = shop.paid(pay, "lost")
        lost = pay.refund(lost.id, reference="lost-back", amount=shop.price("5.00"))
    copy_ledger(f"sqlite:///{backup}", postgres_dsn)
    shop.dsn = postgres_dsn
    with shop.open() as pay:
        assert not reconcile(pay).needs_person
        assert_is_back(shop, pay, lost)
        assert reconcile(pay).discrepancies == ()
    copy = f"sqlite:///{tmp_path}/copy.db"
    copied = copy_ledger(postgres_dsn, copy)
    with closing(open_read_only(copy)) as ledger:
        assert [verdict for verdict in verify(ledger) if verdict.difference] == []
        assert [payment.is_brought_back for payment in ledger.find(None, "lost").result()] == [True]
    assert copied.payments == 2
