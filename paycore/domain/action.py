"""What the payer must do next, as values that the application shows: see `Payment.action`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class Redirect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="redirect"):
    """
    Send the payer to `url`.

    `show_as` says how: `page` opens it (navigate or link); `qr` means the wallet has no page of its own
    there, so show it as a QR code or in an iframe.
    """

    url: str
    show_as: Literal["page", "qr"] = "page"


class QRCode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="qr_code"):
    """Draw `content` as a QR code for the payer to scan."""

    content: str


class WalletCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="wallet_call"):
    """Hand `params` to the wallet's bridge function `call` on a page inside the wallet: `tradePay`."""

    call: str
    params: Mapping[str, Any]


class AppCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="app_call"):
    """Hand `order` (the SDK's order string) to the wallet's SDK; `params` are the fields it was made of."""

    order: str
    params: Mapping[str, Any]


class ClientCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="client_call"):
    """
    Load the provider's `script` (an https URL) on your own page and hand it `params`.

    What the page returns goes to `Client.returned`.
    """

    script: str
    params: Mapping[str, Any]


class Instructions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="instructions"):
    """Show `fields` to the payer, who pays elsewhere: an account number, a payment code, a deadline."""

    fields: Mapping[str, str]


Action = Redirect | QRCode | WalletCall | AppCall | ClientCall | Instructions
