"""What a client logs: operations at INFO, requests at DEBUG, outages at WARNING; no bodies."""

import logging
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from paycore import Payment
from paycore.engine import outages
from paycore.errors import InvalidField, MaybeSent, NotAuthentic, NotFound, NotSent, RequestError, WrongState
from tests.engine.conftest import OpenTill
from tests.engine.tills import Kind, Till
from tests.support.toy_http import ToyServer


@pytest.fixture
def operations(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Collects the log of operations."""
    with caplog.at_level(logging.INFO, "paycore.operations"):
        yield caplog


@pytest.fixture
def requests(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Collects the log of requests."""
    with caplog.at_level(logging.DEBUG, "paycore.requests"):
        yield caplog


def said(log: pytest.LogCaptureFixture) -> list[str]:
    """The lines since the last call, without durations; each is one line."""
    lines = [re.sub(r"\(\d+ ms\)$", "(N ms)", record.getMessage()) for record in log.records]
    assert not any("\n" in line for line in lines)
    log.clear()
    return lines


def named(payment: Payment) -> str:
    return f"account toy, reference 'order-1', number {payment.order_number}"


def test_reconciling_is_one_line(till: Till, operations: pytest.LogCaptureFixture) -> None:
    """With the account it was asked for; what it found is its result."""
    till.do("reconcile", "toy", since=datetime.now(UTC) - timedelta(hours=1))
    assert said(operations) == ["reconcile: account toy, reference -, number -: done (N ms)"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_each_operation_is_one_line(
    till: Till, gateway: ToyServer, operations: pytest.LogCaptureFixture, kind: Kind
) -> None:
    """Account, reference, number, outcome and time, of create, query, wait, refund, close and receive."""
    payment = till.create()
    assert said(operations) == [f"create: {named(payment)}: pending (N ms)"]
    till.wait(payment, 0)
    assert said(operations) == [f"wait: {named(payment)}: pending (N ms)"]
    gateway.pay(payment.order_number)
    body, headers = gateway.notification(payment.order_number)
    till.receive(body, headers)
    assert said(operations) == [f"receive: {named(payment)}: paid (N ms)"]
    till.query(payment)
    assert said(operations) == [f"query: {named(payment)}: paid (N ms)"]
    number = till.refund(payment, "back 1").operations[-1].number
    assert said(operations) == [
        f"refund: account toy, reference 'back 1' of 'order-1', number {number}: succeeded (N ms)"
    ]
    other = till.create("order-2")
    said(operations)
    till.close(other)
    (line,) = said(operations)
    assert line.startswith(f"close: account toy, reference 'order-2', number {other.order_number}: closed (")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_verbs_of_an_operator_and_of_captures_are_one_line_too(
    open_till: OpenTill, gateway: ToyServer, operations: pytest.LogCaptureFixture, kind: Kind
) -> None:
    """Neither what the payer brought nor an operator's note is in it."""
    till = open_till(captures="full")
    payment = till.create(channel="hold", capture="manual")
    gateway.pay(payment.order_number)
    said(operations)
    till.do("returned", payment.id, {"token": "T-secret"})
    assert said(operations) == [f"returned: {named(payment)}: authorized (N ms)"]
    till.do("capture", payment.id)
    assert said(operations) == [f"capture: {named(payment)}: paid (N ms)"]
    gateway.gateway.charge_back(payment.order_number)
    till.query(payment)
    assert said(operations) == [f"query: {named(payment)}: paid, needs review (N ms)"]
    till.do("acknowledge", payment.id, "charged_back", by="Kim", note="N-secret")
    assert said(operations) == [f"acknowledge: {named(payment)}: paid (N ms)"]
    with pytest.raises(WrongState):
        till.do("record", payment.id, "absent", by="Kim", note="N-secret")
    (line,) = said(operations)
    assert line.startswith(f"record: {named(payment)}: WrongState: nothing of it is unresolved")


FIELDS = (
    "verb", "account", "reference", "refund", "payment_id", "number",
    "status", "needs_review", "outcome", "problem", "duration_ms",
)  # fmt: skip


def fields(log: pytest.LogCaptureFixture) -> dict[str, object]:
    """What the only record since the last call has beside Python's own; less its duration."""
    (record,) = log.records
    log.clear()
    bare = logging.LogRecord("", 0, "", 0, "", (), None)
    found = {name: value for name, value in vars(record).items() if name not in vars(bare)}
    found.pop("message", None)
    assert tuple(found) == FIELDS
    assert isinstance(found["duration_ms"], int)
    return {name: value for name, value in found.items() if name != "duration_ms"}


def test_facts_of_a_line_are_fields_of_its_record(
    till: Till, gateway: ToyServer, operations: pytest.LogCaptureFixture
) -> None:
    """For formatters that write them, such as JSON; the same fields for every operation."""
    payment = till.create()
    told = {
        "verb": "create",
        "account": "toy",
        "reference": "order-1",
        "refund": None,
        "payment_id": payment.id,
        "number": payment.order_number,
        "status": "pending",
        "needs_review": False,
        "outcome": "done",
        "problem": None,
    }
    assert fields(operations) == told
    gateway.pay(payment.order_number)
    body, headers = gateway.notification(payment.order_number)
    till.receive(body, headers)
    assert fields(operations) == {**told, "verb": "receive", "status": "paid", "outcome": "new"}
    number = till.refund(payment, "back-1").operations[-1].number
    refund = {"verb": "refund", "refund": "back-1", "number": number, "status": "succeeded"}
    assert fields(operations) == {**told, **refund}
    with pytest.raises(RequestError) as raised:
        till.refund(payment, "back-2")
    failed = fields(operations)
    assert (failed["outcome"], failed["problem"]) == (type(raised.value).__name__, str(raised.value))
    assert (failed["payment_id"], failed["refund"], failed["status"]) == (payment.id, "back-2", "paid")
    with pytest.raises(NotAuthentic):
        till.receive(b"{}", {})
    forged = fields(operations)
    assert (forged["outcome"], forged["account"], forged["payment_id"]) == ("NotAuthentic", "toy", None)


def test_operation_that_raises_is_one_line_with_the_error(
    till: Till, gateway: ToyServer, operations: pytest.LogCaptureFixture
) -> None:
    """With the payment, as far as known, and the error's message."""
    payment = till.create()
    said(operations)
    gateway.set_faults(lose_reply=1)
    with pytest.raises(MaybeSent):
        till.query(payment)
    (line,) = said(operations)
    assert line.startswith(
        f"query: {named(payment)}: MaybeSent: account toy: the request may have arrived at 127."
    )
    with pytest.raises(NotFound):
        till.do("query", "01NOBODYS")
    assert said(operations) == [
        "query: account -, reference -, number -: NotFound: no payment has the id '01NOBODYS' (N ms)"
    ]
    with pytest.raises(InvalidField):
        till.create("order-3", return_url=f"https://shop.example/{500 * 'x'}")
    assert "create: account -, reference 'order-3', number -: InvalidField: return_url" in said(operations)[0]
    with pytest.raises(RequestError):
        till.refund(payment, "back-1")
    assert said(operations)[0].startswith("refund: account toy, reference 'back-1' of 'order-1', number")
    with pytest.raises(NotAuthentic):
        till.receive(b"{}", {})
    assert said(operations)[0].startswith("receive: account toy, reference -, number -: NotAuthentic: ")


def test_work_of_the_worker_is_logged_where_it_changes_a_payment(
    till: Till, gateway: ToyServer, operations: pytest.LogCaptureFixture
) -> None:
    """One line per change, not per query."""
    payment = till.create()
    gateway.pay(payment.order_number)
    till.wait(payment, 20)
    till.sleep(0.1)
    lines = said(operations)
    assert lines.count(f"look after: {named(payment)}: paid (N ms)") == 1
    assert lines.count(f"wait: {named(payment)}: paid (N ms)") == 1


def test_each_request_is_one_line_without_its_contents(
    till: Till, gateway: ToyServer, requests: pytest.LogCaptureFixture
) -> None:
    """Method, path, status and time; no query string, body or header, whatever the result."""
    payment = till.create(subject="CANARY")
    assert said(requests) == ["account toy: POST /orders: 200 (N ms)"]
    gateway.set_faults(lose_reply=1)
    with pytest.raises(MaybeSent):
        till.query(payment)
    assert said(requests) == ["account toy: POST /query: MaybeSent (N ms)"]


def test_nothing_is_logged_without_logging_configured(till: Till, caplog: pytest.LogCaptureFixture) -> None:
    """Without logging configured only warnings are emitted, and no handler is installed."""
    till.create()
    assert caplog.records == []
    names = ("paycore", "paycore.operations", "paycore.requests", "paycore.engine.outages")
    assert [logging.getLogger(name).handlers for name in names] == [[]] * 4
    assert [logging.getLogger(name).level for name in names] == [logging.NOTSET] * 4


@pytest.mark.parametrize("kind", ["sync"])  # a till's loop runs while a verb does
def test_outage_is_logged_once_and_so_is_its_end(
    open_till: OpenTill, gateway: ToyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning a minute, however many payments are polled how often."""
    till = open_till()
    payments = [till.create(f"order-{n}") for n in range(8)]
    gateway.set_faults(lose_reply=10_000, path="/query")
    for payment in payments:
        till.wait(payment, 0.5)
    asked = gateway.counts().requests["/query"]
    (outage,) = said(caplog)
    assert re.match(
        r"could not ask about \d payments?: account toy: the request may have arrived at 127", outage
    )
    assert asked > 1
    gateway.set_faults()
    for payment in payments:
        gateway.pay(payment.order_number)
        till.wait(payment, 20)
    assert [re.sub(r"\d+ s$", "N s", line) for line in said(caplog)] == [
        "account toy answers again, after N s"
    ]


def test_outages_of_accounts_are_logged_a_minute_apart(caplog: pytest.LogCaptureFixture) -> None:
    """With the number of failures since; a new outage within the minute is not logged again."""
    clock = mock.Mock(return_value=1000.0)
    with mock.patch("paycore.engine.timing.time.monotonic", clock):
        met = outages.Outages()
        for second in range(150):
            clock.return_value = 1000.0 + second
            met.failed("account hk", f"no answer at {second}")
            if second == 10:
                met.failed("account us", "no answer from there")
        met.answered("account hk")
        met.answered("account hk")
        met.failed("account hk", "again")
    assert said(caplog) == [
        "no answer at 0",
        "no answer from there",
        "no answer at 60 (and 59 times more since this was last said)",
        "no answer at 120 (and 59 times more since this was last said)",
        "account hk answers again, after 149 s",
    ]


def test_unreachable_provider_is_named_to_the_caller(open_till: OpenTill) -> None:
    """The error has host, port and cause, and says that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    till = open_till(url=f"http://127.0.0.1:{port}")
    with pytest.raises(NotSent, match=rf"account toy: .* at 127\.0\.0\.1:{port}: connection refused"):
        till.create()
