"""Which modules each command loads, as a measure of its start-up time."""

import json
import subprocess
import sys

import pytest

from paycore.cli import quick
from paycore.cli.options import GlobalOptions
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, order

_PROBE = """
import json, sys
from paycore.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""

HEAVY = {
    "aiohttp",
    "asyncio",
    "click",
    "dataclasses",
    "httpcore2",
    "httpx2",
    "importlib.metadata",
    "jinja2",
    "pluggy",
    "qfpay_alipay",
    "rich",
    "segno",
    "ssl",
    "starlette",
    "typer",
    "uvicorn",
}


def loaded(*words: str) -> set[str]:
    """The modules a command has loaded by its end."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *words], capture_output=True, text=True, check=True, timeout=60
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done
    return set(modules)


def test_version_loads_nothing() -> None:
    """`--version` loads neither typer nor the domain."""
    modules = loaded("--version")
    assert {name for name in modules if name.startswith("paycore")} == {
        "paycore",
        "paycore.cli",
        "paycore.cli.main",
    }
    assert not modules & (HEAVY | {"msgspec", "sqlite3"})


@pytest.mark.parametrize(
    "words", ["show --reference order-1", "show --reference order-1 --json", "list", "list --json"]
)
def test_reading_loads_only_the_ledger(cli: Cli, shop: SandboxServer, words: str) -> None:
    """`show` and `list` load no plugin, no network module and no typer."""
    cli.create()
    assert not loaded(*words.split()) & HEAVY


@pytest.mark.parametrize(
    "words", ["verify", "verify --json", "export", "export --output out.jsonl", "migrate"]
)
def test_ledger_commands_load_only_the_ledger(cli: Cli, shop: SandboxServer, words: str) -> None:
    """`ledger` loads no plugin, no network module, and only the configured database's driver."""
    cli.create()
    brought_by_typer = {"typer", "dataclasses", "importlib.metadata"}
    assert not loaded("ledger", *words.split()) & ((HEAVY | {"psycopg"}) - brought_by_typer)


@pytest.mark.parametrize("words", ["accounts", "accounts --json"])
def test_listing_accounts_loads_no_network(shop: SandboxServer, words: str) -> None:
    """`accounts` loads the providers, and no HTTP client."""
    needed = {"typer", "dataclasses", "importlib.metadata", "pluggy", "qfpay_alipay", "ssl"}
    assert not loaded(*words.split()) & (HEAVY - needed)


def test_help_loads_no_provider() -> None:
    """The help of every command loads no plugins, httpx2 or rich."""
    assert not loaded("--help") & (HEAVY - {"typer", "dataclasses"})


def test_creating_loads_no_renderer_it_does_not_need(shop: SandboxServer) -> None:
    """`create` into a pipe loads neither the QR code renderer nor the server."""
    assert not loaded(*order()) & {"segno", "starlette", "uvicorn", "jinja2"}


@pytest.mark.parametrize(
    "words",
    [
        "show abc",
        "show abc --json --quiet",
        "show --reference r --account a --config c.toml --no-color",
        "list",
        "list --status paid --review --uncertain --limit 3 --until 2025-01-01",
        "list --open --after abc --json",
        "list --by paid --since 2025-01-01 --reference-prefix a --reason paid_twice --limit 0",
        "list --refunding --sort oldest --csv",
    ],
)
def test_both_parsers_agree(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments parsed without typer have the same result as with it."""
    seen: list[tuple[GlobalOptions, dict[str, object]]] = []

    def note(options: GlobalOptions, **given: object) -> int:
        defaults: dict[str, object] = {
            "payment_id": None,
            "reference": None,
            "status": None,
            "reason": None,
            "reference_prefix": None,
            "by": "created",
            "since": None,
            "review": False,
            "uncertain": False,
            "open": False,
        }
        defaults |= {"until": None, "after": None, "limit": "50"}
        defaults |= {"sort": None, "refunding": False, "csv": False}
        seen.append((options, {**defaults, **given}))
        return 0

    from paycore.cli import app

    monkeypatch.setattr(quick, "show", note)
    monkeypatch.setattr(quick, "list_payments", note)
    for name, command in quick.COMMANDS.items():
        monkeypatch.setitem(
            quick.COMMANDS, name, type(command)(note, command.has_id, command.values, command.flags)
        )
    direct = quick.parse(words.split())
    assert direct is not None
    direct()
    app.run(words.split())
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "words",
    [
        "show --help",
        "show -h",
        "show a b",
        "show --refer r",
        "show a -v",
        "show a --verbose",
        "show --reference",
        "show --reference --json",
        "show --reference=r",
        "show a --json --json",
        "show --",
        "create a",
        "--json show a",
        "",
    ],
)
def test_other_arguments_go_to_typer(words: str) -> None:
    """Any other arguments are left to typer, which reports what is wrong."""
    assert quick.parse(words.split()) is None
