"""Bugs for the checks of `queries`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
