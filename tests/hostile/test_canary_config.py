"""Secrets in the wrong place of a configuration: the error names the place, and does not repeat the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from paycore import Client, PaycoreError
from paycore.errors import (
    ConfigError,
    LedgerUnavailable,
)
from tests.cli.conftest import Cli
from tests.hostile.canary import Witness
from tests.hostile.scenes import (
    KEY,
)
from tests.hostile.test_canary_cli import CREATE

ACCOUNT = """[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
region = "hk"
base_url = "http://127.0.0.1:9"
app_code = "A"
client_key = "KEY"
"""
WRONG: dict[str, tuple[str, str]] = {
    "unknown key": ('region = "hk"', f'region = "hk"\nclientkey = "{KEY}"'),
    "a key's name": ('region = "hk"', f'region = "hk"\n"{KEY}" = "client_key"'),
    "provider": ('"qfpay-alipay"', f'"{KEY}"'),
    "mode": ('"sandbox"', f'"{KEY}"'),
    "region": ('"hk"\n', f'"{KEY}"\n'),
    "sign_type": ('region = "hk"', f'region = "hk"\nsign_type = "{KEY}"'),
    "timezone": ('region = "hk"', f'region = "hk"\ntimezone = "{KEY}"'),
    "mchid": ('region = "hk"', f'region = "hk"\nmchid = "{KEY}"'),
    "udid": ('region = "hk"', f'region = "hk"\nudid = "{KEY * 2}"'),
    "close_requests": ('region = "hk"', f'region = "hk"\nclose_requests = {{ "{KEY}" = "POST close" }}'),
    "close_requests, its value": (
        'region = "hk"',
        f'region = "hk"\nclose_requests = {{ "801514" = "{KEY}" }}',
    ),
    "a flag": ('region = "hk"', f'region = "hk"\ntrust_notifications = "{KEY}"'),
    "timeout_s": ('region = "hk"', f'region = "hk"\ntimeout_s = "{KEY}"'),
    "base_url": ('"http://127.0.0.1:9"', f'"{KEY}"'),
    "base_url, as user": ('"http://127.0.0.1:9"', f'"http://u:{KEY}@127.0.0.1"'),
    "base_url, as query": ('"http://127.0.0.1:9"', f'"http://127.0.0.1/?key={KEY}"'),
    "a space in the key": ('"KEY"', f'"{KEY} {KEY}"'),
    "no ASCII in the key": ('"KEY"', f'"{KEY}é"'),
    "no ASCII in the app code": ('"A"', f'"{KEY}é"'),
    "one of two keys": ('"KEY"', f'["{KEY}", ""]'),
    "a number among keys": ('"KEY"', f'["{KEY}", 7]'),
    "as the variable's name": ('"KEY"', f'{{ env = "{KEY}" }}'),
    "as the file's name": ('"KEY"', f'{{ file = "{KEY}" }}'),
    "as the keyring's name": ('"KEY"', f'{{ keyring = "{KEY}" }}'),
    "in another pointer": ('"KEY"', f'{{ vault = "{KEY}" }}'),
    "in a pointer too many": ('"KEY"', f'{{ env = "A", file = "{KEY}" }}'),
    "in a list in a pointer": ('"KEY"', f'{{ env = ["{KEY}"] }}'),
    "a table deeper": ('"KEY"', f'{{ env = {{ file = "{KEY}" }} }}'),
    "live": ('mode = "sandbox"', 'mode = "live"'),
    "default_account": ("[accounts.hk]", f'default_account = "{KEY}"\n[accounts.hk]'),
    "ledger": ("[accounts.hk]", f'ledger = "{KEY}"\n[accounts.hk]'),
    "ledger of another kind": ("[accounts.hk]", f'ledger = "mysql://u:{KEY}@h/d"\n[accounts.hk]'),
    "ledger without a host": ("[accounts.hk]", f'ledger = "postgresql://u:{KEY}@:x/"\n[accounts.hk]'),
    "blocked_plugins": ("[accounts.hk]", f'blocked_plugins = "{KEY}"\n[accounts.hk]'),
    "blocked_plugins, a table": ("[accounts.hk]", f'blocked_plugins = [{{ a = "{KEY}" }}]\n[accounts.hk]'),
    "without quotes": ('"KEY"', KEY),
    "without an end": ('"KEY"', f'"{KEY}'),
    "twice": ('"KEY"', f'"{KEY}"\nclient_key = "{KEY}"'),
    "beside bad UTF-8": ('"KEY"', f'"{KEY}\udcff"'),
    "beside a number of 5,000 digits": ('"KEY"', f'"{KEY}"\nx = {"9" * 5000}'),
    "beside 100k of [": ('"KEY"', f'"{KEY}"\nx = {"[" * 100_000}'),
}


def wrong_config(name: str) -> Path:
    """A configuration with the key in a wrong place, in the working folder."""
    old, new = WRONG[name]
    text = ACCOUNT.replace(old, new, 1)
    if name == "live":
        text = text.replace('"KEY"', f'"{KEY}"').replace("http://127.0.0.1:9", "https://openapi-hk.qfapi.com")
    assert KEY in text
    path = Path("paycore.toml")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("name", WRONG)
def test_secret_in_a_wrong_place_of_the_configuration_is_not_repeated(witness: Witness, name: str) -> None:
    """The error has the place and the expected type, not the value."""
    path = wrong_config(name)
    with pytest.raises((PaycoreError, AssertionError)) as raised, Client(path.absolute()) as client:
        client._core.accounts.get()
    assert isinstance(raised.value, ConfigError | LedgerUnavailable), raised.value
    assert (
        "paycore.toml" in str(raised.value)
        or "ledger" in str(raised.value)
        or "provider" in str(raised.value)
    )
    raised.value.__traceback__ = None  # our own frames hold what was read, as they must
    witness.hear_error(raised.value)


@pytest.mark.parametrize("name", WRONG)
def test_secret_in_a_wrong_place_is_not_printed(witness: Witness, cli: Cli, name: str) -> None:
    """The same on the command line: exit 6, one line or one JSON object, and no secret."""
    wrong_config(name)
    for more in ([], ["--json"]):
        ran = cli(*CREATE, *more)
        assert (ran.code, ran.out) == (6, ""), ran
        if more:
            assert ran.error["kind"] in ("ConfigError", "LedgerUnavailable")
        witness.hear("printed", ran)
