"""Every need of a real API has a test, and every miniature provider is among them."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from paycore.engine.plugins import Plugins
from tests.providers.conftest import Offering
from tests.providers.minis import PROVIDERS
from tests.providers.table import ROWS, Row

HERE = Path(__file__).parent
MINIS = sorted(path.stem for path in (HERE / "minis").glob("[a-z]*.py") if path.stem != "calls")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.module}-{row.test}")
def test_every_need_has_its_test(row: Row) -> None:
    """It opens a shop of the public API, so it runs with both clients."""
    test = getattr(importlib.import_module(f"tests.providers.test_{row.module}"), row.test)
    assert "open_shop" in inspect.signature(test).parameters


def test_every_miniature_is_taken_as_a_plugin() -> None:
    """Loading checks its class and what it declares, and finds nothing wrong."""
    plugins = Plugins(extra=[(kind.info.name, Offering(kind)) for kind in PROVIDERS])
    offered = plugins.providers()
    assert plugins.failures == []
    assert {offered[kind.info.name] for kind in PROVIDERS} == set(PROVIDERS)
    assert len(PROVIDERS) == len(MINIS)


def test_every_miniature_is_in_the_table() -> None:
    """None is left without a need that it shows."""
    assert sorted({row.module for row in ROWS}) == MINIS


@pytest.mark.parametrize("mini", MINIS)
def test_a_miniature_needs_nothing_of_the_core_but_the_contract(mini: str) -> None:
    """A plugin imports `paycore.plugin`, and so do the examples."""
    tree = ast.parse((HERE / "minis" / f"{mini}.py").read_text())
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = {module for module in imported if module and module.startswith(("paycore", "tests"))}
    assert ours <= {"paycore.plugin", "tests.providers.minis.calls"}
