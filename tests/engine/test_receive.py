"""Notifications: verified, kept, merged or made due; nothing else changes anything."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore import Money, Status
from paycore.errors import MalformedNotification, NotAuthentic
from paycore.testing.toy import ToyGateway
from tests.support.toy_http import KEY, ToyServer, toy_config, toy_plugins, toy_server
from tests.support.twins import TWINS

AMOUNT = Money("88.00", "HKD")
Open = Callable[..., Any]


@pytest.fixture
def gateway() -> Iterator[ToyServer]:
    with toy_server(ToyGateway(key=KEY)) as server:
        yield server


@pytest.fixture(params=sorted(TWINS))
def open_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Open clients on one ledger; all are shut down at the end."""
    opened = []

    def open_one(url: str, *, timeout_s: float = 2.0, **settings: Any) -> Any:
        config = toy_config(url, f"sqlite:///{tmp_path}/paycore.db", timeout_s=timeout_s, **settings)
        opened.append(TWINS[request.param](config, toy_plugins()))
        return opened[-1]

    yield open_one
    for client in opened:
        client.shutdown()


def order(reference: str = "order-1", **fields: Any) -> dict[str, Any]:
    return {"reference": reference, "amount": AMOUNT, "method": "toy", "channel": "web", **fields}


def test_receive_trusted_notification_moves_the_payment(gateway: ToyServer, open_client: Open) -> None:
    """Where notifications are evidence, an authentic one pays; brought again it changes nothing."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    gateway.pay(payment.order_number)
    body, headers = gateway.notification(payment.order_number)
    assert client.receive("toy", body=body, headers=headers).body == b"ok"
    paid_once = client.get(payment.id)
    assert paid_once.status is Status.PAID
    client.receive("toy", body=body, headers={name.upper(): value for name, value in headers.items()})
    assert client.get(payment.id) == paid_once


def test_receive_untrusted_notification_only_makes_the_payment_due(
    gateway: ToyServer, open_client: Open
) -> None:
    """Elsewhere the confirming query moves the payment, and a waiter is served by it at once."""
    client = open_client(gateway.url, notifications_trusted=False)
    payment = client.create(**order())
    gateway.pay(payment.order_number)
    body, headers = gateway.notification(payment.order_number)
    client.receive("toy", body=body, headers=headers)
    assert client.get(payment.id).status is Status.PENDING
    assert client.wait(payment.id, timeout_s=10).status is Status.PAID


def test_receive_forged_or_unreadable_notification_changes_nothing(
    gateway: ToyServer, open_client: Open
) -> None:
    """A wrong signature, another body under a good one, an oversized body: refused, nothing kept."""
    client = open_client(gateway.url)
    payment = client.create(**order())
    body, headers = gateway.notification(payment.order_number)
    for forged, with_headers in (
        (body, {}),
        (body + b" ", headers),
        (body.replace(b"pending", b"paid"), headers),
    ):
        with pytest.raises(NotAuthentic):
            client.receive("toy", body=forged, headers=with_headers)
    with pytest.raises(MalformedNotification, match="65536"):
        client.receive("toy", body=b"x" * 65537, headers=headers)
    assert client.get(payment.id) == payment
