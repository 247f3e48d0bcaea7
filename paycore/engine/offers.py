"""What each configured account offers, for an application or a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from paycore.domain.provider import Mode, Product
from paycore.engine.accounts import Accounts
from paycore.errors import PaycoreError


class AccountInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    One configured account: its mode, where its requests go, and its products with their bounds and fields.

    `default_method` is the method of a payment that is made without one, None where it has to be given.
    `base_urls` has the main one under "", and those of the provider's further hosts. `problem` says why the account
    can't be used, without secrets; it then has no products. None when it can be.
    """

    name: str
    provider: str
    mode: Mode
    is_default: bool
    default_method: str | None = None
    base_urls: Mapping[str, str] = {}
    products: tuple[Product, ...] = ()
    problem: str | None = None


def account_infos(accounts: Accounts, names: Iterable[str] | None = None) -> tuple[AccountInfo, ...]:
    """The accounts of the configuration, or those of these names; each is made if it was not yet. Sends nothing."""
    wanted = accounts.config.accounts if names is None else names
    return tuple(_info(accounts, name) for name in wanted)


def _info(accounts: Accounts, name: str) -> AccountInfo:
    config = accounts.config.accounts[name]
    info = AccountInfo(
        name=name,
        provider=config.provider,
        mode=config.mode,
        is_default=name == accounts.config.default_account,
        default_method=config.default_method,
    )
    try:
        account = accounts.get(name)
    except PaycoreError as error:
        return msgspec.structs.replace(info, problem=error.message)
    products = sorted(account.capabilities.products, key=lambda product: (product.method, product.channel))
    return msgspec.structs.replace(info, base_urls=account.base_urls, products=tuple(products))
