"""Every order and request id of the account, each change written to the state file."""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Iterator

import msgspec

from paycore.sandbox.api import UnknownOrder
from paycore.sandbox.state import StateFile, records
from paycore.sandbox.virtual_clock import SandboxClock
from paypal_orders.sandbox.records import Made, Remembered, SandboxOrder

_LETTERS = string.ascii_uppercase + string.digits


class OrderBook:
    """
    Returns orders as they are now on the sandbox clock: gone when their time is up.

    Thread-safe: the server, the clock and a test may call at once. Hold `lock` to read and then change.
    """

    def __init__(self, clock: SandboxClock, state: StateFile) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._state = state
        self._orders: dict[str, SandboxOrder] = {}
        self._owners: dict[str, str] = {}
        self._remembered: dict[str, Remembered] = {}
        values = state.values()
        for raw in records(values, "order:"):
            self._index(msgspec.json.decode(raw, type=SandboxOrder))
        for key, raw in values.items():
            if key.startswith("request:"):
                self._remembered[key.removeprefix("request:")] = msgspec.json.decode(raw, type=Remembered)

    def new_id(self) -> str:
        """17 letters and digits, as in every sample."""
        return "".join(secrets.choice(_LETTERS) for _ in range(17))

    def put(self, order: SandboxOrder) -> SandboxOrder:
        with self.lock:
            self._index(order)
            self._state.put(f"order:{order.id}", order)
            return order

    def order(self, order_id: str) -> SandboxOrder | None:
        """The order, None where there is none or it is gone."""
        with self.lock:
            order = self._orders.get(order_id)
            order = order and order.at(self._clock.now_ms())
            return None if order is None or order.is_expired else order

    def owner(self, made_id: str, kind: str) -> tuple[SandboxOrder, Made] | None:
        """The authorization, capture or refund with this id, and its order."""
        with self.lock:
            order = self._orders.get(self._owners.get(made_id, ""))
            if order is None:
                return None
            made = next((one for one in getattr(order, kind) if one.id == made_id), None)
            return None if made is None else (order, made)

    def orders(self) -> list[SandboxOrder]:
        """Every order, newest first."""
        with self.lock:
            now = self._clock.now_ms()
            return [order.at(now) for order in reversed(self._orders.values())]

    def numbered(self, number: str) -> list[SandboxOrder]:
        """Every order with this number of the merchant's, oldest first."""
        return [order for order in reversed(self.orders()) if number and order.number == number]

    def find(self, number: str) -> SandboxOrder:
        """The newest order with this number: the merchant's, or any of PayPal's. `UnknownOrder` when there is none."""
        with self.lock:
            same = self.numbered(number)
            order = self._orders.get(self._owners.get(number, number))
            if not same and order is None:
                raise UnknownOrder(f"no order {number!r}; GET /_sandbox/orders lists them")
            found = same[-1] if same else order
            assert found is not None
            return found.at(self._clock.now_ms())

    def refund(self, number: str) -> tuple[SandboxOrder, Made]:
        """The refund with this number of the merchant's or PayPal's. `UnknownOrder` when there is none."""
        for order in self.orders():
            for refund in order.refunds:
                if number in (refund.id, refund.number):
                    return order, refund
        raise UnknownOrder(f"no refund {number!r}")

    def disputes(self) -> Iterator[tuple[SandboxOrder, int]]:
        """Every dispute, as its order and its place there."""
        for order in self.orders():
            yield from ((order, place) for place in range(len(order.disputes)))

    def remembered(self, request_id: str) -> Remembered | None:
        with self.lock:
            known = self._remembered.get(request_id)
            return known if known is not None and self._clock.now_ms() < known.until else None

    def remember(self, request_id: str, what: Remembered) -> None:
        with self.lock:
            self._remembered[request_id] = what
            self._state.put(f"request:{request_id}", what)

    def _index(self, order: SandboxOrder) -> None:
        self._orders[order.id] = order
        for made in (*order.authorizations, *order.captures, *order.refunds):
            self._owners[made.id] = order.id
