"""Bugs for the checks of `outcomes`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
