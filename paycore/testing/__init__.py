"""
Proves a provider right, and has doubles for tests: see `paycore.testing.conformance` and `paycore.testing.toy`.

Needs the extra "testing".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paycore.testing.conformance.report import CheckReport, CheckResult
    from paycore.testing.conformance.running import check_provider
    from paycore.testing.conformance.subject import Subject
    from paycore.testing.declared_table import capabilities_table
    from paycore.testing.pytest_plugin import conformance_of

__all__ = ["CheckReport", "CheckResult", "Subject", "capabilities_table", "check_provider", "conformance_of"]

_HOMES = {
    "CheckReport": "paycore.testing.conformance.report",
    "CheckResult": "paycore.testing.conformance.report",
    "Subject": "paycore.testing.conformance.subject",
    "capabilities_table": "paycore.testing.declared_table",
    "check_provider": "paycore.testing.conformance.running",
    "conformance_of": "paycore.testing.pytest_plugin",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
