"""Which payment a reference names, where several accounts of one ledger have used it."""

from msgspec.structs import replace

from paycore.domain.decisions import Numbering, named, new_operation
from paycore.domain.payment import OperationKind, Payment
from tests.domain.histories import DEADLINE, NOW, History


def payment(account: str, namespace: str) -> Payment:
    return replace(History().payment, account=account, namespace=namespace)


OURS, NEIGHBOUR, STRANGER = ("hk", "moved"), ("sg", "shop"), ("us", "other")


def test_reference_names_the_accounts_own_payment_first() -> None:
    """Whatever the account's present namespace, and in any order of the candidates."""
    found = [payment(*STRANGER), payment(*NEIGHBOUR), payment(*OURS)]
    for order in (found, found[::-1]):
        assert named(order, "hk", "shop") == payment(*OURS)


def test_reference_names_the_payment_of_the_namespace() -> None:
    """A payment made by another account of the namespace is found."""
    found = [payment(*NEIGHBOUR), payment(*STRANGER)]
    for order in (found, found[::-1]):
        assert named(order, "hk", "shop") == payment(*NEIGHBOUR)


def test_reference_of_another_namespace_names_none() -> None:
    """References of other namespaces do not collide."""
    assert named([payment(*STRANGER)], "hk", "shop") is None
    assert named([], "hk", "shop") is None


def test_operation_needs_no_action_unless_its_product_does() -> None:
    """Refunds and closes never need a payer's action."""
    numbering = Numbering(operation_id="op", number="N")
    refund = new_operation(OperationKind.REFUND, numbering, NOW, DEADLINE)
    assert refund.needs_action is False
    assert (refund.send_count, refund.begun_at, refund.sent_at, refund.in_flight_until) == (
        1,
        NOW,
        NOW,
        NOW + DEADLINE,
    )
