"""What a planted bug is; each module `planted_<group>` has those of the checks of one module."""

import importlib
from collections.abc import Iterator
from typing import NamedTuple

from paycore.testing import Subject
from paycore.testing.conformance.check import all_checks


class Planted(NamedTuple):
    """A copy of a good provider with one bug, and the check that finds it."""

    check: str
    bug: str
    subject: Subject


def planted() -> Iterator[Planted]:
    """All of them."""
    for group in dict.fromkeys(check.group for check in all_checks()):
        yield from importlib.import_module(f"tests.conformance.planted_{group}").BUGS
