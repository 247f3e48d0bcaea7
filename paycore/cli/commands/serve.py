"""`serve` receives notifications over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Annotated, NoReturn

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit
from paycore.cli.metrics_options import MetricsHost, MetricsPort, announced, metrics_address
from paycore.cli.output import Output

_OF_THE_EXTRA = frozenset({"starlette", "uvicorn", "h11", "anyio"})

Host = Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on; 0.0.0.0 takes all.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")]


def serve(
    context: typer.Context,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    metrics_host: MetricsHost = "127.0.0.1",
    metrics_port: MetricsPort = None,
) -> int:
    """
    Receive notifications at /ACCOUNT until Ctrl-C or SIGTERM.

    Prints the URL once it is served. With --account only for that one. /healthz says whether the ledger can be read.
    """
    from paycore.engine.config import load_config
    from paycore.errors import ConfigError

    options = options_of(context)
    output = Output(options)
    output.show_log()
    config = load_config(options.config)
    names = config.names(options.account)
    try:
        from paycore.serving import listen
        from paycore.web.service import serve_notifications
    except ImportError as error:
        _explain_import(error)
    try:
        listener = listen(host, port)
    except OSError as error:
        raise ConfigError(
            f"{host} port {port} can't be listened on: {error.strerror or error}; --port 0 takes a free one"
        ) from None
    ready = partial(_announce, output, listener.url, names)
    metrics_at = metrics_address(metrics_host, metrics_port)
    with closing(listener.socket):  # also where it can't be served
        serve_notifications(config, listener, accounts=names, metrics_at=metrics_at, on_ready=ready)
    output.say("no notifications are received any more")
    return Exit.DONE


def _announce(output: Output, url: str, names: Sequence[str], metrics_url: str | None) -> None:
    metrics = announced(metrics_url)
    if output.options.json:
        output.json({"url": url, "notify_urls": {name: f"{url}/{name}" for name in names}, **metrics})
        return
    lines = [f"{name}: {url}/{name}" for name in names] + [f"metrics: {at}" for at in metrics.values()]
    output.data(f"url: {url}", *lines)
    output.say("notifications are received; Ctrl-C ends that")


def _explain_import(error: ImportError) -> NoReturn:
    """Say how to install the extra when a package of it is missing; any other failed import is a bug."""
    from paycore.errors import ConfigError

    if (error.name or "").split(".")[0] not in _OF_THE_EXTRA:
        raise error
    raise ConfigError(f"serving needs the package {error.name}: pip install 'paycore[web]'") from None
