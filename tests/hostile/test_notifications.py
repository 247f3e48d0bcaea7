"""Hostile notifications: forged, replayed, unreadable or contradicting, where notifications are trusted."""

import hashlib
import json
import sqlite3
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from paycore import Payment, Status
from paycore.domain.wire import Notification
from paycore.errors import InvalidField, MalformedNotification, NotAuthentic
from paycore.plugin import Secret
from paycore.testing.toy import ToyProvider, ToySettings, sign
from qfpay_alipay.provider import QFPayAlipay
from qfpay_alipay.settings import QFPaySettings
from tests.engine.tills import Kind, Till
from tests.hostile.conftest import OpenShop
from tests.hostile.shops import Provider, Shop, plugins

PROVIDERS: tuple[Provider, ...] = ("toy", "qfpay-alipay")
OTHER_KEY = "FEDCBA98765432100123456789abcdef"

both = pytest.mark.parametrize("provider", PROVIDERS)


def trusting(open_shop: OpenShop, provider: Provider, kind: Kind = "sync", **settings: Any) -> Shop:
    """A shop whose provider's notifications change payments by themselves: the worst case."""
    own = {"notifications_trusted": True} if provider == "toy" else {"trust_notifications": True}
    return open_shop(provider, kind, **own, **settings)


def notice(shop: Shop, payment: Payment, **changes: Any) -> bytes:
    """A provider's notice of a paid payment; a change to None leaves the field out."""
    if shop.provider == "toy":
        fields: dict[str, Any] = {
            "number": payment.order_number,
            "kind": "payment",
            "id": payment.provider_id,
            "status": "paid",
            "minor": payment.amount.minor,
            "currency": payment.amount.currency,
        }
    else:
        fields = {
            "status": "1",
            "notify_type": "payment",
            "pay_type": "801514",
            "syssn": payment.provider_id,
            "out_trade_no": payment.order_number,
            "txamt": str(payment.amount.minor),
            "txcurrcd": payment.amount.currency,
            "sysdtm": "2026-01-01 12:00:01",
            "paydtm": "2026-01-01 12:00:20",
            "respcd": "0000",
            "cancel": "0",
        }
    fields.update(changes)
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def key_of(shop: Shop) -> str:
    """The key that its gateway signs with."""
    keys = shop.config.accounts[shop.provider].settings["key" if shop.provider == "toy" else "client_key"]
    return str(keys if isinstance(keys, str) else keys[0])


def signed(shop: Shop, body: bytes, key: str | None = None) -> dict[str, str]:
    """The headers that make `body` authentic, computed without the plugin."""
    key = key or key_of(shop)
    if shop.provider == "toy":
        return {"X-Toy-Signature": sign(body, key)}
    return {"X-QF-SIGN": hashlib.md5(body + key.encode()).hexdigest().upper()}


def kept(shop: Shop) -> int:
    """Notifications in the ledger's inbox."""
    database = sqlite3.connect(shop.config.ledger.removeprefix("sqlite:///"))
    (count,) = database.execute("SELECT count(*) FROM inbox").fetchone()
    database.close()
    return int(count)


def unmoved(shop: Shop, payment: Payment) -> None:
    """Check that the payment is unchanged."""
    assert shop.till.get(payment.id) == payment
    assert kept(shop) == 0
    shop.check_ledger()


@both
def test_genuine_notification_pays_once_however_often_it_comes(
    open_shop: OpenShop, provider: Provider
) -> None:
    """The control and replays: the same body with other headers is the same notification."""
    shop = trusting(open_shop, provider)
    payment = shop.create()
    body = notice(shop, payment)
    for number in range(20):
        shop.till.receive(body, {**signed(shop, body), "X-Request-Id": str(number)}, provider)
    paid = shop.till.get(payment.id)
    assert (paid.status, paid.paid_minor, paid.review) == (Status.PAID, 8800, False)
    assert kept(shop) == 1
    assert len(shop.till.events(payment)) == len(shop.till.events(paid)) == paid.version
    shop.check_ledger()


FORGED: dict[str, Any] = {
    "no signature": lambda sign, _: {},
    "an empty one": lambda sign, _: dict.fromkeys(sign, ""),
    "one of nothing": lambda sign, _: dict.fromkeys(sign, "0" * len(next(iter(sign.values())))),
    "one too short": lambda sign, _: {name: value[:-1] for name, value in sign.items()},
    "one too long": lambda sign, _: {name: value + "0" for name, value in sign.items()},
    "its beginning": lambda sign, _: {name: value[:1] for name, value in sign.items()},
    "twice the right one": lambda sign, _: {name: f"{value}, {value}" for name, value in sign.items()},
    "spaces round it": lambda sign, _: {name: f" {value}" for name, value in sign.items()},
    "full-width digits": lambda sign, _: {
        name: "".join(chr(ord(char) + 0xFEE0) for char in value) for name, value in sign.items()
    },
    "not ASCII": lambda sign, _: dict.fromkeys(sign, "é" * 32),
    "60 KiB of it": lambda sign, _: dict.fromkeys(sign, "A" * 60_000),
    "under another name": lambda sign, _: {f"{name}2": value for name, value in sign.items()},
    "of another key": lambda _, shop: signed(shop, notice(shop, shop.till.find("order-1")), OTHER_KEY),
    "of an empty key": lambda sign, shop: dict.fromkeys(
        sign, hashlib.md5(notice(shop, shop.till.find("order-1"))).hexdigest()
    ),
    "of another body": lambda _, shop: signed(shop, b"{}"),
    "by SHA-256, and saying so": lambda sign, shop: {
        **dict.fromkeys(
            sign,
            hashlib.sha256(notice(shop, shop.till.find("order-1")) + key_of(shop).encode()).hexdigest(),
        ),
        "X-QF-SIGNTYPE": "SHA256",
    },
    "by none, and saying so": lambda sign, _: {**dict.fromkeys(sign, ""), "X-QF-SIGNTYPE": "none"},
}


@both
def test_forged_notification_changes_nothing_and_is_not_kept(
    open_shop: OpenShop, subtests: pytest.Subtests, provider: Provider
) -> None:
    """Any wrong signature is refused; the error shows neither it nor the right one."""
    shop = trusting(open_shop, provider)
    payment = shop.create()
    for name in FORGED:
        with subtests.test(forged=name):
            not_taken(shop, payment, name)


def not_taken(shop: Shop, payment: Payment, name: str) -> None:
    """A notification with this signature, which must be refused."""
    body = notice(shop, payment)
    right = signed(shop, body)
    with pytest.raises(NotAuthentic) as refused:
        shop.till.receive(body, FORGED[name](right, shop), shop.provider)
    assert next(iter(right.values())).lower() not in str(refused.value).lower()
    unmoved(shop, payment)


@both
@pytest.mark.parametrize(
    "change",
    [
        lambda body: body + b"\n",
        lambda body: body.replace(b"8800", b"8801"),
        lambda body: b" " + body,
        lambda body: body[:-1],
        lambda body: body.replace(b'": ', b'":'),
        lambda body: b"",
    ],
)
def test_body_changed_under_a_genuine_signature_is_refused(
    open_shop: OpenShop, provider: Provider, change: Any
) -> None:
    """The signature is over the bytes that arrived, not over what they mean."""
    shop = trusting(open_shop, provider)
    payment = shop.create()
    body = notice(shop, payment)
    with pytest.raises(NotAuthentic):
        shop.till.receive(change(body), signed(shop, body), provider)
    unmoved(shop, payment)


UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "60k of [": b"[" * 60_000,
    "nested in a field": b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "bad UTF-8": b'{"number":"\xff","notify_type":"payment"}',
    "lone surrogate": b'{"number":"\\ud800","notify_type":"\\ud800"}',
    "NUL": b'{"number":"a\x00","notify_type":"payment\x00"}',
    "NaN": b'{"minor":NaN,"notify_type":NaN}',
    "5,000 digits": b'{"minor":' + b"9" * 5000 + b',"notify_type":' + b"9" * 5000 + b"}",
    "form": b"notify_type=payment&status=1&status=0&respcd=0000",
    "form of 10k fields": b"a=1&" * 10_000,
    "percent NUL": b"out_trade_no=%00%ff",
    "XML with entities": b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>',
    "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 1000,
}


@both
def test_authentic_notification_that_can_not_be_read_changes_nothing(
    open_shop: OpenShop, subtests: pytest.Subtests, provider: Provider
) -> None:
    """Signed but undocumented content: malformed, at once, not kept, not acknowledged."""
    shop = trusting(open_shop, provider)
    payment = shop.create()
    for name, body in UNREADABLE.items():
        with subtests.test(body=name):
            begun = time.monotonic()
            with pytest.raises(MalformedNotification):
                shop.till.receive(body, signed(shop, body), provider)
            assert time.monotonic() - begun < 2
            unmoved(shop, payment)


@pytest.mark.parametrize(
    "change",
    [
        b'"status":"0",',
        b'"status":"1",',
        b'"respcd":"1143",',
        b'"txamt":"1",',
        b'"notify_type":"refund",',
        b'"out_trade\\u005fno":"A1",',
    ],
)
def test_duplicate_names_make_a_notification_invalid(open_shop: OpenShop, change: bytes) -> None:
    """Duplicate names are refused, signed or not, since parsers differ on them."""
    shop = trusting(open_shop, "qfpay-alipay")
    payment = shop.create()
    body = b"{" + change + notice(shop, payment)[1:]
    with pytest.raises(MalformedNotification, match="twice"):
        shop.till.receive(body, signed(shop, body), "qfpay-alipay")
    unmoved(shop, payment)


@both
def test_notification_longer_than_is_kept_is_refused(open_shop: OpenShop, provider: Provider) -> None:
    """At most 1 MiB of body and 64 KiB of headers, signed or not."""
    shop = trusting(open_shop, provider)
    payment = shop.create()
    for body, more in ((b" " * 1_048_577, {}), (b"{}", {"X": "x" * 65_537}), (b"{}", {"X" * 65_537: ""})):
        with pytest.raises(MalformedNotification, match="longer"):
            shop.till.receive(body, {**signed(shop, body), **more}, provider)
    unmoved(shop, payment)


@both
def test_headers_that_can_not_be_kept_are_refused(open_shop: OpenShop, provider: Provider) -> None:
    """NUL and invalid text can't be stored, so they are refused even with a genuine body."""
    shop = trusting(open_shop, provider)
    payment = shop.create()
    body = notice(shop, payment)
    for name, value in (("X", "a\x00b"), ("X\x00", ""), ("X", "\udcff"), ("\ud800", "")):
        with pytest.raises(MalformedNotification, match="header"):
            shop.till.receive(body, {**signed(shop, body), name: value}, provider)
    with pytest.raises(InvalidField, match="raw bytes"):
        shop.till.receive(body.decode(), signed(shop, body), provider)  # type: ignore[arg-type]
    unmoved(shop, payment)


@both
@pytest.mark.parametrize(
    "changes",
    [
        {"toy": {"minor": 1}, "qfpay-alipay": {"txamt": "1"}},
        {"toy": {"minor": 8801}, "qfpay-alipay": {"txamt": "8801"}},
        {"toy": {"minor": 880000}, "qfpay-alipay": {"txamt": 880000}},
        {"toy": {"currency": "JPY"}, "qfpay-alipay": {"txcurrcd": "JPY"}},
        {"toy": {"minor": 10, "currency": ""}, "qfpay-alipay": {"txamt": "10", "txcurrcd": ""}},
        {"toy": {"minor": 10, "currency": None}, "qfpay-alipay": {"txamt": "10", "txcurrcd": None}},
        {"toy": {"minor": None, "currency": "JPY"}, "qfpay-alipay": {"txamt": "", "txcurrcd": "JPY"}},
    ],
)
def test_authentic_notification_of_another_amount_is_never_paid(
    open_shop: OpenShop, provider: Provider, changes: dict[str, dict[str, Any]]
) -> None:
    """A valid signature over another amount or currency needs review."""
    shop = trusting(open_shop, provider)
    payment = shop.create()
    body = notice(shop, payment, **changes[provider])
    shop.till.receive(body, signed(shop, body), provider)
    seen = shop.till.get(payment.id)
    assert (seen.status, seen.paid_minor, seen.review_reasons) == (Status.PENDING, 0, ("amount_differs",))
    shop.check_ledger()


@pytest.mark.parametrize(
    "amount",
    ["1E+3000000", "9" * 5000, 1e300, 88.5, True, -8800, "-8800", "８８００", "8800\n", "8_800", [], {}],
)
def test_authentic_notification_of_no_amount_is_never_paid(open_shop: OpenShop, amount: Any) -> None:
    """An invalid amount needs review, as in a reply."""
    shop = trusting(open_shop, "qfpay-alipay")
    payment = shop.create()
    body = notice(shop, payment, txamt=amount)
    shop.till.receive(body, signed(shop, body), "qfpay-alipay")
    seen = shop.till.get(payment.id)
    assert (seen.status, seen.paid_minor, seen.review_reasons) == (Status.PENDING, 0, ("amount_unreadable",))
    shop.check_ledger()


def test_authentic_notification_for_another_merchant_is_only_kept(open_shop: OpenShop) -> None:
    """Agents share one key and one URL: a notice for another merchant is acknowledged and changes nothing here."""
    shop = trusting(open_shop, "qfpay-alipay", mchid="MINE01")
    body = b'{"mchid":"OTHER1","notify_type":"payment","respcd":"0000","out_trade_no":"THEIRS"}'
    shop.till.receive(body, signed(shop, body), "qfpay-alipay")
    assert kept(shop) == 1
    shop.check_ledger()


@both
def test_authentic_notification_of_an_unknown_order_changes_nothing(
    open_shop: OpenShop, provider: Provider
) -> None:
    """Unknown numbers, also with SQL and NULs, change no payment."""
    shop = trusting(open_shop, provider)
    payment = shop.create()
    name = "number" if provider == "toy" else "out_trade_no"
    for number in ("SOMEBODY-ELSES", "' OR 1=1 --", "a\x00b", "%"):
        body = notice(shop, payment, **{name: number})
        shop.till.receive(body, signed(shop, body), provider)
    assert shop.till.get(payment.id) == payment


@pytest.mark.parametrize("kind_of_notice", ["payment", "refund", "unfreeze"])
def test_notice_for_another_region_of_one_merchant_reaches_its_account(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch, kind_of_notice: str
) -> None:
    """QFPay notifies one address for every region of an app_code: the account with the order is due."""
    shop = trusting(open_shop, "qfpay-alipay")
    payment = shop.create()
    known = shop.config.accounts["qfpay-alipay"]
    there = structs.replace(known, name="overseas", settings={**known.settings, "region": "overseas"})
    config = structs.replace(shop.config, accounts={known.name: known, "overseas": there})
    till = Till("sync", config, plugins())
    monkeypatch.setattr(till._client._waiter.wanted, "_look_after", lambda _wanted: None)
    body = notice(shop, payment, notify_type=kind_of_notice)
    assert till.receive(body, signed(shop, body), "overseas").body == b"SUCCESS"
    is_paid = kind_of_notice == "payment"
    assert (till.get(payment.id).status is Status.PAID) == is_paid
    assert kept(shop) == 2
    till.shutdown()
    shop.check_ledger()


@both
def test_keys_rotate_without_a_gap_and_an_old_one_ends(open_shop: OpenShop, provider: Provider) -> None:
    """While two keys are configured both verify and the first signs; a removed key is refused."""
    shop = trusting(open_shop, provider)
    old = key_of(shop)
    body = notice(shop, shop.create())
    during, after = provider_of(provider, (OTHER_KEY, old)), provider_of(provider, (OTHER_KEY,))
    for key in (OTHER_KEY, old):
        assert during.verify(arrived(body, signed(shop, body, key)))
    assert after.verify(arrived(body, signed(shop, body, OTHER_KEY)))
    with pytest.raises(NotAuthentic):
        after.verify(arrived(body, signed(shop, body, old)))


def provider_of(provider: Provider, keys: tuple[str, ...]) -> Any:
    """The plugin's provider of an account with these keys."""
    secrets = tuple(map(Secret, keys))
    if provider == "toy":
        return ToyProvider(ToySettings(key=secrets))
    return QFPayAlipay(QFPaySettings(app_code=Secret("A"), client_key=secrets, region="hk"))


def arrived(body: bytes, headers: dict[str, str]) -> Notification:
    """The notification as the core passes it to a provider."""
    lower = {name.lower(): value for name, value in headers.items()}
    return Notification(body=body, headers=lower, received_at=datetime.now(UTC))
