"""
A shop on FastAPI: it makes a payment, sends the payer to it, is notified, shows how it stands, and delivers.

    uvicorn fastapi_shop:app --workers 2        # in the folder of paycore.toml

SHOP_SECRET signs the session: the same for all workers, and kept over a restart.
"""

import asyncio
import contextlib
import html
import logging
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

import paycore
from paycore.errors import NotFound
from paycore.web import notifications

PRICE = paycore.Money("88.00", "HKD")

log = logging.getLogger("shop")


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """A client for each worker, on its event loop, as long as that serves."""
    async with paycore.AsyncClient() as pay:
        app.state.pay = pay
        app.mount("/notifications", notifications(pay))  # POST /notifications/ACCOUNT
        delivering = asyncio.create_task(deliver(pay))
        yield
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering


app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key=os.environ["SHOP_SECRET"], same_site="lax")


def client(request: Request) -> paycore.AsyncClient:
    """The client of this worker."""
    pay: paycore.AsyncClient = request.app.state.pay
    return pay


Pay = Annotated[paycore.AsyncClient, Depends(client)]


@app.get("/", response_class=HTMLResponse)
async def front(request: Request) -> str:
    """A form for a new order of this session."""
    reference = f"web-{secrets.token_urlsafe(16)}"
    request.session["orders"] = [*request.session.get("orders", [])[-9:], reference]
    return f'<form method="post" action="/orders/{reference}"><button>Buy for {PRICE}</button></form>'


@app.post("/orders/{reference}")
async def buy(request: Request, reference: str, pay: Pay) -> RedirectResponse:
    """Make the payment, or get the one that this form has made already, and send the payer to it."""
    check_own(request, reference)
    try:
        payment = await pay.create(
            reference=reference,
            amount=PRICE,
            channel="web",
            subject="Two tickets",
            return_url=str(request.url_for("back", reference=reference)),
        )
    except paycore.PaycoreError as error:
        log.warning("order %s: %s", reference, error.message)
        if error.payment_id is None:
            raise HTTPException(503, "nothing was ordered, and you have not been charged") from None
    else:
        if isinstance(payment.action, paycore.Redirect):
            return RedirectResponse(payment.action.url, 303)
    return RedirectResponse(f"/orders/{reference}", 303)


@app.get("/orders/{reference}", response_class=HTMLResponse)
async def order(request: Request, reference: str, pay: Pay) -> str:
    """How the order stands, from the ledger: nobody is asked."""
    payment = await find_own(request, reference, pay)
    return f"<p>Your order is {html.escape(payment.status)}.</p>"


@app.get("/orders/{reference}/back")
async def back(request: Request, reference: str, pay: Pay) -> RedirectResponse:
    """Where the payer comes back to. What they bring proves nothing: the provider is asked."""
    payment = await find_own(request, reference, pay)
    try:
        await pay.returned(payment.id, dict(request.query_params))
    except paycore.PaycoreError as error:
        log.warning("order %s: %s", reference, error.message)
    return RedirectResponse(f"/orders/{reference}", 303)


def check_own(request: Request, reference: str) -> None:
    """An order is shown to the session that it was drawn for."""
    if reference not in request.session.get("orders", []):
        raise HTTPException(404)


async def find_own(request: Request, reference: str, pay: paycore.AsyncClient) -> paycore.Payment:
    """The payment of an order of this session."""
    check_own(request, reference)
    try:
        return await pay.find(reference)
    except NotFound:
        raise HTTPException(404) from None


async def deliver(pay: paycore.AsyncClient) -> None:
    """Deliver what is paid, each payment once: one worker does, the others stand by and take over when it ends."""
    with contextlib.closing(sqlite3.connect("shop.db")) as shop:
        shop.execute("CREATE TABLE IF NOT EXISTS parcels (key TEXT PRIMARY KEY, reference TEXT)")
        while True:
            try:
                async for change in pay.changes("parcels", kinds=("paid",), from_start=True):
                    with shop:  # one transaction: the key and the parcel
                        shop.execute(
                            "INSERT INTO parcels VALUES (?, ?) ON CONFLICT DO NOTHING",
                            (change.key, change.payment.reference),
                        )
            except (paycore.PaycoreError, sqlite3.Error):
                log.exception("delivering goes on in ten seconds")
                await asyncio.sleep(10)
