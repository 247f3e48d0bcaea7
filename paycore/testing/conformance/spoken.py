"""What is said while a check runs: by errors, in logs, and in print."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator


def words_of(error: BaseException) -> str:
    """All that an error says, with those it came from and its notes."""
    words, seen = [], error
    for _ in range(5):
        words += [str(seen), repr(seen), *getattr(seen, "__notes__", ())]
        following = seen.__cause__ or seen.__context__
        if following is None:
            break
        seen = following
    return "\n".join(words)


def logged(record: logging.LogRecord) -> str:
    """One record with everything in it."""
    extra = {name: value for name, value in vars(record).items() if name not in ("args", "msg")}
    error = record.exc_info[1] if record.exc_info else None
    return f"{record.getMessage()}\n{extra}\n{'' if error is None else words_of(error)}"


@contextlib.contextmanager
def hearing() -> Iterator[Callable[[], list[str]]]:
    """What is logged by any logger, or printed, inside the block: a function that returns it."""
    records: list[logging.LogRecord] = []

    class _Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    root, handler, printed = logging.getLogger(), _Listener(), io.StringIO()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield lambda: [*map(logged, records), printed.getvalue()]
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
