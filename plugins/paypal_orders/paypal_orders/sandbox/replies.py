"""PayPal's documents. Source: SOURCES.md §4 to §12, vectors V4 to V16."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from paypal_orders.sandbox.amounts import document
from paypal_orders.sandbox.records import Made, SandboxDispute, SandboxOrder

Fields = dict[str, Any]

PAYEE = {"email_address": "seller@example.com", "merchant_id": "ABCDEFGHJ2345"}
PAYER = {"email_address": "buyer@example.com", "account_id": "PAYERAB234567", "account_status": "VERIFIED"}
_OFFSET = datetime.timezone(datetime.timedelta(hours=-7))


def time_of(ms: int, *, timespec: str = "seconds") -> str:
    """As orders and captures have it: whole seconds; events have milliseconds."""
    at = datetime.datetime.fromtimestamp(ms / 1000, tz=datetime.UTC)
    return at.isoformat(timespec=timespec).replace("+00:00", "Z")


def time_with_offset(ms: int) -> str:
    """As refunds have it: whole seconds with an offset."""
    return datetime.datetime.fromtimestamp(ms / 1000, tz=_OFFSET).isoformat(timespec="seconds")


class Documents:
    """Documents with links to this gateway at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def payer_url(self, order_id: str) -> str:
        return f"{self.url}/checkoutnow?token={order_id}"

    def order(self, order: SandboxOrder, *, with_payments: bool = True) -> Fields:
        unit: Fields = {
            "reference_id": order.reference_id,
            "amount": document(order.units, order.currency),
            "payee": PAYEE,
        }
        for name in ("custom_id", "invoice_id", "description"):
            if getattr(order, name):
                unit[name] = getattr(order, name)
        if with_payments and (order.captures or order.authorizations):
            unit["payments"] = self.payments(order)
        has_agreed = order.status in ("APPROVED", "COMPLETED")
        return {
            "id": order.id,
            "intent": order.intent,
            "status": order.status,
            "payment_source": {"paypal": PAYER if has_agreed else {}},
            "purchase_units": [unit],
            "create_time": time_of(order.created_at),
            "update_time": time_of(order.updated_at),
            "links": self._order_links(order),
        }

    def payments(self, order: SandboxOrder) -> Fields:
        kinds = {
            "authorizations": [self.authorization(order, one) for one in order.authorizations],
            "captures": [self.capture(order, one) for one in order.captures],
            "refunds": [self.refund(order, one) for one in order.refunds],
        }
        return {name: made for name, made in kinds.items() if made}

    def authorization(self, order: SandboxOrder, made: Made) -> Fields:
        path = f"/v2/payments/authorizations/{made.id}"
        links = [self._link(path, "self"), self._link(f"/v2/checkout/orders/{order.id}", "up")]
        if made.status in ("CREATED", "PARTIALLY_CAPTURED"):
            links += [self._link(f"{path}/{verb}", verb, "POST") for verb in ("capture", "void")]
        ends = {} if made.ends_at is None else {"expiration_time": time_of(made.ends_at)}
        return {**self._made(order, made), **ends, "links": links}

    def capture(self, order: SandboxOrder, made: Made) -> Fields:
        path = f"/v2/payments/captures/{made.id}"
        up = f"/v2/payments/authorizations/{made.of}" if made.of else f"/v2/checkout/orders/{order.id}"
        zero = document(0, order.currency)
        answer = {**self._made(order, made), "final_capture": True}
        if made.reason:
            answer["status_details"] = {"reason": made.reason}
        if made.status not in ("PENDING", "DECLINED"):
            gross = document(made.units, order.currency)
            parts = {"gross_amount": gross, "paypal_fee": zero, "net_amount": gross}
            answer["seller_receivable_breakdown"] = parts
        related = {"order_id": order.id} | ({"authorization_id": made.of} if made.of else {})
        answer["supplementary_data"] = {"related_ids": related}
        answer["links"] = [
            self._link(path, "self"),
            self._link(f"{path}/refund", "refund", "POST"),
            self._link(up, "up"),
        ]
        return answer

    def forged_capture(self, order: SandboxOrder) -> Fields:
        """A capture that was never made."""
        at = order.updated_at
        made = Made(id="0" * 17, status="COMPLETED", units=order.units, created_at=at, updated_at=at)
        return self.capture(order, msgspec.structs.replace(made, custom_id=order.custom_id))

    def refund(self, order: SandboxOrder, made: Made) -> Fields:
        done = [one for one in order.refunds if one.of == made.of and one.status == "COMPLETED"]
        gross = document(made.units, order.currency)
        total = document(sum(one.units for one in done), order.currency)
        answer = self._made(order, made) | {
            "create_time": time_with_offset(made.created_at),
            "update_time": time_with_offset(made.updated_at),
        }
        answer["seller_payable_breakdown"] = {
            "gross_amount": gross,
            "paypal_fee": document(0, order.currency),
            "net_amount": gross,
            "total_refunded_amount": total,
        }
        if made.reason:
            answer["status_details"] = {"reason": made.reason}
        links = [(f"/v2/payments/refunds/{made.id}", "self"), (f"/v2/payments/captures/{made.of}", "up")]
        answer["links"] = [self._link(path, rel) for path, rel in links]
        return answer

    def dispute(self, order: SandboxOrder, dispute: SandboxDispute) -> Fields:
        """A dispute in full; PayPal's list has a part of it."""
        taken, back = document(dispute.units, order.currency), document(dispute.back, order.currency)
        moves = [
            {"affected_party": "SELLER", "type": "DEBIT", "amount": taken, "reason": "DISPUTE_SETTLEMENT"}
        ]
        if dispute.back:
            moves.append({"affected_party": "SELLER", "type": "CREDIT", "amount": back, "reason": "APPEAL"})
        seller = {"merchant_id": PAYEE["merchant_id"], "name": "Sandbox Shop"}
        return {
            "dispute_id": dispute.id,
            "create_time": time_of(dispute.created_at),
            "update_time": time_of(dispute.updated_at),
            "disputed_transactions": [
                {
                    "seller_transaction_id": order.captures[0].id,
                    "custom": order.custom_id,
                    "invoice_number": order.invoice_id,
                    "seller": seller,
                }
            ],
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "status": "RESOLVED",
            "dispute_amount": taken,
            "dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR", "amount_refunded": taken},
            "dispute_life_cycle_stage": "CHARGEBACK",
            "dispute_channel": "INTERNAL",
            "money_movements": moves,
            "links": [self._link(f"/v1/customer/disputes/{dispute.id}", "self")],
        }

    def _made(self, order: SandboxOrder, made: Made) -> Fields:
        answer: Fields = {
            "id": made.id,
            "status": made.status,
            "amount": document(made.units, order.currency),
            "create_time": time_of(made.created_at),
            "update_time": time_of(made.updated_at),
        }
        if made.custom_id:
            answer["custom_id"] = made.custom_id
        if order.invoice_id:
            answer["invoice_id"] = order.invoice_id
        return answer

    def _order_links(self, order: SandboxOrder) -> list[Fields]:
        path = f"/v2/checkout/orders/{order.id}"
        links = [self._link(path, "self")]
        verb = "capture" if order.intent == "CAPTURE" else "authorize"
        if order.status == "PAYER_ACTION_REQUIRED":
            links.append({"href": self.payer_url(order.id), "rel": "payer-action", "method": "GET"})
        if order.status == "CREATED":
            links.append({"href": self.payer_url(order.id), "rel": "approve", "method": "GET"})
        if order.status in ("CREATED", "APPROVED"):
            links += [self._link(path, "update", "PATCH"), self._link(f"{path}/{verb}", verb, "POST")]
        return links

    def _link(self, path: str, rel: str, method: str = "GET") -> Fields:
        return {"href": self.url + path, "rel": rel, "method": method}
