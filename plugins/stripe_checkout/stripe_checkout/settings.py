"""The settings of one Stripe account, from `[accounts.NAME]` in `paycore.toml`."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from paycore.plugin import Mode, Secret

_API_KEY = re.compile(r"(?:sk|rk|rkcs)_(test|live)_[!-~]+", re.ASCII)
_WEBHOOK_SECRET = re.compile(r"whsec_[!-~]+", re.ASCII)


class StripeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The settings of one account. `ValueError` names the setting that is wrong and never shows a key.

    `api_key`: a secret key (`sk_test_...`, `sk_live_...`) or a restricted one (`rk_...`). `webhook_secret`: the secrets
    of the webhook endpoint, several while one is rolled; without any, no notification is accepted and payments are
    polled. `trust_notifications`: a signed event is evidence by itself. `tolerance_s`: by how many seconds, 1 to 3600,
    the time an event was signed at may differ from ours, before and after.

    Source: docs.stripe.com/keys, docs.stripe.com/webhooks; SOURCES.md §1, §8.
    """

    api_key: Secret
    webhook_secret: tuple[Secret, ...] = ()
    trust_notifications: bool = True
    tolerance_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 300

    def __post_init__(self) -> None:
        if mode_of_key(self.api_key) is None:
            raise ValueError(
                "api_key: write a secret or restricted key, such as sk_test_..., rk_test_..., sk_live_...;"
                " a publishable key (pk_...) and an organisation's (sk_org_...) can't make payments here"
            )
        if not all(_WEBHOOK_SECRET.fullmatch(secret.reveal()) for secret in self.webhook_secret):
            raise ValueError("webhook_secret: write the signing secrets of the endpoint, whole: whsec_...")


def mode_of_key(key: Secret) -> Mode | None:
    """The mode a key is for, by its second word; None for what is no key. Source: SOURCES.md §1."""
    found = _API_KEY.fullmatch(key.reveal())
    if found is None:
        return None
    return "live" if found[1] == "live" else "test"
