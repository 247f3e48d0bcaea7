"""What a check of `doctor` found, and the exit code of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from paycore.cli.endings import Exit

Judgement = Literal["ok", "warning", "problem", "not checked"]

ORDER = (Exit.CONFIG, Exit.NOT_SENT, Exit.REVIEW)
"""Which problem decides the exit code: what is wrong here first, for the others may follow from it."""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one check found.

    `about` is what was looked at, such as "ledger" or "account hk"; `check` the check's name. `found` says what there
    is, or why nothing was checked; `advice` what to do, empty where nothing is to be done. `exit` is that of a problem.
    """

    about: str
    check: str
    verdict: Judgement
    found: str
    advice: str = ""
    exit: Exit = Exit.DONE

    @property
    def document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "about": self.about,
            "check": self.check,
            "verdict": self.verdict,
            "found": self.found,
            "advice": self.advice,
            "exit_code": int(self.exit),
        }


Checks = Iterator[Diagnosis]


class Area:
    """Makes the diagnoses about one thing."""

    def __init__(self, about: str) -> None:
        self.about = about

    def ok(self, check: str, found: str) -> Diagnosis:
        """All is well."""
        return Diagnosis(about=self.about, check=check, verdict="ok", found=found)

    def warning(self, check: str, found: str, advice: str) -> Diagnosis:
        """Payments work, and something should be done."""
        return Diagnosis(about=self.about, check=check, verdict="warning", found=found, advice=advice)

    def problem(self, check: str, found: str, advice: str, code: Exit = Exit.CONFIG) -> Diagnosis:
        """Payments do not work, or a person must look."""
        return Diagnosis(
            about=self.about, check=check, verdict="problem", found=found, advice=advice, exit=code
        )

    def unchecked(self, check: str, why: str) -> Diagnosis:
        """It could not be looked at, or there is nothing to look at."""
        return Diagnosis(about=self.about, check=check, verdict="not checked", found=why)


def exit_of(found: Iterable[Diagnosis]) -> Exit:
    """The exit code of all of these: that of the first problem in `ORDER`, done where there is none."""
    codes = {one.exit for one in found if one.verdict == "problem"}
    return next((code for code in ORDER if code in codes), Exit.DONE)
