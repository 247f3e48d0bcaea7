"""What was raised or returned, in a few words for a problem."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.provider import Created, Done, Found, NotNow, Rejected, Unknown

WHATEVER = (Exception, SystemExit, asyncio.CancelledError)
"""What a stranger's code may raise: everything but Ctrl-C and the guard of purity."""

SAID_MAX = 200
"""Characters of an error that are repeated."""

_LIBRARIES = sys.stdlib_module_names | {"anyio", "msgspec", "starlette", "uvicorn"}
_OWN = ("paycore.testing.conformance", "paycore.engine", "paycore.domain")


def said(outcome: object) -> str:
    """An outcome in a few words, for a problem."""
    words = f"{type(outcome).__name__}, which is no outcome"
    match outcome:
        case Done(value=Created(observation=seen)) | Done(value=PaymentObservation() as seen):
            words = f"Done({seen.status})"
        case Done(value=RefundObservation() as seen):
            words = f"Done(refund {seen.status})"
        case Done(value=Found(observations=seen, absent=absent)):
            statuses = [str(one.status) for one in seen] + [f"{len(absent)} absent"] * bool(absent)
            words = f"Done(Found({', '.join(statuses) or 'nothing'}))"
        case Done():
            words = "Done"
        case Rejected(failure=failure, is_duplicate=is_duplicate):
            words = f"Rejected({'duplicate, ' if is_duplicate else ''}{failure.code}: {failure.message})"
        case NotNow(problem=problem) | Unknown(problem=problem):
            words = f"{type(outcome).__name__}({problem})"
        case _:
            pass
    return words


def told_of(error: BaseException) -> str:
    """What was raised, where, and in which words."""
    words = " ".join(str(error).split())[:SAID_MAX]
    return f"{type(error).__name__} at {place_of(error)}" + (f": {words}" if words else "")


def place_of(error: BaseException) -> str:
    """File and line of the innermost frame of an error that is neither paycore's own nor a library's."""
    trace, found = error.__traceback__, "?"
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in _LIBRARIES and not name.startswith(_OWN):
            found = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
