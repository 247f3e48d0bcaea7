"""
The payer's pages, which look and work like a phone wallet.

```
GET  /                                    what runs here, and the latest orders
GET  /wallet/gateway.do?...               a pay URL: signed query, out_trade_no = syssn
GET  /wallet/orders/{syssn}               the order on a phone; what QR codes contain
GET  /wallet/trade/{tradeNO}              the order of a tradeNO
GET  /wallet/sdk?order=...                the Alipay SDK's part: an in-app order string, checked exactly
GET  /wallet/orders/{syssn}/state         {"state", "seconds_left"}
POST /wallet/orders/{syssn}/pay|decline   what the buttons do
```
"""

from __future__ import annotations

import io
import re
from typing import Any
from urllib.parse import unquote

import segno
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.sandbox.templates import PageTemplates
from paycore.sandbox.virtual_clock import SandboxClock
from qfpay_alipay.sandbox.gateway_pay_types import PAY_TYPES, shown_amount
from qfpay_alipay.sandbox.links import Links
from qfpay_alipay.sandbox.order_lifecycle import OrderLifecycle
from qfpay_alipay.sandbox.order_records import OrderState, SandboxOrder
from qfpay_alipay.sandbox.sandbox_settings import SandboxSettings

_SHOWN_AS_QR = "801514"
_SDK_NUMBER = re.compile(r'(?:^|&)out_trade_no="([0-9]+)"')


class Wallet:
    def __init__(
        self,
        clock: SandboxClock,
        orders: OrderLifecycle,
        links: Links,
        pages: PageTemplates,
        settings: SandboxSettings,
    ) -> None:
        self._clock = clock
        self._orders = orders
        self._links = links
        self._pages = pages
        self._settings = settings

    def routes(self) -> list[Route]:
        get: list[tuple[str, Any]] = [
            ("/", self._home),
            ("/wallet/gateway.do", self._gateway),
            ("/wallet/orders/{syssn}", self._order),
            ("/wallet/orders/{syssn}/state", self._state),
            ("/wallet/trade/{syssn}", self._order),
            ("/wallet/sdk", self._sdk),
        ]
        post: list[tuple[str, Any]] = [
            ("/wallet/orders/{syssn}/pay", self._pay),
            ("/wallet/orders/{syssn}/decline", self._decline),
        ]
        return [
            *(Route(path, page, methods=["GET"]) for path, page in get),
            *(Route(path, action, methods=["POST"]) for path, action in post),
        ]

    async def _home(self, _request: Request) -> Response:
        rows = [{"order": order, **self._words(order)} for order in self._orders.book.orders()[:20]]
        return self._pages.show("home.html", rows=rows, url=self._links.public_url, settings=self._settings)

    async def _gateway(self, request: Request) -> Response:
        if not self._links.is_genuine(request.query_params):
            return self._pages.problem(
                "Link not valid", "This pay link was altered: ILLEGAL_SIGN", status=400
            )
        return self._show(request.query_params.get("out_trade_no", ""))

    async def _order(self, request: Request) -> Response:
        return self._show(request.path_params["syssn"])

    async def _sdk(self, request: Request) -> Response:
        """The order string of the app must be exactly the one that the sandbox makes of `pay_params`."""
        given = request.query_params.get("order", "")
        number = _SDK_NUMBER.search(given)
        try:
            order = self._orders.book.find(number[1] if number else "")
        except UnknownOrder:
            return self._pages.problem("Order not found", "The order string names no order", status=404)
        expected = self._links.order_string(order)
        # A form or a URL may have decoded the signature on its way here; the SDK itself sees it encoded.
        if given not in (expected, unquote(expected)):
            words = (
                "The order string does not match pay_params: the order of names, the quotes or a value differ"
            )
            return self._pages.problem("Order not valid", words, status=400)
        return self._show(order.syssn)

    async def _state(self, request: Request) -> Response:
        try:
            order = self._orders.book.find(request.path_params["syssn"])
        except UnknownOrder:
            return JSONResponse({"state": "unknown"}, status_code=404)
        return JSONResponse({"state": order.state.value, "seconds_left": self._seconds_left(order)})

    async def _pay(self, request: Request) -> Response:
        return self._acted(request, self._orders.pay)

    async def _decline(self, request: Request) -> Response:
        return self._acted(request, self._orders.decline)

    def _acted(self, request: Request, act: Any) -> Response:
        syssn = request.path_params["syssn"]
        try:
            act(syssn)
        except UnknownOrder:
            return self._pages.problem("Order not found", "No order with this number", status=404)
        except NotPossible:
            # It is paid, closed or expired by now; the page says which.
            pass
        return RedirectResponse(f"/wallet/orders/{syssn}", status_code=303)

    def _show(self, number: str) -> Response:
        try:
            order = self._orders.book.find(number)
        except UnknownOrder:
            return self._pages.problem("Order not found", "No order with this number", status=404)
        is_open = order.state is OrderState.UNPAID
        return self._pages.show(
            "order.html",
            order=order,
            qr=_qr(self._links.wallet_page(order)) if order.pay_type == _SHOWN_AS_QR and is_open else "",
            is_open=is_open,
            return_url=_web_link(order.return_url) if order.state is OrderState.PAID else "",
            seconds_left=self._seconds_left(order),
            speed=self._clock.speed,
            **self._words(order),
        )

    def _seconds_left(self, order: SandboxOrder) -> int:
        return max(0, order.expires_at - self._clock.now_ms()) // 1000

    def _words(self, order: SandboxOrder) -> dict[str, Any]:
        return {
            "merchant": "Sandbox Shop",
            "subject": order.goods_name or "Payment",
            "amount": shown_amount(order.txamt, order.txcurrcd),
            "product": PAY_TYPES[order.pay_type].title,
        }


def _qr(content: str) -> str:
    """The content as an SVG element that scales with the page."""
    out = io.BytesIO()
    segno.make(content, error="m").save(
        out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=2, title="QR code of this order"
    )
    return out.getvalue().decode()


def _web_link(url: str) -> str:
    """In-app orders may return to an app's own scheme, which a page must not follow."""
    return url if url.startswith(("https://", "http://")) else ""
