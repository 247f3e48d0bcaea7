"""
Events: the signature, and what they say.

Source: docs.stripe.com/webhooks, `stripe/_webhook.py` of stripe-python 16.1.0; SOURCES.md §8.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from paycore.plugin import (
    MalformedNotification,
    Mention,
    NotAuthentic,
    Notice,
    Notification,
    RefundStatus,
    Secret,
    Status,
)
from stripe_checkout.messages import (
    CheckoutSession,
    EventObject,
    Malformed,
    Related,
    StripeEvent,
    StripeRefund,
    decode,
)
from stripe_checkout.observations import NUMBER, payment_observation, refund_observation

M = TypeVar("M", bound=msgspec.Struct)


def check_signature(notification: Notification, secrets: Sequence[Secret], *, tolerance_s: int) -> None:
    """
    `NotAuthentic` unless a `v1` of the header is the HMAC-SHA256 by one of the secrets over time, point and body.

    And unless the signed time is near: Stripe's own library takes any time to come, and so would keep a stolen event
    valid for as long as its thief wants.
    """
    signed_at, signatures = _header(notification.headers.get("stripe-signature", ""))
    signed = signed_at.encode() + b"." + notification.body
    digests = [hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    pairs = [(digest, given) for digest in digests for given in signatures]
    # Every pair is compared, whichever fits: how long that takes tells nothing.
    if not sum(
        hmac.compare_digest(digest.encode(), given.encode(errors="replace")) for digest, given in pairs
    ):
        raise NotAuthentic("no webhook secret of this account makes the Stripe-Signature")
    if abs(notification.received_at.timestamp() - int(signed_at)) > tolerance_s:
        raise NotAuthentic(f"the event was signed more than {tolerance_s} s from now")


def _header(text: str) -> tuple[str, list[str]]:
    """The time and the `v1` signatures of the header; all else in it, such as `v0`, counts for nothing."""
    pairs = [part.partition("=")[::2] for part in text.split(",")]
    times = [value for name, value in pairs if name == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12):
        raise NotAuthentic("the Stripe-Signature has no time")
    return times[0], [value for name, value in pairs if name == "v1"]


def read_event(body: bytes, *, is_live: bool) -> Sequence[Notice]:
    """
    What an authentic event says: nothing where it is of the other mode, or about nothing of ours.

    An event shows its object as it was then, and they come in any order: only what is final is taken from it. The rest
    is asked about, and so is what a notification without an object names.
    """
    event = _decoded(body, StripeEvent)
    if event.livemode is not is_live:
        return []
    if event.data is None:
        related = event.related_object
        return [Mention(id=related.id)] if related and related.type in _MENTIONED else []
    about = bytes(event.data.object)
    kind = _decoded(about, EventObject).object
    if kind == "checkout.session":
        return _of_session(event.type, _decoded(about, CheckoutSession))
    if kind == "refund":
        return _of_refund(_decoded(about, StripeRefund))
    return _mentions(_decoded(about, Related)) if kind in _MENTIONED else []


_MENTIONED = ("checkout.session", "payment_intent", "charge", "dispute", "refund")


def _mentions(about: Related) -> Sequence[Notice]:
    """Our number where the object has it, else its intent's id, which is all that a dispute has."""
    number = (about.metadata or {}).get(NUMBER)
    if number:
        return [Mention(number=number)]
    return [Mention(id=about.payment_intent)] if about.payment_intent else []


def _of_session(kind: str, session: CheckoutSession) -> Sequence[Notice]:
    number = session.client_reference_id
    if not number or session.mode != "payment" or (session.metadata or {}).get(NUMBER) != number:
        return []  # made by something else that uses this Stripe account
    seen = payment_observation(number, session)
    if kind == "checkout.session.async_payment_failed" and seen.status is Status.PENDING:
        seen = replace(seen, status=Status.FAILED)
    is_final = seen.status in (Status.PAID, Status.FAILED, Status.CLOSED)
    return [seen] if is_final else [seen, Mention(number=number)]


def _of_refund(refund: StripeRefund) -> Sequence[Notice]:
    number = (refund.metadata or {}).get(NUMBER)
    notices: list[Notice] = [Mention(id=refund.payment_intent)] if refund.payment_intent else []
    if number:
        seen = refund_observation(number, refund)
        notices.append(seen if seen.status is not RefundStatus.PENDING else Mention(number=number))
    return notices


def _decoded(body: bytes, kind: type[M]) -> M:
    try:
        return decode(body, kind)
    except Malformed as malformed:
        raise MalformedNotification(f"the event has {malformed}") from None
