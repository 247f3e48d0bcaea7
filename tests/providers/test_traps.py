"""What the core catches of the mistakes that an author of such a provider makes first."""

from typing import Any

from msgspec.structs import replace

from paycore.domain.payment import Status
from paycore.plugin import Created, CreateOrder, CreateReply, Done, Flow
from tests.providers.conftest import OpenShop, Serve
from tests.providers.minis.stripe import Stripe
from tests.providers.test_stripe import ORDER, SETTINGS, StripeGateway


class Forgetful(Stripe):
    """Does not tell the id of the session it made."""

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        outcome = yield from super().create(order)
        assert isinstance(outcome, Done)
        nameless: Any = replace(outcome.value.observation, provider_id=None)
        return Done(Created(observation=nameless, action=outcome.value.action))


def test_an_order_without_an_id_is_not_taken_for_made(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """Nobody could ask about it any more: it is unknown, and the story says why."""
    gateway = serve(StripeGateway())
    shop = open_shop(Forgetful, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    assert (payment.status, payment.action) == (Status.UNKNOWN, None)
    assert "without an id" in payment.operations[0].problem
