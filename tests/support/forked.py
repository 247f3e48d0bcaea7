"""Work in a forked child of the test's process."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType


def begin_child(work: Callable[[], object], *, timeout_s: int = 20) -> int:
    """The process id of a forked child that does this work; see `ended`. It prints what it raises or where it hangs."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(timeout_s)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return child


def _too_late(_number: int, frame: FrameType | None) -> None:
    traceback.print_stack(frame)
    sys.stderr.flush()
    os._exit(2)


def ended(child: int) -> int:
    """The exit code of a forked child: 0 if its work returned, 1 if it raised, 2 when it took too long."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_child(work: Callable[[], object]) -> int:
    """Do this work in a forked child; see `ended`."""
    return ended(begin_child(work))
