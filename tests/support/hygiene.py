"""
Isolates tests: no network, no configuration from the environment, an empty folder each.

Loaded as a pytest plugin by the root `conftest.py`; applies to every test.
"""

import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# What would change how paycore, its plugins or an HTTP client behave, compared in upper case.
AMBIENT_PREFIXES = ("PAYCORE_", "QFPAY_", "XDG_")
AMBIENT_NAMES = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC", "NO_COLOR", "FORCE_COLOR"}
)

# Time limits are set where time is the subject; a shared machine may stall any single example. In CI the examples are
# the same in every run, so that a failure belongs to the change at hand.
hypothesis.settings.register_profile("paycore", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "paycore")


# A shell starts background jobs with Ctrl-C ignored, and every process the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class OutsideConnectionError(Exception):
    """A connection to another machine. Not an `OSError`, so that no code under test handles it."""


def is_loopback(host: object) -> bool:
    """Tell whether a host, as given to `socket.connect`, is this machine."""
    if host in {"localhost", b"localhost"}:
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return False


def _refuse_outside(connection: socket.socket, address: Any) -> None:
    if connection.family in {socket.AF_INET, socket.AF_INET6} and not is_loopback(address[0]):
        connection.close()  # the standard library closes it after an OSError only
        raise OutsideConnectionError(f"a test tried to connect to {address[0]!r}; tests stay on this machine")


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Refuse connections to other machines and look-ups of their names, as on a machine without a network."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any, /) -> None:
        _refuse_outside(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any, /) -> int:
        _refuse_outside(self, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        numeric = host is None or is_loopback(host) or _is_address(host)
        if not numeric:
            raise socket.gaierror(
                socket.EAI_NONAME, f"Name or service not known (tests know no names): {host!r}"
            )
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


def _is_address(host: object) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return True


@pytest.fixture(autouse=True)
def _no_ambient_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty folder that is also the home folder, without variables that configure anything."""
    for name in list(os.environ):
        if name.upper() in AMBIENT_NAMES or name.upper().startswith(AMBIENT_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
