"""Whole payments through the public API, sync and async, against the sandbox over real HTTP."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from paycore import AppCall, Money, QRCode, Redirect, RefundStatus, Status, WalletCall, load_config
from paycore.errors import AccountRefused, InvalidField, NotSent, NotSupported
from paycore.sandbox.server import SandboxServer
from paycore.testing.twins import TWINS
from qfpay_alipay.sandbox import QFPaySandbox

AMOUNT = Money("88.00", "HKD")
Open = Callable[..., Any]

CHANNELS: dict[str, dict[str, Any]] = {
    "web": {"return_url": "https://shop.example/thanks"},
    "wap": {"return_url": "https://shop.example/thanks"},
    "jsapi": {"payer_id": "2088802811715388", "extra": {"limit_pay": "no_credit"}},
    "qr": {},
    "barcode": {"auth_code": "283854702356157409"},
    "app": {
        "subject": "tea",
        "return_url": "https://shop.example/thanks",
        "extra": {"goods_info": "green tea", "seller_id": "2088000000000001"},
    },
}


@pytest.fixture
def gateway() -> Iterator[SandboxServer]:
    with SandboxServer(QFPaySandbox(), settings={"rate_per_s": "0", "rate_per_min": "0"}) as server:
        yield server


@pytest.fixture(params=sorted(TWINS))
def open_client(request: pytest.FixtureRequest, tmp_path: Path, gateway: SandboxServer) -> Iterator[Open]:
    """Open a client on one ledger for an account of this gateway; `settings` go into its paycore.toml."""
    opened: list[Any] = []

    def open_one(region: str = "hk", **settings: object) -> Any:
        keys = {"app_code": gateway.settings["app_code"], "client_key": gateway.settings["client_key"]}
        values = {**keys, "region": region, **settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        path = tmp_path / f"paycore-{len(opened)}.toml"
        path.write_text(
            f'ledger = "sqlite:///pay.db"\n[accounts.shop]\nprovider = "qfpay-alipay"\nmode = "sandbox"\n'
            f'base_url = "{gateway.url}"\ntimeout_s = 1.5\n' + "\n".join(lines)
        )
        opened.append(TWINS[request.param](load_config(path), None))
        return opened[-1]

    yield open_one
    for client in opened:
        client.shutdown()


def order(channel: str, reference: str = "order-1") -> dict[str, Any]:
    fields = {"reference": reference, "amount": AMOUNT, "method": "alipay", "channel": channel}
    return {**fields, **CHANNELS[channel]}


@pytest.mark.parametrize("region", ["hk", "overseas"])
@pytest.mark.parametrize(
    ("channel", "action"),
    [("web", Redirect), ("wap", Redirect), ("jsapi", WalletCall), ("qr", QRCode), ("app", AppCall)],
)
def test_created_then_pending_then_paid_then_refunded(
    gateway: SandboxServer, open_client: Open, channel: str, region: str, action: type
) -> None:
    """Pending with the channel's action; then paid, partly refunded, wholly refunded."""
    client = open_client(region)
    payment = client.create(**order(channel))
    assert (payment.status, payment.review) == (Status.PENDING, False)
    assert isinstance(payment.action, action)
    gateway.gateway.controls.pay(payment.order_number)
    payment = client.wait(payment.id, timeout_s=20)
    assert (payment.status, payment.paid_minor, payment.review) == (Status.PAID, 8800, False)
    payment = client.refund(payment.id, reference="r1", amount=Money("20.00", "HKD"))
    payment = client.refund(payment.id, reference="r2")
    assert [refund.status for refund in payment.refunds] == [RefundStatus.SUCCEEDED] * 2
    assert (client.query(payment.id).refunded_minor, payment.review) == (8800, False)


@pytest.mark.parametrize("region", ["hk", "overseas"])
def test_scanned_code_is_paid_by_its_own_reply(open_client: Open, region: str) -> None:
    """A barcode payment has its result at once."""
    payment = open_client(region).create(**order("barcode"))
    assert (payment.status, payment.action, payment.paid_minor) == (Status.PAID, None, 8800)


def test_scanned_code_that_needs_a_password_is_pending(gateway: SandboxServer, open_client: Open) -> None:
    """1143 is pending until the payer has typed the password."""
    client = open_client()
    payment = client.create(**{**order("barcode"), "auth_code": "283854702356151143"})
    assert payment.status is Status.PENDING
    gateway.gateway.controls.pay(payment.order_number)
    assert client.wait(payment.id, timeout_s=20).status is Status.PAID


def test_scanned_code_without_money_has_failed(open_client: Open) -> None:
    """A definite refusal is a failure with QFPay's own code."""
    payment = open_client().create(**{**order("barcode"), "auth_code": "283854702356151201"})
    assert (payment.status, payment.failure.code) == (Status.FAILED, "1201")


def test_hong_kong_web_is_shown_as_a_qr_code(open_client: Open) -> None:
    """AlipayHK has no checkout page of its own: its URL is shown as a QR code."""
    assert open_client("hk").create(**order("web")).action.show_as == "qr"
    assert open_client("overseas").create(**order("web", "order-2")).action.show_as == "page"


def test_declined_is_failed(gateway: SandboxServer, open_client: Open) -> None:
    """The payer declines: failed, nothing was charged."""
    client = open_client()
    payment = client.create(**order("web"))
    gateway.gateway.controls.decline(payment.order_number)
    assert client.wait(payment.id, timeout_s=20).status is Status.FAILED


def test_expired_is_closed_by_the_provider(gateway: SandboxServer, open_client: Open) -> None:
    """Only QFPay's answer closes an expired order."""
    client = open_client()
    payment = client.create(**order("web"))
    gateway.gateway.controls.expire(payment.order_number)
    assert client.query(payment.id).status is Status.CLOSED


def test_close_is_confirmed(open_client: Open) -> None:
    """An unpaid order is closed once QFPay confirms it."""
    client = open_client("overseas")
    assert client.close(client.create(**order("qr")).id).status is Status.CLOSED


@pytest.mark.parametrize(
    "fault", ["lose_request", "lose_reply", "html", "truncated_json", "http_500", "stall"]
)
def test_without_an_answer_it_is_unknown_and_a_query_resolves_it(
    gateway: SandboxServer, open_client: Open, fault: str
) -> None:
    """HTML, truncated JSON, 5xx, no answer: unknown; a query resolves it to one payable order."""
    client = open_client()
    gateway.gateway.faults.add(fault, path="/trade/v1/payment")
    payment = client.create(**order("web"))
    assert (payment.status, payment.uncertain) == (Status.UNKNOWN, True)
    resolved = client.query(payment.id)
    assert (resolved.status, resolved.uncertain) == (Status.PENDING, False)
    assert resolved.action.url
    payable = [entry for entry in gateway.gateway.controls.list_orders(100) if entry["state"] == "unpaid"]
    assert [entry["out_trade_no"] for entry in payable] == [resolved.order_number]


def test_query_without_an_answer_leaves_the_payment_as_it_is(
    gateway: SandboxServer, open_client: Open
) -> None:
    """A query without a usable answer raises, and nothing changes: it can't have moved money."""
    client = open_client()
    payment = client.create(**order("web"))
    gateway.gateway.faults.add("html", path="/trade/v1/query")
    with pytest.raises(NotSent, match="account shop"):
        client.query(payment.id)
    assert client.get(payment.id) == payment


def test_refused_for_too_many_requests_is_sent_later(gateway: SandboxServer, open_client: Open) -> None:
    """HTTP 429: nothing was sent, it is said when to call again, and the same call makes the one order."""
    client = open_client()
    gateway.gateway.faults.add("http_429", path="/trade/v1/payment")
    with pytest.raises(NotSent, match="429") as put_off:
        client.create(**order("web"))
    assert put_off.value.retry_after_s == 5
    assert gateway.gateway.controls.list_orders(100) == []
    payment = client.get(put_off.value.payment_id)
    assert (payment.status, payment.uncertain, payment.failure) == (Status.CREATED, False, None)
    client.sleep(5)
    assert client.create(**order("web")).status is Status.PENDING
    assert len(gateway.gateway.controls.list_orders(100)) == 1


def test_refund_refused_for_too_many_requests_goes_on_by_itself(
    gateway: SandboxServer, open_client: Open
) -> None:
    """The refund is sent again with the same number, and QFPay makes it once."""
    client = open_client()
    payment = client.create(**order("barcode"))
    gateway.gateway.faults.add("http_429", path="/trade/v1/refund")
    with pytest.raises(NotSent, match="429"):
        client.refund(payment.id, reference="r1")
    assert client.get(payment.id).refunds[0].status is RefundStatus.CREATED
    refund = client.wait(payment.id, timeout_s=20).refunds[0]
    assert refund.status is RefundStatus.SUCCEEDED
    made = gateway.gateway.controls.show_order(payment.order_number)["refunds"]
    assert [one["out_trade_no"] for one in made] == [refund.number]


def test_refund_without_takings_waits_for_the_hours_qfpay_names(
    gateway: SandboxServer, open_client: Open
) -> None:
    """1269: not failed; the caller is told when, and nothing is sent before."""
    client = open_client()
    payment = client.create(**order("barcode"))
    gateway.gateway.faults.add("balance_empty")
    with pytest.raises(NotSent, match="1269") as put_off:
        client.refund(payment.id, reference="r1")
    retry_after_s = put_off.value.retry_after_s
    assert retry_after_s is not None
    assert 0 < retry_after_s <= 11 * 3600
    before = gateway.gateway.controls.stats()["requests"]["/trade/v1/refund"]
    assert client.wait(payment.id, timeout_s=0.5).refunds[0].status is RefundStatus.CREATED
    assert gateway.gateway.controls.stats()["requests"]["/trade/v1/refund"] == before


def test_query_refused_for_too_many_requests_leaves_the_payment_as_it_is(
    gateway: SandboxServer, open_client: Open
) -> None:
    """HTTP 429: nothing changes."""
    client = open_client()
    payment = client.create(**order("web"))
    gateway.gateway.faults.add("http_429", path="/trade/v1/query")
    with pytest.raises(NotSent, match="429"):
        client.query(payment.id)
    assert client.get(payment.id) == payment
    assert client.query(payment.id).status is Status.PENDING


def test_provider_list_has_every_trade_by_the_ledgers_own_numbers(
    gateway: SandboxServer, open_client: Open
) -> None:
    """QFPay's list of the last two months: what was paid, refunded and is open, whoever asks."""
    client = open_client()
    paid, waiting = client.create(**order("barcode")), client.create(**order("web", "order-2"))
    paid = client.refund(paid.id, reference="r1", amount=Money("20.00", "HKD"))
    now = datetime.now(UTC)
    listed = list(client.provider_list(since=now - timedelta(days=62), until=now + timedelta(days=1)))
    assert {(item.observation.number, item.observation.status) for item in listed} == {
        (paid.order_number, Status.PAID),
        (waiting.order_number, Status.PENDING),
        (paid.refunds[0].number, RefundStatus.SUCCEEDED),
    }
    assert {item.observation.provider_id for item in listed} >= {paid.provider_id, waiting.provider_id}
    assert {item.reference for item in listed} == {None}


def test_subject_is_sent_as_far_as_it_goes(gateway: SandboxServer, open_client: Open) -> None:
    """No payment is refused for its subject; the payment keeps it whole."""
    subject = "Tickets & drinks for two at the harbour"
    payment = open_client("overseas").create(**{**order("qr"), "subject": subject})
    shown = gateway.gateway.controls.show_order(payment.order_number)
    assert (shown["goods_name"], payment.order.subject) == ("Tickets drinks for t", subject)


def test_wrong_key_names_account_and_code(open_client: Open) -> None:
    """1108 is an account error: one line, no money moved, no key shown."""
    with pytest.raises(AccountRefused, match=r"account shop.*1108") as refused:
        open_client(client_key="CANARY-KEY").create(**order("web"))
    assert (refused.value.code, "CANARY" in str(refused.value)) == ("1108", False)


def test_right_key_after_the_wrong_one_makes_the_same_payment(open_client: Open) -> None:
    """The payment stays `created`, and the corrected account sends it."""
    with pytest.raises(AccountRefused) as refused:
        open_client(client_key="CANARY-KEY").create(**order("web"))
    payment = open_client().create(**order("web"))
    assert (payment.id, payment.status) == (refused.value.payment_id, Status.PENDING)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"expires_in_s": 299}, InvalidField, "300"),
        ({"expires_in_s": 7201}, InvalidField, "7200"),
        ({"return_url": "http://shop.example/"}, InvalidField, "https"),
        ({"return_url": "https://u@shop.example/"}, InvalidField, "return_url"),
        ({"return_url": "https://shop.example\\@evil.example/"}, InvalidField, "return_url"),
        ({"payer_id": "2088802811715388"}, NotSupported, "payer_id"),
        ({"channel": "jsapi", "return_url": None}, InvalidField, "payer_id: is needed"),
        ({"channel": "barcode", "return_url": None}, InvalidField, "auth_code: is needed"),
        ({"channel": "kiosk"}, NotSupported, "alipay/web"),
    ],
)
def test_out_of_bounds_is_refused_before_any_io(
    gateway: SandboxServer, open_client: Open, fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    """Documented bounds are checked before anything is sent, naming field and bound."""
    with pytest.raises(error, match=words):
        open_client("overseas").create(**{**order("web"), **fields})
    assert gateway.gateway.controls.list_orders(10) == []


def test_notification_makes_due_and_the_query_moves(gateway: SandboxServer, open_client: Open) -> None:
    """An MD5-signed notice is a hint: a query pays the payment, and SUCCESS is answered."""
    client = open_client()
    payment = client.create(**order("web"))
    gateway.gateway.controls.pay(payment.order_number)
    body, headers = _notice(gateway, payment.order_number)
    assert client.receive("shop", body=body, headers=headers).body == b"SUCCESS"
    assert client.get(payment.id).status is Status.PENDING
    assert client.wait(payment.id, timeout_s=10).status is Status.PAID


def test_notification_is_evidence_where_the_account_says_so(
    gateway: SandboxServer, open_client: Open
) -> None:
    """`trust_notifications = true`: the notification alone pays."""
    client = open_client(trust_notifications=True)
    payment = client.create(**order("web"))
    gateway.gateway.controls.pay(payment.order_number)
    body, headers = _notice(gateway, payment.order_number)
    client.receive("shop", body=body, headers=headers)
    assert client.get(payment.id).status is Status.PAID


def _notice(gateway: SandboxServer, number: str) -> tuple[bytes, dict[str, str]]:
    """A payment notice signed the way QFPay documents it, with the standard library alone."""
    record = gateway.gateway.controls.show_order(number)
    fields = {
        "status": "1",
        "pay_type": record["pay_type"],
        "sysdtm": record["created"],
        "paydtm": record["paid"],
        "txcurrcd": record["txcurrcd"],
        "txdtm": record["txdtm"],
        "txamt": str(record["txamt"]),
        "out_trade_no": record["out_trade_no"],
        "syssn": record["syssn"],
        "cancel": "0",
        "respcd": "0000",
        "notify_type": "payment",
    }
    body = json.dumps(fields).encode()
    sign = hashlib.md5(body + gateway.settings["client_key"].encode()).hexdigest().upper()
    return body, {"X-QF-SIGN": sign}


# --- pages, in a real browser ------------------------------------------------------------------------

# A browser test has a loop of its own running; the async client is held to the same paths above.
sync_only = pytest.mark.parametrize("open_client", ["sync"], indirect=True)


@pytest.mark.parametrize(("region", "channel"), [("overseas", "web"), ("overseas", "wap"), ("hk", "wap")])
@sync_only
def test_payer_pays_on_the_wallet_page(
    gateway: SandboxServer, open_client: Open, page: Page, region: str, channel: str
) -> None:
    """The action's link opens the wallet, Pay is tapped, and the payment is paid."""
    client = open_client(region)
    payment = client.create(**order(channel))
    page.goto(payment.action.url)
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("status")).to_contain_text("Payment successful")
    assert client.wait(payment.id, timeout_s=20).status is Status.PAID


@sync_only
def test_payer_scans_the_code(gateway: SandboxServer, open_client: Open, page: Page) -> None:
    """The QR code's content opens the same order in the wallet."""
    client = open_client()
    payment = client.create(**order("qr"))
    page.goto(payment.action.content)
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("status")).to_contain_text("Payment successful")
    assert client.wait(payment.id, timeout_s=20).status is Status.PAID


@sync_only
def test_payer_pays_inside_the_wallet(gateway: SandboxServer, open_client: Open, page: Page) -> None:
    """The WalletCall's parameters work with the bridge unchanged, and the payer pays."""
    client = open_client()
    payment = client.create(**order("jsapi"))
    assert payment.action.call == "tradePay"
    trade_number = payment.action.params["tradeNO"]
    page.goto(f"{gateway.url}/wallet/trade/{quote(str(trade_number))}")
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("status")).to_contain_text("Payment successful")
    assert client.wait(payment.id, timeout_s=20).status is Status.PAID


@sync_only
def test_payer_pays_in_the_app(gateway: SandboxServer, open_client: Open, page: Page) -> None:
    """The SDK's page accepts the AppCall's order string exactly."""
    client = open_client()
    payment = client.create(**order("app"))
    page.goto(f"{gateway.url}/wallet/sdk?order={quote(payment.action.order, safe='')}")
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("status")).to_contain_text("Payment successful")
    assert client.wait(payment.id, timeout_s=20).status is Status.PAID
