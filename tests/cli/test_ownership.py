"""A configuration, secret or ledger that another user owns or can write is refused."""

import grp
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from paycore.engine.accounts import Accounts
from paycore.engine.config import load_config
from paycore.engine.plugins import Plugins
from paycore.errors import ConfigError
from paycore.ledger import open_ledger
from paycore.ledger.ownership import ownership_problem
from tests.cli.conftest import Cli

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")

SOMEBODY, NOBODY = 4711, 65534
CONFIG = """
ledger = "sqlite:///paycore.db"

[accounts.shop]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "http://127.0.0.1:9"
region = "hk"
app_code = "A"
client_key = { file = "client.key" }
"""


def _write_by_a_group(path: Path) -> None:
    os.chown(path, 0, SOMEBODY)
    path.chmod(path.stat().st_mode | 0o020)


SPOILT: dict[str, Callable[[Path], None]] = {
    "of another user": lambda path: os.chown(path, SOMEBODY, 0),
    "written by all": lambda path: path.chmod(path.stat().st_mode | 0o002),
    "written by a group": _write_by_a_group,
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private folder with a configuration, a key and a ledger, as the working folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    (folder / "paycore.toml").write_text(CONFIG)
    (folder / "client.key").write_text("k")
    (folder / "client.key").chmod(0o600)
    with closing(open_ledger(f"sqlite:///{folder}/paycore.db")):
        pass
    monkeypatch.chdir(folder)
    return folder


def use(path: str | None = None) -> None:
    """What a client does with a configuration: read it, look up the account's key, open the ledger."""
    config = load_config(path)
    Accounts(config, Plugins()).get()
    open_ledger(config.ledger).close()


@contextmanager
def running_as(user: int) -> Iterator[None]:
    """Run this process as another user for a while."""
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


def test_own_files_are_taken(home: Path) -> None:
    """Own files are accepted, readable by others or not; the key must be private."""
    use()
    (home / "paycore.toml").chmod(0o644)
    use()


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("name", ["paycore.toml", ".", "client.key", "paycore.db", "paycore.db-lock"])
def test_files_of_others_are_refused_with_a_reason(
    home: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    """The error names the file, its owner and what to do, wherever the configuration was found."""
    spoil(home / name)
    if name == "client.key" and spoil is not SPOILT["of another user"]:
        (home / name).chmod(0o620)
    for path in (None, "paycore.toml", str(home / "paycore.toml")):
        with pytest.raises(ConfigError, match=r"chown -h root|chmod go-w|chmod 600") as caught:
            use(path)
        assert (home / name).resolve().name in caught.value.message


def test_configuration_of_another_user_is_refused_and_not_skipped(
    home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration in another user's folder is an error, and is not skipped silently."""
    own = home.parent / "xdg" / "paycore"
    own.mkdir(parents=True)
    (own / "paycore.toml").write_text(CONFIG)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.parent / "xdg"))
    os.chown(home / "paycore.toml", SOMEBODY, SOMEBODY)
    for words in ("list", "accounts", "ledger verify"):
        ran = cli(*words.split())
        assert ran.code == 6, ran
        assert f"belongs to user {SOMEBODY}, and this process runs as root" in ran.err
        assert "--config FILE" in ran.err
    assert cli("list", "--config", own / "paycore.toml").code == 0
    monkeypatch.setenv("PAYCORE_CONFIG", str(home / "paycore.toml"))
    with pytest.raises(ConfigError, match="belongs to"):
        load_config()


def test_new_ledger_is_made_only_in_an_own_folder(tmp_path: Path) -> None:
    """No ledger is created in a folder of another user."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, SOMEBODY, SOMEBODY)
    with pytest.raises(ConfigError, match=r"is not used: the folder .*theirs belongs to user 4711"):
        open_ledger(f"sqlite:///{folder}/new.db")
    assert list(folder.iterdir()) == []


def test_sticky_folder_keeps_files_apart(tmp_path: Path) -> None:
    """In a sticky folder such as /tmp own files are accepted, those of others refused."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    with closing(open_ledger(f"sqlite:///{folder}/new.db")):
        pass
    (folder / "theirs.db").touch(0o600)
    os.chown(folder / "theirs.db", SOMEBODY, SOMEBODY)
    with pytest.raises(ConfigError, match="belongs to user 4711"):
        open_ledger(f"sqlite:///{folder}/theirs.db")
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write the folder"):
        open_ledger(f"sqlite:///{folder}/new.db")


def test_link_is_followed_and_checked(home: Path, tmp_path: Path) -> None:
    """An own link to an own file is accepted; a link of another user, or in their folder, is refused."""
    link = tmp_path / "link.toml"
    link.symlink_to(home / "paycore.toml")
    assert ownership_problem(link) is None
    os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
    assert "the link " in str(ownership_problem(link))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "link.db").symlink_to(home / "paycore.db")
    os.chown(theirs, SOMEBODY, SOMEBODY)
    (theirs / "between.toml").symlink_to(home / "paycore.toml")
    first = tmp_path / "first.toml"
    first.symlink_to(theirs / "between.toml")
    for look in (
        lambda: load_config(link),
        lambda: load_config(first),
        lambda: open_ledger(f"sqlite:///{theirs}/link.db"),
    ):
        with pytest.raises(ConfigError, match="belongs to user 4711"):
            look()


def test_file_of_root_is_accepted() -> None:
    """Files owned by root are accepted."""
    with TemporaryDirectory() as name:
        path = Path(name) / "paycore.toml"
        path.parent.chmod(0o755)
        path.write_text(CONFIG)
        with running_as(NOBODY):
            assert ownership_problem(path) is None
            assert load_config(path).accounts.keys() == {"shop"}
        os.chown(path, SOMEBODY, SOMEBODY)
        with running_as(NOBODY), pytest.raises(ConfigError, match="belongs to user 4711"):
            load_config(path)


def test_root_must_run_as_the_ledgers_owner(tmp_path: Path) -> None:
    """Root must not write another user's ledger: its owner could no longer write the new files."""
    path = tmp_path / "paycore.toml"
    path.write_text(CONFIG)
    os.chown(path, NOBODY, NOBODY)
    name = pwd.getpwuid(NOBODY).pw_name
    with pytest.raises(
        ConfigError, match=f"belongs to {name}, and this process runs as root: run it as {name}, or"
    ):
        load_config(path)


def test_group_of_one_user_alone_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Group write access is accepted for a group with one member, and refused with a second one."""
    path = tmp_path / "paycore.toml"
    path.write_text(CONFIG)
    path.chmod(0o664)
    assert ownership_problem(path) is None
    root = grp.getgrgid(0)
    shared = grp.struct_group((root.gr_name, "x", 0, ["root", "somebody"]))
    monkeypatch.setattr(grp, "getgrgid", lambda _: shared)
    assert "others may write the file" in str(ownership_problem(path))


def test_missing_file_has_its_folder_checked(tmp_path: Path) -> None:
    """Of a missing file the folder is checked."""
    assert ownership_problem(tmp_path / "none") is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_init_writes_a_private_file(cli: Cli, tmp_path: Path, umask: int) -> None:
    """The configuration is readable by its owner only, whatever the umask."""
    before = os.umask(umask)
    try:
        ran = cli("init", "--config", tmp_path / "new.toml")
    finally:
        os.umask(before)
    assert ran.code == 0, ran
    assert (tmp_path / "new.toml").stat().st_mode & 0o777 == 0o600
