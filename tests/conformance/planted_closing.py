"""Bugs for the checks of `closing`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
