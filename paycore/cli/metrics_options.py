"""The options of commands that serve metrics."""

from __future__ import annotations

from typing import Annotated

import typer

MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="Serve Prometheus metrics at /metrics on this port; 0 takes a free one."
    ),
]
MetricsHost = Annotated[str, typer.Option(metavar="ADDRESS", help="The address to serve metrics on.")]
