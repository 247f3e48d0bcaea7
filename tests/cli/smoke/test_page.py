"""docs/smoke.md says what `smoke` does."""

import re
from pathlib import Path

from paycore.cli.smoke.step_results import WORST_FIRST
from tests.cli.smoke.test_passing import STEPS

PAGE = (Path(__file__).parents[3] / "docs/smoke.md").read_text(encoding="utf-8")


def test_steps_are_those_of_the_page() -> None:
    """The table of steps, and the example above it, have every step in its order."""
    table = PAGE.partition("| Step |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([a-z ]+)` \|", table, re.MULTILINE) == STEPS
    example = PAGE.partition("STEP  ")[2].partition("```")[0].splitlines()[1:]
    assert [line[:11].strip() for line in example if line[:1].strip()] == STEPS


def test_order_of_exit_codes_is_that_of_the_page() -> None:
    """Every exit code stands in the page, the worst first."""
    table = PAGE.partition("| Code |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == [str(int(code)) for code in WORST_FIRST]
