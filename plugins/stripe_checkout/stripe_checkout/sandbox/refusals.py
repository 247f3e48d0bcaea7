"""Refusals with Stripe's error bodies. Source: docs.stripe.com/api/errors, docs.stripe.com/error-codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """
    A request that is refused. `is_stored`: it is the result of its idempotency key from now on.

    That is so for what was refused in execution (a state, a sum), not for what validation refused.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        is_stored: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.is_stored = is_stored
        told = {"code": code, "message": message, "param": param, "type": kind, **more}
        # Stripe leaves out what does not apply.
        self.body = {"error": {name: value for name, value in told.items() if value is not None}}


def invalid(
    message: str, *, param: str | None = None, code: str | None = None, stored: bool = False
) -> ApiError:
    return ApiError(400, message, param=param, code=code, is_stored=stored)


def missing(what: str, object_id: str, param: str) -> ApiError:
    return ApiError(404, f"No such {what}: '{object_id}'", param=param, code="resource_missing")
