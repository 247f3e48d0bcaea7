"""A client knows the messages it decodes before its threads decode their first ones at once."""

import pytest

from paycore.domain import codec
from tests.engine.conftest import OpenTill


def test_client_reads_the_messages_of_its_providers_ahead(
    monkeypatch: pytest.MonkeyPatch, open_till: OpenTill
) -> None:
    """Those of the core, and of each provider that the configuration uses, when it is opened."""
    read: list[str] = []
    monkeypatch.setattr(codec, "read_ahead", read.append)
    open_till()
    assert read == ["paycore.domain", "paycore"]  # the toy is part of paycore
