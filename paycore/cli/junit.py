"""Results as JUnit's XML, as CI servers read it: what `plugins check` and `smoke` write with `--junit FILE`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from xml.etree import ElementTree as ET

import msgspec
import typer

from paycore.cli.endings import UsageProblem

JunitFile = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write the results into it as JUnit's XML, for CI."),
]


class JunitCase(msgspec.Struct, frozen=True, kw_only=True):
    """
    One test case. `message` says in one line why it failed or was skipped, `details` all there is to know of it.

    `group` is what CI servers show it under, parts separated by dots.
    """

    group: str
    name: str
    verdict: Literal["passed", "failed", "skipped"]
    seconds: float
    message: str = ""
    details: str = ""


def refuse_missing_folder(path: Path | None) -> None:
    """Raise `UsageProblem` where the file can't be made, before anything is run."""
    if path is not None and not path.parent.is_dir():
        raise UsageProblem(f"--junit: there is no folder {path.parent}")


def write_junit(path: Path | None, suite: str, cases: Sequence[JunitCase]) -> None:
    """Write the cases as one suite; None writes nothing. Raises `UsageProblem` where that fails."""
    if path is None:
        return
    try:
        path.write_bytes(_rendered(suite, cases))
    except OSError as error:
        raise UsageProblem(f"--junit: {path} can't be written: {error.strerror}") from None


def _rendered(suite: str, cases: Sequence[JunitCase]) -> bytes:
    verdicts = [case.verdict for case in cases]
    root = ET.Element(
        "testsuite",
        name=_xml(suite),
        tests=str(len(cases)),
        failures=str(verdicts.count("failed")),
        skipped=str(verdicts.count("skipped")),
        time=f"{sum(case.seconds for case in cases):.3f}",
    )
    for case in cases:
        element = ET.SubElement(
            root, "testcase", classname=_xml(case.group), name=_xml(case.name), time=f"{case.seconds:.3f}"
        )
        if case.verdict == "failed":
            ET.SubElement(element, "failure", message=_xml(case.message)).text = _xml(case.details)
        elif case.verdict == "skipped":
            ET.SubElement(element, "skipped", message=_xml(case.message))
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _xml(text: str) -> str:
    """The text without what XML can't hold."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
