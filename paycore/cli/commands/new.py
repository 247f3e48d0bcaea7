"""`plugins new`: writes a plugin to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit, UsageProblem
from paycore.cli.output import Output

Name = Annotated[str, typer.Argument(metavar="NAME", help="The provider's name: acme, acme-pay.")]
Folder = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="The folder to make.", show_default="paycore-NAME"),
]
Licence = Annotated[
    str, typer.Option("--license", metavar="ID", help="MIT, Apache-2.0, or none for all rights reserved.")
]


def new(context: typer.Context, name: Name, *, folder: Folder = None, licence: Licence = "MIT") -> int:
    """
    Write a provider plugin to start from.

    An installable distribution: provider, signing, messages, a sandbox, tests with the conformance kit, README, CI. It
    passes as it is, against an API that was made up; what to replace is marked. Never overwrites anything.
    """
    from paycore.cli.scaffolding import LICENSES, name_problem, package_of, write_plugin
    from paycore.engine.wording import one_of

    options = options_of(context)
    output = Output(options)
    problem = name_problem(name)
    if problem is not None:
        raise UsageProblem(f"NAME: {name!r} can't be used: {problem}")
    if licence not in LICENSES:
        raise UsageProblem(f"--license: {licence!r} is not one of {one_of(LICENSES)}")
    _check_free(name)
    folder = folder or Path(f"paycore-{name}")
    files = write_plugin(name, folder, licence)
    if options.json:
        output.json(
            {"folder": str(folder), "provider": name, "package": package_of(name), "files": list(files)}
        )
    else:
        output.data(*(str(folder / file) for file in files))
    output.say(
        f"next: pip install -e '{folder}[test]', then `paycore plugins check {name}`; {folder}/README.md says what to"
        " replace"
    )
    return Exit.DONE


def _check_free(name: str) -> None:
    """Two plugins that claim one name are both left out."""
    from importlib import metadata

    from paycore.engine.plugins import ENTRY_POINTS

    for entry in metadata.entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            owner = entry.dist.name if entry.dist is not None else entry.value
            raise UsageProblem(f"NAME: {name!r} is taken here, by {owner}; choose another")
