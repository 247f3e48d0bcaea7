"""Sync views: each takes the client of its process where it uses it."""

import logging
import secrets

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

import paycore
from paycore.errors import LedgerError, NotFound, NotificationError, ProviderError

PRICE = paycore.Money("88.00", "HKD")

log = logging.getLogger("shop")


def client() -> paycore.Client:
    """The client of this process. Not in a variable of this module: a worker that is forked has one of its own."""
    return paycore.shared_client(settings.PAYCORE_CONFIG)


@require_GET
def front(request: HttpRequest) -> HttpResponse:
    """A form for a new order of this session."""
    reference = f"web-{secrets.token_urlsafe(16)}"
    request.session["orders"] = [*request.session.get("orders", [])[-9:], reference]
    form = (
        '<form method="post" action="{}"><input type="hidden" name="csrfmiddlewaretoken" value="{}">'
        "<button>Buy for {}</button></form>"
    )
    return HttpResponse(format_html(form, reverse("buy", args=[reference]), get_token(request), PRICE))


@require_POST
def buy(request: HttpRequest, reference: str) -> HttpResponse:
    """Make the payment, or get the one that this form has made already, and send the payer to it."""
    check_own(request, reference)
    try:
        payment = client().create(
            reference=reference,
            amount=PRICE,
            channel="web",
            subject="Two tickets",
            return_url=request.build_absolute_uri(reverse("back", args=[reference])),
        )
    except paycore.PaycoreError as error:
        log.warning("order %s: %s", reference, error.message)
        if error.payment_id is None:
            return HttpResponse("Nothing was ordered, and you have not been charged.", status=503)
    else:
        if isinstance(payment.action, paycore.Redirect):
            return HttpResponseRedirect(payment.action.url)
    return redirect("order", reference)


@require_GET
def order(request: HttpRequest, reference: str) -> HttpResponse:
    """How the order stands, from the ledger: nobody is asked."""
    return HttpResponse(format_html("<p>Your order is {}.</p>", find_own(request, reference).status))


@require_GET
def back(request: HttpRequest, reference: str) -> HttpResponse:
    """Where the payer comes back to. What they bring proves nothing: the provider is asked."""
    payment = find_own(request, reference)
    try:
        client().returned(payment.id, request.GET.dict())
    except paycore.PaycoreError as error:
        log.warning("order %s: %s", reference, error.message)
    return redirect("order", reference)


@csrf_exempt
@require_POST
def notified(request: HttpRequest, account: str) -> HttpResponse:
    """Where the provider notifies: verified and recorded before it is answered."""
    if account not in client().account_names:
        raise Http404
    try:
        reply = client().receive(
            account, body=request.body, headers=request.headers, query=request.META["QUERY_STRING"]
        )
    except NotificationError:
        return HttpResponse("refused", status=400)
    except (LedgerError, ProviderError):
        return HttpResponse("send it again later", status=503)
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)


def check_own(request: HttpRequest, reference: str) -> None:
    """An order is shown to the session that it was drawn for."""
    if reference not in request.session.get("orders", []):
        raise Http404


def find_own(request: HttpRequest, reference: str) -> paycore.Payment:
    """The payment of an order of this session."""
    check_own(request, reference)
    try:
        return client().find(reference)
    except NotFound:
        raise Http404 from None
