"""What became of the checks of one provider: as values and as JSON."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Verdict = Literal["passed", "failed", "not applicable"]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of one check.

    `why` says what was seen, or why the check does not apply; empty where it passed. `advice` says what to change, and
    `read` where it is explained.
    """

    check: str
    group: str
    requirement: str
    verdict: Verdict
    why: str = ""
    advice: str = ""
    read: str = ""
    seconds: float = 0.0


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of every check that was run of a provider, in their order."""

    provider: str
    results: tuple[CheckResult, ...]

    @property
    def is_passed(self) -> bool:
        """Whether no check failed, and at least one passed."""
        verdicts = [result.verdict for result in self.results]
        return "failed" not in verdicts and "passed" in verdicts

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.verdict == "failed")

    def count(self, verdict: Verdict) -> int:
        """How many checks have this verdict."""
        return sum(result.verdict == verdict for result in self.results)

    @property
    def document(self) -> dict[str, Any]:
        """The report as one JSON object."""
        return {
            "provider": self.provider,
            "passed": self.count("passed"),
            "failed": self.count("failed"),
            "not_applicable": self.count("not applicable"),
            "checks": [msgspec.to_builtins(result) for result in self.results],
        }
