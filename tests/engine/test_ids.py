"""Ids: how they look, and in which order they sort."""

import time
import uuid

import pytest

from paycore.engine.declared import NUMBER_LENGTH
from paycore.engine.orders import new_id

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def as_uuid(text: str) -> uuid.UUID:
    """The UUID that the 26 characters encode."""
    value = 0
    for character in text:
        value = value << 5 | ALPHABET.index(character)
    return uuid.UUID(int=value)


def test_an_id_is_a_uuid_of_version_7_made_now() -> None:
    """26 characters; version and variant of RFC 9562, and the current milliseconds."""
    before = time.time_ns() // 1_000_000
    text = new_id()
    after = time.time_ns() // 1_000_000
    read = as_uuid(text)
    assert len(text) == NUMBER_LENGTH
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert before <= read.int >> 80 <= after


def test_ids_of_one_process_sort_in_the_order_they_were_made() -> None:
    """Also within one millisecond, in which a process makes hundreds."""
    ids = []
    for _ in range(5_000):
        ids.append(new_id())
        until = time.time_ns() + 1_000  # ids are ordered to a 4096th of a millisecond
        while time.time_ns() < until:
            pass
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert len({as_uuid(text).int >> 80 for text in ids}) < len(ids)


def test_ids_made_at_one_instant_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a stopped clock 62 random bits make them unique."""
    instant = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: instant)
    ids = [as_uuid(new_id()).int for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert len({value >> 62 for value in ids}) == 1
    assert max(value & (1 << 62) - 1 for value in ids) > 1 << 61  # the topmost of the bits is drawn too
