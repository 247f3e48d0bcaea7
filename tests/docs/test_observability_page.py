"""docs/observability.md names the metrics, fields and spans that there are, and no others."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from paycore import Client, Money
from tests.docs.pages import ROOT
from tests.support.toy_http import toy_config, toy_plugins, toy_server

PAGE = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
METRIC = re.compile(r"^\| `(paycore_\w+)` \| (\w+) \| ([^|]*)\|", re.MULTILINE)
FIELD = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


@pytest.fixture
def pay(tmp_path: Path) -> Iterator[Client]:
    """A client whose metrics are asked for."""
    with (
        toy_server() as server,
        Client(toy_config(server.url, f"sqlite:///{tmp_path / 'p.db'}"), plugins=toy_plugins()) as pay,
    ):
        pay.metrics()
        yield pay


def families(registry: CollectorRegistry) -> dict[str, tuple[str, set[str]]]:
    """The kind and the labels of each metric, by its name on the page."""
    found: dict[str, tuple[str, set[str]]] = {}
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            (family,) = collector.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, set(collector._labelnames))
        else:
            for family in collector.collect():
                assert family.samples, family.name
                found[family.name] = (family.type, set(family.samples[0].labels))
    return found


def test_metrics_are_those_listed(pay: Client) -> None:
    """Each metric of the registry has its row, with its kind and its labels."""
    pay.create(reference="order-1", amount=Money("88.00", "HKD"), method="toy", channel="web")
    for _ in pay.changes("delivery", from_start=True, follow=False):
        pass
    listed = {
        name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in METRIC.findall(PAGE)
    }
    assert listed == families(pay.metrics())


def test_fields_are_those_listed(pay: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Each field of a record has its row, in the same order."""
    with caplog.at_level(logging.INFO, "paycore.operations"):
        pay.create(reference="order-1", amount=Money("88.00", "HKD"), method="toy", channel="web")
    (record,) = caplog.records
    bare = vars(logging.LogRecord("", 0, "", 0, "", (), None))
    fields = [name for name in vars(record) if name not in bare and name != "message"]
    assert FIELD.findall(PAGE.partition("| Field |")[2].partition("\n\n")[0]) == fields
