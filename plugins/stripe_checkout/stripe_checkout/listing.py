"""The account's own list, for reconciling: sessions first, then refunds. Source: SOURCES.md §11."""

from __future__ import annotations

from datetime import datetime
from math import ceil

from paycore.plugin import Done, Flow, Listed, ListReply, Page
from stripe_checkout.api import Api
from stripe_checkout.messages import CheckoutSession, RefundList, SessionList, StripeRefund
from stripe_checkout.observations import NUMBER, REFERENCE, payment_observation, refund_observation

_LIMIT = 100
_REFUNDS = "refunds:"


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
    sessions = yield from api.get("/v1/checkout/sessions", SessionList, **fields)
    listed = tuple(_session(one) for one in sessions.data if one.mode == "payment")
    more = sessions.data[-1].id if sessions.has_more and sessions.data else _REFUNDS
    return Done(Page(items=listed, cursor=more))


def _session(session: CheckoutSession) -> Listed:
    words = session.metadata or {}
    number = words.get(NUMBER) or session.client_reference_id or ""
    return Listed(observation=payment_observation(number, session), reference=words.get(REFERENCE))


def _refund(refund: StripeRefund) -> Listed:
    return Listed(observation=refund_observation((refund.metadata or {}).get(NUMBER, ""), refund))
