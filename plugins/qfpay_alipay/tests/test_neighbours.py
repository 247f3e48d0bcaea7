"""One URL for all regions of an app code and all merchants of an agent: a notification finds its account."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore import Money, Payment, Status, load_config
from paycore.errors import NotAuthentic
from paycore.sandbox.server import SandboxServer
from paycore.testing.twins import TWINS
from qfpay_alipay.sandbox import QFPaySandbox
from qfpay_alipay.sandbox.sandbox_settings import CLIENT_KEY

Open = Callable[..., Any]

FAST = {"rate_per_s": "0", "rate_per_min": "0"}


@pytest.fixture
def gateway() -> Iterator[SandboxServer]:
    """A gateway of one merchant, whose `mchid` is M2."""
    with SandboxServer(QFPaySandbox(), settings={**FAST, "mchid": "M2"}) as server:
        yield server


@pytest.fixture(params=sorted(TWINS))
def open_client(request: pytest.FixtureRequest, tmp_path: Path, gateway: SandboxServer) -> Iterator[Open]:
    """Open a client for accounts of this gateway; each is given by its name and its own settings."""
    opened: list[Any] = []

    def open_one(**accounts: dict[str, Any]) -> Any:
        path = tmp_path / "paycore.toml"
        path.write_text(
            'ledger = "sqlite:///pay.db"\n'
            + "".join(_account(gateway, name, settings) for name, settings in accounts.items())
        )
        opened.append(TWINS[request.param](load_config(path), None))
        return opened[-1]

    yield open_one
    for client in opened:
        client.shutdown()


def _account(gateway: SandboxServer, name: str, settings: dict[str, Any]) -> str:
    keys = {"app_code": gateway.settings["app_code"], "client_key": CLIENT_KEY, "mchid": "M2", "region": "hk"}
    common = {"provider": "qfpay-alipay", "mode": "sandbox", "base_url": gateway.url}
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**common, **keys, **settings}.items()]
    return f"[accounts.{name}]\n" + "\n".join(lines) + "\n"


def paid(gateway: SandboxServer, client: Any, account: str) -> tuple[Payment, bytes]:
    """A payment of this account that its payer has paid, and what QFPay's notification says of it."""
    payment = client.create(
        reference="order-1", amount=Money("88.00", "HKD"), method="alipay", channel="web", account=account
    )
    gateway.gateway.controls.pay(payment.order_number)
    record = gateway.gateway.controls.show_order(payment.order_number)
    notice = {
        "status": "1",
        "notify_type": "payment",
        "pay_type": record["pay_type"],
        "syssn": record["syssn"],
        "out_trade_no": record["out_trade_no"],
        "txamt": str(record["txamt"]),
        "txcurrcd": record["txcurrcd"],
        "txdtm": record["txdtm"],
        "sysdtm": record["created"],
        "paydtm": record["paid"],
        "cancel": "0",
        "respcd": "0000",
        "mchid": "M2",
    }
    return payment, json.dumps(notice).encode()


def signed(body: bytes, key: str = CLIENT_KEY) -> dict[str, str]:
    """The header that QFPay signs a notification with."""
    return {"X-QF-SIGN": hashlib.md5(body + key.encode()).hexdigest().upper()}


ARRIVES_AT = {
    "another region": {"region": "hk"},
    "another merchant of the agent": {"region": "overseas", "mchid": "M1"},
}


@pytest.mark.parametrize("arrives_at", ARRIVES_AT)
def test_notification_goes_to_the_account_whose_order_it_is_about(
    gateway: SandboxServer, open_client: Open, arrives_at: str
) -> None:
    """It arrives at the account that has the URL, and is evidence where the order's own account trusts it."""
    client = open_client(url=ARRIVES_AT[arrives_at], own={"region": "overseas", "trust_notifications": True})
    payment, body = paid(gateway, client, "own")
    assert client.receive("url", body=body, headers=signed(body)).body == b"SUCCESS"
    seen = client.get(payment.id)
    assert (seen.status, seen.paid_minor, seen.account) == (Status.PAID, 8800, "own")


@pytest.mark.parametrize("arrives_at", ARRIVES_AT)
def test_notification_of_an_account_that_does_not_trust_it_makes_it_ask(
    gateway: SandboxServer, open_client: Open, arrives_at: str
) -> None:
    """The account it arrives at trusts notifications, the order's own does not: a query confirms it."""
    url = {**ARRIVES_AT[arrives_at], "trust_notifications": True}
    client = open_client(url=url, own={"region": "overseas"})
    payment, body = paid(gateway, client, "own")
    assert client.receive("url", body=body, headers=signed(body)).body == b"SUCCESS"
    assert client.get(payment.id).status is Status.PENDING
    assert client.wait(payment.id, timeout_s=10).status is Status.PAID


def test_notification_that_the_orders_account_does_not_verify_is_not_its(
    gateway: SandboxServer, open_client: Open
) -> None:
    """Another key of the same provider moves nothing of it: it is kept where it arrived."""
    client = open_client(
        url={"client_key": "ANOTHER"}, own={"region": "overseas", "trust_notifications": True}
    )
    payment, body = paid(gateway, client, "own")
    assert client.receive("url", body=body, headers=signed(body, "ANOTHER")).body == b"SUCCESS"
    assert client.get(payment.id) == payment
    with pytest.raises(NotAuthentic):
        client.receive("url", body=body, headers=signed(body))
