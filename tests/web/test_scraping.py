"""`paycore.web.metrics` in an application of one's own, with a client of either kind."""

from pathlib import Path

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from paycore import AsyncClient, Client
from paycore.web import metrics, notifications
from tests.support.toy_http import ToyServer, toy_config
from tests.web.conftest import Kind, served


def both(client: Client | AsyncClient) -> Starlette:
    """An application that has the metrics and the receiver."""
    return Starlette(routes=[Mount("/metrics", metrics(client)), Mount("/notify", notifications(client))])


def test_metrics_are_mounted_beside_the_receiver(gateway: ToyServer, kind: Kind, tmp_path: Path) -> None:
    """A GET has the page, in the format that is asked for; another method is refused."""
    config = toy_config(gateway.url, f"sqlite:///{tmp_path / 'paycore.db'}")
    with served(kind, config, both) as url, httpx2.Client(trust_env=False, timeout=30) as http:
        assert http.post(f"{url}/notify/toy", content=b"{}").status_code == 400
        page = http.get(f"{url}/metrics/")
        assert page.status_code == 200
        assert 'paycore_notifications_total{account="toy",verdict="forged"} 1.0' in page.text.splitlines()
        assert 'paycore_payments{account="toy",status="paid"} 0.0' in page.text.splitlines()
        newer = http.get(f"{url}/metrics/", headers={"accept": "application/openmetrics-text;version=1.0.0"})
        assert newer.headers["content-type"].startswith("application/openmetrics-text")
        refused = http.post(f"{url}/metrics/", content=b"")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
