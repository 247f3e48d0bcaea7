"""`completion` prints the script by which a shell completes paycore's commands."""

from __future__ import annotations

from typing import Annotated

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit, UsageProblem
from paycore.cli.output import Output
from paycore.cli.shells.scripts import SCRIPTS


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help=f"One of {', '.join(SCRIPTS)}.")],
) -> int:
    """
    Print the script that completes commands in a shell; it changes no file.

    For bash and zsh: eval "$(paycore completion bash)" in ~/.bashrc, or zsh in ~/.zshrc after compinit. For fish:
    paycore completion fish > ~/.config/fish/completions/paycore.fish.
    """
    options = options_of(context)
    if shell not in SCRIPTS:
        raise UsageProblem(f"SHELL: {shell!r} is not one of {', '.join(SCRIPTS)}")
    script = SCRIPTS[shell].rstrip("\n")
    output = Output(options)
    if options.json:
        output.json({"shell": shell, "script": script})
    else:
        output.data(script)
    return Exit.DONE
