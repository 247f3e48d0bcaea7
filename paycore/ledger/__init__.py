"""The durable record: what was intended, sent and observed. The only SQL in paycore."""

from __future__ import annotations

from paycore.ledger.opening import open_ledger

__all__ = ["open_ledger"]
