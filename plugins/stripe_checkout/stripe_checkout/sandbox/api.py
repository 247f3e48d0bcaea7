"""
Stripe's HTTP API: keys, versions, idempotency, errors.

```
POST /v1/checkout/sessions          GET /v1/checkout/sessions[/{id}]     POST /v1/checkout/sessions/{id}/expire
GET  /v1/payment_intents[/{id}]     POST /v1/payment_intents/{id}/capture|cancel
POST /v1/refunds                    GET /v1/refunds[/{id}]               GET /v1/charges[/{id}]
GET  /v1/disputes[/{id}]            GET /v1/events[/{id}]
```
"""

from __future__ import annotations

import base64
import hmac
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.rate_limits import RateLimit
from stripe_checkout.sandbox import endpoints
from stripe_checkout.sandbox.aftermath import Aftermath
from stripe_checkout.sandbox.event_log import REQUEST
from stripe_checkout.sandbox.gateway_faults import distort, limited, refusal
from stripe_checkout.sandbox.idempotency import Kept, Keys
from stripe_checkout.sandbox.ids import new_id
from stripe_checkout.sandbox.objects import VERSION
from stripe_checkout.sandbox.params import Check, checked, parse
from stripe_checkout.sandbox.refusals import ApiError, invalid, missing
from stripe_checkout.sandbox.rendering import expanded, page
from stripe_checkout.sandbox.session_lifecycle import Lifecycle
from stripe_checkout.sandbox.store import Object, Store

_BODY_MAX = 256 * 1024
_FORM = "application/x-www-form-urlencoded"
_KEY_MAX = 255
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\.endive")
Answer = Callable[[Request, Mapping[str, Any]], Object]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    takes: Mapping[str, Check]
    answer: Answer
    required: tuple[str, ...] = ()


class StripeApi:
    """`requests` counts by path, `limited` the 429s."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        aftermath: Aftermath,
        keys: Keys,
        faults: FaultBoard,
        limit: RateLimit,
        *,
        api_key: str,
    ) -> None:
        self._lifecycle = lifecycle
        self._aftermath = aftermath
        self._store: Store = lifecycle.store
        self._keys = keys
        self._faults = faults
        self._limit = limit
        self._api_key = api_key
        self.requests: Counter[str] = Counter()
        self.limited = 0

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Endpoint]] = [
            ("POST", "/v1/checkout/sessions", self._creating()),
            ("POST", "/v1/checkout/sessions/{id}/expire", self._post(endpoints.EXPAND, self._expire)),
            ("POST", "/v1/payment_intents/{id}/capture", self._post(endpoints.CAPTURE, self._capture)),
            ("POST", "/v1/payment_intents/{id}/cancel", self._post(endpoints.CANCEL, self._cancel)),
            ("POST", "/v1/refunds", self._post(endpoints.REFUND, self._refund)),
        ]
        lists: list[tuple[str, str, str, Mapping[str, Check], tuple[str, ...]]] = [
            (
                "checkout/sessions",
                "checkout.session",
                "session",
                endpoints.SESSIONS,
                ("payment_intent", "status"),
            ),
            ("payment_intents", "payment_intent", "intent", endpoints.INTENTS, ()),
            ("charges", "charge", "charge", endpoints.REFUNDS, ("payment_intent",)),
            ("refunds", "refund", "refund", endpoints.REFUNDS, ("payment_intent", "charge")),
            ("disputes", "dispute", "dispute", endpoints.DISPUTES, ("payment_intent", "charge")),
            ("events", "event", "id", endpoints.EVENTS, ("type",)),
        ]
        for name, kind, param, takes, filters in lists:
            table.append(("GET", f"/v1/{name}", self._listing(name, kind, takes, filters)))
            table.append(("GET", f"/v1/{name}/{{id}}", self._reading(kind, param)))
        routes = [Route(path, self._served(endpoint), methods=[method]) for method, path, endpoint in table]
        return [*routes, Route("/v1/{path:path}", self._unrecognized, methods=["GET", "POST", "DELETE"])]

    # --- endpoints ------------------------------------------------------------------------------------

    def _creating(self) -> Endpoint:
        required = ("mode", "line_items", "success_url")
        return Endpoint(takes=endpoints.SESSION, answer=self._create, required=required)

    def _create(self, _request: Request, params: Mapping[str, Any]) -> Object:
        return expanded(self._store, self._lifecycle.create(params), params.get("expand", []))

    def _post(self, takes: Mapping[str, Check], act: Answer) -> Endpoint:
        def answer(request: Request, params: Mapping[str, Any]) -> Object:
            return expanded(self._store, act(request, params), params.get("expand", []))

        return Endpoint(takes=takes, answer=answer)

    def _expire(self, request: Request, _params: Mapping[str, Any]) -> Object:
        return self._lifecycle.expire(self._named(request, "checkout.session", "session"))

    def _capture(self, request: Request, params: Mapping[str, Any]) -> Object:
        intent = self._named(request, "payment_intent", "intent")
        return self._lifecycle.capture(intent, params.get("amount_to_capture"))

    def _cancel(self, request: Request, params: Mapping[str, Any]) -> Object:
        intent = self._named(request, "payment_intent", "intent")
        return self._lifecycle.cancel(intent, params.get("cancellation_reason"))

    def _refund(self, _request: Request, params: Mapping[str, Any]) -> Object:
        return self._aftermath.refund(params)

    def _reading(self, kind: str, param: str) -> Endpoint:
        def answer(request: Request, params: Mapping[str, Any]) -> Object:
            return expanded(self._store, self._named(request, kind, param), params.get("expand", []))

        return Endpoint(takes=endpoints.EXPAND, answer=answer)

    def _listing(
        self, name: str, kind: str, takes: Mapping[str, Check], filters: tuple[str, ...]
    ) -> Endpoint:
        def answer(_request: Request, params: Mapping[str, Any]) -> Object:
            things = self._store.all(kind)
            if "types" in params:
                things = [one for one in things if one["type"] in params["types"]]
            return page(self._store, things, params, f"/v1/{name}", filters=filters)

        return Endpoint(takes=takes, answer=answer)

    def _named(self, request: Request, kind: str, param: str) -> Object:
        object_id = request.path_params["id"]
        found = self._store.get(kind, object_id)
        if found is None:
            raise missing(kind.replace(".", " ").replace("_", " "), object_id, param)
        return found

    # --- every request --------------------------------------------------------------------------------

    def _served(self, endpoint: Endpoint) -> Callable[[Request], Any]:
        async def serve(request: Request) -> Response:
            self.requests[request.url.path] += 1
            request_id = new_id("req_")
            key = request.headers.get("idempotency-key") if request.method == "POST" else None
            headers = {
                "Request-Id": request_id,
                "Stripe-Version": request.headers.get("stripe-version", VERSION),
            }
            headers |= {} if key is None else {"Idempotency-Key": key}
            try:
                form = await self._admitted(request, key)
                context = REQUEST.set({"id": request_id, "idempotency_key": key})
                try:
                    status, body, more = self._answered(request, endpoint, form, key)
                finally:
                    REQUEST.reset(context)
            except ApiError as error:
                status, body, more = error.status, msgspec.json.encode(error.body), error.headers
            return Response(body, status_code=status, headers=headers | more, media_type="application/json")

        return serve

    async def _admitted(self, request: Request, key: str | None) -> bytes:
        """The form of a request that may be carried out; the checks before any execution."""
        path = request.url.path
        self._authenticate(request)
        if not self._limit.admits():
            self.limited += 1
            raise limited()
        refused = refusal(self._faults, path)
        if refused is not None:
            raise refused
        version = request.headers.get("stripe-version", VERSION)
        if not _VERSION.fullmatch(version):
            raise invalid(f"Invalid Stripe API version: {version}; this sandbox has endive.")
        if key is not None and not 0 < len(key) <= _KEY_MAX:
            raise invalid(f"Idempotency keys have 1 to {_KEY_MAX} characters.")
        if request.method == "GET":
            return bytes(request.scope["query_string"])
        return await _read_form(request)

    def _authenticate(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[0]
            except ValueError:
                given = ""
        if not given:
            raise ApiError(401, "You did not provide an API key.")
        if given.startswith("pk_"):
            raise ApiError(
                401, "This API call cannot be made with a publishable API key.", code="secret_key_required"
            )
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise ApiError(401, f"Invalid API Key provided: {given[:8]}****{given[-4:]}")

    def _answered(
        self, request: Request, endpoint: Endpoint, form: bytes, key: str | None
    ) -> tuple[int, bytes, dict[str, str]]:
        path, text = request.url.path, form.decode(errors="replace")
        if request.method == "POST":
            # Repeats of a key are requests for that number too.
            self._lifecycle.requests[dict(parse_qsl(text)).get("client_reference_id", "")] += 1
        kept = None if key is None else self._keys.replay(key, path, text)
        if kept is not None:
            return _replayed(kept)
        params = checked(parse(form), endpoint.takes, required=endpoint.required)
        busy = None if key is None else self._faults.take("key_in_use", path=path)
        broken = self._faults.take("stored_500", path=path)
        if busy is not None and not busy.flag("recorded"):
            raise _busy()
        status, body = 200, b""
        try:
            if broken is None or broken.flag("recorded"):
                answered = endpoint.answer(request, params)
                body = msgspec.json.encode(distort(answered, self._faults, path))
        except ApiError as error:
            if key is not None and error.is_stored:
                self._keys.keep(key, path, text, error.status, msgspec.json.encode(error.body))
            raise
        if broken is not None:
            problem = ApiError(500, "An unknown error occurred.", kind="api_error")
            status, body = 500, msgspec.json.encode(problem.body)
        if key is not None:
            self._keys.keep(key, path, text, status, body)
        if busy is not None:
            raise _busy()
        return status, body, {}

    async def _unrecognized(self, request: Request) -> Response:
        error = ApiError(404, f"Unrecognized request URL ({request.method}: {request.url.path}).")
        return Response(msgspec.json.encode(error.body), status_code=404, media_type="application/json")


def _replayed(kept: Kept) -> tuple[int, bytes, dict[str, str]]:
    return kept.status, kept.body.encode(), {"Idempotent-Replayed": "true"}


def _busy() -> ApiError:
    words = "There is currently another in-progress request using this Idempotent Key."
    return ApiError(409, words, code="idempotency_key_in_use")


async def _read_form(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_MAX:
            raise invalid("The request's body is too long.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != _FORM:
        raise invalid(f"The content type of a request is {_FORM}.")
    return body
