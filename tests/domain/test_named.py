"""Which payment a reference names, where several accounts of one ledger have had it."""

from msgspec.structs import replace

from paycore.domain.decisions import Numbering, named, new_operation
from paycore.domain.payment import OperationKind, Payment
from tests.domain.histories import DEADLINE, NOW, History


def payment(account: str, namespace: str) -> Payment:
    return replace(History().payment, account=account, namespace=namespace)


OURS, NEIGHBOUR, STRANGER = ("hk", "moved"), ("sg", "shop"), ("us", "other")


def test_reference_names_the_accounts_own_payment_first() -> None:
    """In whatever namespace its configuration puts the account by now, and wherever it stands among the others."""
    found = [payment(*STRANGER), payment(*NEIGHBOUR), payment(*OURS)]
    for order in (found, found[::-1]):
        assert named(order, "hk", "shop") == payment(*OURS)


def test_reference_names_the_payment_of_the_namespace() -> None:
    """Made by another account of the same shop: it is that payment, and not a second one."""
    found = [payment(*NEIGHBOUR), payment(*STRANGER)]
    for order in (found, found[::-1]):
        assert named(order, "hk", "shop") == payment(*NEIGHBOUR)


def test_reference_of_another_namespace_names_none() -> None:
    """Shops whose order numbers collide do not meet."""
    assert named([payment(*STRANGER)], "hk", "shop") is None
    assert named([], "hk", "shop") is None


def test_operation_needs_no_action_unless_its_product_does() -> None:
    """Refunds and closings never wait for a payer."""
    numbering = Numbering(operation_id="op", number="N")
    refund = new_operation(OperationKind.REFUND, numbering, NOW, DEADLINE)
    assert refund.needs_action is False
    assert (refund.send_count, refund.begun_at, refund.sent_at, refund.in_flight_until) == (
        1,
        NOW,
        NOW,
        NOW + DEADLINE,
    )
