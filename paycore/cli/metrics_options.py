"""The options of commands that serve metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from paycore.engine.scraped import Address

MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="Serve Prometheus metrics at /metrics on this port; 0 takes a free one."
    ),
]
MetricsHost = Annotated[str, typer.Option(metavar="ADDRESS", help="The address to serve metrics on.")]


def metrics_address(host: str, port: int | None) -> Address | None:
    """Where metrics are served; None where no port was given."""
    from paycore.engine.scraped import Address

    return None if port is None else Address(host, port)


def announced(metrics_url: str | None) -> dict[str, str]:
    """What a command says of its metrics, as a part of a document; nothing where they are not served."""
    return {} if metrics_url is None else {"metrics_url": metrics_url}
