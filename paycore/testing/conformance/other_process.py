"""
Goes through recorded flows in another process, where sets of texts have another order.

What is handed over is pickled, the sandbox's secrets with it: to a child of this process, by a pipe.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paycore.domain.secret import Secret
from paycore.domain.wire import Request
from paycore.testing.conformance.check import Failed
from paycore.testing.conformance.recorded_flow import RecordedFlow
from paycore.testing.conformance.replays import retold

STARTED_S = 30.0
"""How long the other process may take."""


def requests_elsewhere(
    kind: type, settings: object, flows: Sequence[RecordedFlow], folder: Path
) -> list[tuple[Request, ...]] | None:
    """
    The requests of each flow, made by a new provider in another process with another hash seed.

    None where that can't be tried: the provider is of no module that can be imported, or its session can't be copied.
    """
    answer = folder / "elsewhere.pickle"
    handed = io.BytesIO()
    try:
        given = [(one.name, one.given, one.responses) for one in flows]
        _Pickler(handed).dump((str(answer), kind, settings, given))
        subprocess.run(  # noqa: S603 - this interpreter, and no shell
            [sys.executable, "-c", f"from {__name__} import _answer; _answer()"],
            input=handed.getvalue(),
            env={**os.environ, "PYTHONHASHSEED": _another_seed(), "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            timeout=STARTED_S,
        )
        found: list[tuple[Request, ...]] = pickle.loads(answer.read_bytes())  # noqa: S301 - written by our child
    except (OSError, subprocess.SubprocessError, pickle.PickleError, AttributeError, TypeError):
        return None
    return found


def _another_seed() -> str:
    return "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"


class _Pickler(pickle.Pickler):
    """Copies secrets too, which refuse to be pickled."""

    def reducer_override(self, value: Any) -> Any:
        return (Secret, (value.reveal(),)) if isinstance(value, Secret) else NotImplemented


def _answer() -> None:
    """The child's part."""
    answer, kind, settings, given = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - from our parent
    requests = []
    for name, arguments, responses in given:
        recorded = RecordedFlow(name=name, given=arguments, responses=responses)
        try:
            requests.append(retold(recorded, kind(settings)).requests)
        except Failed:
            requests.append(())
    Path(answer).write_bytes(pickle.dumps(requests))
