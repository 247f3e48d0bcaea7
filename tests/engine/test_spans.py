"""OpenTelemetry spans of operations: which there are, what hangs on what, and what is in them."""

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from paycore.errors import MaybeSent, NotFound
from tests.engine.ended_spans import Spans
from tests.engine.tills import Till
from tests.support.toy_http import ToyServer


def names(spans: list[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_create_has_its_commits_and_its_request(till: Till, gateway: ToyServer, spans: Spans) -> None:
    """The transaction of the intent, the request, the transaction of the outcome; each within the operation."""
    payment = till.create()
    create, intent, request, outcome = spans.taken()
    assert names([create, intent, request, outcome]) == [
        "paycore.create",
        "paycore.ledger",
        "paycore.request",
        "paycore.ledger",
    ]
    assert parent_of(create) is None
    assert create.context is not None
    assert {parent_of(span) for span in (intent, request, outcome)} == {create.context.span_id}
    assert attributes(create) == {
        "paycore.account": "toy",
        "paycore.payment_id": payment.id,
        "paycore.reference": "order-1",
        "paycore.number": payment.order_number,
        "paycore.status": "pending",
    }
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    assert request.kind is SpanKind.CLIENT
    assert attributes(request) == {
        "paycore.account": "toy",
        "http.request.method": "POST",
        "server.address": host,
        "server.port": int(port),
        "url.path": "/orders",
        "http.response.status_code": 200,
    }
    assert [attributes(span) for span in (intent, outcome)] == [{"paycore.events": 1}] * 2


@pytest.mark.parametrize("kind", ["sync"])  # a till's event loop keeps the context in which it was made
def test_operation_is_within_the_callers_span(till: Till, spans: Spans) -> None:
    """It continues the trace of what called it."""
    with trace.get_tracer("shop").start_as_current_span("checkout"):
        till.create()
    checkout, create, *_ = spans.taken()
    assert checkout.context is not None
    assert parent_of(create) == checkout.context.span_id


def test_failure_is_named(till: Till, gateway: ToyServer, spans: Spans) -> None:
    """In the span of the request, and in that of the operation; without a traceback."""
    payment = till.create()
    spans.taken()
    gateway.set_faults(lose_reply=1)
    with pytest.raises(MaybeSent):
        till.query(payment)
    failed = [span for span in spans.taken() if span.status.status_code is StatusCode.ERROR]
    assert names(failed) == ["paycore.query", "paycore.request"]
    assert [attributes(span)["error.type"] for span in failed] == ["MaybeSent"] * 2
    assert all(not span.events for span in failed)


def test_refusal_of_the_ledger_is_named(till: Till, spans: Spans) -> None:
    """What is not there."""
    with pytest.raises(NotFound):
        till.do("query", "01NOBODYS")
    query, read = spans.taken()
    assert names([query, read]) == ["paycore.query", "paycore.ledger"]
    assert attributes(query) == {"error.type": "NotFound"}


def test_worker_has_spans_of_what_it_asks_only(till: Till, gateway: ToyServer, spans: Spans) -> None:
    """A question, and what is recovered; not that nothing is due."""
    payment = till.create()
    gateway.pay(payment.order_number)
    spans.taken()
    till.wait(payment, 20)
    till.sleep(1.0)
    roots = {span.name for span in spans.taken() if span.parent is None}
    assert roots == {"paycore.wait", "paycore.ask", "paycore.recover"}


UNTRACED = """
from opentelemetry import trace
from paycore.engine.telling import traced
program = iter(())
assert traced('create', program) is program
trace.set_tracer_provider(trace.NoOpTracerProvider())
assert traced('create', program) is not program
"""


def test_application_that_does_not_trace_has_no_spans_made() -> None:
    """A library of its own may have imported OpenTelemetry."""
    subprocess.run([sys.executable, "-c", UNTRACED], check=True)
