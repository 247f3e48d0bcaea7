"""Runs code without the right to write in a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
"""The user that owns nothing."""


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Without the right to write in `folder`: as root, as another user."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
        return
    modes = {entry: entry.stat().st_mode for entry in (*folder.iterdir(), folder)}
    for entry, mode in modes.items():
        entry.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for entry, mode in modes.items():
            entry.chmod(mode)
