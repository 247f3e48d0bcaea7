"""The smallest provider passes the kit, and stays small."""

from pathlib import Path

from examples.providers import scripted
from paycore.testing import Subject, conformance_of

(SANDBOX,) = scripted.paycore_register_sandboxes()

test_conformance = conformance_of(Subject(provider=scripted.ScriptedPay, sandbox=SANDBOX))


def test_example_is_short() -> None:
    """Provider and gateway together: what an author does not need is not asked for."""
    lines = [line for line in Path(scripted.__file__).read_text("utf-8").splitlines() if line.strip()]
    assert len(lines) <= 200
