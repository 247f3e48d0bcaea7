"""Metrics of a client: what it did, and what its ledger has, in a registry of its own."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from paycore.engine.metrics import page
from paycore.errors import MaybeSent, NotAuthentic, PaycoreError
from paycore.testing.toy import SIGNATURE_HEADER, sign
from tests.engine.conftest import OpenTill
from tests.engine.tills import Till
from tests.support.toy_http import KEY, ToyServer


def registry_of(till: Till) -> CollectorRegistry:
    registry: CollectorRegistry = till.do("metrics")
    return registry


def value(till: Till, name: str, **labels: str) -> float | None:
    """The sample, None where there is none."""
    return registry_of(till).get_sample_value(f"paycore_{name}", labels)


def test_operations_are_counted_by_outcome(till: Till, gateway: ToyServer) -> None:
    """By verb; of one that raised, the error's name is the outcome."""
    registry_of(till)
    payment = till.create()
    gateway.set_faults(lose_reply=1)
    with pytest.raises(MaybeSent):
        till.query(payment)
    till.query(payment)
    assert value(till, "operations_total", verb="create", outcome="done") == 1
    assert value(till, "operations_total", verb="query", outcome="MaybeSent") == 1
    assert value(till, "operations_total", verb="query", outcome="done") == 1
    assert value(till, "operation_seconds_count", verb="query") == 2


def test_requests_are_counted_by_what_came_of_them(till: Till, gateway: ToyServer) -> None:
    """Answered, or perhaps sent; with the time they took."""
    registry_of(till)
    payment = till.create()
    gateway.set_faults(lose_reply=1)
    with pytest.raises(MaybeSent):
        till.query(payment)
    assert value(till, "requests_total", account="toy", outcome="answered") == 1
    assert value(till, "requests_total", account="toy", outcome="maybe_sent") == 1
    assert value(till, "request_seconds_count", account="toy") == 2


@pytest.mark.parametrize("kind", ["sync"])
def test_request_that_left_for_nobody_is_not_sent(open_till: OpenTill) -> None:
    """Where no connection was made."""
    till = open_till(url="http://127.0.0.1:1")
    registry_of(till)
    with pytest.raises(PaycoreError):
        till.create()
    assert value(till, "requests_total", account="toy", outcome="not_sent") == 1


def notified(till: Till, number: str, **facts: object) -> None:
    """A genuine notification that this order is paid."""
    told = {"number": number, "kind": "payment", "id": f"T-{number}", "status": "paid", **facts}
    body = json.dumps({**told, "minor": 8800, "currency": "HKD"}).encode()
    till.receive(body, {SIGNATURE_HEADER: sign(body, KEY)})


def test_paid_to_known_is_measured(till: Till) -> None:
    """From when the provider says that it was paid to when that was recorded, once for a payment."""
    registry_of(till)
    payment = till.create()
    paid_at = datetime.now(UTC) - timedelta(seconds=20)
    for attempt in ("first", "again"):
        notified(till, payment.order_number, at=paid_at.isoformat(), attempt=attempt)
    assert value(till, "paid_to_known_seconds_count", account="toy") == 1
    known_s = value(till, "paid_to_known_seconds_sum", account="toy")
    assert known_s is not None
    assert 19.9 < known_s < 40  # the ledger keeps milliseconds
    assert value(till, "paid_to_known_seconds_bucket", account="toy", le="15.0") == 0
    assert value(till, "status_changes_total", account="toy", status="pending") == 1
    assert value(till, "status_changes_total", account="toy", status="paid") == 1


def test_provider_that_names_no_time_has_no_paid_to_known(till: Till) -> None:
    """What is not known is not made up."""
    registry_of(till)
    notified(till, till.create().order_number)
    assert value(till, "status_changes_total", account="toy", status="paid") == 1
    assert value(till, "paid_to_known_seconds_count", account="toy") is None


def test_notifications_are_counted_by_verdict(till: Till, gateway: ToyServer) -> None:
    """New, repeated, forged, stray; one for an account that there is not has no series of its own."""
    registry_of(till)
    payment = till.create()
    gateway.pay(payment.order_number)
    body, headers = gateway.notification(payment.order_number)
    till.receive(body, headers)
    till.receive(body, headers)
    with pytest.raises(NotAuthentic):
        till.receive(b"{}", {})
    with pytest.raises(PaycoreError):
        till.receive(body, headers, account="nobody's")
    counted = {
        sample.labels["account"] + " " + sample.labels["verdict"]: sample.value
        for family in registry_of(till).collect()
        for sample in family.samples
        if sample.name == "paycore_notifications_total"
    }
    assert counted == {"toy new": 1, "toy repeat": 1, "toy forged": 1}


def test_ledger_is_read_at_each_scrape(open_till: OpenTill, gateway: ToyServer) -> None:
    """Payments that other processes made are there: by status, open, with the age of the oldest."""
    till, other = open_till(), open_till()
    registry_of(till)
    payments = [other.create(f"order-{n}") for n in range(3)]
    gateway.pay(payments[0].order_number)
    other.query(payments[0])
    assert value(till, "ledger_up") == 1
    assert value(till, "payments", account="toy", status="pending") == 2
    assert value(till, "payments", account="toy", status="paid") == 1
    assert value(till, "payments", account="toy", status="failed") == 0
    assert value(till, "open_payments", account="toy") == 2
    assert value(till, "review_payments", account="toy") == 0
    assert value(till, "uncertain_payments", account="toy") == 0
    age_s = value(till, "oldest_open_seconds", account="toy")
    assert age_s is not None
    assert 0 < age_s < 60


def test_budget_of_all_processes_is_shown(open_till: OpenTill) -> None:
    """What this client and others have spent, beside what may be spent."""
    till, other = open_till(), open_till()
    registry_of(till)
    till.create()
    other.create("order-2")
    used, limit = (value(till, f"budget_{name}_requests", account="toy") for name in ("used", "limit"))
    assert used == 2
    assert limit is not None
    assert limit > 2
    assert value(till, "budget_share_ratio", account="toy") == 1


@pytest.mark.parametrize("kind", ["sync"])
def test_lag_of_consumers_is_shown(till: Till) -> None:
    """Of each consumer of the change feed: how many events, and how old the oldest is."""
    till.create()
    for _ in till.do("changes", "delivery", from_start=True, follow=False):
        break
    behind = value(till, "feed_behind_events", consumer="delivery")
    assert behind is not None
    assert behind >= 1
    behind_s = value(till, "feed_behind_seconds", consumer="delivery")
    assert behind_s is not None
    assert 0 < behind_s < 60
    for _ in till.do("changes", "delivery", follow=False):
        pass
    assert value(till, "feed_behind_events", consumer="delivery") == 0
    assert value(till, "feed_behind_seconds", consumer="delivery") == 0


def test_ledger_that_is_away_leaves_the_counters(till: Till) -> None:
    """A scrape is answered: without the gauges of the ledger, and it says so."""
    registry_of(till)
    till.create()
    till._client._core.ledger.close()
    assert value(till, "ledger_up") == 0
    assert value(till, "payments", account="toy", status="pending") is None
    assert value(till, "operations_total", verb="create", outcome="done") == 1


def test_each_client_has_a_registry_of_its_own(open_till: OpenTill) -> None:
    """Nothing is registered for the whole process, and two clients do not share counts."""
    before = {family.name for family in REGISTRY.collect()}
    till, other = open_till(), open_till()
    assert registry_of(till) is registry_of(till)
    assert registry_of(till) is not registry_of(other)
    till.create()
    assert value(other, "operations_total", verb="create", outcome="done") is None
    assert {family.name for family in REGISTRY.collect()} == before


def test_no_metric_holds_a_secret(open_till: OpenTill, gateway: ToyServer) -> None:
    """Neither the key, nor a scanned code, nor anything of the order."""
    till = open_till()
    registry_of(till)
    payment = till.create("CANARY-reference", subject="CANARY-subject")
    gateway.set_faults(lose_reply=1)
    with pytest.raises(MaybeSent):
        till.query(payment)
    with pytest.raises(PaycoreError):
        till.receive(b"{}", {}, account="CANARY-account")
    text = generate_latest(registry_of(till)).decode()
    assert "paycore_operations_total" in text
    assert "CANARY" not in text
    assert payment.order_number not in text


def test_page_is_in_a_format_of_prometheus(till: Till) -> None:
    """Text, or OpenMetrics where it is asked for."""
    body, kind = page(registry_of(till))
    assert kind.startswith("text/plain")
    assert b"# TYPE paycore_payments gauge" in body
    body, kind = page(registry_of(till), "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


UNUSED = """
import sys
import paycore, paycore.engine.client, paycore.engine.async_client, paycore.engine.commands
assert not {name.partition('.')[0] for name in sys.modules} & {'prometheus_client', 'opentelemetry'}
"""


def test_nothing_is_imported_for_a_client_that_is_not_measured() -> None:
    """Neither extra is looked for before it is asked for."""
    subprocess.run([sys.executable, "-c", UNUSED], check=True)


WITHOUT = """
import sys
sys.modules['prometheus_client'] = None
from paycore import Client, Config
from paycore.errors import ConfigError
try:
    Client(Config(path='-', ledger='sqlite:///' + sys.argv[1], accounts={}, default_account=None)).metrics()
except ConfigError as error:
    assert "pip install 'paycore[metrics]'" in str(error), error
else:
    raise AssertionError
"""


def test_missing_extra_is_named(tmp_path: Any) -> None:
    """Without the package, asking for metrics says what to install."""
    subprocess.run([sys.executable, "-c", WITHOUT, str(tmp_path / "paycore.db")], check=True)
