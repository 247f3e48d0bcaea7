"""paycore.toml: every mistake is one clear error with a path and what to do."""

import os
import pwd
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from paycore.engine.accounts import Accounts
from paycore.engine.config import find_config, load_config
from paycore.engine.plugins import ENTRY_POINTS, Plugins
from paycore.errors import ConfigError

GOOD = """
default_account = "hk"
ledger = "sqlite:///pay.db"

[accounts.hk]
provider = "qfpay-alipay"
mode = "sandbox"
region = "hk"
app_code = { env = "QFPAY_APP_CODE" }
client_key = { env = "QFPAY_CLIENT_KEY" }
base_url = "http://127.0.0.1:8700"
"""
ENVIRONMENT = {"QFPAY_APP_CODE": "APPCODE", "QFPAY_CLIENT_KEY": "CANARY-KEY"}


def write(folder: Path, text: str) -> Path:
    path = folder / "paycore.toml"
    path.write_text(text)
    return path


def account(path: Path, environment: dict[str, str] = ENVIRONMENT) -> Any:
    return Accounts(load_config(path), Plugins(), environment).get()


def test_a_good_file_is_an_account_ready_to_use(tmp_path: Path) -> None:
    """The sample of the documentation works; the ledger is beside the file."""
    path = write(tmp_path, GOOD)
    assert load_config(path).ledger == f"sqlite:///{tmp_path}/pay.db"
    ready = account(path)
    assert (ready.provider_name, ready.base_urls[""]) == ("qfpay-alipay", "http://127.0.0.1:8700")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            'default_account = "hk"',
            'default_account = "kh"',
            "default_account: no account is called 'kh'; known: hk",
        ),
        (
            'default_account = "hk"',
            "default_account = 7",
            "default_account: must be text in quotes, not a whole",
        ),
        ('default_account = "hk"', 'blocked_plugins = "x"', "blocked_plugins: must be a list, not text"),
        ('ledger = "sqlite:///pay.db"', 'ledger = "mysql://x"', "ledger: write sqlite:///"),
        (
            'ledger = "sqlite:///pay.db"',
            'ledger = "sqlite:///:memory:"',
            ": ledger: a ledger in memory is lost when the process ends",
        ),
        ('ledger = "sqlite:///pay.db"', 'ledger = "sqlite:///"', ": ledger: name a file"),
        (
            'ledger = "sqlite:///pay.db"',
            'ledger = "postgresql://u:CANARY@h/pay?sslmod=require"',
            ": ledger: PostgreSQL knows no parameter 'sslmod'; write postgresql://user@host:5432/database; the",
        ),
        ('ledger = "sqlite:///pay.db"', "ledger = 7", ": ledger: must be text in quotes, not a whole number"),
        ('ledger = "sqlite:///pay.db"', 'leger = "x"', "unknown key 'leger'; did you mean 'ledger'"),
        ('provider = "qfpay-alipay"', "", "accounts.hk.provider: missing"),
        (
            'provider = "qfpay-alipay"',
            'provider = "qfpay"',
            "accounts.hk.provider: no plugin offers the provider 'qfpay'",
        ),
        ('mode = "sandbox"', 'mode = "prod"', "accounts.hk.mode: 'prod' is not one of live, sandbox, test"),
        ('region = "hk"', 'region = "sg"', "accounts.hk.region: 'sg' is not one of hk, overseas"),
        (
            'region = "hk"',
            "region = 7",
            "accounts.hk.region: must be text in quotes, not a whole number: one of hk",
        ),
        ('region = "hk"', "", "accounts.hk.region: missing"),
        ('region = "hk"', 'region = "hk"\nmchid = 7', "hk.mchid: must be text in quotes, not a whole number"),
        (
            'region = "hk"',
            'region = "hk"\ntrust_notifications = "yes"',
            "accounts.hk.trust_notifications: must be true or false, not text in quotes",
        ),
        (
            'region = "hk"',
            'region = "hk"\nclose_requests = { 801514 = "POST close", 800108 = "PUT close" }',
            "accounts.hk.close_requests.'800108': 'PUT close' is not one of GET close, GET reversal, POST close",
        ),
        (
            'region = "hk"',
            'region = "hk"\nclose_requests = "none"',
            "close_requests: must be a table, not text",
        ),
        (
            'region = "hk"',
            'region = "hk"\nclose_requests = { 1 = "POST close" }',
            "'1' is no Alipay pay type",
        ),
        ('region = "hk"', 'regoin = "hk"', "unknown key 'regoin'; did you mean 'region'"),
        ('region = "hk"', 'region = "hk"\ntimeout_s = 0', "timeout_s: must be a number of seconds above 0"),
        (
            'region = "hk"',
            'region = "hk"\ndefault_method = 7',
            "accounts.hk.default_method: must be text in quotes",
        ),
        (
            'region = "hk"',
            'region = "hk"\ndefault_method = ""',
            "accounts.hk.default_method: the account has no method ''; known: alipay",
        ),
        (
            'region = "hk"',
            'region = "hk"\ndefault_method = "alipya"',
            "accounts.hk.default_method: the account has no method 'alipya'; did you mean 'alipay'",
        ),
        ('{ env = "QFPAY_CLIENT_KEY" }', '{ env = "NOT_SET" }', "environment variable NOT_SET is not set"),
        ('{ env = "QFPAY_CLIENT_KEY" }', '{ file = "key" }', "key can't be read"),
        ('{ env = "QFPAY_CLIENT_KEY" }', '{ vault = "key" }', "write one of"),
        ('{ env = "QFPAY_CLIENT_KEY" }', "7", 'write { env = "NAME" }'),
        ('{ env = "QFPAY_CLIENT_KEY" }', "[]", "at least one secret"),
        ('base_url = "http://127.0.0.1:8700"', "", "base_url: missing"),
        ("http://127.0.0.1:8700", "ftp://127.0.0.1", "must be a plain http"),
        ("http://127.0.0.1:8700", "https://u@gateway.example", "must be a plain http"),
        ("http://127.0.0.1:8700", "https://openapi-hk.qfapi.com", "moves real money"),
        ('mode = "sandbox"', 'mode = "live"', "a live account uses https"),
        ('mode = "sandbox"', "mode = ", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Each mistake is a `ConfigError` that names the file, the place and what to write instead."""
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as error:
        account(path)
    assert str(path) in str(error.value)
    assert words in str(error.value)
    assert "CANARY" not in str(error.value)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    """An empty file is refused; one without accounts opens a ledger but has no account to use."""
    with pytest.raises(ConfigError, match=r"there is nothing in it; `paycore init` writes one"):
        load_config(write(tmp_path, "# later\n"))
    path = write(tmp_path, 'ledger = "sqlite:///pay.db"')
    assert load_config(path).ledger.endswith("/pay.db")
    with pytest.raises(ConfigError, match=r"no account in it; write one as a table, \[accounts.NAME\]"):
        account(path)


def test_blocked_plugin_that_is_not_there_is_refused_where_plugins_are_loaded(tmp_path: Path) -> None:
    """A misspelt name would block nothing; reading the ledger loads no plugins and still works."""
    config = load_config(write(tmp_path, f'blocked_plugins = ["qfpay_alipai"]\n{GOOD}'))
    with pytest.raises(
        ConfigError, match="blocked_plugins: no plugin is called 'qfpay_alipai'; did you mean 'qf"
    ):
        Plugins(blocked=config.blocked_plugins)


def test_provider_of_a_blocked_plugin_is_said_to_be_left_out(tmp_path: Path) -> None:
    """The error for an unknown provider names the blocked plugins and the key that blocks them."""
    names = sorted(plugin.name for plugin in metadata.entry_points(group=ENTRY_POINTS))
    config = load_config(write(tmp_path, f"blocked_plugins = {names}\n{GOOD}"))
    with pytest.raises(
        ConfigError, match=f"installed: none; left out by blocked_plugins: {', '.join(names)}"
    ):
        Accounts(config, Plugins(blocked=config.blocked_plugins), ENVIRONMENT).get()


def test_a_live_secret_in_the_file_is_refused(tmp_path: Path) -> None:
    """In live mode a literal key is refused; in sandbox mode it is allowed."""
    literal = GOOD.replace('{ env = "QFPAY_CLIENT_KEY" }', '"CANARY-KEY"')
    assert account(write(tmp_path, literal)).name == "hk"
    live = literal.replace('mode = "sandbox"', 'mode = "live"').replace(
        "http://127.0.0.1:8700", "https://openapi-hk.qfapi.com"
    )
    with pytest.raises(ConfigError, match="never stands in the file") as error:
        account(write(tmp_path, live))
    assert "CANARY" not in str(error.value)


def test_a_secret_file_others_can_read_is_refused(tmp_path: Path) -> None:
    """A secret file must be readable by its owner only."""
    secret = tmp_path / "key"
    secret.write_text("CANARY-KEY\n")
    path = write(tmp_path, GOOD.replace('{ env = "QFPAY_CLIENT_KEY" }', '{ file = "key" }'))
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        account(path)
    secret.chmod(0o600)
    assert account(path).name == "hk"


@pytest.mark.parametrize("pointer", ['{ env = "HOME" }', '{ file = "key" }', '{ keyring = "key" }'])
@pytest.mark.parametrize("key", ["region", "mchid", "timezone", "trust_notifications", "sign_type"])
def test_only_secrets_are_taken_from_elsewhere(tmp_path: Path, key: str, pointer: str) -> None:
    """Other settings may be logged or sent, so they take no value from a variable or a file."""
    text = GOOD.replace('region = "hk"\n', "") if key == "region" else GOOD
    (tmp_path / "key").write_text("CANARY")
    path = write(tmp_path, f"{text}{key} = {pointer}\n")
    with pytest.raises(
        ConfigError, match=f"accounts.hk.{key}: only a secret is taken from elsewhere"
    ) as error:
        account(path, {**ENVIRONMENT, "HOME": "CANARY"})
    assert "CANARY" not in str(error.value)


def make_link_to(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, make_link_to], ids=["pipe", "folder", "device"])
def test_a_secret_is_read_from_a_regular_file_only(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Pipes and devices are refused at once."""
    make(tmp_path / "key")
    path = write(tmp_path, GOOD.replace('{ env = "QFPAY_CLIENT_KEY" }', '{ file = "key" }'))
    raised: list[ConfigError] = []

    def use() -> None:
        with pytest.raises(ConfigError, match="is no regular file; put the secret into one") as error:
            account(path)
        raised.append(error.value)

    reader = threading.Thread(target=use, daemon=True)
    reader.start()
    reader.join(10)
    assert len(raised) == 1


def test_keys_rotate(tmp_path: Path) -> None:
    """A list of keys is taken: the first signs, all verify."""
    path = write(
        tmp_path, GOOD.replace('{ env = "QFPAY_CLIENT_KEY" }', '[{ env = "QFPAY_CLIENT_KEY" }, "old"]')
    )
    keys = account(path).provider._settings.client_key
    assert [key.reveal() for key in keys] == ["CANARY-KEY", "old"]
    assert "CANARY" not in repr(account(path).provider._settings)


def test_user_without_a_home_gets_the_searched_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a user without an entry in the system only the working folder is searched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(ConfigError, match=r"looked at paycore\.toml\."):
        find_config(environment={})


def test_the_file_is_found_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config`, PAYCORE_CONFIG, the working folder, the user's folder; else an error with these places."""
    monkeypatch.chdir(tmp_path)
    user = tmp_path / "xdg" / "paycore"
    user.mkdir(parents=True)
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    with pytest.raises(ConfigError, match=r"no configuration found; looked at paycore.toml and .*xdg"):
        find_config(None, environment)
    (user / "paycore.toml").write_text(GOOD)
    assert find_config(None, environment) == user / "paycore.toml"
    here = write(tmp_path, GOOD)
    assert find_config(None, environment).absolute() == here
    other = tmp_path / "other.toml"
    other.write_text(GOOD)
    assert find_config(None, {**environment, "PAYCORE_CONFIG": str(other)}) == other
    assert find_config(here, {**environment, "PAYCORE_CONFIG": str(other)}) == here
    with pytest.raises(ConfigError, match="no such file"):
        find_config(tmp_path / "none.toml", environment)
    with pytest.raises(ConfigError, match="config: must be the path of a file, not dict"):
        find_config({"ledger": "sqlite:///pay.db"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"a folder \(--config\); name the file, such as .*/paycore.toml"):
        find_config(tmp_path, environment)


def test_reprs_show_no_setting(tmp_path: Path) -> None:
    """Neither a literal secret nor a DSN's password shows in a repr."""
    text = GOOD.replace('{ env = "QFPAY_CLIENT_KEY" }', '"CANARY-KEY"')
    config = load_config(
        write(tmp_path, text.replace("sqlite:///pay.db", "postgresql://u:CANARY@h/db?sslmode=require"))
    )
    assert "CANARY" not in repr(config) + repr(config.accounts)
