"""What the pages say about the code agrees with the code."""

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from paycore import ChangeKind, PaymentChange, errors, hookspecs
from paycore.errors import PaycoreError
from tests.docs.pages import PAGES, ROOT, name_of

HOOKS = [name for name in vars(hookspecs) if name.startswith("paycore_")]
RUNNABLE = re.compile(r"`(examples/[\w/]+\.py|scripts/[\w/]+\.py|examples/\w+)`")


def load_script(name: str) -> ModuleType:
    """A script of the project, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent.name == "docs"], ids=name_of)
def test_tables_that_follow_from_the_code_are_up_to_date(path: Path) -> None:
    """`scripts/docs_tables.py` would change nothing."""
    text = path.read_text(encoding="utf-8")
    assert load_script("docs_tables").filled(text) == text


def test_tables_are_looked_at() -> None:
    """The check above fails on an edited table."""
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    assert load_script("docs_tables").filled(text.replace("NotSent", "NotSend")) == text


def test_every_example_is_looked_at() -> None:
    """The check above takes every mark of an example for one, and fails on an edited example."""
    docs_tables = load_script("docs_tables")
    text = (ROOT / "docs/writing-a-plugin.md").read_text(encoding="utf-8")
    marked = [found[0] for found in docs_tables.SOURCED.finditer(text)]
    assert len(marked) == text.count("<!-- source: ") > 0
    assert docs_tables.filled(text.replace("yield", "return")) != text.replace("yield", "return")


def test_every_recipe_is_printed() -> None:
    """docs/recipes.md has each file of examples/recipes that is an operator's, whole; an edited one is out of date."""
    docs_tables = load_script("docs_tables")
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    printed = [found[2] for found in docs_tables.FILED.finditer(text)]
    assert len(printed) == text.count("<!-- file: ")
    folder = ROOT / "examples/recipes"
    there = [
        path
        for name in ("*.sh", "*.toml", "*.service", "cron/*", "ci/*")
        for path in folder.glob(name)
        if path.is_file()
    ]
    assert sorted(printed) == sorted(str(path.relative_to(folder)) for path in there)
    assert docs_tables.filled(text.replace("set -eu", "set -e")) != text.replace("set -eu", "set -e")


def test_kinds_of_changes_are_those_of_the_code() -> None:
    """docs/changes.md has a row for each kind, in the order in which one event's changes come."""
    text = (ROOT / "docs/changes.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text.partition("| Kind |")[2], re.MULTILINE) == list(ChangeKind)


def test_a_change_has_the_attributes_listed() -> None:
    """docs/changes.md has a row for each attribute of a change."""
    text = (ROOT / "docs/changes.md").read_text(encoding="utf-8")
    listed = text.partition("| Attribute |")[2].partition("| Kind |")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", listed, re.MULTILINE)) == PaymentChange.__struct_fields__


def test_every_error_says_what_to_do() -> None:
    """Every error class has advice in the documentation, and all advice is of a class."""
    docs_tables = load_script("docs_tables")
    names = [kind.__name__ for kind in docs_tables.error_classes(PaycoreError)]
    assert sorted(docs_tables.WHAT_TO_DO) == sorted(names)


def test_error_tree_is_drawn_as_it_is() -> None:
    """The tree in errors.py has every class, at its depth, in the order of the file."""
    drawn = re.findall(
        r"^([│├└─ ]*)(\w+)", re.findall(r"```\n(.*?)```", errors.__doc__ or "", re.DOTALL)[0], re.MULTILINE
    )
    real = [
        (len(kind.__mro__) - len(PaycoreError.__mro__), kind.__name__)
        for kind in load_script("docs_tables").error_classes(PaycoreError)
    ]
    assert [(len(indent) // 4, name) for indent, name in drawn] == real


def test_hooks_headings_are_their_signatures() -> None:
    """docs/hooks.md has one heading for each hook, equal to its signature, in firing order."""
    headings = re.findall(r"^## `(.*)`$", (ROOT / "docs/hooks.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [f"{name}{signature(name)}" for name in HOOKS]


def signature(name: str) -> str:
    """The hook's signature in the code."""
    return str(inspect.signature(getattr(hookspecs, name))).replace("'", "")


@pytest.mark.parametrize("path", [*PAGES, ROOT / "examples/README.md"], ids=name_of)
def test_files_named_are_there(path: Path) -> None:
    """Each example and script a page names exists, and each relative link of the README leads somewhere."""
    text = path.read_text(encoding="utf-8")
    for name in RUNNABLE.findall(text):
        assert (ROOT / name).exists(), name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (path.parent / target).exists(), target


def test_statuses_are_all_explained() -> None:
    """docs/concepts.md has a row for each status and each reason for review."""
    from paycore import ReviewReason, Status

    text = (ROOT / "docs/concepts.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert {*Status, *ReviewReason} <= rows
