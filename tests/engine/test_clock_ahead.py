"""One payment was made while the clock was ahead, and the clock was corrected: other orders keep their full time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from msgspec.structs import replace

from paycore import Money, Payment, Status
from paycore.domain.provider import Created, CreateOrder, CreateReply, Done
from paycore.domain.wire import Flow
from paycore.engine.checks import CreateFields, create_request
from tests.engine.by_hand import Bench

LASTS = timedelta(minutes=30)


def tell_time(bench: Bench, clock: Callable[[], datetime]) -> Any:
    """Make the provider report an expiry of half an hour, on its own clock."""
    create = bench.account.provider.create

    def created(order: CreateOrder) -> Flow[CreateReply]:
        outcome = yield from create(order)
        assert isinstance(outcome, Done)
        assert isinstance(outcome.value, Created)
        lasts_s = order.expires_in_s or round(LASTS.total_seconds())
        ends = clock() + timedelta(seconds=lasts_s)
        return Done(replace(outcome.value, expires_at=ends, expires_in_s=lasts_s))

    return mock.patch.object(bench.account.provider, "create", created)


def make(bench: Bench, reference: str, expires_in_s: int | None = None) -> Payment:
    request = create_request(
        CreateFields(
            reference=reference,
            amount=Money("88.00", "HKD"),
            method="toy",
            channel="web",
            expires_in_s=expires_in_s,
        )
    )
    return bench.run(bench.commands.create(request))


@pytest.mark.parametrize("given_s", [None, 1800])
@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(minutes=31), timedelta(hours=23)])
def test_orders_after_a_payment_from_the_future_keep_their_time(
    bench: Bench, ahead: timedelta, given_s: int | None
) -> None:
    """They neither expire early nor are closed by a worker early."""
    right = bench.at
    bench.at += ahead
    make(bench, "order-0")
    bench.at = right
    with tell_time(bench, lambda: bench.at):
        payment = make(bench, "order-1", given_s)
    assert payment.expires_at is not None
    assert payment.expires_at >= payment.created_at + LASTS
    for _ in range(29):
        bench.work(1)
        bench.pass_time(59)
    assert bench.payment().status is Status.PENDING
    assert "/close" not in [path for path, _ in bench.gateway.requests]
    bench.pass_time(300)
    bench.work(1)
    assert bench.payment().status is Status.CLOSED


@pytest.mark.parametrize("given_s", [None, 1800])
def test_orders_before_a_payment_from_the_future_keep_their_time(bench: Bench, given_s: int | None) -> None:
    """They do not expire an hour early."""
    with tell_time(bench, lambda: bench.at):
        make(bench, "order-1", given_s)
    right = bench.at
    bench.at += timedelta(hours=1)
    make(bench, "order-0")
    bench.at = right
    for _ in range(29):
        bench.work(1)
        bench.pass_time(59)
    assert bench.payment().status is Status.PENDING
    bench.pass_time(120)
    bench.work(1)
    assert bench.payment().status is Status.CLOSED


def test_order_whose_time_is_over_is_closed_after_a_wrong_step_back(bench: Bench) -> None:
    """A correct clock set back by an hour does not extend an order by an hour."""
    with tell_time(bench, lambda: bench.at):
        make(bench, "order-1")
    bench.set_clock_back(timedelta(hours=1))
    make(bench, "order-0")
    bench.pass_time(34 * 60)
    bench.work(1)
    assert bench.payment().status is Status.CLOSED


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1)])
def test_order_keeps_its_time_on_a_provider_whose_clock_is_off(bench: Bench, off: timedelta) -> None:
    """An order is closed once it has expired on both clocks."""
    with tell_time(bench, lambda: bench.at + off):
        payment = make(bench, "order-1")
    assert payment.expires_at == max(payment.created_at, payment.created_at + off) + LASTS
    bench.pass_time(LASTS.total_seconds() - 2)
    bench.work(1)
    assert bench.payment().status is Status.PENDING
