"""The toy provider and its gateway agree on everything the contract can say; what they can't do, they don't declare."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from paycore.domain.payment import RefundStatus, Status
from paycore.domain.provider import (
    UNSAFE,
    Attempt,
    CaptureOrder,
    Created,
    CreateOrder,
    Done,
    Found,
    Lookup,
    Mention,
    NotNow,
    OrderRef,
    RefundOrder,
    Rejected,
    Secret,
    Session,
    Unknown,
)
from paycore.domain.wire import Notification
from paycore.errors import MalformedNotification, NotAuthentic
from paycore.plugin import Money, PaymentObservation, RefundObservation
from paycore.testing.toy import SessionToyProvider, ToyGateway, ToyProvider, ToySettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AMOUNT = Money("88.00", "HKD")


class Shop:
    """A provider at a gateway whose clock the test sets."""

    def __init__(
        self, *, wants_token: bool = False, gateway: Mapping[str, Any] = {}, **settings: Any
    ) -> None:
        self.now = NOW
        self.gateway = ToyGateway(clock=lambda: self.now, needs_token=wants_token, **gateway)
        kind = SessionToyProvider if wants_token else ToyProvider
        self.provider = kind(ToySettings(key=(Secret("toy"),), captures="partial", **settings))
        self.session: Any = None

    @property
    def attempt(self) -> Attempt:
        return Attempt(sent_at=self.now, nonce="N" * 26, session=self.session)

    def run(self, flow: Any) -> Any:
        """What the flow returns at this gateway."""
        answer = None
        while True:
            try:
                request = flow.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = self.gateway.handle(request)

    def create(self, number: str = "ORDER1", channel: str = "hold") -> Any:
        order = CreateOrder(
            number=number,
            begun_at=NOW,
            attempt=self.attempt,
            reference="order-1",
            amount=AMOUNT,
            method="toy",
            channel=channel,
        )
        return self.run(self.provider.create(order))

    def ref(self, number: str = "ORDER1", provider_id: str | None = "T000001", **further: Any) -> OrderRef:
        fields: dict[str, Any] = {"kind": "payment", "amount": AMOUNT, **further}
        return OrderRef(
            number=number,
            provider_id=provider_id,
            begun_at=NOW,
            attempt=self.attempt,
            method="toy",
            channel="hold",
            **fields,
        )

    def query(self, *refs: OrderRef) -> Any:
        return self.run(self.provider.query(refs or (self.ref(),)))

    def seen(self, number: str = "ORDER1") -> Any:
        """What the query says of this number alone."""
        (seen,) = self.query(self.ref(number)).value.observations
        return seen

    def capture(self, number: str = "CAPTURE1", minor: int = 8800) -> Any:
        amount = Money.from_minor(minor, "HKD")
        order = CaptureOrder(
            number=number, begun_at=NOW, attempt=self.attempt, amount=amount, order=self.ref()
        )
        return self.run(self.provider.capture(order))

    def refund(self, number: str = "REFUND1", minor: int = 2000) -> Any:
        amount = Money.from_minor(minor, "HKD")
        refund = RefundOrder(
            number=number, begun_at=NOW, attempt=self.attempt, amount=amount, order=self.ref()
        )
        return self.run(self.provider.refund(refund))

    def close(self) -> Any:
        return self.run(self.provider.close(self.ref()))


def test_order_that_is_held_is_authorized_then_captured_in_part() -> None:
    """A payer who agrees authorizes; the capture takes its amount, and both ids are told by name."""
    shop = Shop()
    created = shop.create()
    assert isinstance(created.value, Created)
    assert created.value.action is not None
    shop.gateway.pay("ORDER1")
    seen = shop.seen()
    assert (seen.status, seen.occurred_at, seen.ids) == (
        Status.AUTHORIZED,
        NOW,
        {"authorization": "AT000001"},
    )
    captured = shop.capture(minor=5000)
    assert isinstance(captured, Done)
    assert isinstance(captured.value, PaymentObservation)
    assert (captured.value.status, captured.value.paid_minor) == (Status.PAID, 5000)
    assert captured.value.ids == {"authorization": "AT000001", "capture": "KT000001"}
    assert shop.seen().paid_minor == 5000
    assert shop.gateway.captured("ORDER1") == 1


@pytest.mark.parametrize(
    ("duplicates", "captured", "of_another"),
    [("refuse", 1, "already_captured"), ("same_result", 1, "already_captured"), ("charge_blindly", 3, None)],
)
def test_order_is_captured_once_unless_the_gateway_is_blind(
    duplicates: str, captured: int, of_another: str | None
) -> None:
    """A number is refused or answered again; another number is refused; one that charges blindly takes both."""
    shop = Shop(gateway={"duplicates": duplicates})
    shop.create(channel="tab")
    assert isinstance(shop.capture(), Done)
    again = shop.capture()
    assert isinstance(again, Rejected) is (duplicates == "refuse")
    assert not isinstance(again, Rejected) or again.is_duplicate
    other = shop.capture("CAPTURE2")
    assert (other.failure.code if isinstance(other, Rejected) else None) == of_another
    assert shop.gateway.captured("ORDER1") == captured


def test_closing_voids_what_was_authorized() -> None:
    """A voided order is closed, and not captured any more."""
    shop = Shop()
    shop.create(channel="tab")
    assert shop.close().value.status is Status.CLOSED
    refused = shop.capture()
    assert isinstance(refused, Rejected)
    assert refused.failure.code == "voided"
    assert shop.gateway.captured("ORDER1") == 0


def test_capture_declined_for_the_payer_asks_them_again() -> None:
    """The order is pending, and what the payer agrees to next is authorized at a later time."""
    shop = Shop()
    shop.create(channel="tab")
    shop.gateway.declines_captures = True
    refused = shop.capture()
    assert isinstance(refused, Rejected)
    assert refused.failure.who_acts == "payer"
    assert shop.seen().status is Status.PENDING
    shop.now += timedelta(minutes=1)
    shop.gateway.pay("ORDER1")
    assert shop.seen().occurred_at == shop.now


@pytest.mark.parametrize("path", ["/orders", "/query", "/captures", "/refunds", "/close"])
def test_path_that_is_put_off_says_when_to_come_again(path: str) -> None:
    """Every flow returns `NotNow`, and nothing has happened."""
    shop = Shop()
    calls: dict[str, Any] = {
        "/orders": lambda: shop.create("ORDER2"),
        "/query": shop.query,
        "/captures": shop.capture,
        "/refunds": shop.refund,
        "/close": shop.close,
    }
    shop.create(channel="tab")
    before = [order.record() for order in shop.gateway.orders]
    shop.gateway.put_off[path] = 5.0
    put_off = calls[path]()
    assert isinstance(put_off, NotNow)
    assert put_off.retry_after_s == 5.0
    assert [order.record() for order in shop.gateway.orders] == before


def test_charge_backs_and_reversed_refunds_are_told_as_totals() -> None:
    """What the bank took, what was won of it, and a refund that came back."""
    shop = Shop()
    shop.create(channel="card")
    shop.refund()
    assert isinstance(shop.refund("REFUND2"), Done)
    shop.gateway.reverse("REFUND1")
    shop.gateway.charge_back("ORDER1", 3000)
    shop.gateway.charge_back("ORDER1", 1000)
    shop.gateway.win_charge_back("ORDER1", 500)
    seen = shop.seen()
    assert (seen.refunded_minor, seen.charged_back_minor, seen.charge_back_won_minor) == (2000, 4000, 500)
    refund = shop.seen("REFUND1")
    assert isinstance(refund, RefundObservation)
    assert refund.status is RefundStatus.REVERSED


def test_order_looked_up_by_id_is_found_by_it_only() -> None:
    """An unknown id proves no absence, and none is declared to."""
    shop = Shop(lookup=Lookup.BY_PROVIDER_ID)
    assert shop.provider.capabilities.query_proves_absence_after_s is None
    shop.create()
    found = shop.query(shop.ref(), shop.ref("ORDER2", "T000009")).value
    assert isinstance(found, Found)
    assert [seen.number for seen in found.observations] == ["ORDER1"]
    assert not found.absent
    assert shop.gateway.requests[-1] == ("/query", {"ids": ["T000001", "T000009"]})


def test_number_is_forgotten_after_the_window() -> None:
    """The declared window is that of every resend; after it the number makes a second order."""
    shop = Shop(
        gateway={"duplicates": "same_result", "window_s": 60.0}, window_s=60.0, create_resend="same_result"
    )
    assert shop.provider.capabilities.create_resend.window_s == 60.0
    assert shop.provider.capabilities.capture_resend == UNSAFE
    first = shop.create().value.observation.provider_id
    shop.now += timedelta(seconds=59)
    assert shop.create().value.observation.provider_id == first
    shop.now += timedelta(seconds=1)
    assert shop.create().value.observation.provider_id != first


def test_gateway_that_wants_a_token_shows_each_account_its_own_orders() -> None:
    """Without a valid token the session is refused; with another account's token its orders are not there."""
    shop = Shop(wants_token=True)
    refused = shop.create()
    assert isinstance(refused, NotNow)
    assert refused.is_session_refused
    opened = shop.run(shop.provider.open_session(shop.attempt))  # type: ignore[attr-defined]
    assert isinstance(opened.value, Session)
    shop.session = opened.value.value
    assert isinstance(shop.create(), Done)
    shop.gateway.tokens["other"] = "another key"
    own, shop.session = shop.session, Secret("other")
    assert shop.query().value.absent == {"ORDER1"}
    shop.session = own
    shop.gateway.refuse_tokens()
    assert shop.query().is_session_refused


def test_mention_has_an_id_and_no_claim() -> None:
    """An unsigned body names the order by one of its ids; anything else in it is malformed."""
    shop = Shop(mentions=True)
    shop.create(channel="tab")

    def verified(body: bytes) -> Any:
        return shop.provider.verify(Notification(body=body, received_at=NOW))

    assert verified(shop.gateway.mention("ORDER1")[0]) == [Mention(id="T000001")]
    assert verified(shop.gateway.mention("ORDER1", "authorization")[0]) == [Mention(id="AT000001")]
    for body in (b'{"id": ""}', b'{"id": "T000001", "status": "paid"}', b"[]", b""):
        with pytest.raises(MalformedNotification):
            verified(body)


def test_signed_notification_stays_signed_without_mentions() -> None:
    """An unsigned id is not authentic where notifications are signed."""
    shop = Shop()
    shop.create(channel="tab")
    with pytest.raises(NotAuthentic):
        shop.provider.verify(Notification(body=shop.gateway.mention("ORDER1")[0], received_at=NOW))
    body, headers = shop.gateway.notification("ORDER1")
    (seen,) = shop.provider.verify(Notification(body=body, headers=headers, received_at=NOW))
    assert isinstance(seen, PaymentObservation)
    assert seen.status is Status.AUTHORIZED


def test_list_has_every_order_of_its_time_with_our_reference() -> None:
    """Page by page; the end is not part of the time."""
    shop = Shop()
    for number in range(101):
        shop.create(f"ORDER{number}", "card")
    until = NOW + timedelta(seconds=1)
    first = shop.run(shop.provider.list(NOW, until, None, shop.attempt)).value
    second = shop.run(shop.provider.list(NOW, until, first.cursor, shop.attempt)).value
    assert [len(first.items), len(second.items), second.cursor] == [100, 1, None]
    assert {item.reference for item in (*first.items, *second.items)} == {"order-1"}
    assert (
        shop.run(shop.provider.list(until, until + timedelta(days=1), None, shop.attempt)).value.items == ()
    )


def test_query_without_records_is_no_answer() -> None:
    """A body that is JSON and no list of records proves nothing."""
    shop = Shop()
    flow = shop.provider.query([shop.ref()])
    request = next(flow)
    shop.gateway.handle(request)
    for body in (b"{}", b'{"records": null}', b'{"records": [{}]}'):
        flow = shop.provider.query([shop.ref()])
        next(flow)
        with pytest.raises(StopIteration) as stop:
            flow.send(msgspec.structs.replace(shop.gateway.handle(request), body=body))
        assert isinstance(stop.value.value, Unknown)
