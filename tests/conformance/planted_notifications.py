"""Bugs for the checks of `notifications`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
