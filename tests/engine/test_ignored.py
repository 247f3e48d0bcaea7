"""A field that only informs or limits is no reason to refuse a payment: what a product has no use for is left out."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Status
from paycore.domain.provider import CreateOrder
from paycore.errors import NotSupported, ReferenceConflict
from paycore.testing.toy import ToyProvider
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

INFORMING: dict[str, Any] = {
    "subject": "a book",
    "return_url": "https://shop.example/thanks",
    "notify_url": "https://shop.example/told",
    "expires_in_s": 600,
    "device_id": "till 7",
}


@pytest.fixture
def bare_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's products use none of the optional fields."""
    honest: Callable[[ToyProvider], Any] = ToyProvider.capabilities.fget  # type: ignore[attr-defined]

    def capabilities(provider: ToyProvider) -> Any:
        declared = honest(provider)
        bare = (replace(product, optional=frozenset(), expires_in_s=None) for product in declared.products)
        return replace(declared, products=tuple(bare))

    monkeypatch.setattr(ToyProvider, "capabilities", property(capabilities))


@pytest.mark.usefixtures("bare_product")
def test_fields_that_inform_are_left_out_and_named(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """The payment is made without them and says so; the provider never sees them."""
    given: list[CreateOrder] = []
    create = ToyProvider.create

    def created(provider: ToyProvider, order: CreateOrder) -> Any:
        given.append(order)
        return (yield from create(provider, order))

    monkeypatch.setattr(ToyProvider, "create", created)
    payment = till.create(**INFORMING)
    assert payment.status is Status.PENDING
    assert payment.ignored == tuple(sorted(INFORMING))
    assert till.get(payment.id).ignored == payment.ignored
    assert [getattr(given[0], field) for field in INFORMING] == [None] * len(INFORMING)


@pytest.mark.usefixtures("bare_product")
def test_ignored_fields_are_still_content(till: Till, gateway: ToyServer) -> None:
    """The same call is the same payment; another value under its reference is a conflict, whatever is used of it."""
    payment = till.create(**INFORMING)
    assert till.create(**INFORMING) == payment
    with pytest.raises(ReferenceConflict, match="device_id"):
        till.create(**{**INFORMING, "device_id": "till 8"})
    assert gateway.counts().requests["/orders"] == 1


@pytest.mark.usefixtures("bare_product")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payer_id", "P1"),
        ("auth_code", "28 6"),
        ("extra", {"limit_pay": "no_credit"}),
        ("capture", "manual"),
    ],
)
def test_field_that_changes_the_meaning_is_refused(
    till: Till, gateway: ToyServer, field: str, value: Any
) -> None:
    """Leaving it out would make another payment of it."""
    with pytest.raises(NotSupported):
        till.create(**{field: value})
    assert till.list() == ()
    assert gateway.counts().requests == {}


def test_used_fields_are_not_ignored(till: Till) -> None:
    """What the product uses is in the order."""
    payment = till.create(subject="a book", expires_in_s=600, device_id="till 7")
    assert payment.ignored == ("device_id",)
