"""
Where an account's requests go, and whether that fits its mode: no test reaches what moves real money.

Live demands https and hosts that the provider declares as live; sandbox and test refuse those. Plain http is for
loopback and sandboxes; a sandbox is on this machine, unless its account says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from paycore.domain.provider import Mode, ProviderInfo
from paycore.domain.safe_text import LOOPBACK_HOSTS, has_odd_characters
from paycore.engine.config import AccountConfig
from paycore.engine.wording import one_of, shown
from paycore.errors import ConfigError


def check_mode(account: AccountConfig, credentials: Mode | None, path: Path) -> None:
    """
    Refuse credentials that are for another mode than the account's; None for those that don't show it.

    Those for a test may be used in a sandbox too.
    """
    if credentials is None or (credentials == "live") is (account.mode == "live"):
        return
    raise ConfigError(
        f"{path}: accounts.{account.name}.mode: it is {account.mode!r}, and its credentials are for {credentials!r};"
        f' set mode = "{credentials}" or use others'
    )


def resolve_base_urls(
    account: AccountConfig,
    info: ProviderInfo,
    path: Path,
    *,
    own: Mapping[str, str] = {},
    shown_mode: Mode | None = None,
) -> Mapping[str, str]:
    """
    The account's base URLs by the name of the host, "" for the main one, without a slash at their end.

    `own` are those that depend on the settings. A sandbox is at one place: all its hosts are at `base_url`. Live
    demands https and the provider's live hosts; sandbox and test refuse those, unless the credentials themselves are
    `shown_mode` "test": some providers have one host for both.
    """
    urls = {"": _base_url(account, info, path, own.get(""))}
    for name, defaults in info.hosts.items():
        url = urls[""] if account.mode == "sandbox" else own.get(name) or defaults.get(account.mode)
        if url is None:
            raise ConfigError(
                f"{path}: accounts.{account.name}.mode: provider {info.name} has no host {shown(name)} for"
                f" {account.mode}"
            )
        urls[name] = url.rstrip("/")
    for name, url in urls.items():
        host = "" if name == "" else f"its host {shown(name)}: "
        problem = _url_problem(account, info, url, shown_mode)
        if problem is not None:
            raise ConfigError(f"{path}: accounts.{account.name}.base_url: {host}{problem}")
    return urls


def _base_url(account: AccountConfig, info: ProviderInfo, path: Path, own: str | None) -> str:
    url = account.base_url
    if url is None and account.mode != "sandbox":
        url = own
    url = url or info.base_urls.get(account.mode)
    if url is None:
        raise ConfigError(
            f"{path}: accounts.{account.name}.base_url: missing; a {account.mode} account needs one, for instance"
            " http://127.0.0.1:8700"
        )
    return url.rstrip("/")


def _url_problem(account: AccountConfig, info: ProviderInfo, url: str, shown_mode: Mode | None) -> str | None:
    """Why requests of this account can't go there, None when they can."""
    scheme, host = _plain_url(url)
    if scheme not in ("http", "https") or not host:
        return "must be a plain http(s) URL such as https://gateway.example"
    is_live_host = is_among(host, info.live_hosts)
    if account.mode == "live" and (scheme != "https" or not is_live_host):
        return f"a live account uses https and one of: {one_of(info.live_hosts)}"
    if account.mode != "live" and is_live_host and (account.mode, shown_mode) != ("test", "test"):
        return f'{host} moves real money; set mode = "live" or use another host'
    if account.mode == "test" and scheme != "https" and host not in LOOPBACK_HOSTS:
        return "a test account talks https"
    if account.mode == "sandbox" and host not in LOOPBACK_HOSTS and not account.allow_remote_sandbox:
        return (
            f"a sandbox is on this machine ({one_of(LOOPBACK_HOSTS)}), and {shown(host)} is not said to be;"
            " set allow_remote_sandbox = true if requests and credentials are to go there"
        )
    return None


def is_among(host: str, hosts: Collection[str]) -> bool:
    """Whether it is one of these hosts; one that begins with a dot stands for all that end with it."""
    return host in hosts or any(name.startswith(".") and host.endswith(name) for name in hosts)


def _plain_url(url: str) -> tuple[str, str]:
    """
    Scheme and host of a URL that everybody reads alike; two empty texts for any other.

    Another spelling of a host (`host.`, `%68ost`, full-width letters) would get past the lists of live hosts.
    """
    if has_odd_characters(url) or any(char in url for char in "?#@%"):
        return "", ""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "", ""
    return ("", "") if host.endswith(".") else (parts.scheme, host)
