"""Settings of the sandbox: `paycore sandbox serve stripe-checkout --set NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from paycore.sandbox.faults import unknown_name

_NUMBERS = ("rate_per_s", "key_window_s", "debit_s", "refunds_take_s")


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    `api_key` and `webhook_secret` are the account's; a second secret, after a comma, is one that is being rolled.

    `rate_per_s`: requests per second, 0 for any number; Stripe's sandboxes take 25. `key_window_s`: how long an
    idempotency key is kept. `debit_s`: how long a bank debit takes, days by default. `refunds_take_s`: how long
    refunds are pending, 0 for those that succeed at once.
    """

    api_key: str = "sk_test_paycore_sandbox_000000000001"
    webhook_secret: str = "whsec_paycore_sandbox_000000000001"  # noqa: S105 -- made up, for this machine
    rate_per_s: int = 25
    key_window_s: int = 24 * 3600
    debit_s: int = 4 * 24 * 3600
    refunds_take_s: int = 0


def read_settings(given: Mapping[str, str]) -> SandboxSettings:
    """`ValueError` for an unknown name or a wrong value."""
    known = SandboxSettings.__struct_fields__
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            raise ValueError(unknown_name("sandbox setting", name, known))
        values[name] = _count(name, value) if name in _NUMBERS else value
    settings = SandboxSettings(**values)  # type: ignore[arg-type]
    if not settings.api_key.startswith(("sk_test_", "rk_test_")):
        raise ValueError("api_key is a test key: sk_test_... or rk_test_...")
    return settings


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(f"{name} is a whole number from 0 to 999999999, not {text!r}")
    return int(text)
