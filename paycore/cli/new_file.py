"""Writes a file that is not there yet."""

from __future__ import annotations

from pathlib import Path


def write_new(path: Path, text: str) -> None:
    """Write it readable by its owner only, whatever the umask; `FileExistsError` if there is one already."""
    path.touch(0o600, exist_ok=False)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")
