"""A counting gateway over real HTTP, and tills (test clients) of both kinds that talk to it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from paycore.engine import timing
from paycore.engine.plugins import Plugins
from paycore.testing.toy import ToyGateway
from tests.engine.by_hand import Bench
from tests.engine.ended_spans import Spans
from tests.engine.tills import Kind, Till
from tests.support.toy_http import KEY, ToyServer, toy_config, toy_plugins, toy_server

TIMEOUT_S = 1.0
PROOF_S = 0.1


class OpenTill(Protocol):
    """Opens a till on the test's ledger; settings are `ToySettings` and what `toy_config` takes."""

    def __call__(
        self, *, plugins: Plugins | None = None, url: str | None = None, **settings: Any
    ) -> Till: ...


class NewBench(Protocol):
    """Makes a bench; settings are `ToySettings`."""

    def __call__(self, gateway: ToyGateway | None = None, **settings: Any) -> Bench: ...


@pytest.fixture
def new_bench(tmp_path: Path) -> Iterator[NewBench]:
    """Makes the test's bench; the engine's monotonic clock is the bench's."""
    with ExitStack() as stack:

        def new_bench(gateway: ToyGateway | None = None, **settings: Any) -> Bench:
            bench = Bench(tmp_path, gateway, **settings)
            stack.callback(bench.ledger.close)
            stack.enter_context(mock.patch.object(timing, "time", bench))
            return bench

        yield new_bench


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """A bench with a gateway that refuses duplicates, and whose notifications are trusted."""
    return new_bench()


@pytest.fixture
def gateway() -> Iterator[ToyServer]:
    """A toy gateway on a free port."""
    with toy_server(ToyGateway(key=KEY)) as server:
        yield server


@pytest.fixture(autouse=True)
def workers_end_with_their_test() -> Iterator[None]:
    """A client closes without its slowest worker after three seconds; the next test must not hear of it."""
    yield
    for thread in threading.enumerate():
        if thread.name == "paycore-worker":
            thread.join(20)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Runs every test that opens a till with both clients."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def open_till(kind: Kind, gateway: ToyServer, tmp_path: Path) -> Iterator[OpenTill]:
    """Opens tills on one ledger, each like a separate process; all are closed after the test."""
    tills: list[Till] = []

    def open_till(*, plugins: Plugins | None = None, url: str | None = None, **settings: Any) -> Till:
        settings = {"timeout_s": TIMEOUT_S, "proof_s": PROOF_S, **settings}
        config = toy_config(url or gateway.url, f"sqlite:///{tmp_path / 'paycore.db'}", **settings)
        tills.append(Till(kind, config, plugins or toy_plugins()))
        return tills[-1]

    yield open_till
    for till in tills:
        till.shutdown()


@pytest.fixture
def till(open_till: OpenTill) -> Till:
    """One till."""
    return open_till()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Has the process trace, as an application does."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    yield Spans(exporter)
    provider.shutdown()
