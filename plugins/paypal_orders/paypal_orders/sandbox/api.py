"""PayPal's HTTP API: tokens, headers, idempotency, errors. What is asked for is done by `operations`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections import Counter
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.rate_limits import RateLimit
from paypal_orders.sandbox.access import Access
from paypal_orders.sandbox.operations import ApiCall, Operations
from paypal_orders.sandbox.refusals import Refusal, invalid, not_found, refusal_for
from paypal_orders.sandbox.replies import Fields
from paypal_orders.sandbox.signing import CERTIFICATE
from paypal_orders.sandbox.webhooks import CERTIFICATE_PATH

_KEY_MAX = 108
"""Characters of a `PayPal-Request-Id`; its pages say 38, 108 and 10000. Source: SOURCES.md §3."""


class Api:
    """`requests` counts by path without ids, `refused` by issue, `limited` the 429s."""

    def __init__(self, operations: Operations, access: Access, faults: FaultBoard, limit: RateLimit) -> None:
        self._operations = operations
        self._access = access
        self._faults = faults
        self._limit = limit
        self.requests: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.limited = 0

    def routes(self) -> list[Route]:
        order, payments = "/v2/checkout/orders", "/v2/payments"
        table = [
            ("POST", order, "create"),
            ("GET", order + "/{id}", "show_order"),
            ("PATCH", order + "/{id}", "patch"),
            ("POST", order + "/{id}/capture", "capture"),
            ("POST", order + "/{id}/authorize", "authorize"),
            ("GET", payments + "/authorizations/{id}", "show_authorization"),
            ("POST", payments + "/authorizations/{id}/capture", "capture_authorization"),
            ("POST", payments + "/authorizations/{id}/void", "void"),
            ("GET", payments + "/captures/{id}", "show_capture"),
            ("POST", payments + "/captures/{id}/refund", "refund"),
            ("GET", payments + "/refunds/{id}", "show_refund"),
            ("GET", "/v1/customer/disputes", "list_disputes"),
            ("GET", "/v1/customer/disputes/{id}", "show_dispute"),
            ("GET", "/v1/reporting/transactions", "list_transactions"),
            ("POST", "/v1/notifications/verify-webhook-signature", "verify_webhook"),
        ]
        return [
            Route("/v1/oauth2/token", self._token, methods=["POST"]),
            Route(CERTIFICATE_PATH, self._certificate, methods=["GET"]),
            *(Route(path, self._serving(call), methods=[method]) for method, path, call in table),
        ]

    async def _certificate(self, _request: Request) -> Response:
        return Response(CERTIFICATE, media_type="application/x-x509-ca-cert")

    async def _token(self, request: Request) -> Response:
        self.requests["token"] += 1
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if form.get("grant_type") != ["client_credentials"]:
            return _json(
                {"error": "unsupported_grant_type", "error_description": "Grant Type is NULL"}, status=400
            )
        token = self._access.issue(request.headers.get("authorization", ""))
        if token is None:
            return _json(
                {"error": "invalid_client", "error_description": "Client Authentication failed"}, status=401
            )
        return _json(token)

    def _serving(self, call: str) -> Any:
        async def serve(request: Request) -> Response:
            self.requests[call] += 1
            body = await request.body()
            try:
                return await asyncio.to_thread(self._answer, call, request, body)
            except Refusal as refusal:
                self.refused[refusal.issue or str(refusal.status)] += 1
                debug_id = secrets.token_hex(7)[:13]
                return _json(refusal.document(debug_id), status=refusal.status, debug_id=debug_id)

        return serve

    def _answer(self, call: str, request: Request, body: bytes) -> Response:
        if self._faults.take("token_refused", path=request.url.path) is not None:
            self._access.refuse_all()
        self._access.check(request.headers.get("authorization", ""))
        if not self._limit.admits():
            self.limited += 1
            raise Refusal(429)
        asked = self._read(call, request, body)
        if (fault := self._faults.take("issue", path=request.url.path)) is not None:
            raise refusal_for(fault.text("code"))
        if (mocked := _mocked(request)) is not None:
            raise refusal_for(mocked)
        if asked.request_id and self._faults.take("in_progress", path=request.url.path) is not None:
            raise refusal_for("PREVIOUS_REQUEST_IN_PROGRESS")
        status, document = self._operations.answer(call, asked)
        if document is None:
            return Response(status_code=status, headers={"Paypal-Debug-Id": secrets.token_hex(7)[:13]})
        return _json(document, status=status)

    def _read(self, call: str, request: Request, body: bytes) -> ApiCall:
        document: Any = {}
        if request.method in ("POST", "PATCH"):
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            # PayPal's own library voids without a body, and without a type for it.
            if kind != "application/json" and (body or call != "void"):
                raise Refusal(415)
            try:
                document = json.loads(body or b"{}")
            except ValueError:
                raise invalid("MALFORMED_REQUEST_JSON", "") from None
        wanted = list if call == "patch" else dict
        if not isinstance(document, wanted):
            raise invalid("MALFORMED_REQUEST_JSON", "")
        request_id = request.headers.get("paypal-request-id", "")
        if len(request_id) > _KEY_MAX:
            raise invalid("INVALID_STRING_MAX_LENGTH", "PayPal-Request-Id")
        return ApiCall(
            id=request.path_params.get("id", ""),
            document=document,
            raw=body,
            query=dict(request.query_params),
            request_id=request_id,
            content=hashlib.sha256(request.url.path.encode() + b"\0" + body).hexdigest(),
            is_minimal=request.headers.get("prefer", "return=minimal") != "return=representation",
        )


def _mocked(request: Request) -> str | None:
    """The error of `PayPal-Mock-Response`: negative testing of PayPal's own sandbox. Source: SOURCES.md §15."""
    given = request.headers.get("paypal-mock-response")
    if given is None:
        return None
    try:
        return str(json.loads(given)["mock_application_codes"])
    except (ValueError, KeyError, TypeError):
        raise not_found() from None


def _json(document: Fields, *, status: int = 200, debug_id: str = "") -> Response:
    headers = {"Paypal-Debug-Id": debug_id or secrets.token_hex(7)[:13]}
    return Response(
        msgspec.json.encode(document), status_code=status, headers=headers, media_type="application/json"
    )
