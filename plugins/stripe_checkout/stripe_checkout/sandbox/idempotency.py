"""
Idempotency keys: the first result of a key is every later one's, for as long as the key is kept.

Source: docs.stripe.com/api/idempotent_requests, docs.stripe.com/error-low-level.
"""

from __future__ import annotations

import msgspec

from paycore.sandbox.state import StateFile, records
from paycore.sandbox.virtual_clock import SandboxClock
from stripe_checkout.sandbox.refusals import ApiError


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A key, what it was used for, and the result."""

    key: str
    path: str
    params: str
    status: int
    body: str
    kept_until: int


class Keys:
    """`window_s`: how long a key is kept. Stripe promises a day and may keep it longer."""

    def __init__(self, clock: SandboxClock, state: StateFile, *, window_s: int) -> None:
        self._clock = clock
        self._state = state
        self._window_s = window_s
        kept = (msgspec.json.decode(raw, type=Kept) for raw in records(state.values(), "key:"))
        self._kept = {one.key: one for one in kept}

    def replay(self, key: str, path: str, params: str) -> Kept | None:
        """The result of an earlier use; None for a new key. 400 where it was used for something else."""
        kept = self._kept.get(key)
        if kept is None or kept.kept_until <= self._clock.now_ms():
            return None
        if kept.path != path:
            raise _mismatch(f"for the same endpoint they were first used for ('{kept.path}' not '{path}')")
        if kept.params != params:
            raise _mismatch("with the same parameters they were first used with")
        return kept

    def keep(self, key: str, path: str, params: str, status: int, body: bytes) -> None:
        until = self._clock.now_ms() + self._window_s * 1000
        kept = Kept(key=key, path=path, params=params, status=status, body=body.decode(), kept_until=until)
        self._kept[key] = kept
        self._state.put(f"key:{key}", kept)


def _mismatch(how: str) -> ApiError:
    words = f"Keys for idempotent requests can only be used {how}. Try using a key other than the first one."
    return ApiError(400, words, kind="idempotency_error")
