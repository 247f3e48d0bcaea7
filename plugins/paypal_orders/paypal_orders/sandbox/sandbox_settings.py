"""The settings of a PayPal sandbox account."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from paycore.sandbox.faults import unknown_name

CLIENT_ID = "AeSandboxClientId-paycore-0001"
CLIENT_SECRET = "EFSandboxClientSecret-paycore-0001"  # noqa: S105 - public, and valid only here
WEBHOOK_ID = "7WH12345AB678901C"

_NUMBERS = ("order_life_s", "key_life_s", "token_life_s", "rate_per_s", "rate_per_min")


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    What `--set name=value` (or `settings=` in Python) may change.

    `client_id`, `client_secret`: the credentials; the defaults are public and valid only for a sandbox.
    `webhook_id`: the subscription's id, which every signature of a webhook is over.
    `order_life_s`: seconds until an order is gone, from its creation and again from its approval. PayPal's pages say
    3 and 6 hours, measured were 3 to 4 (SOURCES.md §5). `key_life_s`: how long the `PayPal-Request-Id` of an order is
    kept (§3). `token_life_s`: of an access token (§2). `disputes`: `on`, or `off` for an app without that permission.
    `rate_per_s`, `rate_per_min`: the request limits, 0 for none; PayPal publishes none (§13).
    """

    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    webhook_id: str = WEBHOOK_ID
    order_life_s: int = 3 * 3600
    key_life_s: int = 6 * 3600
    token_life_s: int = 32400
    disputes: str = "on"
    rate_per_s: int = 0
    rate_per_min: int = 0

    def __post_init__(self) -> None:
        if not self.client_id or not self.client_secret or not self.webhook_id:
            raise ValueError("client_id, client_secret and webhook_id must not be empty")
        if self.disputes not in ("on", "off"):
            raise ValueError(f"disputes is on or off, not {self.disputes!r}")


def read_settings(given: Mapping[str, str]) -> SandboxSettings:
    """The settings from text. `ValueError` names what is unknown or out of range."""
    known = SandboxSettings.__struct_fields__
    values: dict[str, object] = dict(given)
    for name, text in given.items():
        if name not in known:
            raise ValueError(unknown_name("sandbox setting", name, known))
        if name in _NUMBERS:
            if not (text.isascii() and text.isdigit() and len(text) <= 7):
                raise ValueError(f"{name} is a whole number from 0 to 9999999, not {text!r}")
            values[name] = int(text)
    return SandboxSettings(**values)  # type: ignore[arg-type]
