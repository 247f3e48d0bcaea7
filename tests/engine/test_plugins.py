"""Loading plugins: each is isolated from the others' errors, and none takes another's place."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paycore import Event, Status
from paycore.engine.plugins import PluginFailure, Plugins
from paycore.errors import ConfigError
from paycore.plugin import hookimpl
from tests.engine.conftest import OpenTill
from tests.support.toy_http import ToyPlugin

Install = Callable[..., None]
TOY = """
    from paycore.plugin import hookimpl
    from paycore.testing.toy import ToyProvider

    class {name}(ToyProvider):
        info = ToyProvider.info.__class__(
            api_version=1, name="{provider}", title="{name}", settings=ToyProvider.info.settings,
            base_urls={{}}, live_hosts=frozenset()
        )

    @hookimpl
    def paycore_register_providers():
        return [{name}]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution: its entry points, and the modules they name."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def install(distribution: str, entry_points: dict[str, str], **modules: str) -> None:
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {distribution}\nVersion: 1.0\n", encoding="utf-8")
        lines = "".join(f"{name} = {module}\n" for name, module in entry_points.items())
        (info / "entry_points.txt").write_text(f"[paycore]\n{lines}", encoding="utf-8")
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")

    yield install
    for name in set(sys.modules) - known:
        del sys.modules[name]


def toy(provider: str, name: str = "Toy") -> str:
    """A module that offers the toy under another name."""
    return TOY.format(provider=provider, name=name)


def failed(plugins: Plugins) -> dict[str, PluginFailure]:
    """The failures by plugin."""
    assert len({failure.plugin for failure in plugins.failures}) == len(plugins.failures)
    return {failure.plugin: failure for failure in plugins.failures}


def test_provider_claimed_twice_is_served_by_neither(install: Install) -> None:
    """In any order: a name claimed twice gets no orders and no settings."""
    install("real-pay", {"real": "real_pay"}, real_pay=toy("acme"))
    install("evil-pay", {"zzz": "evil_pay", "aaa": "more_evil"}, evil_pay=toy("acme"), more_evil=toy("spare"))
    plugins = Plugins()
    assert "acme" not in plugins.providers()
    assert {"spare", "qfpay-alipay"} <= set(plugins.providers()), "the others go on"
    assert set(failed(plugins)) == {"real", "zzz"}
    for failure in plugins.failures:
        assert failure.stage == "providers"
        assert "'acme' is claimed more than once, by " in failure.error
        assert "real (real-pay 1.0)" in failure.error
        assert "zzz (evil-pay 1.0)" in failure.error
    assert failed(plugins)["real"].distribution == "real-pay 1.0"
    with pytest.raises(
        ConfigError, match=r"the provider 'acme'.*real \(real-pay 1.0\).*zzz \(evil-pay 1.0\)"
    ):
        plugins.provider("acme")


def test_blocking_one_of_two_lets_the_other_serve(install: Install) -> None:
    """Where both must stay installed, one can be blocked."""
    install("real-pay", {"real": "real_pay"}, real_pay=toy("acme"))
    install("evil-pay", {"zzz": "evil_pay"}, evil_pay=toy("acme"))
    plugins = Plugins(blocked=["zzz"])
    assert plugins.provider("acme").info.title == "Toy"
    assert plugins.failures == []


def test_plugin_that_claims_a_name_twice_itself_has_none(install: Install) -> None:
    """A plugin's doubled name is ambiguous and unusable; its other names work."""
    source = toy("acme").replace("return [Toy]", "return [Toy, Toy, ToyProvider]")
    install("real-pay", {"real": "real_pay"}, real_pay=source)
    plugins = Plugins()
    assert "acme" not in plugins.providers()
    assert "toy" in plugins.providers()
    assert "by real (real-pay 1.0), so" in failed(plugins)["real"].error


def test_entry_point_name_used_twice_loads_neither(install: Install) -> None:
    """Neither is imported, so that none replaces the other."""
    install("real-pay", {"pay": "real_pay"}, real_pay=toy("acme"))
    install("evil-pay", {"pay": "evil_pay"}, evil_pay=toy("spare"))
    plugins = Plugins()
    assert not {"acme", "spare"} & set(plugins.providers())
    assert "qfpay-alipay" in plugins.names
    assert {(f.plugin, f.distribution, f.stage) for f in plugins.failures} == {
        ("pay", "real-pay 1.0", "load"),
        ("pay", "evil-pay 1.0", "load"),
    }
    assert "real_pay" not in sys.modules


def test_name_that_an_application_gives_and_that_is_installed_is_neither(install: Install) -> None:
    """A plugin passed by the application has no precedence over an installed one."""
    install("real-pay", {"pay": "real_pay"}, real_pay=toy("acme"))
    plugins = Plugins(extra=[("pay", object())])
    assert "acme" not in plugins.providers()
    assert {f.distribution for f in plugins.failures} == {"real-pay 1.0", "given by the application"}


def test_one_plugin_under_two_names_is_loaded_under_neither(install: Install) -> None:
    """A distribution can't claim another's plugin by pointing at its module."""
    install("real-pay", {"real": "real_pay"}, real_pay=toy("acme"))
    install("evil-pay", {"aaa": "real_pay"})
    plugins = Plugins()
    assert "acme" not in plugins.providers()
    assert {(name, one.stage) for name, one in failed(plugins).items()} == {
        ("aaa", "register"),
        ("real", "register"),
    }


ENDINGS = [
    "SystemExit(3)",
    "GeneratorExit()",
    "BaseException('x')",
    "asyncio.CancelledError()",
    "KeyError('x')",
]
PLACES = {
    "load": "import asyncio\nraise {}\n",
    "register": "import asyncio\n\ndef __dir__():\n    raise {}\n",
    "providers": (
        "import asyncio\nfrom paycore.plugin import hookimpl\n"
        "@hookimpl\ndef paycore_register_providers():\n    raise {}\n"
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("stage", PLACES)
def test_plugin_that_ends_the_process_is_a_failure(install: Install, stage: str, ending: str) -> None:
    """`sys.exit()` and the like are a failure of that plugin; the others load."""
    install("bad", {"bad": "bad_plugin"}, bad_plugin=PLACES[stage].format(ending))
    plugins = Plugins()
    assert "qfpay-alipay" in plugins.providers()
    failure = failed(plugins)["bad"]
    assert (failure.distribution, failure.stage) == ("bad 1.0", stage)
    assert failure.error.startswith(ending.partition("(")[0].rpartition(".")[2])


@pytest.mark.parametrize("what", ["providers", "sandboxes", "commands"])
def test_what_has_no_name_is_a_failure(install: Install, what: str) -> None:
    """An object of another type, and an invalid name, are failures."""
    source = (
        "from types import SimpleNamespace as N\nfrom paycore.plugin import hookimpl\n"
        f"@hookimpl\ndef paycore_register_{what}():\n    return [N(name='', info=N(name=None))]\n"
    )
    install("bad", {"bad": "bad_plugin"}, bad_plugin=source)
    plugins = Plugins()
    getattr(plugins, what)()
    assert failed(plugins)["bad"].stage == what


@pytest.mark.parametrize("what", ["providers", "sandboxes", "commands"])
def test_hook_without_end_is_ended(install: Install, what: str) -> None:
    """A generator that never ends is a failure, and loading goes on."""
    source = (
        "from types import SimpleNamespace as N\nfrom paycore.plugin import hookimpl\n"
        f"@hookimpl\ndef paycore_register_{what}():\n    while True:\n        yield N(name='x', info=N(name='x'))\n"
    )
    install("bad", {"bad": "bad_plugin"}, bad_plugin=source)
    plugins = Plugins()
    getattr(plugins, what)()
    assert f"paycore_register_{what} registers more than 1000" in failed(plugins)["bad"].error


@pytest.mark.parametrize("what", ["sandboxes", "commands"])
def test_sandbox_or_command_claimed_twice_is_served_by_neither(install: Install, what: str) -> None:
    """The same rule as for providers."""
    source = (
        "from types import SimpleNamespace as N\nfrom paycore.plugin import hookimpl\n"
        f"@hookimpl\ndef paycore_register_{what}():\n    return [N(name='acme', info=N(name='acme'))]\n"
    )
    install("one", {"one": "plugin_one"}, plugin_one=source)
    install("two", {"two": "plugin_two"}, plugin_two=source)
    plugins = Plugins()
    assert "acme" not in getattr(plugins, what)()
    assert {(name, one.stage) for name, one in failed(plugins).items()} == {("one", what), ("two", what)}


def test_command_that_paycore_has_itself_is_a_failure(install: Install) -> None:
    """A plugin can't replace paycore's command."""
    source = (
        "from typer import Typer\nfrom paycore.plugin import hookimpl\n"
        "@hookimpl\ndef paycore_register_commands():\n    return [Typer(name='create'), Typer(name='acme')]\n"
    )
    install("bad", {"bad": "bad_plugin"}, bad_plugin=source)
    plugins = Plugins()
    assert set(plugins.commands(taken=["create"])) == {"acme"}
    assert "'create' is paycore's own" in failed(plugins)["bad"].error


HOOKS = {
    "misspelt": (
        "@hookimpl\ndef paycore_register_provider():\n    return []\n",
        "there is no hook paycore_register_provider; did you mean 'paycore_register_providers'?",
    ),
    "of its own": (
        "@hookimpl\ndef on_payment(event):\n    pass\n",
        "there is no hook on_payment; known: paycore_after_commit, ",
    ),
    "not marked": (
        "def paycore_register_providers():\n    return []\n",
        "it has no hooks; paycore_register_providers is not marked with @hookimpl",
    ),
    "none": ("", "it has no hooks"),
    "with a default": (
        "@hookimpl\ndef paycore_after_commit(event=None):\n    pass\n",
        "paycore_after_commit takes plain positional parameters without defaults and is not async",
    ),
    "async": (
        "@hookimpl\nasync def paycore_after_commit(event):\n    pass\n",
        "paycore_after_commit takes plain positional parameters without defaults and is not async",
    ),
    "with another parameter": (
        "@hookimpl\ndef paycore_after_commit(payment):\n    pass\n",
        "definition: paycore_after_commit(payment) Argument(s) {'payment'} are declared in the hookimpl but can not",
    ),
}


@pytest.mark.parametrize("name", HOOKS)
def test_hook_that_would_not_be_called_is_a_failure(install: Install, name: str) -> None:
    """The failure says which hook is meant; the plugin's other hooks are not called either."""
    source, problem = HOOKS[name]
    install("bad", {"bad": "bad_plugin"}, bad_plugin=f"from paycore.plugin import hookimpl\n{source}")
    plugins = Plugins()
    failure = failed(plugins)["bad"]
    assert failure.stage == "register"
    assert problem in failure.error
    assert plugins.observers == []
    assert "qfpay-alipay" in plugins.providers()


def test_hooks_that_register_are_called_once(install: Install) -> None:
    """Registrations are cached: they can't change while payments run."""
    source = (
        "from paycore.plugin import hookimpl\nfrom paycore.testing.toy import ToyProvider\ncalls = []\n"
        "@hookimpl\ndef paycore_register_providers():\n    calls.append(1)\n    return [ToyProvider]\n"
    )
    install("good", {"good": "good_plugin"}, good_plugin=source)
    plugins = Plugins()
    assert plugins.provider("toy") is plugins.provider("toy")
    assert sys.modules["good_plugin"].calls == [1]


def test_error_of_a_plugin_is_one_line(install: Install) -> None:
    """A plugin's error can't forge a line of a table or a log."""
    install(
        "bad",
        {"bad": "bad_plugin"},
        bad_plugin="raise ValueError('a\\nplugin good: loaded\\x1b[2J' + 'x' * 9999)",
    )
    error = failed(Plugins())["bad"].error
    assert error.startswith("ValueError: a plugin good: loaded [2Jxxx")
    assert len(error) < 600


def test_observer_that_ends_the_process_does_not(open_till: OpenTill) -> None:
    """Whatever an observer raises, the event is recorded and the others are called."""

    class Leaver:
        def __init__(self) -> None:
            self.heard = 0

        @hookimpl
        def paycore_after_commit(self, event: Event) -> None:
            self.heard += 1
            raise SystemExit(event.payment_id)

    leaver = Leaver()
    till = open_till(plugins=Plugins(extra=[("toy", ToyPlugin()), ("leaver", leaver)]))
    assert till.create().status is Status.PENDING
    assert leaver.heard == 2
