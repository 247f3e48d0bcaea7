"""Delivers a sandbox's notifications: on its clock, again after each gap until one is accepted, and over restarts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from paycore.sandbox.posts import Post, PostQueue, PostResult
from paycore.sandbox.state import StateFile, records
from paycore.sandbox.virtual_clock import SandboxClock


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: the HTTP status, or `error` when there was none; `at` in ms on the sandbox's clock."""

    at: int
    status: int | None
    error: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """
    One notification and its attempts; a plugin adds what it is about.

    `next_at` is when it is sent next, in ms on the sandbox's clock, `None` for never. A forged one is sent once.
    """

    id: str
    body: str
    is_forged: bool = False
    is_accepted: bool = False
    attempts: tuple[DeliveryAttempt, ...] = ()
    next_at: int | None = None


DeliveryT = TypeVar("DeliveryT", bound=Delivery)


class Deliveries(Generic[DeliveryT]):
    """
    Sends deliveries of one kind, and keeps each in the state file under `prefix` and its id.

    `gaps_s` are the seconds between one attempt and the next. `post_of` makes the request of a delivery that is due,
    `None` where it can't be sent; `accepts` says whether an answer accepts it.
    """

    def __init__(
        self,
        kind: type[DeliveryT],
        *,
        prefix: str,
        gaps_s: Sequence[int],
        clock: SandboxClock,
        posts: PostQueue,
        state: StateFile,
        post_of: Callable[[DeliveryT], Post | None],
        accepts: Callable[[PostResult], bool],
    ) -> None:
        self._kind = kind
        self._prefix = prefix
        self._gaps_s = gaps_s
        self._clock = clock
        self._posts = posts
        self._state = state
        self._post_of = post_of
        self._accepts = accepts
        self._kept: dict[str, DeliveryT] = {}

    def resume(self) -> None:
        """Send what the last process had not delivered."""
        for raw in records(self._state.values(), self._prefix):
            self.plan(msgspec.json.decode(raw, type=self._kind))

    def plan(self, delivery: DeliveryT) -> None:
        """Keep it, and send it when it is due."""
        self._kept[delivery.id] = delivery
        self._state.put(f"{self._prefix}{delivery.id}", delivery)
        if delivery.next_at is None:
            return
        if delivery.next_at <= self._clock.now_ms():
            self._send(delivery.id)
        else:
            self._clock.call_at(delivery.next_at, partial(self._send, delivery.id))

    def all(self) -> list[DeliveryT]:
        """Oldest first."""
        return list(self._kept.values())

    def totals(self) -> dict[str, int]:
        """How often one was sent, and how many were accepted."""
        return {
            "attempts": sum(len(one.attempts) for one in self.all()),
            "accepted": sum(one.is_accepted for one in self.all()),
        }

    def _send(self, delivery_id: str) -> None:
        post = self._post_of(self._kept[delivery_id])
        if post is not None:
            self._posts.send(post, partial(self._answered, delivery_id))

    def _answered(self, delivery_id: str, result: PostResult) -> None:
        """Accepted, else sent again after the next gap."""
        delivery, now = self._kept[delivery_id], self._clock.now_ms()
        attempt = DeliveryAttempt(at=now, status=result.status, error=result.error)
        attempts = (*delivery.attempts, attempt)
        is_accepted = self._accepts(result)
        is_over = is_accepted or delivery.is_forged or len(attempts) > len(self._gaps_s)
        next_at = None if is_over else now + self._gaps_s[len(attempts) - 1] * 1000
        self.plan(replace(delivery, attempts=attempts, is_accepted=is_accepted, next_at=next_at))
