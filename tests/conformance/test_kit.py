"""The kit passes good providers, and finds each planted bug by the check that is named for it."""

import re
from pathlib import Path

import pytest

from paycore.testing.conformance.check import Check, all_checks
from paycore.testing.conformance.running import chosen, run_check
from tests.conformance.good import GOOD
from tests.conformance.planting import Planted, planted

ROOT = Path(__file__).parents[2]
CHECKS = all_checks()
BUGS = list(planted())
FIRST_OF_EACH = list({bug.check: bug for bug in reversed(BUGS)}.values())[::-1]
"""One bug for each check; `python -m tests.conformance`, a part of `make proof`, plants them all."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_check_passes_what_is_good(check: Check) -> None:
    """Each check passes the first good provider that it applies to; `python -m tests.conformance` tries them all."""
    results = (run_check(subject, check) for subject in GOOD.values())
    result = next(result for result in results if result.verdict != "not applicable")
    assert result.verdict == "passed", result.why


@pytest.mark.parametrize("bug", FIRST_OF_EACH, ids=lambda bug: f"{bug.check}: {bug.bug}")
def test_check_finds_the_bug_planted_for_it(bug: Planted) -> None:
    """The check fails, and says what was seen, what to change and what to read."""
    (check,) = chosen([bug.check])
    result = run_check(bug.subject, check)
    assert result.verdict == "failed", result.why
    assert not result.why.startswith("ConfigError"), "the provider was not even loaded"
    assert not result.advice.startswith("mend what raised it"), "the check itself raised"
    assert result.why
    assert result.advice
    assert result.read


def test_every_check_has_a_planted_bug() -> None:
    """A check without one may never fail."""
    assert {check.name for check in CHECKS} == {bug.check for bug in BUGS}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_check_says_what_it_requires_and_where_to_read(check: Check) -> None:
    """A check's docstring is its requirement, and its section of the guide is there."""
    assert check.requirement.endswith(".")
    page, _, anchor = check.read.partition("#")
    text = (ROOT / page).read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
