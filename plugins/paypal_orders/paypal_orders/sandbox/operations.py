"""What each call of the API does and answers. Source: SOURCES.md §3 to §12."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.virtual_clock import SandboxClock
from paypal_orders.sandbox import requests_read
from paypal_orders.sandbox.amounts import document as amount_document
from paypal_orders.sandbox.order_flow import OrderFlow
from paypal_orders.sandbox.records import Made, Remembered, SandboxOrder
from paypal_orders.sandbox.refusals import Refusal, invalid, not_found, unprocessable
from paypal_orders.sandbox.replies import Documents, Fields, time_of
from paypal_orders.sandbox.sandbox_settings import SandboxSettings
from paypal_orders.sandbox.signing import base_string, is_signed

KEY_OF_PAYMENT_S = 45 * 24 * 3600
"""How long the request ids of Payments v2 are kept. Source: SOURCES.md §3."""

_ORDER_CALLS = ("create", "capture", "authorize")
_PAGE_MAX = 500


class ApiCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request: what it is about, what it holds, and how it wants its answer."""

    id: str
    document: Any
    raw: bytes
    query: Mapping[str, str]
    request_id: str
    content: str
    is_minimal: bool


class Operations:
    """Answers calls by their names: an HTTP status and a document, None for no content."""

    def __init__(
        self,
        clock: SandboxClock,
        orders: OrderFlow,
        documents: Documents,
        faults: FaultBoard,
        settings: SandboxSettings,
    ) -> None:
        self._clock = clock
        self._orders = orders
        self._book = orders.book
        self._documents = documents
        self._faults = faults
        self._settings = settings

    def answer(self, call: str, asked: ApiCall) -> tuple[int, Fields | None]:
        with self._book.lock:
            if call == "create":
                custom = requests_read.read_order(asked.document).custom_id
                self._orders.requests[custom.partition(".")[0]] += 1
            if asked.request_id and asked.document is not None and call in _WRITES:
                return self._once(call, asked)
            done: tuple[int, Fields | None] = getattr(self, f"_{call}")(asked)
            return done

    def _once(self, call: str, asked: ApiCall) -> tuple[int, Fields | None]:
        """By its request id: what was done before is shown as it is now, and only what succeeded is remembered."""
        known = self._book.remembered(asked.request_id)
        if known is not None and (known.call, known.content) != (call, asked.content):
            raise Refusal(
                400, "DUPLICATE_REQUEST_ID"
            )  # not documented for v2: refused, so that it is noticed
        if known is not None:
            return 200, self._again(known, asked)
        order, made = getattr(self, f"_do_{call}")(asked)
        life_s = self._settings.key_life_s if call in _ORDER_CALLS else KEY_OF_PAYMENT_S
        self._book.remember(
            asked.request_id,
            Remembered(
                call=call,
                content=asked.content,
                order_id=order.id,
                made_id=made.id if made else "",
                until=self._clock.now_ms() + life_s * 1000,
            ),
        )
        return self._done(call, asked, order, made)

    def _again(self, known: Remembered, asked: ApiCall) -> Fields | None:
        if known.call in _ORDER_CALLS:
            order = self._book.order(known.order_id)
            if order is None:
                raise not_found()
            return self._shown_order(order, asked)
        kind = {"refund": "refunds", "void": "authorizations"}.get(known.call, "captures")
        return self._shown(kind, known.made_id)

    def _done(
        self, call: str, asked: ApiCall, order: SandboxOrder, made: Made | None
    ) -> tuple[int, Fields | None]:
        if call == "void":
            return (204, None) if asked.is_minimal else (200, self._shown("authorizations", asked.id))
        if call in _ORDER_CALLS:
            return 201, self._shown_order(order, asked)
        assert made is not None
        return 201, self._shown("refunds" if call == "refund" else "captures", made.id)

    # --- orders ---------------------------------------------------------------------------------------

    def _create(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return self._done("create", asked, *self._do_create(asked))

    def _do_create(self, asked: ApiCall) -> tuple[SandboxOrder, None]:
        return self._orders.create(requests_read.read_order(asked.document)), None

    def _show_order(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return 200, self._shown_order(self._order(asked.id), replace(asked, is_minimal=False))

    def _capture(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return self._done("capture", asked, *self._do_capture(asked))

    def _do_capture(self, asked: ApiCall) -> tuple[SandboxOrder, Made]:
        return self._orders.capture(self._order(asked.id), self._documents.payer_url(asked.id))

    def _authorize(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return self._done("authorize", asked, *self._do_authorize(asked))

    def _do_authorize(self, asked: ApiCall) -> tuple[SandboxOrder, Made]:
        return self._orders.authorize(self._order(asked.id), self._documents.payer_url(asked.id))

    def _patch(self, asked: ApiCall) -> tuple[int, Fields | None]:
        """Intent, number and description; only while the order is CREATED or APPROVED."""
        order = self._order(asked.id)
        if order.status not in ("CREATED", "APPROVED"):
            raise unprocessable("ORDER_ALREADY_COMPLETED" if order.status == "COMPLETED" else "NOT_PATCHABLE")
        at = f"/purchase_units/@reference_id=='{order.reference_id}'/"
        fields = {"/intent": "intent", f"{at}custom_id": "custom_id", f"{at}description": "description"}
        for patch in asked.document:
            field = fields.get(str(patch.get("path", ""))) if isinstance(patch, dict) else None
            if field is None or not isinstance(patch.get("value"), str):
                raise unprocessable("NOT_PATCHABLE")
            if field == "intent" and patch["value"] not in ("CAPTURE", "AUTHORIZE"):
                raise invalid("INVALID_PARAMETER_VALUE", "intent")
            order = replace(order, **{field: patch["value"]})
        self._book.put(replace(order, updated_at=self._clock.now_ms()))
        return 204, None

    # --- payments -------------------------------------------------------------------------------------

    def _capture_authorization(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return self._done("capture_authorization", asked, *self._do_capture_authorization(asked))

    def _do_capture_authorization(self, asked: ApiCall) -> tuple[SandboxOrder, Made]:
        order, made = self._owner(asked.id, "authorizations")
        units = requests_read.read_amount(asked.document, order.currency, "AUTH_CAPTURE_CURRENCY_MISMATCH")
        is_final = asked.document.get("final_capture") is True
        return self._orders.capture_authorization(order, made, units, is_final=is_final)

    def _void(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return self._done("void", asked, *self._do_void(asked))

    def _do_void(self, asked: ApiCall) -> tuple[SandboxOrder, Made]:
        order, made = self._owner(asked.id, "authorizations")
        return self._orders.void(order, made), made

    def _refund(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return self._done("refund", asked, *self._do_refund(asked))

    def _do_refund(self, asked: ApiCall) -> tuple[SandboxOrder, Made]:
        order, made = self._owner(asked.id, "captures")
        units = requests_read.read_amount(asked.document, order.currency, "REFUND_CAPTURE_CURRENCY_MISMATCH")
        return self._orders.refund(order, made, units, requests_read.read_custom_id(asked.document))

    def _show_authorization(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return 200, self._shown("authorizations", asked.id)

    def _show_capture(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return 200, self._shown("captures", asked.id)

    def _show_refund(self, asked: ApiCall) -> tuple[int, Fields | None]:
        return 200, self._shown("refunds", asked.id)

    # --- reports, disputes, webhooks ------------------------------------------------------------------

    def _list_disputes(self, asked: ApiCall) -> tuple[int, Fields | None]:
        self._check_disputes()
        wanted = asked.query.get("disputed_transaction_id")
        items = []
        for order, place in self._book.disputes():
            full = self._documents.dispute(order, order.disputes[place])
            if wanted in (None, full["disputed_transactions"][0]["seller_transaction_id"]):
                left_out = ("disputed_transactions", "dispute_outcome", "money_movements")
                items.append({name: value for name, value in full.items() if name not in left_out})
        return 200, {"items": items, "links": []}

    def _show_dispute(self, asked: ApiCall) -> tuple[int, Fields | None]:
        self._check_disputes()
        for order, place in self._book.disputes():
            if order.disputes[place].id == asked.id:
                return 200, self._documents.dispute(order, order.disputes[place])
        raise not_found()

    def _check_disputes(self) -> None:
        if self._settings.disputes == "off":
            raise Refusal(403, "PERMISSION_DENIED")

    def _list_transactions(self, asked: ApiCall) -> tuple[int, Fields | None]:
        """Captures and refunds of a range of at most 31 days, oldest first."""
        try:
            begins, ends = (datetime.fromisoformat(asked.query[name]) for name in ("start_date", "end_date"))
            size, page = int(asked.query.get("page_size", "100")), int(asked.query.get("page", "1"))
        except (KeyError, ValueError):
            raise invalid("INVALID_PARAMETER_SYNTAX", "start_date") from None
        if not 0 <= (ends - begins).total_seconds() <= 31 * 24 * 3600 or not 1 <= size <= _PAGE_MAX:
            raise invalid("INVALID_PARAMETER_VALUE", "end_date")
        rows = sorted(self._rows(), key=lambda row: (row[0], row[1]["transaction_id"]))
        low, high = begins.timestamp() * 1000, (ends.timestamp() + 1) * 1000
        found = [{"transaction_info": row} for at, row in rows if low <= at < high]
        pages = -(-len(found) // size)
        shown = found[(page - 1) * size : page * size]
        answer = {"transaction_details": shown, "page": page, "total_items": len(found), "total_pages": pages}
        return 200, answer | {"start_date": asked.query["start_date"], "end_date": asked.query["end_date"]}

    def _rows(self) -> list[tuple[int, Fields]]:
        rows = []
        letters = {"COMPLETED": "S", "PARTIALLY_REFUNDED": "S", "REFUNDED": "V", "PENDING": "P"}
        for order in self._book.orders():
            for sign, code, made in (
                *(("", "T0006", one) for one in order.captures),
                *(("-", "T1107", one) for one in order.refunds),
            ):
                amount = amount_document(made.units, order.currency)
                row = {
                    "transaction_id": made.id,
                    "transaction_event_code": code,
                    "transaction_initiation_date": time_of(made.created_at),
                    "transaction_updated_date": time_of(made.updated_at),
                    "transaction_amount": amount | {"value": sign + amount["value"]},
                    "transaction_status": letters.get(made.status, "D"),
                    "custom_field": made.custom_id,
                }
                related = {"paypal_reference_id": made.of, "paypal_reference_id_type": "TXN"}
                rows.append((made.created_at, row | (related if made.of else {})))
        return rows

    def _verify_webhook(self, asked: ApiCall) -> tuple[int, Fields | None]:
        """Over the event as it stands in the request, byte for byte."""
        parts = ("transmission_id", "transmission_time", "webhook_id", "transmission_sig")
        given = [asked.document.get(name) for name in parts]
        if not all(isinstance(text, str) for text in given) or "webhook_event" not in asked.document:
            raise invalid("MISSING_REQUIRED_PARAMETER", "webhook_event")
        transmission_id, at, webhook_id, signature = map(str, given)
        event = _spliced(asked.raw.decode(), "webhook_event").encode()
        is_ours = webhook_id == self._settings.webhook_id
        holds = is_ours and is_signed(base_string(transmission_id, at, webhook_id, event), signature)
        return 200, {"verification_status": "SUCCESS" if holds else "FAILURE"}

    # --- inside ---------------------------------------------------------------------------------------

    def _order(self, order_id: str) -> SandboxOrder:
        order = self._book.order(order_id)
        if order is None:
            raise not_found()
        return order

    def _owner(self, made_id: str, kind: str) -> tuple[SandboxOrder, Made]:
        found = self._book.owner(made_id, kind)
        if found is None:
            raise not_found()
        return found

    def _shown(self, kind: str, made_id: str) -> Fields:
        order, made = self._owner(made_id, kind)
        show = {
            "refunds": self._documents.refund,
            "captures": self._documents.capture,
            "authorizations": self._documents.authorization,
        }
        return self._distorted(show[kind](order, made))

    def _shown_order(self, order: SandboxOrder, asked: ApiCall) -> Fields:
        with_payments = self._faults.take("without_payments") is None
        document = self._distorted(self._documents.order(order, with_payments=with_payments))
        if (fault := self._faults.take("other_amount")) is not None:
            document["purchase_units"][0]["amount"]["value"] = fault.text("value")
        if self._faults.take("without_link") is not None:
            document["links"] = [link for link in document["links"] if link["rel"] == "self"]
        if not asked.is_minimal:
            return document
        made = [unit for unit in document["purchase_units"] if "payments" in unit]
        units = [{"reference_id": unit["reference_id"], "payments": unit["payments"]} for unit in made]
        kept = {name: document[name] for name in ("id", "status", "links")}
        return kept | ({"purchase_units": units} if units else {})

    def _distorted(self, document: Fields) -> Fields:
        if self._faults.take("unknown_status") is not None:
            document["status"] = "ON_HOLIDAY"
            for unit in document.get("purchase_units", []):
                for made in (one for kind in unit.get("payments", {}).values() for one in kind):
                    made["status"] = "ON_HOLIDAY"
        return document


_WRITES = (*_ORDER_CALLS, "capture_authorization", "void", "refund")


def _spliced(text: str, name: str) -> str:
    """The value of a name of the outermost object, as it is written there."""
    decoder = json.JSONDecoder()
    place = text.index("{") + 1
    while True:
        key, place = decoder.raw_decode(text, text.index('"', place))
        begins = text.index(":", place) + 1
        begins += len(text[begins:]) - len(text[begins:].lstrip())
        _, place = decoder.raw_decode(text, begins)
        if key == name:
            return text[begins:place]
