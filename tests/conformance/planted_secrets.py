"""Bugs for the checks of `secrets`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
