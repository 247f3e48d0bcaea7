"""Whether a provider can send notifications to the URL that an account's newest orders name."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from paycore.cli.doctor.diagnosis import Area, Diagnosis
from paycore.cli.doctor.ledger_checks import OpenedLedger
from paycore.cli.doctor.reach_checks import STEP_S, resolve, within
from paycore.domain.safe_text import LOOPBACK_HOSTS
from paycore.engine.accounts import Account
from paycore.engine.unreachable import cause_of, place_of
from paycore.errors import PaycoreError
from paycore.ledger.api import Filter

NEWEST = 50
"""Payments that are looked at."""

_ADVICE = "give `notify_url` an address of https that the provider reaches; until then only questions tell of payments"


def check_notifications(area: Area, account: Account, opened: OpenedLedger) -> Diagnosis:
    """The `notify_url` of the newest order that names one. Nothing is sent to it."""
    if not hasattr(account.provider, "verify"):
        return area.unchecked("notifications", "its provider sends none")
    if opened.to_read is None:
        return area.unchecked("notifications", opened.why_not)
    try:
        newest = opened.to_read.list(Filter(account=account.name, limit=NEWEST)).result()
    except PaycoreError as error:
        return area.unchecked("notifications", error.message)
    urls = (one.order.notify_url for one in newest if "notify_url" not in one.ignored)
    url = next((url for url in urls if url), None)
    if url is None:
        return area.unchecked("notifications", f"none of its newest {NEWEST} orders names a notify_url")
    problem = None if account.mode == "sandbox" else problem_of(url)
    if problem is not None:
        return area.warning("notifications", f"{place_of(url)}: {problem}", _ADVICE)
    return area.ok("notifications", f"sent to {place_of(url)}")


def problem_of(url: str) -> str | None:
    """Why a provider elsewhere does not reach it, None where nothing is known against it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return "it is not https"
    if host in LOOPBACK_HOSTS:
        return "it is this machine itself"
    try:
        addresses = within(STEP_S, lambda: resolve(host, parts.port or 443))
    except OSError as error:
        return cause_of(error, {})
    if not any(ip_address(str(one.at[0]).partition("%")[0]).is_global for one in addresses):
        return f"it leads to {addresses[0].at[0]}, which only this network reaches"
    return None
