"""
Webhooks: what PayPal posts to the merchant, signed, and how long it tries.

25 tries over 3 days; the gaps between them are chosen here, for PayPal publishes none. Source: SOURCES.md §12.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from msgspec.structs import replace

from paycore.sandbox.api import NotPossible
from paycore.sandbox.deliveries import Deliveries
from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.gateway_kinds import fate_of_notification
from paycore.sandbox.posts import Post, PostQueue, PostResult
from paycore.sandbox.state import StateFile
from paycore.sandbox.virtual_clock import SandboxClock
from paypal_orders.sandbox.records import Webhook
from paypal_orders.sandbox.replies import time_of
from paypal_orders.sandbox.sandbox_settings import SandboxSettings
from paypal_orders.sandbox.signing import base_string, sign

GAPS_S = tuple(min(60 * 2**tried, 4 * 3600) for tried in range(24))
CERTIFICATE_PATH = "/v1/notifications/certs/CERT-sandbox-0001"
_RESOURCES = {"CHECKOUT.ORDER": "checkout-order", "CUSTOMER.DISPUTE": "dispute", "PAYMENT.REFUND": "refund"}


class Webhooks:
    """Sends events on the sandbox clock and records each attempt; goes on after a restart."""

    def __init__(
        self,
        clock: SandboxClock,
        posts: PostQueue,
        state: StateFile,
        faults: FaultBoard,
        settings: SandboxSettings,
        *,
        url: str,
        notify_url: str | None,
    ) -> None:
        self._clock = clock
        self._faults = faults
        self._webhook_id = settings.webhook_id
        self._url = url
        self._notify_url = notify_url
        self._deliveries = Deliveries(
            Webhook,
            prefix="webhook:",
            gaps_s=GAPS_S,
            clock=clock,
            posts=posts,
            state=state,
            post_of=self._post_of,
            accepts=_accepts,
        )

    def resume(self) -> None:
        """Send what the last process had not delivered."""
        self._deliveries.resume()

    def tell(self, order_id: str, event_type: str, resource: dict[str, Any], summary: str) -> None:
        """Send an event, if the account has a URL for it."""
        fate = fate_of_notification(self._faults)
        if fate.is_lost:
            return
        if fate.is_forged_first and self._notify_url:
            self.forge(order_id, event_type, resource)
        due = self._clock.now_ms() + round(fate.after_s * 1000)
        webhook = self._new(order_id, event_type, resource, summary)
        webhook = replace(webhook, next_at=due if self._notify_url else None)
        self._deliveries.plan(webhook)
        for _ in range(fate.copies - 1):
            self._deliveries.plan(replace(webhook, id=f"{webhook.id}-{uuid.uuid4().hex[:4]}"))

    def forge(self, order_id: str, event_type: str, resource: dict[str, Any]) -> Webhook:
        """Send an event that PayPal does not know of, signed wrong. `NotPossible` without a URL."""
        self._check_url()
        webhook = replace(self._new(order_id, event_type, resource, "Forged"), is_forged=True)
        webhook = replace(webhook, next_at=self._clock.now_ms())
        self._deliveries.plan(webhook)
        return webhook

    def send_again(self, order_id: str, *, after_s: float = 0.0) -> Webhook:
        """Send the last event of the order once more. `NotPossible` without a URL, or an event."""
        self._check_url()
        told = [one for one in self.of_order(order_id) if not one.is_forged]
        if not told:
            raise NotPossible("nothing of this order was notified of")
        webhook = Webhook(
            id=f"{told[-1].id}-{uuid.uuid4().hex[:4]}",
            order_id=order_id,
            event_type=told[-1].event_type,
            body=told[-1].body,
            next_at=self._clock.now_ms() + round(after_s * 1000),
        )
        self._deliveries.plan(webhook)
        return webhook

    def _check_url(self) -> None:
        if not self._notify_url:
            raise NotPossible("the account has no URL for webhooks: serve with --notify-url")

    def of_order(self, order_id: str) -> list[Webhook]:
        """Oldest first."""
        return [webhook for webhook in self._deliveries.all() if webhook.order_id == order_id]

    def totals(self) -> dict[str, int]:
        return {"webhooks": len(self._deliveries.all()), **self._deliveries.totals()}

    def _new(self, order_id: str, event_type: str, resource: dict[str, Any], summary: str) -> Webhook:
        event_id = f"WH-{uuid.uuid4().hex[:17].upper()}-{uuid.uuid4().hex[:17].upper()}"
        kind = event_type.rpartition(".")[0]
        is_refund = event_type in ("PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED")
        path = f"{self._url}/v1/notifications/webhooks-events/{event_id}"
        event = {
            "id": event_id,
            "event_version": "1.0",
            "create_time": time_of(self._clock.now_ms(), timespec="milliseconds"),
            "resource_type": "refund" if is_refund else _RESOURCES.get(kind, kind.rpartition(".")[2].lower()),
            "resource_version": "2.0",
            "event_type": event_type,
            "summary": summary,
            "resource": resource,
            "links": [{"href": path, "rel": "self", "method": "GET"}],
        }
        body = msgspec.json.encode(event).decode()
        return Webhook(id=event_id, order_id=order_id, event_type=event_type, body=body)

    def _post_of(self, webhook: Webhook) -> Post | None:
        if not self._notify_url:
            return None
        body = webhook.body.encode()
        transmission_id, at = str(uuid.uuid4()), time_of(self._clock.now_ms())
        signed_for = "NOBODY" if webhook.is_forged else self._webhook_id
        signature = sign(base_string(transmission_id, at, signed_for, body))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "PayPal/AUHD-214.0-56789012",
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-AUTH-VERSION": "v2",
            "PAYPAL-CERT-URL": self._url + CERTIFICATE_PATH,
            "PAYPAL-TRANSMISSION-ID": transmission_id,
            "PAYPAL-TRANSMISSION-TIME": at,
            "PAYPAL-TRANSMISSION-SIG": signature,
        }
        return Post(url=self._notify_url, headers=headers, body=body)


def _accepts(result: PostResult) -> bool:
    """Any 2xx."""
    return result.status is not None and 200 <= result.status < 300
