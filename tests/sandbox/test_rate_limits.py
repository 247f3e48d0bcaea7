"""The request limit."""

from paycore.sandbox.rate_limits import RateLimit
from paycore.sandbox.virtual_clock import SandboxClock


def test_limit_slides() -> None:
    """A sliding window, in which refused requests do not count."""
    clock = SandboxClock()
    limit = RateLimit(clock, [(3, 10)])
    assert limit.admits()
    clock.advance(6)
    assert [limit.admits() for _ in range(4)] == [True, True, False, False]
    clock.advance(5)
    assert [limit.admits() for _ in range(2)] == [True, False]


def test_limit_of_two_windows_holds_both() -> None:
    """Two a second and three a minute."""
    clock = SandboxClock()
    limit = RateLimit(clock, [(2, 1), (3, 60)])
    assert [limit.admits() for _ in range(3)] == [True, True, False]
    clock.advance(2)
    assert [limit.admits() for _ in range(2)] == [True, False]
    clock.advance(61)
    assert limit.admits()


def test_limit_of_zero_is_none() -> None:
    """0 switches a window off."""
    limit = RateLimit(SandboxClock(), [(0, 1), (0, 60)])
    assert all(limit.admits() for _ in range(1000))
