"""The settings of one PayPal account, from `[accounts.NAME]` in `paycore.toml`."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from paycore.plugin import Secret
from paypal_orders.messages import CURRENCIES, MINOR_MAX, TEXT_MAX, WHOLE_UNITS

_LOCALE = re.compile(r"[a-z]{2}(?:-[A-Z][a-z]{3})?(?:-[A-Z]{2})?")


class PayPalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The settings of one account. `ValueError` names the setting that is wrong and never shows the secret.

    `client_id` and `client_secret` are those of a REST app in PayPal's portal; they are for PayPal's sandbox or for
    live, and do not show which. `brand_name` and `locale` (BCP 47) are of the page the payer sees.
    `in_country_currency` is one that PayPal takes only within its country, for an account there.
    `immediate_only`: PayPal refuses what would be pending for days (eChecks). `disputes`: a query of a paid order asks
    for its disputes as well; an app without that permission is answered without.

    Source: SOURCES.md §2, §4, §11, §14.
    """

    client_id: str
    client_secret: Secret
    brand_name: str | None = None
    locale: str | None = None
    in_country_currency: Literal["BRL", "CNY", "MYR"] | None = None
    immediate_only: bool = False
    disputes: bool = True

    def __post_init__(self) -> None:
        for name, text in (("client_id", self.client_id), ("client_secret", self.client_secret.reveal())):
            if not text or not text.isascii() or not text.isprintable() or " " in text or ":" in text:
                raise ValueError(f"{name}: write printable ASCII without spaces or colons")
        if self.brand_name is not None and not 1 <= len(self.brand_name) <= TEXT_MAX:
            raise ValueError(f"brand_name: write 1 to {TEXT_MAX} characters")
        if self.locale is not None and not _LOCALE.fullmatch(self.locale):
            raise ValueError("locale: write a language and country, such as 'en-GB'")

    @property
    def currencies(self) -> dict[str, tuple[int, int]]:
        """The least and the largest amount per currency, in minor units."""
        codes = [*CURRENCIES, *([self.in_country_currency] if self.in_country_currency else [])]
        least = {code: 100 if code in WHOLE_UNITS - {"JPY"} else 1 for code in codes}
        return {code: (minor, MINOR_MAX - MINOR_MAX % minor) for code, minor in least.items()}
