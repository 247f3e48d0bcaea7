"""
The order book: payments and refunds, indexed by number and by time, each change written to the state file.

Thread-safe: the server, the sandbox clock and a test may call at once. Hold `lock` to read and then change.
"""

from __future__ import annotations

import bisect
import threading
from typing import Any, TypeVar

import msgspec

from paycore.sandbox.api import UnknownOrder
from paycore.sandbox.state import StateFile, records
from paycore.sandbox.virtual_clock import SandboxClock
from qfpay_alipay.sandbox.order_records import SandboxOrder, SandboxRefund

Entry = SandboxOrder | SandboxRefund

EntryT = TypeVar("EntryT", SandboxOrder, SandboxRefund)


class OrderBook:
    """Returns orders as they are now on the sandbox clock: expired when their time is up."""

    def __init__(self, clock: SandboxClock, state: StateFile) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._state = state
        self._entries: dict[str, Entry] = {}
        self._timeline: list[tuple[int, str]] = []
        self._by_number: dict[str, list[str]] = {}
        self._by_trade_no: dict[str, str] = {}
        self._refunds: dict[str, list[str]] = {}
        self._load()

    def add(self, entry: Entry) -> None:
        with self.lock:
            self._index(entry)
            self._write(entry)

    def change(self, entry: EntryT, **changes: Any) -> EntryT:
        with self.lock:
            changed = msgspec.structs.replace(entry, **changes)
            self._entries[entry.syssn] = changed
            self._write(changed)
            return changed

    def entry(self, syssn: str) -> Entry | None:
        with self.lock:
            entry = self._entries.get(syssn)
            return entry.at(self._clock.now_ms()) if isinstance(entry, SandboxOrder) else entry

    def numbered(self, out_trade_no: str) -> list[Entry]:
        """Everything under this out_trade_no, oldest first; more than one only when the gateway charges blindly."""
        with self.lock:
            entries = [self.entry(syssn) for syssn in self._by_number.get(out_trade_no, ())]
            return [entry for entry in entries if entry is not None]

    def find(self, number: str) -> SandboxOrder:
        """The newest payment with this syssn, out_trade_no or wallet number. `UnknownOrder` when there is none."""
        with self.lock:
            numbered = self.numbered(number)
            entry = numbered[-1] if numbered else self.entry(self._by_trade_no.get(number, number))
        if isinstance(entry, SandboxRefund):
            raise UnknownOrder(f"{number} is a refund; its payment is {entry.orig_syssn}")
        if entry is None:
            raise UnknownOrder(
                f"no order {number!r}; GET /_sandbox/orders lists them, by out_trade_no and syssn"
            )
        return entry

    def find_refund(self, number: str) -> SandboxRefund:
        """The newest refund with this syssn or out_trade_no. `UnknownOrder` when there is none."""
        with self.lock:
            for entry in (self.entry(number), *reversed(self.numbered(number))):
                if isinstance(entry, SandboxRefund):
                    return entry
        raise UnknownOrder(f"no refund {number!r}")

    def search(self, start_ms: int, end_ms: int) -> list[Entry]:
        """All payments and refunds begun in this time, both ends included, newest first."""
        with self.lock:
            low = bisect.bisect_left(self._timeline, (start_ms, ""))
            high = bisect.bisect_left(self._timeline, (end_ms + 1, ""))
            found = [self.entry(syssn) for _, syssn in reversed(self._timeline[low:high])]
            return [entry for entry in found if entry is not None]

    def with_numbers(self, syssns: frozenset[str], out_trade_nos: frozenset[str]) -> list[Entry]:
        """Payments and refunds with one of the syssns and one of the numbers (an empty set is any), newest first."""
        with self.lock:
            if syssns:
                found = [entry for entry in map(self.entry, syssns) if entry is not None]
                found = [entry for entry in found if not out_trade_nos or entry.out_trade_no in out_trade_nos]
            else:
                found = [entry for number in out_trade_nos for entry in self.numbered(number)]
        return sorted(found, key=lambda entry: (entry.created_at, entry.syssn), reverse=True)

    def orders(self) -> list[SandboxOrder]:
        """Every payment, newest first."""
        with self.lock:
            found = [self.entry(syssn) for _, syssn in reversed(self._timeline)]
            return [entry for entry in found if isinstance(entry, SandboxOrder)]

    def refunds(self) -> list[SandboxRefund]:
        with self.lock:
            return [entry for entry in self._entries.values() if isinstance(entry, SandboxRefund)]

    def refunds_of(self, order: SandboxOrder) -> list[SandboxRefund]:
        """Oldest first."""
        with self.lock:
            entries = [self._entries[syssn] for syssn in self._refunds.get(order.syssn, ())]
            return [entry for entry in entries if isinstance(entry, SandboxRefund)]

    def given_numbers(self) -> list[str]:
        """Every syssn and wallet number there is."""
        with self.lock:
            return [*self._entries, *self._by_trade_no]

    def _load(self) -> None:
        values = self._state.values()
        entries: list[Entry] = [
            msgspec.json.decode(raw, type=SandboxOrder) for raw in records(values, "order:")
        ]
        entries += [msgspec.json.decode(raw, type=SandboxRefund) for raw in records(values, "refund:")]
        for entry in sorted(entries, key=lambda entry: (entry.created_at, entry.syssn)):
            self._index(entry)

    def _index(self, entry: Entry) -> None:
        self._entries[entry.syssn] = entry
        # Within one millisecond they are ordered by syssn.
        bisect.insort(self._timeline, (entry.created_at, entry.syssn))
        self._by_number.setdefault(entry.out_trade_no, []).append(entry.syssn)
        if isinstance(entry, SandboxOrder):
            self._by_trade_no[entry.trade_no] = entry.syssn
        else:
            self._refunds.setdefault(entry.orig_syssn, []).append(entry.syssn)

    def _write(self, entry: Entry) -> None:
        kind = "order" if isinstance(entry, SandboxOrder) else "refund"
        self._state.put(f"{kind}:{entry.syssn}", entry)
