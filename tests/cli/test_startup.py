"""Which modules each command loads, as a measure of its start-up time."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from paycore.cli import quick
from paycore.cli.app import COMMANDS
from paycore.cli.options import GlobalOptions
from paycore.sandbox.server import SandboxServer
from tests.cli.conftest import Cli, order

HEAVY = {
    "aiohttp",
    "asyncio",
    "click",
    "dataclasses",
    "fastapi",
    "httpcore2",
    "httpx2",
    "importlib.metadata",
    "importlib.resources",
    "jinja2",
    "pluggy",
    "psycopg",
    "pydantic",
    "qfpay_alipay",
    "rich",
    "segno",
    "ssl",
    "starlette",
    "typer",
    "uvicorn",
}
"""What takes long to import, of which a command loads what it uses."""

OF_TYPER = {"typer", "dataclasses", "importlib.metadata"}
OF_PLUGINS = OF_TYPER | {"importlib.resources", "pluggy", "qfpay_alipay", "ssl"}
OF_CLIENTS = OF_PLUGINS | {"asyncio", "httpcore2", "httpx2"}

READS = {
    "show order-1": set[str](),
    "show order-1 --json": set(),
    "show --reference order-1": set(),
    "list": set(),
    "list --json": set(),
    "list --review --csv": set(),
}
"""Commands that are parsed without typer, and the heavy modules that each may load."""

OTHERS = {
    "totals": OF_TYPER,
    "changes --list": OF_TYPER,
    "review list": OF_TYPER,
    "ledger verify": OF_TYPER,
    "ledger verify order-1 --json": OF_TYPER,
    "ledger anchor": OF_TYPER,
    "ledger export --output out.jsonl": OF_TYPER,
    "ledger migrate": OF_TYPER,
    "ledger backup backup.db": OF_TYPER,
    "ledger copy sqlite:///backup.db sqlite:///copied.db": OF_TYPER,
    "completion bash": OF_TYPER,
    "__complete zsh show ": OF_TYPER,
    "accounts --json": OF_PLUGINS,
    "plugins list": OF_PLUGINS,
    "query order-1": OF_CLIENTS,
    "await order-1 --timeout 0": OF_CLIENTS,
    "capture order-1 --account shop": OF_CLIENTS,
    "close order-1": OF_CLIENTS,
    "refund order-1 --reference back-1": OF_CLIENTS,
    "returned order-1 --param a=b": OF_CLIENTS,
    "review acknowledge order-1 --reason paid_twice --note seen": OF_CLIENTS,
    "review record order-1 --closed --note seen": OF_CLIENTS,
    "resolve": OF_CLIENTS,
    "sandbox pay order-1": OF_CLIENTS,
    "sandbox decline order-1": OF_CLIENTS,
    "sandbox fault no_such_fault": OF_CLIENTS,
    "changes --consumer a": OF_CLIENTS,
    " ".join(order("order-2")): OF_CLIENTS,
}
"""The same of commands that typer parses; those that fail have loaded what they need before."""

HELP_ONLY = (
    "init",
    "serve",
    "worker",
    "reconcile",
    "smoke",
    "doctor",
    "plugins check",
    "plugins new",
    "sandbox serve",
    "demo",
)
"""Commands that go on until they are stopped, or write files: their modules load nothing until they run."""

_PROBE = """
import json, os, sys

def run(words):
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with os.fdopen(reading) as file:
            modules = json.load(file)
        os.waitpid(child, 0)
        return modules
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    try:
        from paycore.cli.main import main
        main(words)
    finally:
        with os.fdopen(writing, "w") as file:
            json.dump(sorted(sys.modules), file)
        os._exit(0)

given = json.load(sys.stdin)
found = {words: run(words.split(" ")) for words in given["reads"]}
import paycore.cli.app  # once, for all that need it
found |= {words: run(words.split(" ")) for words in given["others"]}
print(json.dumps(found))
"""


def loaded(*, reads: Sequence[str] = (), others: Sequence[str] = ()) -> Mapping[str, set[str]]:
    """The modules that each of these commands has loaded by its end, each in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE],
        input=json.dumps({"reads": reads, "others": others}),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return {words: set(modules) for words, modules in json.loads(done.stdout).items()}


def test_every_command_loads_only_what_it_uses(cli: Cli, shop: SandboxServer) -> None:
    """A command that reads loads no plugin and no network, one that asks no server, none of them pydantic or rich."""
    cli.create()
    helps = {f"{words} --help": OF_TYPER for words in HELP_ONLY}
    allowed = READS | OTHERS | helps
    found = loaded(reads=[*READS], others=[*OTHERS, *helps])
    surplus = {words: sorted(modules & HEAVY - allowed[words]) for words, modules in found.items()}
    assert not {words: names for words, names in surplus.items() if names}
    assert len(found) == len(allowed)
    assert "httpx2" in found["query order-1"]  # they were run
    assert "qfpay_alipay" in found["accounts --json"]


def test_every_command_is_tried() -> None:
    """The tables above have every command there is."""
    names = [
        f"{word} {sub}" if sub else word
        for word, entry in COMMANDS.items()
        for sub in (entry if isinstance(entry, dict) else [""])
    ]
    tried = [*READS, *OTHERS, *HELP_ONLY]
    assert not [name for name in names if not any(f"{words} ".startswith(f"{name} ") for words in tried)]


def test_version_loads_nothing() -> None:
    """`--version` loads neither typer nor the domain."""
    modules = loaded(reads=["--version"])["--version"]
    assert {name for name in modules if name.startswith("paycore")} == {
        "paycore",
        "paycore.cli",
        "paycore.cli.main",
    }
    assert not modules & (HEAVY | {"msgspec", "sqlite3"})


def test_reading_loads_none_of_what_writes(cli: Cli, shop: SandboxServer) -> None:
    """`list` loads no SQL but its own, and none of what providers are told and say."""
    cli.create()
    modules = loaded(reads=["list"])["list"]
    assert "paycore.ledger.lists" in modules
    assert not modules & {
        "paycore.domain.lifecycle",
        "paycore.domain.provider",
        "paycore.engine.secrecy",
        "paycore.ledger.base",
        "paycore.ledger.feed",
        "paycore.ledger.group",
        "paycore.ledger.verbs",
    }


def test_help_loads_no_provider() -> None:
    """The help of every command loads no plugins, httpx2 or rich."""
    assert not loaded(others=["--help"])["--help"] & (HEAVY - OF_TYPER)


@pytest.mark.parametrize(
    "words",
    [
        "show abc",
        "show abc --json --quiet",
        "show --reference r --account a --config c.toml --no-color",
        "--json --config c.toml show abc",
        "--account a list --json --limit 3",
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
        "--json show a --json",
        "--config c.toml",
        "--config show a",
        "-v list",
        "--review list",
        "a show",
        "",
    ],
)
def test_other_arguments_go_to_typer(words: str) -> None:
    """Any other arguments are left to typer, which reports what is wrong."""
    assert quick.parse(words.split()) is None
