"""Whatever arrives at a miniature provider, `verify` raises the two errors of the contract and nothing else."""

from datetime import UTC, datetime

import pytest

from paycore.engine.provider_class import sample_settings
from paycore.plugin import MalformedNotification, NotAuthentic, Notification, Provider
from paycore.testing.conformance.other_bodies import garbage
from tests.providers.minis import PROVIDERS

TAKING = [provider for provider in PROVIDERS if hasattr(provider, "verify")]
GENUINE = b'{"id": "1", "order_id": "1", "status_code": "200", "gross_amount": "1", "signature_key": "0"}'
HEADS = (
    "",
    "0" * 64,
    "t=1,v1=0",
    "t=1,v1=\N{LATIN SMALL LETTER E WITH ACUTE}",
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
)


@pytest.mark.parametrize("provider", TAKING, ids=lambda provider: provider.info.name)
def test_verify_raises_nothing_else(provider: type[Provider]) -> None:
    """Garbage, deep JSON and headers that are not ASCII."""
    made = provider(sample_settings(provider.info))
    odd = GENUINE.replace(b'"signature_key": "0"', '"signature_key": "\u00e9"'.encode())
    for body in (GENUINE, odd, *(body for _, body in garbage(GENUINE))):
        for value in HEADS:
            headers = dict.fromkeys(provider.info.notification_headers, value)
            given = Notification(body=body, headers=headers, received_at=datetime.now(UTC), session={})
            try:
                made.verify(given)  # type: ignore[attr-defined]
            except (NotAuthentic, MalformedNotification):
                continue
