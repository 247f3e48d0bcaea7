"""Where a secret is, when it does not stand in the configuration: an environment variable, a file, the keyring."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from paycore.engine.wording import SHOWN_MAX
from paycore.errors import ConfigError
from paycore.ledger.ownership import ownership_problem

_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_FILE = re.compile(r"[./~][^+=]*|[\w-]+\.[a-z]{2,8}")


def is_pointer(value: Mapping[str, object]) -> bool:
    """Whether a table names one place, as `{ env = "NAME" }` does."""
    return len(value) == 1 and next(iter(value)) in ("env", "file", "keyring")


def fetch(value: Mapping[str, object], path: Path, where: str, environment: Mapping[str, str]) -> str:
    """
    The text a pointer leads to; a relative file is beside `path`, the configuration. `where` begins an error.

    `ConfigError` where nothing is there, and for a file that is not the user's own or that others can read.
    """
    if not is_pointer(value) or not isinstance(next(iter(value.values())), str):
        raise ConfigError(
            f'{where}: write one of {{ env = "NAME" }}, {{ file = "PATH" }}, {{ keyring = "NAME" }}'
        )
    ((kind, name),) = value.items()
    match kind:
        case "env":
            text = environment.get(str(name), "")
            problem = f"the environment variable {_pointed(name, _VARIABLE)} is not set"
        case "file":
            text = _read_secret_file(path.parent / str(name), _pointed(name, _FILE), where)
            problem = f"the file {_pointed(name, _FILE)} is empty"
        case _:
            text = _read_keyring(str(name), where)
            problem = f"the keyring has nothing called paycore/{_pointed(name, _VARIABLE)}"
    if not text:
        raise ConfigError(f"{where}: {problem}")
    return text


def _pointed(name: object, usual: re.Pattern[str]) -> str:
    """What a pointer names; not where it may be the secret itself, written in place of its name."""
    text = str(name)
    return text if usual.fullmatch(text) or len(text) <= SHOWN_MAX else "that is named there"


def check_secret_file(path: Path, where: str) -> None:
    """`ConfigError` unless this is a regular file of the user's own that nobody else can read."""
    _in_secret_file(path, str(path), where, lambda _: "")


def _read_secret_file(path: Path, name: str, where: str) -> str:
    return _in_secret_file(path, name, where, _text)


def _text(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8", closefd=False) as file:
        return file.read().strip()


def _in_secret_file(path: Path, name: str, where: str, read: Callable[[int], str]) -> str:
    try:
        # Nothing is waited for: a named pipe would hang until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            problem = _secret_file_problem(os.fstat(descriptor), path)
            if problem is not None:
                raise ConfigError(f"{where}: {problem}")
            return read(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        problem = f"can't be read: {error.strerror}"
    except ValueError:
        problem = "is not text"
    raise ConfigError(f"{where}: the file {name} {problem}")


def _secret_file_problem(found: os.stat_result, path: Path) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return f"{path} is no regular file; put the secret into one, and chmod 600 it"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"others can read {path}; chmod 600 it"
    return ownership_problem(path)


def _read_keyring(name: str, where: str) -> str:
    if find_spec("keyring") is None:
        raise ConfigError(f"{where}: keyring needs the extra: pip install 'paycore[keyring]'")
    import keyring

    try:
        return keyring.get_password("paycore", name) or ""
    except keyring.errors.KeyringError:
        problem = "no keyring can be used here; use env or file"
    raise ConfigError(f"{where}: {problem}")
