"""
Events: made for each change, kept, and posted to the webhook endpoint with a signature.

Source: docs.stripe.com/webhooks (signature; in a sandbox 3 tries over a few hours), /api/events.
"""

from __future__ import annotations

import contextvars
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from paycore.sandbox.api import NotPossible
from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.gateway_kinds import NotificationFate, fate_of_notification
from paycore.sandbox.posts import Post, PostQueue, PostResult
from paycore.sandbox.virtual_clock import SandboxClock
from stripe_checkout.sandbox import objects
from stripe_checkout.sandbox.store import Object, Store, public

GAPS_S = (600, 7200)
"""Seconds between the three tries; Stripe says "over a few hours"."""

_FORGER_SECRET = "whsec_not_the_secret_of_this_endpoint"  # noqa: S105 -- the wrong one, on purpose

REQUEST: contextvars.ContextVar[Mapping[str, str | None] | None] = contextvars.ContextVar(
    "request", default=None
)
"""The API request being carried out, which its events name."""


class Events:
    """Sends events on the sandbox clock and goes on after a restart. Without a URL they are only kept."""

    def __init__(
        self,
        clock: SandboxClock,
        store: Store,
        posts: PostQueue,
        faults: FaultBoard,
        *,
        url: str | None,
        secrets: tuple[str, ...],
    ) -> None:
        self._clock = clock
        self._store = store
        self._posts = posts
        self._faults = faults
        self._url = url
        self._secrets = secrets

    def announce(self, kind: str, about: Object, *, previous: Mapping[str, Any] | None = None) -> None:
        """Something happened to an object."""
        request = REQUEST.get() or {"id": None, "idempotency_key": None}
        event = objects.new_event(
            kind, public(about), self._clock.now_ms() // 1000, previous=previous, request=request
        )
        event["_tries"] = []
        self._store.put(event)
        fate = NotificationFate(is_lost=True) if self._url is None else fate_of_notification(self._faults)
        if fate.is_lost:
            return
        if fate.is_forged_first:
            self._send(event, secrets=(_FORGER_SECRET,))
        for _ in range(fate.copies):
            self._plan(event, fate.after_s)

    def send_again(self, event: Object, *, after_s: float = 0.0, is_forged: bool = False) -> Object:
        """Send an event once more. `NotPossible` without an endpoint."""
        if self._url is None:
            raise NotPossible("there is no webhook endpoint: open the sandbox with a notify_url")
        if is_forged:
            self._send(event, secrets=(_FORGER_SECRET,))
        else:
            self._plan(event, after_s)
        return public(event)

    def of(self, ids: set[str]) -> list[Object]:
        """The events about these objects, newest first."""
        return [event for event in self._store.all("event") if event["data"]["object"]["id"] in ids]

    def resume(self) -> None:
        """Send what the last process had not delivered."""
        for event in self._store.all("event"):
            if event.get("_next_at") is not None and self._url is not None:
                self._clock.call_at(event["_next_at"], lambda event=event: self._send(event))  # type: ignore[misc]

    def _plan(self, event: Object, after_s: float) -> None:
        due = self._clock.now_ms() + round(after_s * 1000)
        self._store.change(event["id"], _next_at=due)
        if after_s <= 0:
            self._send(event)
        else:
            self._clock.call_at(due, lambda: self._send(event))

    def _send(self, event: Object, *, secrets: tuple[str, ...] | None = None) -> None:
        body = msgspec.json.encode(public(event))
        post = Post(url=self._url or "", headers=self.headers(body, secrets=secrets), body=body)
        self._posts.send(post, lambda result: self._sent(event["id"], result, is_forged=secrets is not None))

    def headers(self, body: bytes, *, secrets: tuple[str, ...] | None = None) -> dict[str, str]:
        """The headers of an event, signed now by the real clock: what receives it has no other."""
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, secrets or self._secrets, at=int(time.time())),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }

    def _sent(self, event_id: str, result: PostResult, *, is_forged: bool) -> None:
        """Delivered by any 2xx, else sent again after the next gap."""
        with self._store.lock:
            event = self._store.get("event", event_id)
            if event is None or is_forged:
                return
            tries = [*event["_tries"], {"status": result.status, "error": result.error}]
            is_delivered = result.status is not None and 200 <= result.status < 300
            gap = None if is_delivered or len(tries) > len(GAPS_S) else GAPS_S[len(tries) - 1]
            due = None if gap is None else self._clock.now_ms() + gap * 1000
            event = self._store.change(
                event_id, _tries=tries, _next_at=due, pending_webhooks=0 if is_delivered else 1
            )
        if due is not None:
            self._clock.call_at(due, lambda: self._send(event))


def signature(body: bytes, secrets: tuple[str, ...], *, at: int) -> str:
    """The header `Stripe-Signature`: one `v1` per secret, and the `v0` that test events have."""
    signed = f"{at}.".encode() + body
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={digest}" for digest in digests), f"v0={'0' * 64}"])
