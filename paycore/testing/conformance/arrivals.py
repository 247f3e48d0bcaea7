"""Notifications as a check looks at them: what arrived, and what `verify` makes of it or of a changed copy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.provider import FullProvider, Mention, Notice, Product
from paycore.domain.wire import Notification
from paycore.errors import MalformedNotification, NotAuthentic, NotificationError
from paycore.sandbox.api import NotPossible
from paycore.testing.conformance.check import Failed, NotApplicable
from paycore.testing.conformance.notification_receiver import ReceivedNotification
from paycore.testing.conformance.order_desk import PlacedOrder
from paycore.testing.conformance.problem_words import place_of
from paycore.testing.conformance.rig import NOTIFIED_S, Rig

NOTHING_ELSE = "raise NotAuthentic or MalformedNotification for whatever may arrive, and nothing else"

_SIGNS = re.compile(r"sign|sig\b|hmac|digest|hash|token|auth|secret|key|verif")
_SIGNATURE = re.compile(r"[0-9A-Za-z+/_-]{32}")
"""A header that signs, by its name and by its value: others say what the notification is about."""

SEVERAL = 8
"""More notifications than any provider sends of one payment."""

OTHERS_S = 1.0
"""How long to wait for one more notification that need not come, in real time."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` made of a notification: its items, or why it refused it."""

    notices: tuple[Notice, ...] = ()
    refusal: NotificationError | None = None

    @property
    def is_refused(self) -> bool:
        """Whether it was refused."""
        return self.refusal is not None

    @property
    def is_hint(self) -> bool:
        """Whether it says nothing of money: mentions at most, and only a query that follows counts."""
        return all(isinstance(item, Mention) for item in self.notices)

    @property
    def words(self) -> str:
        """It in a few words, for a problem."""
        if self.refusal is not None:
            return f"{type(self.refusal).__name__}: {self.refusal}"
        return ", ".join(map(_words, self.notices)) or "no items"


class Genuine(msgspec.Struct, frozen=True, kw_only=True):
    """A notification of a paid order as the sandbox sent it, and what `verify` made of it."""

    placed: PlacedOrder
    received: ReceivedNotification
    verified: Verified

    @property
    def is_hint(self) -> bool:
        """Whether it only says that something happened."""
        return self.verified.is_hint

    def heads(self, provider: FullProvider) -> dict[str, str]:
        """The headers that arrived and that the provider reads."""
        names = {name.lower() for name in provider.info.notification_headers}
        return {name: value for name, value in self.received.headers.items() if name in names}

    def is_signed_outside(self, provider: FullProvider) -> bool:
        """Whether what signs the body is beside it, so that every byte of the body counts."""
        is_query = provider.info.notification_query and bool(self.received.query)
        return is_query or any(
            _SIGNS.search(name) or _SIGNATURE.search(value) for name, value in self.heads(provider).items()
        )


def verified(
    rig: Rig,
    received: ReceivedNotification,
    what: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    query: str | None = None,
    at: datetime | None = None,
    provider: FullProvider | None = None,
) -> Verified:
    """
    What `verify` makes of this notification, given no more than the core gives it; the arguments replace parts of it.

    `Failed` for anything else that it raises; `what` says then what it was given.
    """
    judge = provider or rig.provider
    given = as_given(
        rig,
        ReceivedNotification(
            body=received.body if body is None else body,
            headers=received.headers if headers is None else headers,
            query=received.query if query is None else query,
        ),
        at=at,
    )
    try:
        return Verified(notices=tuple(judge.verify(given)))
    except (NotAuthentic, MalformedNotification) as refusal:
        return Verified(refusal=refusal)
    except Exception as error:
        raise Failed(
            f"verify raised {type(error).__name__} at {place_of(error)} for {what}", NOTHING_ELSE
        ) from error


def as_given(rig: Rig, received: ReceivedNotification, *, at: datetime | None = None) -> Notification:
    """What arrived as `verify` is given it: with what its provider has declared to read, and the session."""
    info = rig.subject.provider.info
    notification = Notification(
        body=received.body, headers=received.headers, query=received.query, received_at=at or rig.now()
    ).only(info.notification_headers, query=info.notification_query)
    return msgspec.structs.replace(notification, session=rig.attempt().session)


def take_notifications(rig: Rig) -> None:
    """`NotApplicable` where the provider takes none."""
    if not hasattr(rig.provider, "verify"):
        raise NotApplicable("the provider takes no notifications")


def payable(rig: Rig) -> Product:
    """A product whose payer acts, where there is one."""
    return next((one for one in rig.products if one.needs_action), rig.products[0])


def genuine(rig: Rig, *, signed: bool = False) -> Genuine:
    """
    The first notification of a paid order.

    `NotApplicable` where there is none, where `verify` refuses even that, and, if `signed`, where it is no more than
    a hint that anybody may send.
    """
    take_notifications(rig)
    placed = rig.paid(payable(rig))
    received = rig.notifications()[0]
    told = verified(rig, received, "a notification of the sandbox")
    if told.is_refused:
        raise NotApplicable("the sandbox's own notifications are refused: see paid_order_is_notified")
    found = Genuine(placed=placed, received=received, verified=told)
    if signed and found.is_hint and not found.is_signed_outside(rig.provider):
        raise NotApplicable("its notifications are unsigned, and only mention what to ask about")
    return found


def saying_paid(rig: Rig, found: Genuine) -> Genuine:
    """The notification of the same order that says that it is paid; several may arrive, in any order."""
    if is_paid(found.verified.notices):
        return found
    for received in rig.receiver.first(SEVERAL, OTHERS_S):
        told = verified(rig, received, "a notification of the sandbox")
        if is_paid(told.notices):
            return Genuine(placed=found.placed, received=received, verified=told)
    raise NotApplicable("no notification of a paid order says that it is paid")


def forged(rig: Rig, placed: PlacedOrder) -> Iterator[ReceivedNotification]:
    """What arrives once the sandbox has signed one with another key; `NotApplicable` where it can't."""
    count = len(rig.receiver.first(0, 0.0))
    try:
        rig.controls.notify(placed.order.number, kind="forged", seconds=0.0)
    except (NotPossible, ValueError) as error:
        raise NotApplicable(f"the sandbox can't forge a notification: {error}") from None
    wait_s = NOTIFIED_S
    # Genuine ones of the same order may arrive among them.
    while arrived := rig.receiver.first(count + 1, wait_s)[count:]:
        yield from arrived
        count, wait_s = count + len(arrived), OTHERS_S


def is_paid(notices: tuple[Notice, ...]) -> bool:
    """Whether one of them says that money was taken."""
    return any(isinstance(item, PaymentObservation) and item.status.value == "paid" for item in notices)


def names(item: Notice, number: str, ids: Mapping[str, str], provider_id: str | None) -> bool:
    """Whether the item names an order or refund with this number or one of these ids."""
    if item.number:
        return item.number == number
    return isinstance(item, Mention) and item.id in {provider_id, *ids.values()} - {None, ""}


def _words(item: Any) -> str:
    match item:
        case PaymentObservation(status=status):
            return f"an observation of a {status.value} payment"
        case RefundObservation(status=status):
            return f"an observation of a {status.value} refund"
        case Mention():
            return "a mention"
        case _:
            return type(item).__name__
