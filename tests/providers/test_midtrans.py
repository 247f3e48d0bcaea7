"""Midtrans by its miniature provider."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Money
from paycore.domain.payment import Status
from paycore.errors import InvalidField, NotAuthentic, PluginError
from paycore.plugin import Secret
from tests.providers.conftest import OpenShop, Serve
from tests.providers.gateway import Asked, Gateway
from tests.providers.minis.midtrans import Midtrans, sign

KEY = "SB-Mid-server-1"
ORDER = {"reference": "order-1", "amount": Money("880000", "IDR"), "method": "card", "channel": "web"}


class SnapGateway(Gateway):
    """Makes checkouts."""

    def answer(self, asked: Asked) -> tuple[int, object]:
        return 201, {"token": "t", "redirect_url": "https://app.sandbox.midtrans.com/snap/v3/t"}


class StatusGateway(Gateway):
    """Tells of transactions, where the payer has chosen how to pay."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Any] = {"status_code": "404"}

    def answer(self, asked: Asked) -> tuple[int, object]:
        return 200, self.told


def paid(number: str) -> dict[str, Any]:
    told = {
        "order_id": number,
        "status_code": "200",
        "gross_amount": "880000.00",
        "transaction_status": "settlement",
        "transaction_id": "T1",
    }
    signed = told["order_id"] + told["status_code"] + told["gross_amount"]
    return told | {"signature_key": sign(signed, Secret(KEY))}


def test_checkout_and_status_are_on_two_hosts(
    serve: Serve[Any], open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request goes to the host it names, of the account's mode."""
    snap, status = serve(SnapGateway()), serve(StatusGateway())
    here = replace(Midtrans.info, base_urls={"test": snap.url}, hosts={"api": {"test": status.url}})
    monkeypatch.setattr(Midtrans, "info", here)
    shop = open_shop(Midtrans, mode="test", server_key=KEY)
    payment = shop.create(**ORDER)
    assert shop.query(payment.id).status is Status.PENDING
    status.told = paid(payment.order_number)
    assert shop.query(payment.id).status is Status.PAID
    assert [asked.path for asked in snap.asked] == ["/snap/v1/transactions"]
    assert {asked.path for asked in status.asked} == {f"/v2/{payment.order_number}/status"}


def test_a_sandbox_is_one_host_for_both(serve: Serve[Any], open_shop: OpenShop) -> None:
    """A local gateway has one URL: requests to every host go there, so that none leaves this machine."""
    gateway = serve(SnapGateway())
    shop = open_shop(Midtrans, gateway, server_key=KEY)
    payment = shop.create(**ORDER)
    with pytest.raises(PluginError):
        shop.query(payment.id)  # this one makes checkouts only
    assert [asked.method for asked in gateway.asked] == ["POST", "GET"]


def test_a_notification_is_signed_inside(serve: Serve[Any], open_shop: OpenShop) -> None:
    """It is evidence by itself; one with another amount has no signature that holds."""
    shop = open_shop(Midtrans, serve(SnapGateway()), server_key=KEY)
    payment = shop.create(**ORDER)
    told = paid(payment.order_number)
    with pytest.raises(NotAuthentic):
        shop.receive("shop", body=json.dumps(told | {"gross_amount": "1.00"}).encode(), headers={})
    shop.receive("shop", body=json.dumps(told).encode(), headers={})
    assert shop.get(payment.id).status is Status.PAID


def test_an_amount_it_can_not_take_is_refused(serve: Serve[Any], open_shop: OpenShop) -> None:
    """Before anything is recorded or sent."""
    shop = open_shop(Midtrans, serve(SnapGateway()), server_key=KEY)
    with pytest.raises(InvalidField, match="whole rupiah"):
        shop.create(**ORDER | {"amount": Money("880000.50", "IDR")})
