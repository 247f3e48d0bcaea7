"""What the plugin guide prints of the miniature providers is what runs here."""

import importlib
import inspect
import re
import textwrap
from operator import attrgetter
from pathlib import Path

import pytest

from tests.providers.table import markdown

GUIDE = (Path(__file__).parents[2] / "docs" / "writing-a-plugin.md").read_text()
PRINTED = re.findall(r"<!-- source: ([\w.]+) -->\n\n```py\n(.*?)```\n\n<!-- /source -->", GUIDE, re.DOTALL)


def source_of(place: str) -> str:
    """The source of `module.name` or `module.Class.method`, as if it stood alone."""
    module, _, name = place.partition(".")
    found = attrgetter(name)(importlib.import_module(f"tests.providers.minis.{module}"))
    return textwrap.dedent(inspect.getsource(found))


def test_the_guide_prints_some() -> None:
    """The marks are found, all of them."""
    assert len(PRINTED) == GUIDE.count("<!-- source: ") > 0


@pytest.mark.parametrize(("place", "code"), PRINTED, ids=[place for place, _ in PRINTED])
def test_the_guide_prints_what_runs(place: str, code: str) -> None:
    """Each example is the source of a miniature, word for word."""
    assert code == source_of(place)


def test_the_guide_has_the_table_of_needs() -> None:
    """`python -m tests.providers.table` prints it."""
    _, _, told = GUIDE.partition("<!-- table: needs -->")
    assert told.partition("<!-- /table -->")[0].strip() == markdown()


def update() -> None:
    """Write examples and table anew."""
    text = GUIDE
    for place, code in PRINTED:
        text = text.replace(f"```py\n{code}```", f"```py\n{source_of(place)}```", 1)
    before, mark, rest = text.partition("<!-- table: needs -->\n\n")
    _, end, after = rest.partition("\n\n<!-- /table -->")
    path = Path(__file__).parents[2] / "docs" / "writing-a-plugin.md"
    path.write_text(f"{before}{mark}{markdown()}{end}{after}")


if __name__ == "__main__":  # python -m tests.providers.test_guide
    update()
