"""One name means one thing: a base name and a public class's name are used once in paycore and each plugin."""

import ast
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSES = [[ROOT / "paycore", plugin / plugin.name] for plugin in sorted((ROOT / "plugins").iterdir())]
"""Each plugin beside paycore: the plugins do not know each other."""
NAMED_BY_CONTENT = (ROOT / "paycore/cli/commands", ROOT / "paycore/testing/conformance/suite")
"""Their modules are named after the commands, and the subjects of the checks, that they hold."""

SHARED_MODULES = {
    "api": "the interface of its package",
    "commands": "the commands of the engine, and those of the command line",
    "feed": "the change feed: how it is read for a consumer, and what the ledger keeps of it",
    "ledger": "the package, and in it the ledger of each database",
    "provider": "the contract, and a plugin's implementation of it",
    "reader": "the reader of each database's ledger",
    "recovery": "what to do about an unanswered operation: decided in the domain, carried out in the engine",
    "sandbox": "the host of sandboxes, and the sandbox of a plugin",
    "server": "PostgreSQL's server, and the HTTP server of the sandbox",
    "signing": "a client and its sandbox sign by code of their own, so that each checks the other",
}


def test_names_of_modules_are_used_once() -> None:
    """Modules and packages share a base name only where the table gives the reason, and every entry is needed."""
    seen: dict[str, list[str]] = {}
    for house in HOUSES:
        files = [path for package in house for path in package.rglob("*.py")]
        modules = (path.parent if path.name == "__init__.py" else path.with_suffix("") for path in files)
        seen |= shared(
            (path.name, str(path.relative_to(ROOT)))
            for path in modules
            if path.parent not in NAMED_BY_CONTENT
        )
    assert unlisted(seen, SHARED_MODULES) == {}
    assert stale(seen, SHARED_MODULES) == set()


@pytest.mark.parametrize("house", HOUSES, ids=lambda house: house[-1].name)
def test_names_of_public_classes_are_used_once(house: list[Path]) -> None:
    """No two public classes share a name."""
    found = (
        (node.name, str(path.relative_to(ROOT)))
        for package in house
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert shared(found) == {}


def test_shared_names_are_noticed() -> None:
    """A name in two places is reported unless it is listed; a listed name in fewer places is stale."""
    places = [
        ("wire", "paycore/domain/wire"),
        ("wire", "paycore/sandbox/wire"),
        ("money", "paycore/domain/money"),
    ]
    found = shared(places)
    assert found == {"wire": ["paycore/domain/wire", "paycore/sandbox/wire"]}
    assert unlisted(found, {}) == found
    assert unlisted(found, {"wire": "a reason"}) == {}
    assert stale(found, {"wire": "a reason", "money": "in one place", "gone": "in none"}) == {"money", "gone"}


def shared(found: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names in more than one place, with these places."""
    places = defaultdict(list)
    for name, place in found:
        places[name].append(place)
    return {name: sorted(where) for name, where in places.items() if len(where) > 1}


def unlisted(found: dict[str, list[str]], listed: dict[str, str]) -> dict[str, list[str]]:
    """Shared names that the table does not give a reason for."""
    return {name: where for name, where in found.items() if name not in listed}


def stale(found: dict[str, list[str]], listed: dict[str, str]) -> set[str]:
    """Entries of the table that are no longer needed: their name is not shared."""
    return set(listed) - set(found)
