"""While a request of ours is under way, the HTTP client logs nothing: it would log URLs and headers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_sending: ContextVar[bool] = ContextVar("paycore_sending", default=False)


def _is_not_ours(_record: logging.LogRecord) -> bool:
    """Httpx logs URLs and httpcore headers; both may hold what must not be logged."""
    return not _sending.get()


for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_is_not_ours)


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Nothing of what is sent inside the block is logged; other users of the same client log as ever."""
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)
