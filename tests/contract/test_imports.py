"""Who may import whom: each contract of pyproject.toml fails on a violation; other rules are checked here."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = Path("plugins/qfpay_alipay")
PLUGINS = sorted(path.parent.relative_to(ROOT) for path in ROOT.glob("plugins/*/pyproject.toml"))
PACKAGES = [Path("paycore"), *(plugin / plugin.name for plugin in PLUGINS)]

# For each contract, by the start of its name: a module and an import that breaks it.
VIOLATIONS = {
    "Imports go down only": ("paycore/ledger", "import paycore.engine.runner"),
    "QFPay's imports go down only": (f"{PLUGIN}/qfpay_alipay/messages.py", "import qfpay_alipay.query"),
    "PayPal's imports go down only": (
        "plugins/paypal_orders/paypal_orders/messages.py",
        "import paypal_orders.looking",
    ),
    "What a plugin sees": ("paycore/plugin.py", "import paycore.ledger.api"),
    "httpx2 has one home": ("paycore/engine/runner.py", "import httpx2"),
    "SQL has one home": ("paycore/engine/client.py", "import sqlite3"),
    "pluggy has one home": ("paycore/engine/runner.py", "import pluggy"),
    "typer has one home": ("paycore/engine/config.py", "import typer"),
    "Serving has three homes": ("paycore/testing", "import starlette.applications"),
    "Metrics and traces have their homes": ("paycore/engine/runner.py", "import prometheus_client"),
    "A plugin knows paycore by": (f"{PLUGIN}/qfpay_alipay/pay_types.py", "from paycore.domain import money"),
}


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted names a module imports, wherever in the module; `from a import b` yields `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the full name of the module"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_planted_violations_are_found(tmp_path: Path) -> None:
    """One forbidden import planted for each contract of pyproject.toml breaks that contract."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in PACKAGES:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for module, statement in VIOLATIONS.values():
        path = tmp_path / module
        with (path / "__init__.py" if path.is_dir() else path).open("a") as file:
            file.write(f"\n{statement}\n")
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache", "--config", "pyproject.toml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, [tmp_path, *(tmp_path / plugin for plugin in PLUGINS)])),
            "NO_COLOR": "1",
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    broken = set(re.findall(r"^(.+) BROKEN", done.stdout, re.MULTILINE))
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert broken == {contract["name"] for contract in contracts}, done.stdout + done.stderr
    assert len(contracts) == len(VIOLATIONS)
    assert all(any(name.startswith(start) for name in broken) for start in VIOLATIONS)


def test_imports_make_no_circle() -> None:
    """No import cycles, wherever in a module the import stands."""
    graph = grimp.build_graph(*(package.name for package in PACKAGES), cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError with the circle in it


@pytest.mark.parametrize(
    "path", sorted((ROOT / "paycore/domain").glob("**/*.py")), ids=lambda path: path.stem
)
def test_imports_of_domain_are_pure(path: Path) -> None:
    """The domain imports the standard library, msgspec and paycore.errors; no I/O, clock or other package."""
    allowed = re.compile(r"paycore\.(domain|errors)(\.|$)|msgspec(\.|$)")
    effects = {"asyncio", "os", "pathlib", "random", "socket", "sqlite3", "subprocess", "threading", "time"}
    for name in imports_of(path):
        top = name.partition(".")[0]
        assert allowed.match(name) or (top in sys.stdlib_module_names and top not in effects), name


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_imports_of_plugin_use_its_public_modules(plugin: Path) -> None:
    """A plugin imports from paycore what `paycore.plugin` offers; its sandbox also what `paycore.sandbox` offers."""
    for path in (ROOT / plugin / plugin.name).rglob("*.py"):
        allowed = r"paycore\.(plugin|sandbox)(\.|$)" if is_of_sandbox(path) else r"paycore\.plugin(\.|$)"
        for name in imports_of(path):
            assert not re.match(r"paycore(\.|$)", name) or re.match(allowed, name), path


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_imports_of_client_and_sandbox_are_apart(plugin: Path) -> None:
    """A plugin's sandbox shares no code with its client, so that each checks the other; only the hooks know both."""
    for path in (ROOT / plugin / plugin.name).rglob("*.py"):
        for name in imports_of(path):
            names_sandbox = f"{name}.".startswith(f"{plugin.name}.sandbox.")
            if is_of_sandbox(path):
                assert names_sandbox or not f"{name}.".startswith(f"{plugin.name}."), path
            else:
                assert not names_sandbox or path.stem == "hooks", path


def is_of_sandbox(path: Path) -> bool:
    """Whether a module of a plugin belongs to its sandbox."""
    return "sandbox" in path.relative_to(ROOT).with_suffix("").parts


def test_imports_inside_paycore_name_the_defining_module() -> None:
    """Only applications import from `paycore` itself; inside, names come from their defining module."""
    inside = {"paycore.__version__"}  # the version is defined there
    for path in (ROOT / "paycore").rglob("*.py"):
        if path.relative_to(ROOT / "paycore").parts[0] == "cli" or path == ROOT / "paycore/__init__.py":
            continue
        for name in imports_of(path):
            is_top_level = name == "paycore" or (
                name.count(".") == 1
                and name.startswith("paycore.")
                and not (ROOT / name.replace(".", "/")).is_dir()
                and not (ROOT / name.replace(".", "/")).with_suffix(".py").is_file()
            )
            assert not is_top_level or name in inside, f"{path.relative_to(ROOT)}: {name}"
