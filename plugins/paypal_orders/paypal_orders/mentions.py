"""What a webhook is about. Nothing in it is believed. Source: SOURCES.md §12."""

from __future__ import annotations

import msgspec

from paycore.plugin import MalformedNotification, Mention
from paypal_orders.messages import WebhookEvent, linked, number_of
from paypal_orders.requests import UNREADABLE

_DECODER = msgspec.json.Decoder(WebhookEvent)


def mentions(body: bytes) -> list[Mention]:
    """
    The orders and refunds an event names: by our number where it carries one, else by PayPal's id.

    A refund names itself and its capture; a dispute the transactions in it. Empty for an event that names none.
    """
    try:
        event = _DECODER.decode(body)
    except UNREADABLE:
        raise MalformedNotification("it is no event of PayPal's") from None
    about = event.resource
    customs = [about.custom_id, *(unit.custom_id for unit in about.purchase_units)]
    customs += [one.custom for one in about.disputed_transactions]
    numbers = {number for custom in customs if (number := number_of(custom)) is not None}
    capture = (linked(about.links, "up") or "").partition("/captures/")[2]
    ids = {about.supplementary_data.related_ids.order_id, capture}
    ids |= {one.seller_transaction_id for one in about.disputed_transactions}
    if not numbers and not any(ids):
        ids = {about.id}
    if capture:
        ids.add(about.id)
    named = [Mention(number=number) for number in sorted(numbers)]
    return named + [Mention(id=one) for one in sorted(one for one in ids if one)]
