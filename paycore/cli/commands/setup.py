"""`init` writes a configuration; `accounts` lists the accounts of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit
from paycore.cli.output import Output

if TYPE_CHECKING:
    from paycore.engine.accounts import Accounts

TEMPLATE = """\
# What paycore needs to know. Looked for at --config, $PAYCORE_CONFIG, ./paycore.toml and
# ~/.config/paycore/paycore.toml, in this order.

# The account that is used when none is named.
default_account = "sandbox"

# Where payments are recorded; a relative file is beside this one.
ledger = "sqlite:///paycore.db"

[accounts.sandbox]
provider = "qfpay-alipay"
mode = "sandbox"                        # sandbox | test | live; live money needs "live"
base_url = "http://127.0.0.1:8700"      # sandbox and test only; `paycore sandbox serve qfpay-alipay`
timeout_s = 10                          # total deadline of one call to the provider, in seconds

# From here on: the provider's own settings.
region = "hk"                           # hk | overseas
app_code = { env = "QFPAY_APP_CODE" }
client_key = { env = "QFPAY_CLIENT_KEY" }   # or { file = "client.key" } (chmod 600), or { keyring = "NAME" }

# A live account has the same shape, without base_url:
#
# [accounts.hk]
# provider = "qfpay-alipay"
# mode = "live"
# region = "hk"
# app_code = { env = "QFPAY_LIVE_APP_CODE" }
# client_key = { env = "QFPAY_LIVE_CLIENT_KEY" }
"""


def init(context: typer.Context) -> int:
    """
    Write a commented paycore.toml, set up for a sandbox.

    Written to --config FILE, or to the working folder. An existing file is never overwritten.
    """
    from paycore.engine.config import FILE_NAME
    from paycore.errors import ConfigError

    options = options_of(context)
    path = Path(options.config or FILE_NAME)
    try:
        # Keys may be written into it later: readable by its owner only, whatever the umask.
        path.touch(0o600, exist_ok=False)
        path.chmod(0o600)
        path.write_text(TEMPLATE, encoding="utf-8")
    except FileExistsError:
        raise ConfigError(
            f"{path} is there already and stays as it is; edit it, or write another with --config FILE"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
    output = Output(options)
    if options.json:
        output.json({"config": str(path)})
    else:
        output.data(str(path))
    output.say(
        "next: `paycore sandbox serve qfpay-alipay` in another terminal prints the credentials to export"
    )
    return Exit.DONE


def accounts(context: typer.Context) -> int:
    """
    List the configured accounts and what they offer.

    Exits 6 when one of them can't be used, and says why.
    """
    from paycore.engine.accounts import Accounts
    from paycore.engine.config import load_config
    from paycore.engine.plugins import Plugins

    options = options_of(context)
    output = Output(options)
    output.show_log()
    config = load_config(options.config)
    known = Accounts(config, Plugins(blocked=config.blocked_plugins))
    names = [config.account(options.account).name] if options.account else list(config.accounts)
    found = [_account(known, name) for name in names]
    rows = [
        [
            str(one["account"]) + (" *" if one["default"] else ""),
            str(one["provider"]),
            str(one["mode"]),
            str(one["problem"] or ", ".join(map(str, one["products"]))),
        ]
        for one in found
    ]
    output.rows(("ACCOUNT", "PROVIDER", "MODE", "OFFERS"), rows, found)
    if any(one["default"] for one in found):
        output.say("* is the default account")
    return Exit.CONFIG if any(one["problem"] for one in found) else Exit.DONE


def _account(known: Accounts, name: str) -> dict[str, Any]:
    from paycore.errors import PaycoreError

    config = known.config.accounts[name]
    document: dict[str, Any] = {
        "account": name,
        "provider": config.provider,
        "mode": config.mode,
        "default": name == known.config.default_account,
        "base_url": None,
        "products": [],
        "problem": None,
    }
    try:
        account = known.get(name)
    except PaycoreError as error:
        return {**document, "problem": error.message}
    products = sorted(f"{product.method}/{product.channel}" for product in account.capabilities.products)
    return {**document, "base_url": account.base_urls[""], "products": products}
