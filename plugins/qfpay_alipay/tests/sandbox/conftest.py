"""A merchant and a sandbox: one for the session where tests do not affect each other, else a new one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from paycore.sandbox.server import SandboxServer
from plugins.qfpay_alipay.tests.sandbox.merchant import Merchant
from qfpay_alipay.sandbox import QFPaySandbox

NO_LIMITS = {"rate_per_s": "0", "rate_per_min": "0"}


@contextlib.contextmanager
def _open(settings: dict[str, str] | None = None, **options: Any) -> Iterator[Merchant]:
    with (
        SandboxServer(QFPaySandbox(), settings={**NO_LIMITS, **(settings or {})}, **options) as server,
        httpx2.Client(timeout=5) as http,
    ):
        yield Merchant(server, http)


@pytest.fixture(scope="session")
def _shared() -> Iterator[Merchant]:
    with _open() as merchant:
        yield merchant


@pytest.fixture
def merchant(_shared: Merchant) -> Merchant:
    """A merchant at a shared sandbox without request limits; the fault board is clear."""
    _shared.gateway.faults.clear()
    return _shared


@pytest.fixture
def open_merchant() -> Iterator[Callable[..., Merchant]]:
    """`open_merchant(settings, state=..., auto_pay_s=..., speed=...)`: a merchant at a new sandbox."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(_open(*args, **options))
