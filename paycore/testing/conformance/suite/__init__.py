"""The checks, in modules by subject."""

from __future__ import annotations

import importlib

MODULES = (
    "declaration",
    "products",
    "limits",
    "flows",
    "outcomes",
    "replies",
    "payments",
    "losses",
    "queries",
    "absence",
    "lists",
    "refunds",
    "refund_recovery",
    "captures",
    "authorizations",
    "closing",
    "charge_backs",
    "notifications",
    "authenticity",
    "acknowledgements",
    "secrets",
)
"""In the order in which an author works."""


def load() -> None:
    """Import every module of checks, which lists them."""
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
