"""
paycore.toml and the environment, read once into frozen values; anything wrong is one clear error.

Found by an explicit path, `PAYCORE_CONFIG`, `./paycore.toml`, then the user's config folder. One that is not the
user's own (`paycore.ledger.ownership`) is refused, and not passed over, wherever it was found. An error
repeats what stands in the file only where it is short: a longer text may be a secret in the wrong place.
"""

from __future__ import annotations

import logging
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import msgspec

from paycore.domain.capabilities import Mode
from paycore.domain.secret import Secret
from paycore.engine.pointers import fetch, is_pointer
from paycore.engine.wording import keep, misfit, one_of, readable, shown, suggest, wrong_kind
from paycore.errors import ConfigError
from paycore.ledger.opening import SQLITE, dsn_problem
from paycore.ledger.ownership import ownership_problem

if TYPE_CHECKING:
    from paycore.domain.provider import ProviderInfo

_log = logging.getLogger(__name__)

FILE_NAME = "paycore.toml"
TIMEOUT_S = 10.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
COMMON_KEYS = (
    "provider",
    "mode",
    "base_url",
    "timeout_s",
    "namespace",
    "client_certificate",
    "default_method",
    "allow_remote_sandbox",
)
"""The keys that every account has, whatever its provider."""


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True):
    """
    One account as the file has it: what every account has, and the provider's own settings unread.

    `timeout_s` is the total deadline of one call, above 0 and at most 300 seconds. References are the
    payments' keys within `namespace`, which accounts share; the empty one is what none is written for.
    `default_method` is what the payer pays with where `create()` is given no method.
    `client_certificate` is a PEM file, absolute or beside the configuration, of the certificate that the provider's
    hosts ask for, and its private key. `allow_remote_sandbox` lets `base_url` of a sandbox lead to another machine.
    """

    name: str
    provider: str
    mode: Mode
    base_url: str | None
    timeout_s: float
    namespace: str = ""
    default_method: str | None = None
    settings: Mapping[str, Any]
    client_certificate: Path | None = None
    allow_remote_sandbox: bool = False

    def __repr__(self) -> str:
        return f"AccountConfig({self.name!r}, {self.provider!r}, {self.mode!r})"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration. `path` is the file it came from; `ledger` a `sqlite:///` or `postgresql://` DSN."""

    path: Path
    ledger: str
    default_account: str | None
    accounts: Mapping[str, AccountConfig]
    blocked_plugins: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Config({str(self.path)!r}, accounts={sorted(self.accounts)})"

    def account(self, name: str | None) -> AccountConfig:
        """The account called `name`, or the default one; `ConfigError` naming those there are."""
        chosen = self.default_account if name is None else name
        if not self.accounts:
            raise ConfigError(
                f"{self.path}: there is no account in it; write one as a table, [accounts.NAME]"
            )
        if chosen is None:
            raise ConfigError(
                f"{self.path}: say which account: {one_of(self.accounts)}, or set default_account"
            )
        if chosen not in self.accounts:
            key = "default_account: " if name is None else ""
            raise ConfigError(
                f"{self.path}: {key}no account is called {shown(chosen)}{suggest(chosen, self.accounts)}"
            )
        return self.accounts[chosen]

    def names(self, only: str | None) -> list[str]:
        """The names of the accounts: of this one, or of all; `ConfigError` when there is none of that name."""
        return list(self.accounts) if only is None else [self.account(only).name]


# --- finding and reading the file --------------------------------------------------------------------


def find_config(path: str | Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the configuration is; `ConfigError` naming every place that was looked at."""
    if path is not None:
        if not isinstance(path, str | os.PathLike):
            raise ConfigError(f"config: must be the path of a file, not {type(path).__name__}")
        return _existing(Path(path), "--config")
    if environment.get("PAYCORE_CONFIG"):
        return _existing(Path(environment["PAYCORE_CONFIG"]), "PAYCORE_CONFIG")
    places = [Path(FILE_NAME), *(folder / FILE_NAME for folder in _user_config_folders(environment))]
    for place in places:
        if place.is_file():
            return place
    looked = " and ".join(str(place) for place in places)
    raise ConfigError(f"no configuration found; looked at {looked}. `paycore init` writes one")


def _user_config_folders(environment: Mapping[str, str]) -> list[Path]:
    """The user's own config folder for paycore (XDG); none for a user without a home, as in some containers."""
    if environment.get("XDG_CONFIG_HOME"):
        return [Path(environment["XDG_CONFIG_HOME"]) / "paycore"]
    try:
        return [Path(environment.get("HOME", "~")).expanduser() / ".config" / "paycore"]
    except RuntimeError:
        return []


def _existing(path: Path, origin: str) -> Path:
    if path.is_dir():
        raise ConfigError(f"{path}: a folder ({origin}); name the file, such as {path / FILE_NAME}")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: no regular file ({origin}); write the configuration into one")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file ({origin}); `paycore init` writes one")
    return path


def load_config(path: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """
    Read and check the configuration; `ConfigError` with the path inside the file and a suggestion.

    `environment` None: the process's own. Neither it nor the file hangs on the error.
    """
    found = find_config(path, os.environ if environment is None else environment)
    _log.info("configuration: %s", found.absolute())
    try:
        return parse_config(_document(found), found)
    except ConfigError as error:
        problem = error.message
    raise ConfigError(problem)  # a new one: on the cause hang frames that hold the whole file


def _document(path: Path) -> Mapping[str, Any]:
    try:
        problem = ownership_problem(path)
        if problem is not None:
            raise ConfigError(f"{path}: not read: {problem}; or name another with --config FILE")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def parse_config(document: Mapping[str, Any], path: Path) -> Config:
    """The configuration in a parsed TOML document; relative files in it are beside `path`."""
    if not document:
        raise ConfigError(f"{path}: there is nothing in it; `paycore init` writes one to start from")
    where = f"{path}: "
    _only(document, ("default_account", "ledger", "accounts", "blocked_plugins"), str(path))
    tables = _typed(document, "accounts", dict, where, default={})
    config = Config(
        path=path,
        ledger=_ledger(_typed(document, "ledger", str, where, default="sqlite:///paycore.db"), path),
        default_account=_typed(document, "default_account", str, where, default=None),
        accounts={name: _account(name, table, path) for name, table in tables.items()},
        blocked_plugins=_blocked(document, path),
    )
    if config.default_account is not None:
        config.account(None)
    elif len(config.accounts) == 1:
        return msgspec.structs.replace(config, default_account=next(iter(config.accounts)))
    return config


def _account(name: str, table: object, path: Path) -> AccountConfig:
    where = f"{path}: accounts.{name}"
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: an account's name is 1 to 64 letters, digits, '_', '.' or '-'")
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: must be a table: [accounts.{name}]")
    mode = _typed(table, "mode", str, f"{where}.")
    if mode not in get_args(Mode):
        raise ConfigError(f"{where}.mode: {shown(mode)} is not one of {one_of(get_args(Mode))}")
    timeout_s = table.get("timeout_s", TIMEOUT_S)
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s <= 300:
        raise ConfigError(f"{where}.timeout_s: must be a number of seconds above 0 and at most 300")
    return AccountConfig(
        name=name,
        provider=_typed(table, "provider", str, f"{where}."),
        mode=mode,
        base_url=_typed(table, "base_url", str, f"{where}.", default=None),
        timeout_s=float(timeout_s),
        client_certificate=_file(table, "client_certificate", path, where),
        namespace=_namespace(table, where),
        default_method=_typed(table, "default_method", str, f"{where}.", default=None),
        settings={key: value for key, value in table.items() if key not in COMMON_KEYS},
        allow_remote_sandbox=_typed(table, "allow_remote_sandbox", bool, f"{where}.", default=False),
    )


def _file(table: Mapping[str, Any], key: str, path: Path, where: str) -> Path | None:
    name: str | None = _typed(table, key, str, f"{where}.", default=None)
    return None if name is None else path.parent / name


def _namespace(table: Mapping[str, Any], where: str) -> str:
    namespace: str = _typed(table, "namespace", str, f"{where}.", default="")
    if namespace and not _NAME.fullmatch(namespace):
        raise ConfigError(f"{where}.namespace: must be 1 to 64 letters, digits, '_', '.' or '-'")
    return namespace


def _ledger(dsn: str, path: Path) -> str:
    problem = dsn_problem(dsn)
    if problem is not None:
        raise ConfigError(f"{path}: ledger: {problem}")
    # A relative file belongs to the configuration, not to whichever folder a command is run in.
    return f"{SQLITE}{(path.parent / dsn.removeprefix(SQLITE)).absolute()}" if dsn.startswith(SQLITE) else dsn


# --- the provider's own settings ---------------------------------------------------------------------


def resolve_settings(
    account: AccountConfig, info: ProviderInfo, path: Path, environment: Mapping[str, str] = os.environ
) -> msgspec.Struct:
    """The account's settings as the struct its provider declares, secrets fetched."""
    from paycore.engine.secrecy import harmless, secrets_among

    where = f"{path}: accounts.{account.name}"
    hints = get_type_hints(info.settings)
    _only(account.settings, (*hints, *COMMON_KEYS), where)
    values = {
        key: _value(value, hints[key], account, path, f"{where}.{key}", environment)
        for key, value in account.settings.items()
    }
    problem = _setting_problem(values, info.settings, hints, where)
    if problem is None:
        try:
            return msgspec.convert(values, info.settings, dec_hook=keep, str_keys=True)
        except msgspec.ValidationError as error:
            problem = f"{where}: {readable(error)}"
    raise ConfigError(harmless(problem, tuple(secrets_among(values.values()))))


def _setting_problem(
    values: Mapping[str, object], settings: type[msgspec.Struct], hints: Mapping[str, Any], where: str
) -> str | None:
    """The first setting that is missing or of the wrong kind, None when there is none."""
    for field in msgspec.structs.fields(settings):
        if field.required and field.name not in values:
            return f"{where}.{field.name}: missing"
    problems = (misfit(value, hints[key], f"{where}.{key}") for key, value in values.items())
    return next((problem for problem in problems if problem is not None), None)


def _value(
    value: object,
    hint: Any,
    account: AccountConfig,
    path: Path,
    where: str,
    environment: Mapping[str, str],
) -> object:
    """A setting as the provider's struct wants it; a secret from wherever it says."""
    is_secret = hint is Secret or Secret in get_args(hint)
    if is_secret and get_origin(hint) is tuple:
        given = value if isinstance(value, list) else [value]
        if not given:
            raise ConfigError(f"{where}: at least one secret is needed")
        return tuple(Secret(_fetch_secret(item, account, path, where, environment)) for item in given)
    if is_secret:
        return Secret(_fetch_secret(value, account, path, where, environment))
    if isinstance(value, dict) and is_pointer(value) and get_origin(hint) not in (Mapping, dict):
        raise ConfigError(
            f"{where}: only a secret is taken from elsewhere; write the value itself, in quotes"
        )
    return value


def _fetch_secret(
    value: object, account: AccountConfig, path: Path, where: str, environment: Mapping[str, str]
) -> str:
    if isinstance(value, dict):
        return fetch(value, path, where, environment)
    if not isinstance(value, str):
        raise ConfigError(f'{where}: write {{ env = "NAME" }}, {{ file = "PATH" }} or {{ keyring = "NAME" }}')
    if account.mode == "live":
        raise ConfigError(f'{where}: a live secret never stands in the file; write {{ env = "NAME" }}')
    return value


# --- small checks ------------------------------------------------------------------------------------


_MISSING: Any = object()


def _typed(table: Mapping[str, Any], key: str, kind: type, where: str, *, default: Any = _MISSING) -> Any:
    """The value of `key`; `where` is what stands before the key in an error."""
    value = table.get(key, default)
    if value is _MISSING:
        raise ConfigError(f"{where}{key}: missing")
    if value is not default and not isinstance(value, kind):
        raise ConfigError(f"{where}{key}: {wrong_kind(kind, value)}")
    return value


def _blocked(document: Mapping[str, Any], path: Path) -> frozenset[str]:
    """The names of the plugins not to load."""
    names = _typed(document, "blocked_plugins", list, f"{path}: ", default=[])
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: blocked_plugins: must be a list of names, each a text in quotes")
    return frozenset(names)


def _only(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {shown(key)}{suggest(key, known)}")
