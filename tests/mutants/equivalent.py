"""The survivors that no test could find, each with the reason."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.mutants.running import Fate, Result
from tests.mutants.sources import Key

LIST = Path(__file__).with_name("equivalent.toml")


class Equivalent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry: the mutant, by the lines it changes, and why no test can find it."""

    module: str
    where: str
    removed: str = ""
    added: str = ""
    nth: int = 0
    reason: str

    @property
    def key(self) -> Key:
        """The mutant's key."""
        return self.module, self.where, self.removed, self.added, self.nth


class _File(msgspec.Struct, forbid_unknown_fields=True):
    equivalent: list[Equivalent] = []


def listed() -> list[Equivalent]:
    """Every entry of the list."""
    return msgspec.toml.decode(LIST.read_bytes(), type=_File).equivalent


class Judge:
    """Compares survivors with the list."""

    def __init__(self) -> None:
        self._listed = {entry.key for entry in listed()}
        self._survivors: set[Key] = set()
        self._changed: set[tuple[str, str]] = set()

    def problem_of(self, result: Result) -> str | None:
        """What is wrong with this result: a survivor that is not listed."""
        mutant = result.mutant
        self._changed.add((mutant.module, mutant.where))
        if result.fate not in (Fate.SURVIVED, Fate.NOT_COVERED):
            return None
        self._survivors.add(mutant.key)
        return None if mutant.key in self._listed else f"{result.fate}: {_describe(mutant.key)}"

    @property
    def known(self) -> int:
        """How many survivors are listed."""
        return len(self._listed & self._survivors)

    def stale(self) -> list[str]:
        """Entries about definitions that were changed, whose mutants no longer survive."""
        return [
            f"listed as equivalent, and none survives: {_describe(key)}"
            for key in sorted(self._listed - self._survivors)
            if key[:2] in self._changed
        ]


def _describe(key: Key) -> str:
    module, where, removed, added, nth = key
    return f"{module}:{where}{f' (nth = {nth})' if nth else ''}\n  - {removed}\n  + {added}"
