"""`init` writes a configuration; `accounts` lists the accounts of one."""

from __future__ import annotations

from pathlib import Path

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit
from paycore.cli.new_file import write_new
from paycore.cli.output import Output

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
        write_new(path, TEMPLATE)  # keys may be written into it later
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
    List the configured accounts, with the products of each, their bounds and their fields.

    Exits 6 when one of them can't be used, and says why. Sends nothing.
    """
    from paycore.engine.accounts import Accounts
    from paycore.engine.config import load_config
    from paycore.engine.offers import account_infos
    from paycore.engine.plugins import Plugins

    options = options_of(context)
    output = Output(options)
    output.show_log()
    config = load_config(options.config)
    names = [config.account(options.account).name] if options.account else None
    found = account_infos(Accounts(config, Plugins(blocked=config.blocked_plugins)), names)
    output.accounts(found)
    if any(account.is_default for account in found):
        output.say("* is the default account")
    return Exit.CONFIG if any(account.problem for account in found) else Exit.DONE
