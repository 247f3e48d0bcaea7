"""After an old backup was restored, what was made since comes back where the provider tells enough of it."""

from contextlib import closing

from paycore import Status
from paycore.ledger.audit import verify
from paycore.ledger.opening import open_read_only
from tests.engine.reconcile.shops import ORDERS, Shop, reconcile


def test_create_with_a_lost_reference_returns_its_payment(stripe_shop: Shop) -> None:
    """The order paid since the backup is brought back, with its refund; create makes no second order."""
    shop = stripe_shop
    order = ORDERS[shop.provider]
    with shop.open() as pay:
        shop.paid(pay, "order-0")
    backup = shop.backup()
    with shop.open() as pay:
        lost = shop.paid(pay, "order-1")
        lost = pay.refund(lost.id, reference="back-1", amount=shop.price("5.00"))
    shop.restore(backup)
    with shop.open() as pay:
        found = reconcile(pay)
        assert [(one.kind, one.is_settled) for one in found.discrepancies] == [("missing_here", True)] * 2
        made = shop.orders()
        back = pay.create(reference="order-1", **order)
        assert (back.status, back.order_number) == (Status.PAID, lost.order_number)
        assert (back.paid_minor, back.refunded_minor) == (lost.paid_minor, 500)
        assert back.is_brought_back
        assert shop.orders() == made
        # The refund is the caller's: the same reference gives nothing back once more.
        assert pay.refund(back.id, reference="back-1", amount=shop.price("5.00")).refunded_minor == 500
    with closing(open_read_only(f"sqlite:///{shop.file}")) as ledger:
        assert [verdict for verdict in verify(ledger) if verdict.difference] == []
