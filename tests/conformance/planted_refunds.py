"""Bugs for the checks of `refunds`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
