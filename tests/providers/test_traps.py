"""What the core catches of the mistakes that an author of such a provider makes first."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from paycore.domain.payment import Status
from paycore.plugin import Created, CreateOrder, CreateReply, Done, Flow, Notice, Notification
from tests.providers.conftest import OpenShop, Serve, eventually
from tests.providers.minis.stripe import Stripe
from tests.providers.test_stripe import ORDER, SETTINGS, StripeGateway, send_event


class Forgetful(Stripe):
    """Does not tell the id of the session it made."""

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        outcome = yield from super().create(order)
        assert isinstance(outcome, Done)
        nameless: Any = replace(outcome.value.observation, provider_id=None)
        return Done(Created(observation=nameless, action=outcome.value.action))


class VagueInEvents(Stripe):
    """Does not tell the id of the session an event is about."""

    def verify(self, notification: Notification) -> Sequence[Notice]:
        return [replace(one, provider_id=None) for one in super().verify(notification)]


def test_an_order_without_an_id_is_not_taken_for_made(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """Nobody could ask about it any more: it is unknown, and the story says why."""
    gateway = serve(StripeGateway())
    shop = open_shop(Forgetful, gateway, **SETTINGS)
    payment = shop.create(**ORDER)
    assert (payment.status, payment.action) == (Status.UNKNOWN, None)
    assert "without an id" in payment.operations[0].problem


def test_an_event_without_an_id_makes_no_order_known(
    serve: Serve[StripeGateway], open_shop: OpenShop
) -> None:
    """It would be pending, and neither asked about, captured nor closed: it is found by its key instead."""
    gateway = serve(StripeGateway())
    shop = open_shop(VagueInEvents, gateway, **SETTINGS)
    gateway.lose_reply("/sessions")
    payment = shop.create(**ORDER)
    send_event(shop, gateway.event("cs_test_1"))
    payment = eventually(shop, payment, lambda payment: payment.provider_id is not None)
    assert (payment.provider_id, len(gateway.sessions)) == ("cs_test_1", 1)
    assert payment.action is not None
