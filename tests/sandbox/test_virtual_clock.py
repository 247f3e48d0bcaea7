"""The sandbox clock: speed, jumps, planned calls."""

import threading
import time

import pytest

from paycore.sandbox.virtual_clock import SandboxClock


def test_clock_runs_at_its_speed() -> None:
    """At speed 1000 a sandbox second passes in a millisecond."""
    clock = SandboxClock(speed=1000)
    before = clock.now_ms()
    time.sleep(0.02)
    assert 15_000 < clock.now_ms() - before < 2_000_000


def test_clock_begins_now_or_where_the_last_one_was() -> None:
    """At real time, or the time of an earlier clock if that is later."""
    now = time.time_ns() // 1_000_000
    assert abs(SandboxClock().now_ms() - now) < 5_000
    assert SandboxClock(not_before_ms=now + 10**9).now_ms() >= now + 10**9
    assert abs(SandboxClock(not_before_ms=1000).now_ms() - now) < 5_000


def test_advance_does_what_is_due_in_order_before_it_returns() -> None:
    """By time, then in the order of planning; `on_jump` gets the new time."""
    jumps: list[int] = []
    clock = SandboxClock(on_jump=jumps.append)
    done: list[str] = []
    start = clock.now_ms()
    for name, after_s in (("late", 90), ("b", 60), ("a", 30), ("c", 60)):
        clock.call_at(start + after_s * 1000, lambda name=name: done.append(name))  # type: ignore[misc]
    now = clock.advance(61)
    assert done == ["a", "b", "c"]
    assert jumps[0] <= now < start + 70_000
    clock.close()


def test_advance_waits_for_what_the_clock_is_doing() -> None:
    """A plan that the clock's own thread has begun is done too when `advance` returns, and nothing passes it."""
    clock = SandboxClock()
    has_begun = threading.Event()
    done: list[str] = []

    def slow() -> None:
        has_begun.set()
        time.sleep(0.1)
        done.append("slow")

    clock.call_at(clock.now_ms(), slow)
    clock.call_at(clock.now_ms() + 60_000, lambda: done.append("later"))
    assert has_begun.wait(5.0)
    clock.advance(61)
    assert done == ["slow", "later"]
    clock.close()


def test_advance_back_is_refused() -> None:
    """The clock never goes back."""
    with pytest.raises(ValueError, match="forward"):
        SandboxClock().advance(-0.1)


def test_plan_happens_by_itself() -> None:
    """Without `advance`; an earlier plan made later is not delayed by the one waited for."""
    clock = SandboxClock()
    done = threading.Event()
    clock.call_at(clock.now_ms() + 60_000, lambda: None)
    clock.call_at(clock.now_ms() + 20, done.set)
    assert done.wait(1.0)
    clock.close()


def test_plan_that_fails_does_not_stop_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged, and the next plan is carried out."""
    clock = SandboxClock()
    done: list[int] = []
    clock.call_at(clock.now_ms() + 60_000, lambda: done.append(1 // 0))
    clock.call_at(clock.now_ms() + 60_001, lambda: done.append(1))
    clock.advance(61)
    assert done == [1]
    assert "planned on the sandbox clock failed" in caplog.text
    clock.close()


def test_closed_clock_does_nothing_more() -> None:
    """After closing no plan is carried out, not even by `advance`."""
    clock = SandboxClock()
    done: list[int] = []
    clock.call_at(clock.now_ms() + 1000, lambda: done.append(1))
    clock.close()
    clock.advance(60)
    assert done == []
