"""
The payer's pages: a checkout to tap.

```
GET  /                                what runs here, and the latest sessions
GET  /c/pay/{session}                 the checkout: what a session's `url` is
GET  /c/pay/{session}/state           {"state", "seconds_left"}
POST /c/pay/{session}/pay             method=card&number=... or method=sepa_debit&account=...
GET  /c/pay/{session}/3ds             the bank's page of a card that asks the payer
POST /c/pay/{session}/3ds             answer=confirm or answer=fail
```
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from paycore.sandbox.api import NotPossible
from paycore.sandbox.templates import BY_THIS_MACHINE, PageTemplates
from stripe_checkout.sandbox import units
from stripe_checkout.sandbox.controls import StripeControls
from stripe_checkout.sandbox.session_lifecycle import Lifecycle
from stripe_checkout.sandbox.store import Object
from stripe_checkout.sandbox.test_data import BANK_ACCOUNTS, CARDS, Outcome

_METHODS = {"card": "Card", "sepa_debit": "SEPA Direct Debit", "us_bank_account": "US bank account"}
_SAMPLE_ACCOUNTS = {"sepa_debit": "DE89370400440532013000", "us_bank_account": "000123456789"}
_DECLINED = {
    "insufficient_funds": "Your card has insufficient funds. Try another card.",
    "expired_card": "Your card has expired. Try another card.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "incorrect_number": "Your card number is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little while.",
}
_DECLINED_OTHERWISE = "Your card was declined. Try another card."
_REFUSED_3DS = Outcome(code="payment_intent_authentication_failure", decline_code="authentication_required")


class Pages:
    def __init__(
        self, lifecycle: Lifecycle, controls: StripeControls, *, public_url: str, notify_url: str | None
    ) -> None:
        self._lifecycle = lifecycle
        self._controls = controls
        self._public_url = public_url
        self._notify_url = notify_url
        self._pages = PageTemplates(Path(__file__).parent / "templates", framed_by=BY_THIS_MACHINE)

    def routes(self) -> list[Route]:
        return [
            Route("/", self._home, methods=["GET"]),
            Route("/c/pay/{id}", self._checkout, methods=["GET"]),
            Route("/c/pay/{id}/state", self._state, methods=["GET"]),
            Route("/c/pay/{id}/pay", self._pay, methods=["POST"]),
            Route("/c/pay/{id}/3ds", self._ask_3ds, methods=["GET"]),
            Route("/c/pay/{id}/3ds", self._answer_3ds, methods=["POST"]),
        ]

    async def _home(self, _request: Request) -> Response:
        sessions = self._lifecycle.store.all("checkout.session")[:20]
        rows = [{"session": one, "state": self._controls.state_of(one), **_words(one)} for one in sessions]
        return self._pages.show("home.html", rows=rows, url=self._public_url, notify_url=self._notify_url)

    async def _checkout(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return self._pages.problem("Page not found", "No Checkout Session has this id.", status=404)
        return self._shown(session)

    def _shown(self, session: Object, problem: str = "") -> Response:
        state = self._controls.state_of(session)
        is_taken = session["status"] == "complete" and state != "failed"
        return self._pages.show(
            "checkout.html",
            session=session,
            state=state,
            problem=problem,
            methods=[(one, _METHODS[one]) for one in session["payment_method_types"]],
            accounts=_SAMPLE_ACCOUNTS,
            seconds_left=self._seconds_left(session),
            success_url=_returning(session) if is_taken else "",
            cancel_url=session["cancel_url"] or "",
            **_words(session),
        )

    async def _state(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return JSONResponse({"state": "unknown"}, status_code=404)
        answer = {"state": self._controls.state_of(session), "seconds_left": self._seconds_left(session)}
        return JSONResponse(answer)

    async def _pay(self, request: Request) -> Response:
        session, given = self._session(request), await _form(request)
        if session is None:
            return self._pages.problem("Page not found", "No Checkout Session has this id.", status=404)
        method = given.get("method", "card")
        if method not in session["payment_method_types"]:
            return self._shown(session, "This method is not offered here.")
        if method != "card":
            return self._debit(session, method, given.get("account", ""))
        number = given.get("number", "").replace(" ", "")
        outcome = CARDS.get(number)
        if outcome is None:
            return self._shown(session, "Use a test card, such as 4242 4242 4242 4242.")
        if outcome.asks_3ds and session["status"] == "open":
            self._lifecycle.store.change(session["id"], _card=number)
            return RedirectResponse(f"/c/pay/{session['id']}/3ds", status_code=303)
        return self._attempted(session, outcome)

    def _debit(self, session: Object, method: str, account: str) -> Response:
        kind, outcome = BANK_ACCOUNTS.get(account.replace(" ", ""), ("", Outcome()))
        if kind != method:
            return self._shown(session, f"Use a test account, such as {_SAMPLE_ACCOUNTS[method]}.")
        return self._attempted(session, outcome, method)

    async def _ask_3ds(self, request: Request) -> Response:
        session = self._session(request)
        if session is None or session["status"] != "open" or "_card" not in session:
            return RedirectResponse(f"/c/pay/{request.path_params['id']}", status_code=303)
        return self._pages.show("bank.html", session=session, last4=session["_card"][-4:], **_words(session))

    async def _answer_3ds(self, request: Request) -> Response:
        session, given = self._session(request), await _form(request)
        if session is None or "_card" not in session:
            return RedirectResponse(f"/c/pay/{request.path_params['id']}", status_code=303)
        is_confirmed = given.get("answer") == "confirm"
        return self._attempted(session, CARDS[session["_card"]] if is_confirmed else _REFUSED_3DS)

    def _attempted(self, session: Object, outcome: Outcome, method: str = "card") -> Response:
        try:
            session = self._lifecycle.attempt(session, method, outcome)
        except NotPossible:
            # It is paid or over by now; the page says which.
            return RedirectResponse(f"/c/pay/{session['id']}", status_code=303)
        if session["status"] == "open":
            return self._shown(session, _DECLINED.get(outcome.decline_code, _DECLINED_OTHERWISE))
        return RedirectResponse(_returning(session), status_code=303)

    def _session(self, request: Request) -> Object | None:
        return self._lifecycle.store.get("checkout.session", request.path_params["id"])

    def _seconds_left(self, session: Object) -> int:
        return max(0, int(session["expires_at"]) - self._lifecycle.now())


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode(errors="replace"), max_num_fields=20))


def _returning(session: Object) -> str:
    """Where the payer goes once it is done; the literal placeholder is replaced, as documented."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _words(session: Object) -> dict[str, Any]:
    return {
        "merchant": "Sandbox Shop",
        "subject": session["_name"],
        "amount": units.shown(session["amount_total"], session["currency"]),
        "currency": session["currency"].upper(),
    }
