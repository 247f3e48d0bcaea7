"""Bugs for the checks of `captures`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
