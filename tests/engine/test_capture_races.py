"""Threads of several clients act on one authorized payment at once: at most one capture, and never beside a close."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from paycore import Client, Money, Status
from paycore.domain.payment import Capture
from paycore.errors import PaycoreError
from tests.support.toy_http import ToyServer, toy_config, toy_plugins

VERBS: dict[str, Callable[[Client, str, tuple[bytes, dict[str, str]]], Any]] = {
    "capture": lambda pay, payment_id, _: pay.capture(payment_id),
    "close": lambda pay, payment_id, _: pay.close(payment_id),
    "query": lambda pay, payment_id, _: pay.query(payment_id),
    "returned": lambda pay, payment_id, _: pay.returned(payment_id, {"token": "T1"}),
    "receive": lambda pay, _, told: pay.receive("toy", body=told[0], headers=told[1]),
}


@pytest.mark.parametrize("seed", range(6))
def test_one_capture_or_one_close(gateway: ToyServer, tmp_path: Path, seed: int) -> None:
    """Whatever eight of them do, in whatever order, the money is taken once or the authorization is voided."""
    chance = random.Random(seed)
    config = toy_config(gateway.url, f"sqlite:///{tmp_path / 'paycore.db'}", captures="full", timeout_s=2.0)
    clients = [Client(config, plugins=toy_plugins()) for _ in range(3)]
    capture: Capture = "manual" if seed % 2 else "automatic"
    order = {"amount": Money("88.00", "HKD"), "method": "toy", "channel": "hold", "capture": capture}
    payment = clients[0].create(reference="order-1", **order)  # type: ignore[arg-type]
    gateway.pay(payment.order_number)
    told = gateway.notification(payment.order_number)
    if capture == "manual":
        assert clients[0].query(payment.id).status is Status.AUTHORIZED
    gateway.set_faults(delay_s=0.05)

    def act(client: Client, verb: str) -> None:
        with suppress(PaycoreError):
            VERBS[verb](client, payment.id, told)

    verbs = [chance.choice(list(VERBS)) for _ in range(8)]
    threads = [threading.Thread(target=act, args=(chance.choice(clients), verb)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    payment = clients[0].query(payment.id)
    for client in clients:
        client.shutdown()
    requests = gateway.counts().requests
    assert requests.get("/captures", 0) <= 1, verbs
    assert not ("/captures" in requests and "/close" in requests), verbs
    assert (payment.status is Status.PAID) == ("/captures" in requests)
    assert (payment.uncertain, payment.review_reasons) == (False, ())
