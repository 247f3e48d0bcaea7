"""Bugs for the checks of `declaration`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
