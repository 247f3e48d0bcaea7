"""Requests to Stripe, and what a response comes to: a message, or an outcome that says what became of the money."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from paycore.plugin import Failure, Flow, NotNow, Rejected, Request, Response, Secret, Unknown
from stripe_checkout.messages import Malformed, Problem, Refusal, decode, form

M = TypeVar("M", bound=msgspec.Struct)
Outcome = Rejected | NotNow | Unknown

VERSION = "2026-10-28.endive"
"""The API version every request names: replies do not change with the account's default. Source: SOURCES.md §2."""

LOCKED_S = 1.0
LIMITED_S = 2.0
"""Seconds to wait after HTTP 429; Stripe sends no `Retry-After`. Source: SOURCES.md §5."""

_OPERATOR_CODES = frozenset(
    "api_key_expired balance_insufficient country_unsupported livemode_mismatch secret_key_required"
    " testmode_charges_only tls_version_unsupported".split()
)
_NOT_SHOWN = frozenset({"lost_card", "stolen_card", "fraudulent"})
"""Decline codes that a payer is not to be told. Source: docs.stripe.com/declines/codes."""


class NoAnswer(Exception):
    """A response that is no answer; `outcome` is what a flow returns then."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class Api:
    """Builds the requests of one account and reads the responses. `NoAnswer` for what does not accept."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key.reveal()}", "stripe-version": VERSION}

    def get(self, path: str, kind: type[M], **fields: object) -> Flow[M]:
        """Read an object."""
        query = f"?{form(fields)}" if fields else ""
        return read((yield Request(method="GET", path=path + query, headers=self._headers)), kind)

    def post(self, path: str, kind: type[M], message: object = None, *, key: str | None = None) -> Flow[M]:
        """Do something; `key` is the idempotency key of what must not be done twice."""
        return read((yield self.posting(path, message, key=key)), kind)

    def posting(self, path: str, message: object = None, *, key: str | None = None) -> Request:
        """The request of `post`."""
        headers = self._headers | {"content-type": "application/x-www-form-urlencoded"}
        headers |= {} if key is None else {"idempotency-key": key}
        body = b"" if message is None else form(message).encode()
        return Request(method="POST", path=path, headers=headers, body=body)


def read(response: Response, kind: type[M]) -> M:
    """The message of a response that accepts."""
    if response.status != 200:
        raise NoAnswer(refusal_of(response))
    try:
        return decode(response.body, kind)
    except Malformed as malformed:
        raise NoAnswer(Unknown(problem=f"HTTP 200 with {malformed}")) from None


def refusal_of(response: Response) -> Outcome:
    """
    What any other response says about the money.

    Definite: 400, 401, 402, 403 and 404 with an error of Stripe's, but for a key that is in use or was used for
    something else, which says nothing of the first request. HTTP 429 is never executed. All else is `Unknown`.
    Source: docs.stripe.com/api/errors, docs.stripe.com/error-low-level; SOURCES.md §4 to §6.
    """
    shown = _shown(response)
    try:
        error = decode(response.body, Refusal).error
    except Malformed:
        error = Problem(type="")
    if response.status == 429 or (response.status == 400 and error.code in ("rate_limit", "lock_timeout")):
        pause_s = LOCKED_S if error.code == "lock_timeout" else LIMITED_S
        return NotNow(problem=f"{shown}: {error.code or 'too many requests'}", retry_after_s=pause_s)
    if response.status not in (400, 401, 402, 403, 404) or error.type not in (
        "invalid_request_error",
        "card_error",
    ):
        return Unknown(problem=f"{shown}: {error.type or 'no error of Stripe'} {error.code or ''}".rstrip())
    return Rejected(failure=failure_of(error, _who_acts(response.status, error)))


def _shown(response: Response) -> str:
    request_id = response.headers.get("request-id")
    return f"HTTP {response.status}" + (f" ({request_id})" if request_id else "")


def _who_acts(status: int, error: Problem) -> Literal["payer", "caller", "operator"]:
    if status in (401, 403) or error.code in _OPERATOR_CODES:
        return "operator"
    return "payer" if error.type == "card_error" else "caller"


def failure_of(
    error: Problem, who_acts: Literal["payer", "caller", "operator", "provider"] = "payer"
) -> Failure:
    """A refusal by its code, or by its decline code where a payer may be told it."""
    code = error.code or error.type
    if error.decline_code and error.decline_code not in _NOT_SHOWN:
        code = f"{code}/{error.decline_code}"
    if error.param and not error.code:
        code = f"{code}/{error.param}"
    return Failure(code=code, message=error.message or code, who_acts=who_acts)
