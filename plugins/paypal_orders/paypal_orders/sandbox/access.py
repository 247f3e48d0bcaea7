"""Access tokens. Source: SOURCES.md §2."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import threading

from paycore.sandbox.virtual_clock import SandboxClock
from paypal_orders.sandbox.refusals import Refusal
from paypal_orders.sandbox.replies import Fields, time_of
from paypal_orders.sandbox.sandbox_settings import SandboxSettings

_SCOPES = ("payments/payment", "payments/refund", "applications/webhooks", "reporting/search/read")


class Access:
    """
    Issues tokens and knows those that hold.

    A client is given the token it has for as long as that lives, with the remaining seconds; tokens do not outlive
    the process.
    """

    def __init__(self, clock: SandboxClock, settings: SandboxSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._lock = threading.Lock()
        self._token, self._ends_at = "", 0

    def issue(self, authorization: str) -> Fields | None:
        """The answer to a client that knows its secret; None for another one."""
        scheme, _, given = authorization.partition(" ")
        try:
            pair = base64.b64decode(given, validate=True)
        except binascii.Error:
            return None
        known = f"{self._settings.client_id}:{self._settings.client_secret}".encode()
        if scheme.lower() != "basic" or not hmac.compare_digest(pair, known):
            return None
        with self._lock:
            now = self._clock.now_ms()
            if now >= self._ends_at - 1000:
                self._token = f"A21AA{secrets.token_urlsafe(48)}"
                self._ends_at = now + self._settings.token_life_s * 1000
            left = (self._ends_at - now) // 1000
            return {
                "scope": " ".join(f"https://uri.paypal.com/services/{scope}" for scope in _SCOPES),
                "access_token": self._token,
                "token_type": "Bearer",
                "app_id": "APP-80W284485P519543T",
                "expires_in": left,
                "nonce": time_of(now) + secrets.token_urlsafe(8),
            }

    def check(self, authorization: str) -> None:
        """`Refusal` 401 unless it bears the token that holds."""
        scheme, _, given = authorization.partition(" ")
        with self._lock:
            holds = bool(self._token) and self._clock.now_ms() < self._ends_at
            if scheme.lower() != "bearer" or not holds or not hmac.compare_digest(given, self._token):
                raise Refusal(401)

    def refuse_all(self) -> None:
        """Forget every token."""
        with self._lock:
            self._token, self._ends_at = "", 0
