"""Bugs for the checks of `charge_backs`."""

from tests.conformance.planting import Planted

BUGS: list[Planted] = []
