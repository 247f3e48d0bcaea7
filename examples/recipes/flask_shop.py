"""
A shop on Flask: it makes a payment, sends the payer to it, is notified, and shows how it stands.

    gunicorn flask_shop:app             # in the folder of paycore.toml; with any --workers, --threads, -k, --preload
    flask --app flask_shop deliver      # beside it: delivers what was paid, each payment once

SHOP_SECRET signs the session: the same for all workers, and kept over a restart.
"""

import logging
import os
import secrets
import sqlite3
from contextlib import closing

from flask import Flask, Response, abort, redirect, render_template_string, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

import paycore
from paycore.errors import ConfigError, LedgerError, NotFound, NotificationError, ProviderError

PRICE = paycore.Money("88.00", "HKD")

PAGE = """
<!doctype html><title>Shop</title>
<p>{{ words }}</p>
{% if form %}<form method="post" action="{{ form }}"><button>Buy for {{ price }}</button></form>{% endif %}
"""

app = Flask(__name__)
app.secret_key = os.environ["SHOP_SECRET"]
app.config.update(SESSION_COOKIE_SAMESITE="Lax", MAX_CONTENT_LENGTH=1024 * 1024)
log = logging.getLogger("shop")

for account in paycore.shared_client().accounts():
    if account.problem is not None:  # a mistake in the configuration stops the server here
        raise ConfigError(account.problem)


@app.get("/")
def front() -> str:
    """A form for a new order of this session."""
    reference = f"web-{secrets.token_urlsafe(16)}"
    session["orders"] = [*session.get("orders", [])[-9:], reference]
    return render_template_string(
        PAGE, words="Two tickets", form=url_for("buy", reference=reference), price=PRICE
    )


@app.post("/orders/<reference>")
def buy(reference: str) -> AnyResponse:
    """Make the payment, or get the one that this form has made already, and send the payer to it."""
    check_own(reference)
    try:
        payment = paycore.shared_client().create(
            reference=reference,
            amount=PRICE,
            channel="web",
            subject="Two tickets",
            return_url=url_for("back", reference=reference, _external=True),
        )
    except paycore.PaycoreError as error:
        log.warning("order %s: %s", reference, error.message)
        if error.payment_id is None:
            return Response("Nothing was ordered, and you have not been charged.", 503)
    else:
        if isinstance(payment.action, paycore.Redirect):
            return redirect(payment.action.url, 303)
    return redirect(url_for("order", reference=reference), 303)


@app.get("/orders/<reference>")
def order(reference: str) -> str:
    """How the order stands, from the ledger: nobody is asked."""
    return render_template_string(PAGE, words=f"Your order is {find_own(reference).status}.")


@app.get("/orders/<reference>/back")
def back(reference: str) -> AnyResponse:
    """Where the payer comes back to. What they bring proves nothing: the provider is asked."""
    payment = find_own(reference)
    try:
        paycore.shared_client().returned(payment.id, request.args.to_dict())
    except paycore.PaycoreError as error:
        log.warning("order %s: %s", reference, error.message)
    return redirect(url_for("order", reference=reference), 303)


@app.post("/notifications/<account>")
def notified(account: str) -> Response:
    """Where the provider notifies: verified and recorded before it is answered."""
    if account not in paycore.shared_client().account_names:
        abort(404)
    try:
        reply = paycore.shared_client().receive(
            account,
            body=request.get_data(),
            headers=dict(request.headers),
            query=request.query_string.decode("latin-1"),
        )
    except NotificationError:
        return Response("refused", 400)
    except (LedgerError, ProviderError):
        return Response("send it again later", 503)
    return Response(reply.body, reply.status, content_type=reply.content_type)


@app.cli.command("deliver")
def deliver() -> None:
    """Deliver what is paid, until Ctrl-C: each payment once, however many of these run and whenever they die."""
    with closing(sqlite3.connect("shop.db")) as shop:
        shop.execute("CREATE TABLE IF NOT EXISTS parcels (key TEXT PRIMARY KEY, reference TEXT)")
        for change in paycore.shared_client().changes("parcels", kinds=("paid",), from_start=True):
            with shop:  # one transaction: the key and the parcel
                shop.execute(
                    "INSERT INTO parcels VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (change.key, change.payment.reference),
                )


def check_own(reference: str) -> None:
    """An order is shown to the session that it was drawn for."""
    if reference not in session.get("orders", []):
        abort(404)


def find_own(reference: str) -> paycore.Payment:
    """The payment of an order of this session."""
    check_own(reference)
    try:
        return paycore.shared_client().find(reference)
    except NotFound:
        abort(404)
