"""
A small shop: a click makes a payment, the page shows what the payer must do, and follows the status.

    python examples/web_shop/shop.py                       # with a sandbox of its own
    python examples/web_shop/shop.py --config paycore.toml

What it shows of paycore:

- The reference is part of the form, so a double click or a reload is one payment, not two.
- A reference is signed by this shop for one session: nobody else can open, retry or see the order.
- Only the shop's own pages make orders: a form sent by another site is refused.
- The price is the shop's, never the form's.
- It names no provider and no method: the configuration does (`default_account`, `default_method`). It shows whatever
  the payer must do, and offers the channels that the account has.
- The browser only receives a status. What it brings back from the provider proves nothing: the shop hands it to
  paycore, which asks the provider.
- The shop waits for every open payment, including those of an earlier run.
- The provider's notifications are received at /notifications/ACCOUNT, so a payment is known as soon as it is paid.
- Form contents are not logged.

References are signed with SHOP_SECRET. Without it a secret is generated at each start: orders of an earlier run
are still waited for, but shown to nobody.
"""

import argparse
import asyncio
import contextlib
import hmac
import io
import logging
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import segno
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

import paycore
from paycore.errors import NotFound
from paycore.sandbox.server import SandboxServer
from paycore.web import notifications
from qfpay_alipay.sandbox import QFPaySandbox

PRICE = paycore.Money("88.00", "HKD")
SUBJECT = "Two tickets"
CHANNELS = {
    "web": "Pay on this computer",
    "qr": "Scan a QR code",
    "wap": "Pay on this phone",
}

WORDS = {
    paycore.Status.CREATED: "Your order is not placed yet. You have not been charged.",
    paycore.Status.UNKNOWN: "We are asking the payment company whether your order arrived.",
    paycore.Status.PENDING: "Waiting for your payment.",
    paycore.Status.AUTHORIZED: "You have agreed. Your payment is being taken.",
    paycore.Status.PAID: "Paid. Thank you!",
    paycore.Status.FAILED: "The payment was declined. You have not been charged.",
    paycore.Status.CLOSED: "This order has ended. You have not been charged.",
}

SESSION = "shop_session"
SECRET = os.environ.get("SHOP_SECRET", "").encode() or secrets.token_bytes(32)
HOSTS = ["127.0.0.1", "localhost"]
"""The names this shop is reached by; yours are those of your domain."""

FORM_MAX = 4096
"""Bytes; the shop's own forms take less than a hundred."""

templates = Jinja2Templates(Path(__file__).parent / "templates")
log = logging.getLogger("shop")


def make_app(config: str | Path | None = None) -> Starlette:
    """The shop, with the payments of this configuration; None finds `paycore.toml`."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with paycore.AsyncClient(config) as pay:
            app.state.pay, app.state.waits, app.state.channels = pay, set(), offered(await pay.accounts())
            app.mount("/notifications", notifications(pay))
            async for payment in pay.open():
                if (
                    not payment.status.is_final
                ):  # otherwise it is paid, and open because of a refund or a close
                    look_after(app, payment)
            yield
            for wait in app.state.waits:
                wait.cancel()
            await asyncio.gather(*app.state.waits, return_exceptions=True)

    routes = [
        Route("/", front),
        Route("/buy", buy, methods=["POST"]),
        Route("/orders/{reference}", order),
        Route("/orders/{reference}/status", status),
        Route("/orders/{reference}/back", back, name="back"),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)]
    return Starlette(routes=routes, lifespan=lifespan, middleware=middleware)


def offered(accounts: Iterable[paycore.AccountInfo]) -> dict[str, str]:
    """The channels of this shop that the default account has for its default method."""
    account = next(account for account in accounts if account.is_default)
    if account.problem is not None:
        raise SystemExit(account.problem)
    has = {product.channel for product in account.products if product.method == account.default_method}
    return {channel: words for channel, words in CHANNELS.items() if channel in has}


# --- pages -------------------------------------------------------------------------------------------


async def front(request: Request) -> Response:
    """The front page, with a form for one order of this session."""
    session = request.cookies.get(SESSION) or secrets.token_urlsafe(24)
    values = {
        "price": PRICE,
        "subject": SUBJECT,
        "channels": request.app.state.channels,
        "reference": new_reference(session),
    }
    page = templates.TemplateResponse(request, "front.html", values)
    is_https = request.url.scheme == "https"
    page.set_cookie(SESSION, session, httponly=True, samesite="lax", secure=is_https)
    return page


async def buy(request: Request) -> Response:
    """Make the payment, or return to the one this form has already made."""
    form = await read_form(request)
    reference, channel = form.get("reference", ""), form.get("channel", "")
    shop = request.app.state
    if not (is_own_page(request) and is_own_order(request, reference) and channel in shop.channels):
        return problem(request, "This form is no longer good. Nothing was ordered: open the shop again.")
    try:
        payment = await shop.pay.create(
            reference=reference,
            amount=PRICE,
            channel=channel,
            subject=SUBJECT,
            return_url=str(request.url_for("back", reference=reference)),
        )
    except paycore.PaycoreError as error:
        log.warning("order %s: %r", reference, error.message)
        if error.payment_id is None:
            return problem(request, "Nothing was ordered, and you have not been charged.")
        payment = await shop.pay.get(error.payment_id)  # recorded all the same: its page shows its status
    look_after(request.app, payment)
    return RedirectResponse(f"/orders/{reference}", status_code=303)


async def order(request: Request) -> Response:
    """One order of this session: what the payer must do, and its status."""
    payment = await find_own(request)
    if payment is None:
        return problem(request, "There is no such order.", status=404)
    link, code = shown(payment.action)
    values = {
        "payment": payment,
        "words": WORDS[payment.status],
        "link": link,
        "qr": code and draw(code),
        "details": payment.action.fields if isinstance(payment.action, paycore.Instructions) else {},
    }
    return templates.TemplateResponse(request, "order.html", values)


async def status(request: Request) -> Response:
    """The status of an order, for the page's script: read from the ledger, without a query to the provider."""
    payment = await find_own(request)
    if payment is None:
        return JSONResponse({"status": "not_found"}, status_code=404)
    return JSONResponse({"status": payment.status, "words": WORDS[payment.status]})


async def back(request: Request) -> Response:
    """Where the payer's browser comes back to: what it brings is recorded, and the provider is asked at once."""
    payment = await find_own(request)
    if payment is None:
        return problem(request, "There is no such order.", status=404)
    try:
        await request.app.state.pay.returned(payment.id, dict(request.query_params))
    except paycore.PaycoreError as error:
        log.warning("order %s: %r", payment.reference, error.message)  # its page shows what is known
    return RedirectResponse(f"/orders/{payment.reference}", status_code=303)


def problem(request: Request, words: str, *, status: int = 400) -> Response:
    """A page for a request that is refused; the details are in the shop's log."""
    return templates.TemplateResponse(request, "problem.html", {"words": words}, status_code=status)


def shown(action: paycore.Action | None) -> tuple[str, str]:
    """What the page shows of an action: a link to follow, and what to draw as a QR code."""
    match action:
        case paycore.Redirect(url=url, show_as="page"):
            return url, ""
        case paycore.Redirect(url=url):
            return url, url
        case paycore.QRCode(content=content):
            return content if content.startswith(("https://", "http://127.0.0.1")) else "", content
        case _:
            return "", ""


def draw(content: str) -> str:
    """The content as an SVG element that scales with the page."""
    out = io.BytesIO()
    segno.make(content, error="l").save(
        out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=2, title="QR code to pay with"
    )
    return out.getvalue().decode()


# --- ownership of orders -----------------------------------------------------------------------------


def new_reference(session: str) -> str:
    """A unique reference that only this session can use."""
    nonce = secrets.token_hex(8)
    return f"web-{nonce}-{seal(session, nonce)}"


def seal(session: str, nonce: str) -> str:
    """The signature of this shop in a reference of this session."""
    return hmac.digest(SECRET, f"{session} {nonce}".encode(), "sha256").hex()[:16]


def is_own_order(request: Request, reference: str) -> bool:
    """Whether this shop made the reference for the session of the request."""
    session = request.cookies.get(SESSION, "")
    _, _, nonce_and_seal = reference.partition("web-")
    nonce, _, _ = nonce_and_seal.partition("-")
    return hmac.compare_digest(reference.encode(), f"web-{nonce}-{seal(session, nonce)}".encode())


def is_own_page(request: Request) -> bool:
    """Whether a form comes from a page of this shop. The browser sets this header; a page can't change it."""
    return request.headers.get("origin") == f"{request.url.scheme}://{request.url.netloc}"


async def find_own(request: Request) -> paycore.Payment | None:
    """The payment of an order of this session; None for any other, whether it exists or not."""
    reference = request.path_params["reference"]
    if not is_own_order(request, reference):
        return None
    pay: paycore.AsyncClient = request.app.state.pay
    try:
        return await pay.find(reference)
    except NotFound:
        return None


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; none if it is too large or can't be read."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_MAX:
            return {}
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=8))
    except ValueError:
        return {}


# --- behind the pages --------------------------------------------------------------------------------


def look_after(app: Starlette, payment: paycore.Payment) -> None:
    """Wait for the payment in the background: while a caller waits, paycore polls the provider."""
    wait = asyncio.create_task(deliver_when_paid(app.state.pay, payment.id))
    app.state.waits.add(wait)
    wait.add_done_callback(app.state.waits.discard)


async def deliver_when_paid(pay: paycore.AsyncClient, payment_id: str) -> None:
    """Deliver only if the payment is paid and not under review."""
    payment = await pay.wait(payment_id, timeout_s=3600)
    if payment.status is paycore.Status.PAID and not payment.review:
        log.info("order %r: paid, deliver %s", payment.reference, SUBJECT)
    else:
        log.info("order %r: %s, deliver nothing", payment.reference, payment.status)


# --- serving -----------------------------------------------------------------------------------------

CONFIG = """
ledger = "sqlite:///shop.db"

[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
default_method = "alipay"
region = "hk"
app_code = "{app_code}"
client_key = "{client_key}"
"""


@contextlib.contextmanager
def own_sandbox(shop: str) -> Iterator[Path]:
    """A configuration for a sandbox in this process that notifies this shop, with a temporary ledger."""
    settings = {"notify_url": f"{shop}/notifications/hk"}
    with tempfile.TemporaryDirectory() as folder, SandboxServer(QFPaySandbox(), settings=settings) as sandbox:
        config = Path(folder) / "paycore.toml"
        known = {**sandbox.settings, "url": sandbox.url}
        config.write_text(CONFIG.format_map(known), encoding="utf-8")
        yield config


def main() -> None:
    """Serve the shop until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A small shop on paycore.")
    parser.add_argument("--config", type=Path, help="your paycore.toml; without it, a sandbox of its own")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    url = f"http://127.0.0.1:{options.port}"
    with contextlib.nullcontext(options.config) if options.config else own_sandbox(url) as config:
        print(f"The shop is open: {url}", flush=True)
        uvicorn.run(make_app(config), port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
