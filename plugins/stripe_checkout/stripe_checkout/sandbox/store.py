"""
Stripe's objects as JSON documents, indexed by id, each change written to the state file.

Fields that begin with `_` are the sandbox's own and are never shown. Thread-safe: the server, the clock and a test may
call at once. Hold `lock` to read and then change.
"""

from __future__ import annotations

import threading
from typing import Any

import msgspec

from paycore.sandbox.state import StateFile, records

Object = dict[str, Any]


class Store:
    def __init__(self, state: StateFile) -> None:
        self.lock = threading.RLock()
        self._state = state
        self._objects: dict[str, Object] = {}
        self._by_kind: dict[str, list[str]] = {}
        for raw in records(state.values(), "object:"):
            self._index(msgspec.json.decode(raw))

    def put(self, thing: Object) -> Object:
        """Add or replace an object."""
        with self.lock:
            if thing["id"] not in self._objects:
                self._index(thing)
            self._objects[thing["id"]] = thing
            self._state.put(f"object:{thing['id']}", thing)
            return thing

    def change(self, object_id: str, **changes: Any) -> Object:
        """Replace fields of an object; the object as it is now."""
        with self.lock:
            return self.put(self._objects[object_id] | changes)

    def get(self, kind: str, object_id: str | None) -> Object | None:
        """The object of this kind with this id."""
        with self.lock:
            found = self._objects.get(object_id or "")
            return found if found is not None and found["object"] == kind else None

    def session_of(self, thing: Object) -> str:
        """The id of the session that this belongs to: a session, its intent, or what was made of that; "" for none."""
        if thing["object"] == "checkout.session":
            return str(thing["id"])
        intent_id = thing["id"] if thing["object"] == "payment_intent" else thing.get("payment_intent")
        intent = self.get("payment_intent", intent_id)
        return "" if intent is None else str(intent["_session"])

    def all(self, kind: str) -> list[Object]:
        """Every object of a kind, newest first."""
        with self.lock:
            return [self._objects[one] for one in reversed(self._by_kind.get(kind, []))]

    def _index(self, thing: Object) -> None:
        self._objects[thing["id"]] = thing
        self._by_kind.setdefault(thing["object"], []).append(thing["id"])


def public(thing: Object) -> Object:
    """An object as the API shows it."""
    return {name: value for name, value in thing.items() if not name.startswith("_")}
