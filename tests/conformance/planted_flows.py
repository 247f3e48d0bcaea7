"""Bugs for the checks of `flows`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
