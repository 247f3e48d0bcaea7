"""Whether a host can be reached, step by step: its name, a connection, TLS, an answer; and its clock."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from paycore.cli.doctor.diagnosis import Area, Checks, Diagnosis
from paycore.cli.endings import Exit
from paycore.cli.render.text import duration
from paycore.domain.wire import Request
from paycore.engine.timing import Deadline, Stopwatch
from paycore.engine.tls import trusting
from paycore.engine.transport import Sender
from paycore.engine.unreachable import cause_of, place_of
from paycore.errors import ProviderError

T = TypeVar("T")

STEP_S = 5.0
"""Seconds that each step may take."""

SKEW_WARNING_S = 30.0
SKEW_PROBLEM_S = 300.0
"""How far paycore's time may be from the provider's: signed times are refused beyond some minutes."""

EXPIRES_SOON = timedelta(days=7)

STEPS = ("dns", "tcp", "tls", "answer", "clock")


class _Address(NamedTuple):
    family: int
    at: Any


class Reaches:
    """What was found on the way to each host: accounts of one provider share it. `now` is the time of requests."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._found: dict[tuple[str, ssl.SSLContext | None], list[Diagnosis]] = {}

    def to(self, area: Area, base_url: str, tls: ssl.SSLContext | None) -> Checks:
        """The steps to the host of this URL; those after one that fails are not checked."""
        known = self._found.get((base_url, tls))
        if known is not None:
            yield from (replace(one, about=area.about) for one in known)
            return
        found = self._found[base_url, tls] = []
        for one in _reach(area, base_url, tls, self._now):
            found.append(one)
            yield one


def _reach(area: Area, base_url: str, tls: ssl.SSLContext | None, now: Callable[[], datetime]) -> Checks:
    left = [step for step in STEPS if step != "tls" or base_url.startswith("https:")]
    place = place_of(base_url)
    for found in _steps(area, base_url, place, tls, now):
        yield found
        left.remove(found.check)
        if found.verdict == "problem" and found.check != "clock":
            yield from (area.unchecked(step, f"{place}: {found.check} failed") for step in left)
            return


def _steps(
    area: Area, base_url: str, place: str, tls: ssl.SSLContext | None, now: Callable[[], datetime]
) -> Checks:
    parts = urlsplit(base_url)
    host, is_https = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_https else 80)
    try:
        addresses = within(STEP_S, lambda: resolve(host, port))
    except OSError as error:
        yield _unreachable(area, "dns", place, error, f"check the name {host}, and this machine's DNS")
        return
    found = ", ".join(dict.fromkeys(str(one.at[0]) for one in addresses))
    yield area.ok("dns", f"{host} is an address" if found == host else f"{host}: {found}")
    try:
        connection = _connected(addresses)
    except OSError as error:
        advice = f"check that {place} is right, and that a firewall lets this machine connect to it{_proxy()}"
        yield _unreachable(area, "tcp", place, error, advice)
        return
    with connection:
        yield area.ok("tcp", f"{place}: connected")
        if is_https:
            yield _tls(area, place, host, connection, tls)
    yield from _answer(area, base_url, place, tls, now)


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; `TimeoutError` after so many seconds: a look-up can't be ended."""
    came: list[T | BaseException] = []

    def run() -> None:
        try:
            came.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            came.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not came:
        raise TimeoutError
    if isinstance(came[0], BaseException):
        raise came[0]
    return came[0]


def resolve(host: str, port: int) -> list[_Address]:
    """The addresses of a host; `OSError` where it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [_Address(family, at) for family, _, _, _, at in found]


def _connected(addresses: list[_Address]) -> socket.socket:
    """A connection to the first address that takes one."""
    problem: OSError = OSError()
    for address in addresses:
        connection = socket.socket(address.family, socket.SOCK_STREAM)
        connection.settimeout(STEP_S)
        try:
            connection.connect(address.at)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem


def _proxy() -> str:
    """What to know where the environment names a proxy, which nothing here uses."""
    names = [
        name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if os.environ.get(name)
    ]
    return f"; {names[0]} is set, and paycore uses no proxy" if names else ""


def _tls(
    area: Area, place: str, host: str, connection: socket.socket, tls: ssl.SSLContext | None
) -> Diagnosis:
    try:
        with (tls or trusting()).wrap_socket(connection, server_hostname=host) as secured:
            version, certificate = secured.version() or "TLS", secured.getpeercert() or {}
    except (OSError, ValueError) as error:
        advice = (
            "nothing is sent there: check the host; where a proxy of your own opens TLS, have it leave this host"
            " alone"
        )
        return _unreachable(area, "tls", place, error, advice)
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    found = f"{place}: {version}, certificate until {until:%Y-%m-%d}"
    if until - datetime.now(UTC) < EXPIRES_SOON:
        return area.warning("tls", found, "its owner must renew it; payments stop then")
    return area.ok("tls", found)


def _answer(
    area: Area, base_url: str, place: str, tls: ssl.SSLContext | None, now: Callable[[], datetime]
) -> Checks:
    sender, watch, before = Sender(base_url, tls), Stopwatch(), now()
    try:
        response = sender.send(Request(method="GET", path="/"), Deadline(STEP_S))
    except ProviderError as error:
        # Some take nothing but what they know: the line on the credentials decides.
        yield area.unchecked("answer", f"GET / had no answer: {error.message}")
        yield area.unchecked("clock", f"{place}: no answer to read its date from")
        return
    finally:
        sender.close()
    yield area.ok("answer", f"{place}: HTTP {response.status} in {watch.seconds:.2f} s")
    yield _clock(area, place, response.headers.get("date", ""), before + timedelta(seconds=watch.seconds / 2))


def _clock(area: Area, place: str, date: str, here: datetime) -> Diagnosis:
    """Compare its clock, which tells whole seconds, with the time that requests are signed with."""
    try:
        there = parsedate_to_datetime(date)
        ahead_s = (here - there).total_seconds() - 0.5
    except (ValueError, TypeError):
        return area.unchecked("clock", f"{place}: its answer has no date")
    found = f"{place}: within a second or two of paycore's time"
    if abs(ahead_s) >= 2:
        found = (
            f"paycore's time is {duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} {place}"
        )
    advice = (
        "set this machine's clock, and that of the ledger's database, by NTP; requests with a signed time are"
        " refused otherwise"
    )
    if abs(ahead_s) > SKEW_PROBLEM_S:
        return area.problem("clock", found, advice)
    return area.warning("clock", found, advice) if abs(ahead_s) > SKEW_WARNING_S else area.ok("clock", found)


def _unreachable(area: Area, step: str, place: str, error: Exception, advice: str) -> Diagnosis:
    return area.problem(step, f"{place}: {cause_of(error, {})}", advice, Exit.NOT_SENT)
