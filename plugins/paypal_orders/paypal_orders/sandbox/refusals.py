"""Errors as PayPal answers them. Source: SOURCES.md §13."""

from __future__ import annotations

from typing import Any

_MESSAGES = {
    400: ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema."),
    401: (
        "AUTHENTICATION_FAILURE",
        "Authentication failed due to missing authorization header, or invalid authentication credentials.",
    ),
    403: ("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions."),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    409: ("RESOURCE_CONFLICT", "The server has detected a conflict while processing this request."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The server does not support the request payload's media type."),
    422: (
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business validation.",
    ),
    429: ("RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting."),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error has occurred."),
}

_STATUSES = {
    "INTERNAL_SERVER_ERROR": 500,
    "INTERNAL_SERVICE_ERROR": 500,
    "PERMISSION_DENIED": 403,
    "MISSING_REQUIRED_PARAMETER": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_PARAMETER_SYNTAX": 400,
    "INVALID_STRING_LENGTH": 400,
    "MALFORMED_REQUEST_JSON": 400,
    "INVALID_RESOURCE_ID": 404,
    "PREVIOUS_REQUEST_IN_PROGRESS": 409,
    "RATE_LIMIT_REACHED": 429,
}
"""The HTTP status of an issue; 422 for all others."""


class Refusal(Exception):
    """An error answer: its HTTP status, its issue, the field, and further links."""

    def __init__(self, status: int, issue: str = "", *, field: str = "", payer_url: str = "") -> None:
        super().__init__(issue)
        self.status = status
        self.issue = issue
        self.field = field
        self.payer_url = payer_url

    def document(self, debug_id: str) -> dict[str, Any]:
        name, message = _MESSAGES[self.status]
        answer: dict[str, Any] = {"name": name, "message": message, "debug_id": debug_id, "links": []}
        if self.issue and self.issue != name:
            detail = {"issue": self.issue, "description": f"{self.issue.replace('_', ' ').capitalize()}."}
            answer["details"] = [detail | ({"field": self.field, "location": "body"} if self.field else {})]
        if self.issue:
            href = f"https://developer.paypal.com/docs/api/orders/v2/#error-{self.issue}"
            answer["links"].append({"href": href, "rel": "information_link", "method": "GET"})
        if self.payer_url:
            answer["links"].append({"href": self.payer_url, "rel": "redirect", "method": "GET"})
        return answer


def invalid(issue: str, field: str) -> Refusal:
    return Refusal(400, issue, field=f"/{field}")


def unprocessable(issue: str, field: str = "", *, payer_url: str = "") -> Refusal:
    return Refusal(422, issue, field=f"/{field}" if field else "", payer_url=payer_url)


def not_found() -> Refusal:
    return Refusal(404, "INVALID_RESOURCE_ID")


def refusal_for(issue: str) -> Refusal:
    """The error of this issue, with the status PayPal gives it."""
    return Refusal(_STATUSES.get(issue, 422), issue)
