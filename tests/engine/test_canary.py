"""No secret is in what a client tells: its log and the fields of its records, its metrics, its spans."""

import json
import logging
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from paycore.errors import MaybeSent, NotAuthentic
from paycore.testing.toy import ToyGateway
from tests.engine.ended_spans import Spans
from tests.engine.tills import Kind, Till
from tests.support.toy_http import toy_config, toy_plugins, toy_server

KEY = "CANARY-key-of-the-account"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_no_secret_is_told(
    kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture, spans: Spans
) -> None:
    """Neither the key, nor a token got with it, nor what the payer brought, nor any body, header or query string."""
    gateway = ToyGateway(key=KEY, needs_token=True)
    with toy_server(gateway) as server, caplog.at_level(logging.DEBUG, "paycore"):
        config = toy_config(
            server.url,
            f"sqlite:///{tmp_path / 'paycore.db'}",
            provider="toy-session",
            key=KEY,
            timeout_s=1.0,
        )
        till = Till(kind, config, toy_plugins())
        try:
            registry = till.do("metrics")
            payment = till.create(subject="CANARY-subject")
            till.do("returned", payment.id, {"token": "CANARY-returned"})
            server.set_faults(lose_reply=1)
            with pytest.raises(MaybeSent):
                till.query(payment)
            with pytest.raises(NotAuthentic):
                till.do(
                    "receive",
                    "toy",
                    body=b'{"secret": "CANARY-body"}',
                    headers={"authorization": "CANARY-header"},
                    query="token=CANARY-query",
                )
            text = generate_latest(registry).decode()
        finally:
            till.shutdown()
    records = [json.dumps(vars(record), default=str) + record.getMessage() for record in caplog.records]
    told = {
        "log": "".join(records),
        "metrics": text,
        "spans": "".join(one.to_json() for one in spans.taken()),
    }
    assert gateway.tokens_made > 0
    secrets = ["CANARY", *gateway.tokens]
    assert {where: [secret for secret in secrets if secret in words] for where, words in told.items()} == {
        "log": [],
        "metrics": [],
        "spans": [],
    }
    assert "paycore.request" in told["spans"]
    assert "paycore_requests_total" in told["metrics"]
    assert payment.id in told["log"]
