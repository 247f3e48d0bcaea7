"""Opens a subject's sandbox behind the fault proxy, and a rig for one check at it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paycore.sandbox.api import Gateway, SandboxOptions
from paycore.sandbox.server import SandboxServer
from paycore.testing.conformance.notification_receiver import in_background, receiving
from paycore.testing.conformance.proxy import FaultProxy, unsigned
from paycore.testing.conformance.rig import Rig
from paycore.testing.conformance.subject import Subject


class _ProxiedSandbox:
    """The subject's sandbox, whose gateways are behind a fault proxy."""

    def __init__(self, subject: Subject) -> None:
        self.name = subject.name
        self._sandbox = subject.sandbox

    def open(self, options: SandboxOptions) -> _ProxiedGateway:
        return _ProxiedGateway(self._sandbox.open(options))


class _ProxiedGateway:
    """A gateway behind a fault proxy; everything else is its own."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.app = FaultProxy(gateway.app, getattr(gateway, "sign_reply", unsigned))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)


@contextmanager
def opened(subject: Subject, folder: Path) -> Iterator[Rig]:
    """
    A rig with a sandbox of its own, until the end of the block; what paycore logs meanwhile is kept in `logged`.

    The servers stop in the background: they look every tenth of a second whether to, and nobody has to wait for it.
    """
    with receiving() as receiver:
        sandbox: Any = _ProxiedSandbox(subject)
        server = SandboxServer(sandbox, notify_url=receiver.url, settings=subject.sandbox_settings)
        server.start()
        try:
            proxied: Any = server.gateway
            rig = Rig(subject, folder, server.url, proxied.gateway, proxied.app, receiver)
            with _logging_to(rig.logged):
                try:
                    yield rig
                finally:
                    rig.close()
        finally:
            in_background(server.stop)


@contextmanager
def _logging_to(records: list[logging.LogRecord]) -> Iterator[None]:
    """Keep what paycore logs inside the block, and show none of it."""

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger, handler = logging.getLogger("paycore"), Keeping()
    before = (logger.propagate, logger.level)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before[0]
        logger.setLevel(before[1])  # which also forgets what is known to be on
