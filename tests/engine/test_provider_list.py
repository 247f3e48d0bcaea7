"""`provider_list` reads what the provider itself has, page by page; nothing of it is recorded, and no money moves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from paycore import Money, Status
from paycore.domain.provider import Done, Listed, NotNow, Page, Rejected, Unknown
from paycore.errors import AccountRefused, InvalidField, MaybeSent, NotSent, NotSupported, PluginError
from paycore.plugin import Failure, PaymentObservation
from paycore.testing.toy import ToyProvider
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer

NOW = datetime.now(UTC)
SEEN = PaymentObservation(number="N1", status=Status.PENDING)
DAY = {"since": NOW - timedelta(hours=1), "until": NOW + timedelta(hours=1)}


def told(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> None:
    """Make the provider answer each page with this."""

    def flow(*_: object) -> Any:
        yield from ()
        return outcome

    monkeypatch.setattr(ToyProvider, "list", flow)


def test_list_has_orders_and_refunds_of_every_page(till: Till, gateway: ToyServer) -> None:
    """Each comes once, with our number, the reference that the provider carries, and its state."""
    gateway.gateway.page = 2
    payments = [till.create(f"order-{n}", channel="card") for n in range(4)]
    till.refund(payments[0], amount=Money("8.00", "HKD"))
    listed = list(till.listed(**DAY))
    assert all(isinstance(item, Listed) for item in listed)
    assert [item.reference for item in listed] == [*(p.reference for p in payments), None]
    assert [item.observation.number for item in listed][:4] == [p.order_number for p in payments]
    assert listed[0].observation.status is Status.PAID
    assert gateway.counts().requests["/list"] == 3


def test_range_ends_before_until(till: Till) -> None:
    """What was made at `until` belongs to the next range; moments in any zone mean the same."""
    till.create(channel="card")
    assert list(till.listed(since=NOW - timedelta(hours=2), until=NOW - timedelta(hours=1))) == []
    zone = (NOW - timedelta(hours=1)).astimezone()
    assert len(list(till.listed("toy", since=zone, until=DAY["until"]))) == 1


def test_next_page_is_asked_for_when_it_is_needed(till: Till, gateway: ToyServer) -> None:
    """Whoever stops early has asked for no more than they read."""
    gateway.gateway.page = 1
    for n in range(3):
        till.create(f"order-{n}", channel="card")
    assert next(till.listed(**DAY)).reference == "order-0"
    assert gateway.counts().requests["/list"] == 1


def test_provider_without_a_list_is_refused_at_once(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names the account, and nothing is sent."""
    monkeypatch.delattr(ToyProvider, "list")
    with pytest.raises(NotSupported, match="account toy"):
        till.do("provider_list", **DAY)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("since", DAY | {"since": NOW.replace(tzinfo=None)}),
        ("until", DAY | {"until": "2026-01-31"}),
        ("until", {"since": NOW, "until": NOW}),
        ("account", DAY | {"account": 5}),
    ],
)
def test_wrong_arguments_are_refused_at_once(till: Till, field: str, given: dict[str, Any]) -> None:
    """Before the first page is asked for."""
    with pytest.raises(InvalidField) as caught:
        till.do("provider_list", **given)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (NotNow(problem="busy", retry_after_s=3.0), NotSent),
        (Rejected(failure=Failure(code="bad_key", message="no", who_acts="operator")), AccountRefused),
        (Unknown(problem="HTTP 500"), (NotSent, MaybeSent)),
        (Page(items=()), PluginError),
        (Done(7), PluginError),
        (Done(Page(items=(), cursor="again")), PluginError),
        (Done(Page(items=(Listed(observation=SEEN, made_at=datetime(2026, 1, 31)),))), PluginError),  # noqa: DTZ001
    ],
)
def test_list_that_fails_says_why_and_moves_nothing(
    till: Till, monkeypatch: pytest.MonkeyPatch, outcome: Any, error: type[Exception]
) -> None:
    """A refusal, no answer, a value that is none, and a cursor that leads back: an error, and no endless list."""
    told(monkeypatch, outcome)
    with pytest.raises(error) as caught:
        list(till.listed(**DAY))
    assert caught.value.money_moved == "no"  # type: ignore[attr-defined]


def test_item_with_an_odd_id_is_left_out(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of its page comes; what has no number of ours is there too."""
    till.create(channel="card")
    (listed,) = till.listed(**DAY)
    foreign = msgspec.structs.replace(
        listed, observation=msgspec.structs.replace(listed.observation, number="")
    )
    odd = msgspec.structs.replace(
        listed, observation=msgspec.structs.replace(listed.observation, provider_id="a\nb")
    )
    told(monkeypatch, Done(Page(items=(odd, foreign))))
    assert list(till.listed(**DAY)) == [foreign]
