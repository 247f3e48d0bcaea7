"""The account's own keys in paycore.toml."""

from __future__ import annotations

import re

import msgspec

from paycore.plugin import Secret


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account's settings: the API key of one website profile, `test_...` or `live_...`."""

    api_key: Secret

    def __post_init__(self) -> None:
        """Refuse what is no API key: organization and app tokens need `testmode`, which is not supported."""
        if not re.fullmatch(r"(test|live)_[0-9A-Za-z]+", self.api_key.reveal(), re.ASCII):
            raise ValueError("api_key must be test_ or live_ and then letters and digits")
