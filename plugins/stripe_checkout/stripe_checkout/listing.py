"""
The account's own list, for reconciling: sessions with their intents and charges first, then refunds.

Source: SOURCES.md §11.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil

from msgspec.structs import replace

from paycore.plugin import Done, Flow, Listed, ListReply, Page, Redirect, Status
from stripe_checkout.api import Api
from stripe_checkout.messages import CheckoutSession, RefundList, SessionList, StripeRefund
from stripe_checkout.observations import METHOD, NUMBER, REFERENCE, payment_observation, refund_observation
from stripe_checkout.products import CHANNEL

_LIMIT = 100
_REFUNDS = "refunds:"
_EXPANDED = ["data.payment_intent.latest_charge"]


def list_page(api: Api, since: datetime, until: datetime, cursor: str | None) -> Flow[ListReply]:
    """A page of what was made in the range; `cursor` is the last id of the one before, of refunds with a mark."""
    is_refunds = cursor is not None and cursor.startswith(_REFUNDS)
    after = (cursor or "").removeprefix(_REFUNDS)
    made = {"gte": int(since.timestamp()), "lt": ceil(until.timestamp())}
    fields: dict[str, object] = {"created": made, "limit": _LIMIT}
    fields |= {"starting_after": after} if after else {}
    if is_refunds:
        refunds = yield from api.get("/v1/refunds", RefundList, **fields)
        last = f"{_REFUNDS}{refunds.data[-1].id}" if refunds.has_more and refunds.data else None
        return Done(Page(items=tuple(map(_refund, refunds.data)), cursor=last))
    sessions = yield from api.get("/v1/checkout/sessions", SessionList, **fields, expand=_EXPANDED)
    listed = tuple(_session(one) for one in sessions.data if one.mode == "payment")
    more = sessions.data[-1].id if sessions.has_more and sessions.data else _REFUNDS
    return Done(Page(items=listed, cursor=more))


def _session(session: CheckoutSession) -> Listed:
    words, intent = session.metadata or {}, session.intent
    seen = payment_observation(words.get(NUMBER) or session.client_reference_id or "", session)
    if seen.status is Status.PENDING and session.url:
        seen = replace(seen, action=Redirect(url=session.url))
    is_manual = intent is not None and intent.capture_method == "manual"
    return Listed(
        observation=seen,
        reference=words.get(REFERENCE),
        made_at=_time(session.created),
        method=words.get(METHOD),
        channel=CHANNEL,
        # Before there is an intent nobody tells when the money is to be taken.
        capture=None if intent is None else "manual" if is_manual else "automatic",
        expires_at=_time(session.expires_at),
    )


def _refund(refund: StripeRefund) -> Listed:
    words = refund.metadata or {}
    return Listed(
        observation=refund_observation(words.get(NUMBER, ""), refund),
        reference=words.get(REFERENCE),
        made_at=_time(refund.created),
        payment_id=refund.payment_intent or refund.charge,
    )


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
