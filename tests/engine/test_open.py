"""After a restart every payment that is not final is found, also of many made at once."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from paycore import Payment, RefundStatus, Status
from paycore.engine import arguments
from paycore.errors import InvalidField, NotFound
from paycore.testing.toy import ToyGateway
from tests.engine.conftest import OpenTill
from tests.engine.tills import HKD_88, Till
from tests.support.toy_http import KEY, ToyServer, toy_server

MANY = 120


class SlowRefunds(ToyGateway):
    """A gateway whose refunds stay pending."""

    def _refund(self, fields: dict[str, Any]) -> dict[str, Any]:
        answer = super()._refund(fields)
        refund = self._newest(fields["number"])
        if refund is None or "error" in answer:
            return answer
        refund.status = "pending"
        return refund.record()

    def settle(self) -> None:
        """Complete the refunds."""
        for order in self.orders:
            if order.kind == "refund":
                order.status = "succeeded"


@pytest.fixture
def gateway() -> Iterator[ToyServer]:
    """A gateway whose refunds stay pending."""
    with toy_server(SlowRefunds(key=KEY)) as server:
        yield server


def many(till: Till) -> set[str]:
    """The ids of many payments, made as nearly at once as possible."""
    if till._loop is None:
        with ThreadPoolExecutor(40) as pool:
            return {payment.id for payment in pool.map(till.create, [f"order-{n}" for n in range(MANY)])}

    async def at_once() -> list[Payment]:
        fields = {"amount": HKD_88, "method": "toy", "channel": "web"}
        creates = (till._client.create(reference=f"order-{n}", **fields) for n in range(MANY))
        return list(await asyncio.gather(*creates))

    return {payment.id for payment in till._loop.run(at_once())}


def test_pages_and_the_restart_loop_find_every_order(open_till: OpenTill) -> None:
    """Of many simultaneous orders, paging and `open` find each exactly once."""
    made = many(open_till(timeout_s=30.0))
    till = open_till()
    found: list[Payment] = []
    while page := till.list(limit=17, after=found[-1] if found else None):
        found += page
    assert sorted(payment.id for payment in found) == sorted(made)
    assert len(made) == MANY
    assert till.list(after=found[-1].id) == ()
    assert sorted(payment.id for payment in list(till.opened())) == sorted(made)


def test_open_goes_on_while_payments_change(
    till: Till, gateway: ToyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each open payment comes once, and payments made meanwhile do not prolong the iteration."""
    monkeypatch.setattr(arguments, "LISTED_AT_ONCE", 3)
    made = [till.create(f"order-{n}") for n in range(11)]
    seen: list[str] = []
    for n, payment in enumerate(till.opened()):
        seen.append(payment.id)
        till.create(f"more-{n}")
        if n == 4:
            for settled in (made[10], made[5], made[1]):  # seen, next, and far off
                gateway.pay(settled.order_number)
                till.query(settled)
    assert len(seen) == len(set(seen))
    assert set(seen) >= {payment.id for payment in made} - {made[5].id, made[1].id}
    assert len(list(till.opened())) == 11 + len(seen) - 3


def test_open_finds_a_refund_until_it_is_settled(till: Till, gateway: ToyServer) -> None:
    """A refund under way keeps its payment open; a wait polls it, and ends with it."""
    payment = till.create()
    gateway.pay(payment.order_number)
    till.query(payment)
    assert list(till.opened()) == []
    refunded = till.refund(payment)
    assert (refunded.status, refunded.refunds[0].status) == (Status.PAID, RefundStatus.PENDING)
    assert list(till.opened()) == [refunded] == list(till.list(open=True))
    assert till.wait(payment, 0.1) == refunded
    gateway.gateway.settle()  # type: ignore[attr-defined]
    settled = till.wait(payment, 10.0)
    assert settled.refunds[0].status is RefundStatus.SUCCEEDED
    assert list(till.opened()) == []


def test_open_finds_a_refund_without_an_answer_and_waiting_settles_it(till: Till, gateway: ToyServer) -> None:
    """An unknown refund is resolved by a wait for its payment."""
    payment = till.create()
    gateway.pay(payment.order_number)
    till.query(payment)
    gateway.set_faults(lose_reply=1, path="/refunds")
    refunded = till.refund(payment)
    assert refunded.refunds[0].status is RefundStatus.UNKNOWN
    assert list(till.opened()) == [refunded]
    gateway.gateway.settle()  # type: ignore[attr-defined]
    assert till.wait(payment, 10.0).refunds[0].status is RefundStatus.SUCCEEDED


def test_open_of_an_account(till: Till) -> None:
    """Only that account's payments; arguments are checked before the iteration."""
    payment = till.create()
    assert list(till.opened(account="toy")) == [payment]
    assert list(till.opened(account="another")) == []
    with pytest.raises(InvalidField, match="account"):
        till.do("open", account=7)


def test_list_after_is_checked(till: Till) -> None:
    """A payment or its id is accepted; an unknown one is not found."""
    with pytest.raises(InvalidField, match="after"):
        till.list(after=7)
    with pytest.raises(InvalidField, match="open"):
        till.list(open="yes")
    with pytest.raises(NotFound, match="nobody"):
        till.list(after="nobody")
