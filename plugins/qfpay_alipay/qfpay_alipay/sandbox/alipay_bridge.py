"""
The JavaScript bridge of the Alipay app: `AlipayJSBridge.call('tradePay', ...)` and `my.tradePay`.

```
GET  /_sandbox/bridge.js             the script; a page that includes it needs no other change
GET  /wallet/jsapi?tradeNO=...       a page written for Alipay, with the bridge, to try a tradeNO
GET  /wallet/jsapi?url=...           the "Alipay app": fetches that page of this machine and puts the bridge into it
GET  /wallet/sheet/{tradeNO}         what the cashier sheet shows
POST /wallet/sheet/{tradeNO}/pay     {"resultCode"}
```

`resultCode`: 9000 paid, 6001 the payer cancelled (the order stays open), 4000 the order cannot be paid, 6002 the
sandbox cannot be reached. Source: Antom "jsapi:tradePay" (SOURCES.md §5.4).
"""

from __future__ import annotations

import asyncio
import html
import http.client
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from paycore.sandbox.api import NotPossible, UnknownOrder
from paycore.sandbox.guard import is_loopback, is_of_this_machine
from paycore.sandbox.templates import PageTemplates
from qfpay_alipay.sandbox.gateway_pay_types import shown_amount
from qfpay_alipay.sandbox.links import Links
from qfpay_alipay.sandbox.order_lifecycle import OrderLifecycle
from qfpay_alipay.sandbox.order_records import OrderState

SHEET = "/wallet/sheet/"
"""What the bridge calls from inside the merchant's page, which has another origin."""

_PAGE_MAX = 2 * 1024 * 1024
_TIMEOUT_S = 5.0


class AlipayBridge:
    def __init__(self, orders: OrderLifecycle, links: Links, pages: PageTemplates) -> None:
        self._orders = orders
        self._links = links
        self._pages = pages

    def routes(self) -> list[Route]:
        return [
            Route("/_sandbox/bridge.js", self._script, methods=["GET"]),
            Route("/wallet/jsapi", self._app, methods=["GET"]),
            Route(SHEET + "{trade_no}", self._sheet, methods=["GET"]),
            Route(SHEET + "{trade_no}/pay", self._pay, methods=["POST"]),
        ]

    async def _script(self, request: Request) -> Response:
        script = self._pages.text("bridge.js", url=self._links.public_url)
        headers = {**_readable_by(request), "Cache-Control": "no-store"}
        return Response(script, media_type="text/javascript; charset=utf-8", headers=headers)

    async def _app(self, request: Request) -> Response:
        url = request.query_params.get("url", "")
        if url:
            return await self._inside_alipay(url)
        policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'self'; connect-src 'self'"
        trade_no = request.query_params.get("tradeNO", "")
        return self._pages.show("jsapi.html", policy=policy, trade_no=trade_no)

    async def _inside_alipay(self, url: str) -> Response:
        if not _is_on_this_machine(url):
            return self._pages.problem("Not opened", "Only pages of this machine are opened here", status=403)
        try:
            page = await asyncio.to_thread(_fetch, url)
        except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
            return self._pages.problem("Not opened", f"{url}: {error}", status=502)
        bridge = f'<script src="{self._links.public_url}/_sandbox/bridge.js"></script>'
        return HTMLResponse(f'<base href="{html.escape(url)}">{bridge}{page}')

    async def _sheet(self, request: Request) -> Response:
        try:
            order = self._orders.book.find(request.path_params["trade_no"])
        except UnknownOrder:
            return JSONResponse({"state": "unknown"}, status_code=404, headers=_readable_by(request))
        sheet = {
            "state": order.state.value,
            "merchant": "Sandbox Shop",
            "subject": order.goods_name or "Payment",
            "amount": shown_amount(order.txamt, order.txcurrcd),
            "currency": order.txcurrcd,
        }
        return JSONResponse(sheet, headers=_readable_by(request))

    async def _pay(self, request: Request) -> Response:
        try:
            order = self._orders.pay(request.path_params["trade_no"])
        except (UnknownOrder, NotPossible):
            return JSONResponse({"resultCode": "4000"}, headers=_readable_by(request))
        code = "9000" if order.state is OrderState.PAID else "4000"
        return JSONResponse({"resultCode": code}, headers=_readable_by(request))


def _readable_by(request: Request) -> dict[str, str]:
    """Headers that let the merchant's page read the answer, if it is on this machine too."""
    origin = request.headers.get("origin", "")
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} if is_of_this_machine(origin) else {}


def _is_on_this_machine(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.username is not None or "\\" in url:
        return False
    return is_loopback(parts.hostname or "")


def _fetch(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())
    with opener.open(url, timeout=_TIMEOUT_S) as answer:
        page: bytes = answer.read(_PAGE_MAX)
        return page.decode(answer.headers.get_content_charset() or "utf-8", "replace")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, which could lead to another machine."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None
