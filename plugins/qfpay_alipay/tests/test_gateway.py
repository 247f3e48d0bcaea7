"""The provider against the sandbox, over HTTP: two implementations of QFPay's documents without shared code agree."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import msgspec
import pytest

from paycore.plugin import (
    Attempt,
    CreateOrder,
    Done,
    Money,
    Observation,
    OrderRef,
    RefundOrder,
    Rejected,
    Request,
    Response,
    Secret,
)
from paycore.sandbox.server import SandboxServer
from plugins.qfpay_alipay.tests.support import ROWS, Gateway, attempt_at, make_provider, run
from qfpay_alipay.messages import QFPAY_ZONE
from qfpay_alipay.provider import QFPayAlipay
from qfpay_alipay.sandbox import QFPaySandbox
from qfpay_alipay.sandbox.gateway import QFPayGateway

_codes = itertools.count(2_356_157_409)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    """A sandbox without request limits."""
    with SandboxServer(QFPaySandbox(), settings={"rate_per_s": "0", "rate_per_min": "0"}) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(sandbox: SandboxServer) -> Iterator[Gateway]:
    """A minimal transport: send to the base URL."""
    with httpx2.Client(timeout=5) as http:
        yield transport(sandbox, http)


def transport(sandbox: SandboxServer, http: httpx2.Client) -> Gateway:
    """Sends to the base URL."""

    def send(request: Request) -> Response:
        url = sandbox.url + request.path
        reply = http.request(request.method, url, headers=dict(request.headers), content=request.body)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Response(status=reply.status_code, headers=headers, body=reply.content)

    return send


def account(sandbox: SandboxServer, **changes: Any) -> QFPayAlipay:
    """An account of the sandbox."""
    credentials = {
        "app_code": Secret(sandbox.settings["app_code"]),
        "client_key": (Secret(sandbox.settings["client_key"]),),
    }
    return make_provider(**{**credentials, **changes})


def new_order(number: str, method: str, channel: str, fields: dict[str, Any]) -> CreateOrder:
    """An order of 88.00 HKD; each has its own scanned code, which works once."""
    order = CreateOrder(
        number=number,
        begun_at=datetime.now(UTC),
        attempt=attempt_at(datetime.now(UTC)),
        reference=number,
        amount=Money("88.00", "HKD"),
        method=method,
        channel=channel,
        **{"subject": "Tea 茶", "device_id": "till", **fields},
    )
    code = Secret(f"2838547{next(_codes):011}") if order.auth_code else None
    return msgspec.structs.replace(order, auth_code=code)


def ref_of(order: CreateOrder, provider_id: str | None) -> OrderRef:
    """The order as it is queried now."""
    return OrderRef(
        kind="payment",
        number=order.number,
        provider_id=provider_id,
        begun_at=order.begun_at,
        attempt=attempt_at(datetime.now(UTC)),
        amount=order.amount,
        method=order.method,
        channel=order.channel,
    )


def create(provider: QFPayAlipay, order: CreateOrder, gateway: Gateway) -> OrderRef:
    """Check and make the order."""
    provider.check(order)
    outcome = run(provider.create(order), gateway)
    assert isinstance(outcome, Done)
    product = provider.capabilities.product(order.method, order.channel)
    assert product is not None
    assert (outcome.value.action is not None) is product.needs_action
    return ref_of(order, outcome.value.observation.provider_id)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row[:3]))
def test_gateway_pays_and_refunds_every_row(
    sandbox: SandboxServer,
    gateway: Gateway,
    row: tuple[str, str, str, dict[str, Any]],
) -> None:
    """Created once, refused twice, paid, partly refunded once: replies and one query agree."""
    channel, method, region, fields = row
    # Overseas accounts sign with SHA256 here, those of Hong Kong with MD5: both against a foreign implementation.
    sign_type = "SHA256" if region == "overseas" else "MD5"
    provider = account(sandbox, region=region, sign_type=sign_type, require_signed_replies=True)
    order = new_order(f"P{channel}{method}{region}", method, channel, fields)
    ref = create(provider, order, gateway)
    again = run(provider.create(order), gateway)
    assert isinstance(again, Rejected)
    assert again.is_duplicate
    if channel != "barcode":
        sandbox.gateway.controls.pay(order.number)
    refund = RefundOrder(
        number=f"R{order.number}",
        begun_at=order.begun_at,
        attempt=ref.attempt,
        amount=Money("20.00", "HKD"),
        order=ref,
    )
    refunded = run(provider.refund(refund), gateway)
    assert isinstance(refunded, Done)
    twice = run(provider.refund(refund), gateway)
    assert isinstance(twice, Rejected)
    assert twice.is_duplicate
    refund_ref = msgspec.structs.replace(ref, kind="refund", number=refund.number, provider_id=None)
    nobody = msgspec.structs.replace(ref, number=f"X{order.number}", provider_id=None)
    asked = run(provider.query([ref, refund_ref, nobody]), gateway)
    assert isinstance(asked, Done)
    told = {seen.number: (seen.status, seen.amount) for seen in asked.value.observations}
    assert told == {
        order.number: ("paid", Money("88.00", "HKD")),
        refund.number: ("succeeded", Money("20.00", "HKD")),
    }
    assert asked.value.absent == {nobody.number}


@pytest.mark.parametrize("row", [r for r in ROWS if r[0] != "barcode"], ids=lambda row: "-".join(row[:3]))
def test_gateway_closes_every_row(
    sandbox: SandboxServer, gateway: Gateway, row: tuple[str, str, str, dict[str, Any]]
) -> None:
    """An unpaid order is closed by its row's endpoint, and the query confirms it."""
    channel, method, region, fields = row
    provider = account(sandbox, region=region)
    order = new_order(f"C{channel}{method}{region}", method, channel, fields)
    closed = run(provider.close(create(provider, order, gateway)), gateway)
    assert isinstance(closed, Done)
    assert closed.value.status == "closed"


def test_gateway_lists_what_it_has_of_a_time_range() -> None:
    """Payments and refunds of two months, page by page, each once, with our numbers."""
    settings = {"rate_per_s": "0", "rate_per_min": "0"}
    with SandboxServer(QFPaySandbox(), settings=settings) as server, httpx2.Client(timeout=5) as http:
        provider, send, clock = account(server), transport(server, http), server.gateway.clock
        orders = [new_order(f"L{index:03}", "alipay", "qr", {}) for index in range(230)]
        for order in orders:
            run(provider.create(order), send)
        clock.advance((_next_month_ms(clock.now_ms()) - clock.now_ms()) / 1000)
        paid = create(provider, new_order("LPAID", "alipay", "barcode", {"auth_code": Secret("1")}), send)
        attempt = attempt_at(datetime.fromtimestamp(clock.now_ms() / 1000, UTC))
        refund = RefundOrder(
            number="LREFUND",
            begun_at=paid.begun_at,
            attempt=attempt,
            amount=Money("20.00", "HKD"),
            order=paid,
        )
        run(provider.refund(refund), send)
        since, until = orders[0].begun_at - timedelta(minutes=1), attempt.sent_at + timedelta(minutes=1)
        listed = [(seen.number, seen.status) for seen in list_all(provider, send, since, until, attempt)]
    expected = [*((order.number, "closed") for order in orders), ("LPAID", "paid"), ("LREFUND", "succeeded")]
    assert sorted(listed) == sorted(expected)


def list_all(
    provider: QFPayAlipay, send: Gateway, since: datetime, until: datetime, attempt: Attempt
) -> list[Observation]:
    """What is listed on all pages."""
    seen: list[Observation] = []
    cursor, is_last = None, False
    while not is_last:
        outcome = run(provider.list(since, until, cursor, attempt), send)
        assert isinstance(outcome, Done)
        seen += [item.observation for item in outcome.value.items]
        cursor, is_last = outcome.value.cursor, outcome.value.cursor is None
    return seen


def test_gateway_refuses_a_wrong_key(sandbox: SandboxServer, gateway: Gateway) -> None:
    """1108 on a creation and on a query is an account error."""
    provider = account(sandbox, client_key=(Secret("wrong"),))
    order = new_order("WRONGKEY", "alipay", "web", {})
    for flow in (provider.create(order), provider.query([ref_of(order, None)])):
        outcome = run(flow, gateway)
        assert isinstance(outcome, Rejected)
        assert (outcome.failure.code, outcome.failure.who_acts) == ("1108", "operator")


@pytest.mark.parametrize("off_s", [-180, -60, -20, 20, 60, 180])
def test_order_at_the_turn_of_a_month_is_found_whatever_the_clocks(off_s: int) -> None:
    """With QFPay's clock off by 20 s to 3 min: found at once, never absent, not sent again."""
    settings = {"rate_per_s": "0", "rate_per_min": "0", "number_range": "apply"}
    with SandboxServer(QFPaySandbox(), settings=settings) as server, httpx2.Client(timeout=5) as http:
        assert isinstance(server.gateway, QFPayGateway)
        clock = server.gateway.clock
        turn_ms = _next_month_ms(clock.now_ms())
        # Whatever QFPay's clock says, ours says the other month.
        clock.advance((turn_ms - clock.now_ms()) / 1000 + off_s / 2)
        ours = datetime.fromtimestamp(turn_ms / 1000 - off_s / 2, UTC)
        provider, send = account(server), transport(server, http)
        order = msgspec.structs.replace(new_order("N1", "alipay", "web", {}), begun_at=ours)
        run(provider.create(order), send)
        ref = msgspec.structs.replace(ref_of(order, None), attempt=attempt_at(ours))
        answer = run(provider.query([ref]), send)
    assert isinstance(answer, Done)
    assert [seen.number for seen in answer.value.observations] == ["N1"]
    assert answer.value.absent == frozenset()


def _next_month_ms(now_ms: int) -> int:
    """The first moment of the next month on QFPay's clock."""
    at = datetime.fromtimestamp(now_ms / 1000, QFPAY_ZONE)
    turn = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=QFPAY_ZONE)
    return round(turn.timestamp() * 1000)
