"""Accounts of running sandboxes, as text for paycore.toml."""

from __future__ import annotations

import json
from collections.abc import Mapping

LEDGER = "sqlite:///paycore.db"


def snippet(name: str, provider: str, ready: Mapping[str, str]) -> list[str]:
    """Return the account `name` for the sandbox that says this of itself, as lines."""
    settings = {key: value for key, value in ready.items() if key != "url"}
    return [
        f"[accounts.{name}]",
        f"provider = {_toml(provider)}",
        'mode = "sandbox"',
        f"base_url = {_toml(ready['url'])}",
        *(f"{key} = {_toml(value)}" for key, value in settings.items()),
    ]


def whole_config(accounts: Mapping[str, tuple[str, Mapping[str, str]]]) -> list[str]:
    """Return a whole paycore.toml, as lines: accounts by their name, each with its provider; the first by default."""
    lines = [f"default_account = {_toml(next(iter(accounts)))}", f"ledger = {_toml(LEDGER)}"]
    for name, (provider, ready) in accounts.items():
        lines += ["", *snippet(name, provider, ready)]
    return lines


def _toml(text: str) -> str:
    """Render a basic TOML string; JSON's escapes are valid in TOML."""
    return json.dumps(text)
