"""Which account a notification belongs to, what is kept of it, and what is a repeat."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from paycore import Payment, RefundStatus, Status
from paycore.engine import receiving
from paycore.errors import LedgerUnavailable, NotAuthentic, NotSent
from paycore.ledger import audit, open_ledger
from paycore.plugin import Notification, ProviderInfo
from paycore.testing.toy import SIGNATURE_HEADER, ToyProvider, sign
from tests.engine.conftest import PROOF_S, TIMEOUT_S
from tests.engine.tills import Kind, Till
from tests.support.due import bring_forward, claim_due, next_due
from tests.support.toy_http import ToyServer, toy_config, toy_plugins

KEYS = {"hk": "toy", "overseas": "toy", "cafe": "another key"}
"""Accounts at one provider: two share a key, as the regions of one merchant do."""

Open = Callable[..., Till]


@pytest.fixture
def open_accounts(kind: Kind, gateway: ToyServer, tmp_path: Path) -> Iterator[Open]:
    """Opens a till with several accounts of one provider on one ledger."""
    tills: list[Till] = []

    def open_accounts(**settings: Any) -> Till:
        settings = {"timeout_s": TIMEOUT_S, "proof_s": PROOF_S, "notifications_trusted": False, **settings}
        config = toy_config(gateway.url, f"sqlite:///{tmp_path / 'paycore.db'}", **settings)
        one = config.accounts["toy"]
        accounts = {
            name: replace(one, name=name, settings={**one.settings, "key": key}) for name, key in KEYS.items()
        }
        tills.append(Till(kind, replace(config, accounts=accounts, default_account="hk"), toy_plugins()))
        return tills[-1]

    yield open_accounts
    for till in tills:
        till.shutdown()


def notice(
    number: str, kind: str = "payment", key: str = "toy", **changes: Any
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an authentic notification that this number was paid."""
    fields = {
        "number": number,
        "kind": kind,
        "id": "T000001",
        "status": "paid",
        "minor": 8800,
        "currency": "HKD",
    }
    body = json.dumps({**fields, **changes}).encode()
    return body, {SIGNATURE_HEADER: sign(body, key)}


def due(till: Till, payment: Payment) -> bool:
    """Whether the ledger has this payment due now."""
    ledger = open_ledger(till.ledger_dsn)
    at, now = next_due(ledger, [payment.id]), ledger.now()
    ledger.close()
    return at is not None and at <= now


def inbox(till: Till) -> list[dict[str, Any]]:
    """The kept notifications, as exported."""
    ledger = open_ledger(till.ledger_dsn)
    kept = [json.loads(line) for line in audit.export(ledger)]
    ledger.close()
    return [record for record in kept if record["type"] == "notification"]


def still(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker runs, so that due payments stay due."""
    monkeypatch.setattr(till._client._waiter.wanted, "_look_after", lambda _wanted: None)


# --- whose it is -------------------------------------------------------------------------------------


def test_notification_of_another_account_is_made_due_there(
    open_accounts: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One URL may serve several accounts: the account with the order takes the notification if it verifies there."""
    till = open_accounts()
    still(till, monkeypatch)
    payment = till.create(account="overseas")
    assert till.receive(*notice(payment.order_number), account="hk").body == b"ok"
    assert due(till, payment)
    assert till.get(payment.id) == payment
    assert [(kept["account"], kept["payment_id"]) for kept in inbox(till)] == [
        ("hk", None),
        ("overseas", payment.id),
    ]
    assert not caplog.records


def test_notification_of_another_account_is_followed_up_though_nobody_waits(
    open_accounts: Open, gateway: ToyServer
) -> None:
    """The client that received it queries the other account's provider."""
    till = open_accounts()
    payment = till.create(account="overseas")
    gateway.pay(payment.order_number)
    till.receive(*notice(payment.order_number), account="hk")
    for _ in range(200):
        if till.get(payment.id).status is Status.PAID:
            break
        till.sleep(0.05)
    assert till.get(payment.id).status is Status.PAID
    assert gateway.counts().requests["/query"] == 1


def test_notification_of_another_account_is_evidence_where_that_one_trusts_it(open_accounts: Open) -> None:
    """It is handled as if the other account had received it."""
    till = open_accounts(notifications_trusted=True)
    payment = till.create(account="overseas")
    till.receive(*notice(payment.order_number, id=payment.provider_id), account="hk")
    assert till.get(payment.id).status is Status.PAID


def test_notification_that_does_not_verify_at_the_other_account_is_not_its(
    open_accounts: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One account's key proves nothing for another's orders: kept, counted, logged, and nothing is due."""
    till = open_accounts(notifications_trusted=True)
    still(till, monkeypatch)
    payment = till.create(account="cafe")
    till.receive(*notice(payment.order_number, id=payment.provider_id), account="hk")
    assert till.get(payment.id) == payment
    assert not due(till, payment)
    refused, stray = caplog.messages
    assert refused.startswith("account cafe: a notification that names an order of it is refused:")
    assert stray.startswith(f"account hk: a notification names {payment.order_number}, which no payment")


def test_notification_of_another_account_comes_again_where_its_session_is_not_open(
    open_accounts: Open, gateway: ToyServer
) -> None:
    """It can't be verified there now, so it is not acknowledged; acknowledged, nobody would tell it again."""
    settings = {"provider": "toy-session", "notifications_trusted": True}
    payment = open_accounts(**settings).create(account="overseas")
    till = open_accounts(**settings)
    till.receive(*notice("NOBODYS"), account="hk")  # its own session is open
    gateway.set_faults(lose_request=1, path="/token")
    with pytest.raises(NotSent):
        till.receive(*notice(payment.order_number), account="hk")
    assert till.get(payment.id).status is Status.PENDING
    till.receive(*notice(payment.order_number), account="hk")
    assert till.get(payment.id).status is Status.PAID


def test_unknown_notification_is_kept_counted_and_logged_once(
    open_accounts: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """One WARNING with the count; a repeat is neither counted nor logged."""
    till = open_accounts()
    for number in ("NOBODYS-1", "NOBODYS-1", "NOBODYS-2"):
        assert till.receive(*notice(number), account="hk").body == b"ok"
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    first, second = caplog.messages
    assert "NOBODYS-1" in first
    assert "NOBODYS-2" in second
    assert second.endswith("(2 such since this client was opened)")
    assert [kept["payment_id"] for kept in inbox(till)] == [None, None]


def test_many_unknown_notifications_do_not_fill_the_log(
    open_accounts: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of each account some are named in a minute; the count of the next warning has the others too."""
    till = open_accounts()
    for nth in range(30):
        till.receive(*notice(f"NOBODYS-{nth}"), account="hk")
    assert len(caplog.messages) == receiving.STRAYS_SAID
    till.receive(*notice("NOBODYS-X"), account="overseas")
    assert caplog.messages[-1].startswith("account overseas: a notification names NOBODYS-X")
    monkeypatch.setattr(receiving, "STRAYS_S", 0.0)
    till._client._core.commands._receiving._strays_said.clear()  # a minute later
    till.receive(*notice("NOBODYS-31"), account="hk")
    assert caplog.messages[-1].endswith("(31 such since this client was opened)")
    assert len(inbox(till)) == 32


# --- named by an id of the provider's ----------------------------------------------------------------


def test_mention_by_id_is_followed_up_in_the_account_that_has_it(
    open_accounts: Open, gateway: ToyServer
) -> None:
    """An unsigned body with nothing but an id, at the URL of another account: the order's own provider is asked."""
    till = open_accounts(mentions=True)
    payment = till.create(account="overseas")
    gateway.pay(payment.order_number)
    till.receive(*gateway.mention(payment.order_number), account="hk")
    for _ in range(200):
        if till.get(payment.id).status is Status.PAID:
            break
        till.sleep(0.05)
    assert till.get(payment.id).status is Status.PAID
    assert gateway.counts().requests["/query"] == 1


@pytest.mark.parametrize("trusted", [True, False])
def test_mention_by_id_moves_nothing(
    open_accounts: Open, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
) -> None:
    """Whatever its account trusts, and however often it comes: the payment is due each time, and no more."""
    till = open_accounts(mentions=True, notifications_trusted=trusted)
    still(till, monkeypatch)
    payment = till.create()
    gateway.pay(payment.order_number)
    for _ in range(2):
        till.receive(*gateway.mention(payment.order_number), account="hk")
        assert till.get(payment.id) == payment
        ledger = open_ledger(till.ledger_dsn)
        bring_forward(ledger)
        assert due(till, payment)
        claim_due(ledger, limit=1, lease_s=3600)
        ledger.close()
        assert not due(till, payment)
    assert len(inbox(till)) == 1


def test_refund_that_came_back_is_found_by_a_mention_of_its_payment(
    open_accounts: Open, gateway: ToyServer
) -> None:
    """The refund had succeeded, so nobody waits for it any more; its money can be refunded again."""
    till = open_accounts(mentions=True)
    payment = till.refund(till.create(channel="card"))
    (refund,) = payment.refunds
    assert (refund.status, payment.refundable_minor) == (RefundStatus.SUCCEEDED, 0)
    gateway.gateway.reverse(refund.number)
    till.receive(*gateway.mention(payment.order_number), account="hk")
    for _ in range(200):
        if till.get(payment.id).refundable_minor:
            break
        till.sleep(0.05)
    after = till.get(payment.id)
    assert [refund.status for refund in after.refunds] == [RefundStatus.REVERSED]
    assert (after.refunded_minor, after.refundable_minor) == (0, 8800)


def test_unknown_id_is_kept_counted_and_logged(open_accounts: Open, caplog: pytest.LogCaptureFixture) -> None:
    """As an unknown number is; anybody can send it, so it asks nobody anything."""
    till = open_accounts(mentions=True)
    for given in ("X1", "X1", "X2"):
        assert till.receive(json.dumps({"id": given}).encode(), {}, account="hk").body == b"ok"
    first, second = caplog.messages
    assert "names X1, which no payment here has" in first
    assert "names X2, which no payment here has" in second
    assert second.endswith("(2 such since this client was opened)")
    assert [kept["payment_id"] for kept in inbox(till)] == [None, None]


@pytest.mark.parametrize("trusted", [True, False])
def test_notification_of_a_kind_not_known_has_its_order_asked_about(
    open_accounts: Open, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
) -> None:
    """An authentic notification of an unknown kind has the order queried, and changes nothing itself."""
    till = open_accounts(notifications_trusted=trusted)
    still(till, monkeypatch)
    payment = till.create()
    till.receive(*notice(payment.order_number, "chargeback", status="who knows", minor="much"), account="hk")
    assert till.get(payment.id) == payment
    assert due(till, payment)


# --- what is kept, and what is a repeat --------------------------------------------------------------


def test_replays_with_other_headers_and_query_strings_are_repeats(
    open_accounts: Open, gateway: ToyServer
) -> None:
    """Unsigned parts do not make a notification new: 300 replays are kept once, and cause at most one query."""
    till = open_accounts()
    payment = till.create()
    gateway.pay(payment.order_number)
    assert till.query(payment).status is Status.PAID
    asked = gateway.counts().requests["/query"]
    body, headers = notice(payment.order_number, id=payment.provider_id)
    for nth in range(300):
        given = {**headers, "X-Request-Id": str(nth), "X-Forwarded-For": "10.0.0.1, " * nth}
        till.do("receive", "hk", body=body, headers=given, query=f"n={nth}")
    till.sleep(0.5)
    assert gateway.counts().requests["/query"] - asked <= 1
    (kept,) = inbox(till)
    assert (kept["headers"], kept["query"]) == (headers, "")


@pytest.mark.parametrize("trusted", [True, False])
def test_repeat_within_a_minute_is_answered_without_the_ledger(
    open_accounts: Open, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
) -> None:
    """However many come in that time: verified, acknowledged, and the ledger is asked nothing; later ones it knows."""
    till = open_accounts(notifications_trusted=trusted)
    still(till, monkeypatch)
    body, headers = notice(till.create().order_number)
    calls = recording(till, monkeypatch)
    for _ in range(3):
        assert till.receive(body, headers, account="hk").body == b"ok"
    assert len(calls) == 1
    with pytest.raises(NotAuthentic):
        till.receive(body, {SIGNATURE_HEADER: "0" * 64}, account="hk")
    monkeypatch.setattr(receiving, "REPEAT_S", 0.0)
    till.receive(*notice("NOBODYS"), account="hk")  # known for no time at all
    till.receive(*notice("NOBODYS"), account="hk")
    assert len(calls) == 3
    assert len(inbox(till)) == 2


def test_notification_that_was_not_recorded_is_no_repeat(
    open_accounts: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger was away when it first came: it is recorded when it comes again."""
    till = open_accounts(notifications_trusted=True)
    payment = till.create()
    body, headers = notice(payment.order_number, id=payment.provider_id)
    with monkeypatch.context() as away:
        away.setattr(till._client._core.ledger, "record_notification", unavailable)
        with pytest.raises(LedgerUnavailable):
            till.receive(body, headers, account="hk")
    till.receive(body, headers, account="hk")
    assert till.get(payment.id).status is Status.PAID


def test_same_bytes_at_another_account_are_no_repeat(open_accounts: Open) -> None:
    """What one account was told is verified and recorded by the other for itself."""
    till = open_accounts(notifications_trusted=True)
    payment = till.create(account="overseas")
    body, headers = notice(payment.order_number, id=payment.provider_id)
    till.receive(body, headers, account="overseas")
    till.receive(body, headers, account="hk")
    assert sorted(kept["account"] for kept in inbox(till)) == ["hk", "overseas"]


def test_memory_of_repeats_is_bounded(open_accounts: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than it holds the oldest are forgotten, and are repeats by the ledger then."""
    till = open_accounts()
    still(till, monkeypatch)
    monkeypatch.setattr(receiving, "REPEATS_MAX", 2)
    notices = [notice(f"NOBODYS-{nth}") for nth in range(3)]
    for body, headers in notices:
        till.receive(body, headers, account="hk")
    calls = recording(till, monkeypatch)
    for body, headers in reversed(notices):
        till.receive(body, headers, account="hk")
    assert len(calls) == 1
    assert len(inbox(till)) == 3


def test_log_tells_repeats_apart(open_accounts: Open, caplog: pytest.LogCaptureFixture) -> None:
    """The line of a repeat does not say that it names nothing here."""
    till = open_accounts()
    body, headers = notice(till.create().order_number)
    with caplog.at_level(logging.INFO, "paycore.operations"):
        till.receive(body, headers, account="hk")
        till.receive(body, headers, account="hk")
    first, second = [line for line in caplog.messages if line.startswith("receive: ")]
    assert "pending" in first
    assert "received again" in second


def recording(till: Till, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The notifications that the ledger is given from here on."""
    ledger, given = till._client._core.ledger, []
    record = ledger.record_notification

    def counted(account: str, notification: Notification, *told: Any, **options: Any) -> Any:
        given.append(notification)
        return record(account, notification, *told, **options)

    monkeypatch.setattr(ledger, "record_notification", counted)
    return given


def unavailable(*_arguments: Any, **_options: Any) -> Any:
    """A ledger that can't be reached."""
    raise LedgerUnavailable("the database is away")


def test_what_the_provider_does_not_name_is_neither_handed_over_nor_kept(
    open_accounts: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undeclared headers, such as proxy tokens, reach neither plugin nor ledger nor export."""
    till, seen = open_accounts(), []
    verify = ToyProvider.verify

    def looked_at(self: ToyProvider, notification: Notification) -> Any:
        seen.append(notification)
        return verify(self, notification)

    monkeypatch.setattr(ToyProvider, "verify", looked_at)
    body, headers = notice(till.create().order_number)
    tokens = {"X-Amzn-Oidc-Data": "CANARY", "CF-Access-Jwt-Assertion": "CANARY", "Authorization": "CANARY"}
    till.do("receive", "hk", body=body, headers={**headers, **tokens}, query="token=CANARY")
    assert [(given.headers, given.query) for given in seen] == [(headers, "")]
    assert "CANARY" not in json.dumps(inbox(till))


def test_what_the_provider_names_is_handed_over_and_kept(
    open_accounts: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Declared headers in any case, secrets masked; a declared query string distinguishes notifications."""
    info: ProviderInfo = replace(
        ToyProvider.info,
        notification_headers=frozenset({SIGNATURE_HEADER.upper(), "x-key", "authorization"}),
        notification_query=True,
    )
    monkeypatch.setattr(ToyProvider, "info", info)
    monkeypatch.setitem(KEYS, "hk", "key-of-the-account")
    till = open_accounts()
    body, headers = notice(till.create().order_number, key="key-of-the-account")
    given = {**headers, "X-Key": "key-of-the-account", "Authorization": "Basic CANARY"}
    for query in ("page=1", "page=2", "page=1"):
        till.do("receive", "hk", body=body, headers=given, query=query)
    kept = inbox(till)
    assert sorted(one["query"] for one in kept) == ["page=1", "page=2"]
    assert [one["headers"] for one in kept] == [{**headers, "x-key": "***"}] * 2
