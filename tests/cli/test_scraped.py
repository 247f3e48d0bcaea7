"""`--metrics-port` of `serve` and `worker`: their metrics over HTTP, on an address of their own."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from tests.cli.conftest import Cli, ToyShop, toy_order

COMMANDS = {"worker": ["worker"], "serve": ["serve", "--port", "0"]}
DRAINED_S = 5.0


@contextmanager
def measured(command: str) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """The process in the working folder, and what it printed once it was ready."""
    words = [sys.executable, "-m", "paycore.cli", *COMMANDS[command], "--json", "--metrics-port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def scraped(url: str) -> dict[str, float]:
    """The samples by name and labels."""
    answer = httpx2.get(url, trust_env=False, timeout=20)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_worker_serves_its_metrics(cli: Cli, toy_shop: ToyShop) -> None:
    """What it asked, what came of it, and what the ledger has; a signal ends it in time all the same."""
    payment = cli(*toy_order("web", "order-1"), "--json").json
    with measured("worker") as (process, ready):
        assert scraped(ready["metrics_url"])['paycore_payments{account="toy",status="pending"}'] == 1
        toy_shop.server.pay(payment["order_number"])
        until = time.monotonic() + 30
        while scraped(ready["metrics_url"])['paycore_payments{account="toy",status="paid"}'] == 0:
            assert time.monotonic() < until
            time.sleep(0.1)
        found = scraped(ready["metrics_url"])
        assert found['paycore_requests_total{account="toy",outcome="answered"}'] >= 1
        assert found['paycore_status_changes_total{account="toy",status="paid"}'] == 1
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - begun < DRAINED_S


def test_receiver_serves_its_metrics_elsewhere(cli: Cli, toy_shop: ToyShop) -> None:
    """Not where notifications arrive: what the provider reaches tells strangers nothing."""
    payment = cli(*toy_order("web", "order-1"), "--json").json
    toy_shop.server.pay(payment["order_number"])
    body, headers = toy_shop.server.notification(payment["order_number"])
    with measured("serve") as (process, ready):
        answer = httpx2.post(
            f"{ready['url']}/toy", content=body, headers=headers, trust_env=False, timeout=20
        )
        assert answer.status_code == 200
        found = scraped(ready["metrics_url"])
        assert found['paycore_notifications_total{account="toy",verdict="new"}'] == 1
        public = httpx2.get(f"{ready['url']}/metrics", trust_env=False, timeout=20)
        assert public.status_code in (404, 405)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - begun < DRAINED_S


@pytest.mark.parametrize("command", COMMANDS)
def test_port_that_is_taken_is_said(cli: Cli, toy_shop: ToyShop, command: str) -> None:
    """It does not start without the metrics it was to serve."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = cli(*COMMANDS[command], "--metrics-port", str(taken.getsockname()[1]))
    assert ran.code == 6
    assert re.search(r"127\.0\.0\.1 port \d+ can't be listened on for metrics", ran.err)
