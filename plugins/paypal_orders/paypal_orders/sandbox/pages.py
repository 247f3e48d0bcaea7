"""
The payer's pages.

```
GET  /                              what runs here, and the latest orders
GET  /checkoutnow?token=...         the order, to agree to or to cancel
GET  /checkoutnow/{id}/state        {"state"}
POST /checkoutnow/{id}/agree        `instrument` says with what; then back to `return_url` with `token` and `PayerID`
POST /checkoutnow/{id}/cancel       back to `cancel_url` with `token`; the order stays as it is
```
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.sandbox.templates import PageTemplates
from paypal_orders.sandbox.amounts import document
from paypal_orders.sandbox.order_flow import INSTRUMENTS, OrderFlow
from paypal_orders.sandbox.records import OPEN, SandboxOrder
from paypal_orders.sandbox.replies import PAYER
from paypal_orders.sandbox.sandbox_settings import SandboxSettings

_DELAYED = "echeck"


class Pages:
    def __init__(self, orders: OrderFlow, settings: SandboxSettings, url: str) -> None:
        self._orders = orders
        self._settings = settings
        self._url = url
        self._pages = PageTemplates(Path(__file__).parent / "templates")

    def routes(self) -> list[Route]:
        return [
            Route("/", self._home, methods=["GET"]),
            Route("/checkoutnow", self._order, methods=["GET"]),
            Route("/checkoutnow/{id}/state", self._state, methods=["GET"]),
            Route("/checkoutnow/{id}/agree", self._agree, methods=["POST"]),
            Route("/checkoutnow/{id}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _home(self, _request: Request) -> Response:
        rows = [
            {"order": order, "state": _state_of(order), "amount": document(order.units, order.currency)}
            for order in self._orders.book.orders()[:20]
        ]
        return self._pages.show("home.html", rows=rows, url=self._url, settings=self._settings)

    async def _order(self, request: Request) -> Response:
        order = self._found(request.query_params.get("token", ""))
        if order is None:
            return self._pages.problem(
                "Things don't appear to be working", "There is no order with this token", status=404
            )
        state = _state_of(order)
        offered = {
            name: title
            for name, title in INSTRUMENTS.items()
            if not (order.is_immediate and name == _DELAYED)
        }
        return self._pages.show(
            "order.html",
            order=order,
            state=state,
            is_open=state in ("created", "payer_action_required"),
            amount=document(order.units, order.currency),
            instruments=offered,
            merchant=order.brand_name or "Sandbox Shop",
            return_url=_back(order, agreed=True) if state in ("approved", "completed") else "",
        )

    async def _state(self, request: Request) -> Response:
        order = self._found(request.path_params["id"])
        if order is None:
            return JSONResponse({"state": "unknown"}, status_code=404)
        return JSONResponse({"state": _state_of(order)})

    async def _agree(self, request: Request) -> Response:
        order = self._found(request.path_params["id"])
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        instrument = form.get("instrument", ["balance"])[0]
        if order is None or instrument not in INSTRUMENTS:
            return self._pages.problem(
                "Things don't appear to be working", "There is no such order", status=404
            )
        try:
            order = self._orders.approve(order.id, instrument)
        except NotPossible:
            # It is agreed to, captured or gone by now; the page says which.
            return RedirectResponse(f"/checkoutnow?token={order.id}", status_code=303)
        return RedirectResponse(
            _back(order, agreed=True) or f"/checkoutnow?token={order.id}", status_code=303
        )

    async def _cancel(self, request: Request) -> Response:
        order = self._found(request.path_params["id"])
        if order is None:
            return self._pages.problem(
                "Things don't appear to be working", "There is no such order", status=404
            )
        return RedirectResponse(
            _back(order, agreed=False) or f"/checkoutnow?token={order.id}", status_code=303
        )

    def _found(self, order_id: str) -> SandboxOrder | None:
        try:
            return self._orders.book.find(order_id)
        except UnknownOrder:
            return None


def _state_of(order: SandboxOrder) -> str:
    if order.is_expired:
        return "gone"
    if order.status in OPEN:
        return order.status.lower()
    pending = any(one.status == "PENDING" for one in order.captures)
    return "pending" if pending else order.status.lower()


def _back(order: SandboxOrder, *, agreed: bool) -> str:
    """The merchant's URL, with PayPal's parameters added to what stands there; nothing where it is no web link."""
    url = order.return_url if agreed else order.cancel_url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return ""
    added = {"token": order.id} | ({"PayerID": PAYER["account_id"]} if agreed else {})
    query = "&".join(part for part in (parts.query, urlencode(added)) if part)
    return urlunsplit(parts._replace(query=query))
