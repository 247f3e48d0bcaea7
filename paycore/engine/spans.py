"""
OpenTelemetry spans of operations: `paycore.create`, and in it `paycore.request` and `paycore.ledger`.

Needs the extra `otel`, which has the API only: what becomes of the spans is decided by the application. No attribute
says what is in a request, an answer or a query string.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from paycore.domain.payment import Payment
from paycore.domain.safe_text import printable
from paycore.domain.wire import Response
from paycore.engine.effects import Effect, InLedger, OnWire, Program
from paycore.errors import PaycoreError
from paycore.ledger.api import committed_in

T = TypeVar("T")

_VERSION = version("paycore")


def is_traced() -> bool:
    """Whether the application has chosen what becomes of spans."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def spanned(verb: str, program: Program[T]) -> Program[T]:
    """The program in a span, and each of its transactions and requests in one of its own."""
    tracer = trace.get_tracer("paycore", _VERSION)
    with _span(tracer, f"paycore.{verb.replace(' ', '_')}", SpanKind.INTERNAL, {}) as span:
        result = yield from _each_spanned(tracer, program)
        span.set_attributes(_attributes_of(result))
        return result


def _each_spanned(tracer: Tracer, program: Program[T]) -> Program[T]:
    resume, value = program.send, None
    while True:
        try:
            effect = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            resume, value = program.send, (yield from _performed(tracer, effect))
        except GeneratorExit:
            program.close()
            raise
        except Exception as error:  # noqa: BLE001 - the program decides what an error means
            resume, value = program.throw, error


def _performed(tracer: Tracer, effect: Effect) -> Program[Any]:
    """What comes of an effect, in a span where it is a transaction or a request."""
    if isinstance(effect, InLedger):
        with _span(tracer, "paycore.ledger", SpanKind.INTERNAL, {}) as span:
            result: Any = yield effect
            span.set_attribute("paycore.events", sum(len(one.events) for one in committed_in(result)))
            return result
    if isinstance(effect, OnWire):
        with _span(tracer, "paycore.request", SpanKind.CLIENT, _attributes_of_request(effect)) as span:
            response: Response = yield effect
            span.set_attribute("http.response.status_code", response.status)
            return response
    return (yield effect)


@contextmanager
def _span(tracer: Tracer, name: str, kind: SpanKind, attributes: dict[str, str | int]) -> Iterator[Span]:
    """A span around what is done meanwhile; an error is named in it, without its traceback."""
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            words = printable(str(error)) if isinstance(error, PaycoreError) else type(error).__name__
            span.set_status(Status(StatusCode.ERROR, words))
            raise


def _attributes_of_request(asked: OnWire) -> dict[str, str | int]:
    """Named as OpenTelemetry's conventions for HTTP clients have it; a path never holds a secret of the account."""
    url = urlsplit(asked.base_url)
    return {
        "paycore.account": asked.account,
        "http.request.method": asked.request.method,
        "server.address": url.hostname or "",
        "server.port": url.port or (443 if url.scheme == "https" else 80),
        "url.path": printable(asked.request.path.partition("?")[0]),
    }


def _attributes_of(result: Any) -> dict[str, str]:
    """Which payment an operation was about."""
    payments: Sequence[Payment] = (
        (result,) if isinstance(result, Payment) else getattr(result, "payments", ())
    )
    if len(payments) != 1:
        return {}
    (payment,) = payments
    return {
        "paycore.account": payment.account,
        "paycore.payment_id": payment.id,
        "paycore.reference": payment.reference,
        "paycore.number": payment.order_number,
        "paycore.status": payment.status.value,
    }
