"""
Writes a plugin to start from: an installable distribution that passes the conformance kit as it is.

The files are in `scaffold`, with `@word@` where a name goes. A folder is made whole or not at all, and nothing that
exists is overwritten.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from paycore.errors import ConfigError

NAME_LENGTH_MAX = 24
SUFFIX = ".tmpl"
PACKAGE = "PACKAGE"
LICENSES: Mapping[str, str] = {
    "MIT": 'license = "MIT"\nlicense-files = ["LICENSE"]',
    "Apache-2.0": 'license = "Apache-2.0"\nlicense-files = ["LICENSE"]',
    "none": 'license-files = ["LICENSE"]',
}
"""What pyproject.toml says of each."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_WORD = re.compile(r"@([A-Za-z]+)@")


def name_problem(name: str) -> str | None:
    """Why this is no name for a provider; None where it is one."""
    if not _NAME.fullmatch(name):
        return "a provider's name is lower-case letters and digits, in words joined by '-': acme, acme-pay"
    if len(name) > NAME_LENGTH_MAX:
        return f"a provider's name has at most {NAME_LENGTH_MAX} characters, not {len(name)}"
    if name == "paycore" or name.startswith("paycore-"):
        return "leave 'paycore' out: the distribution is called paycore-NAME by itself"
    return None


def package_of(name: str) -> str:
    """The import name of the plugin's package: never the company's own library."""
    return f"paycore_{name.replace('-', '_')}"


def write_plugin(name: str, folder: Path, licence: str) -> tuple[str, ...]:
    """
    Write the distribution into `folder`, which is made; the paths that were written, relative to it.

    Raises `ConfigError` where there is something in it already, or it can't be written.
    """
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise ConfigError(f"{folder} is there already and stays as it is; choose another by --dir")
    if not folder.absolute().parent.is_dir():
        raise ConfigError(f"{folder}: there is no folder {folder.absolute().parent}")
    files = dict(_files(name, licence))
    try:
        # Beside it, so that it can be put in its place whole.
        made = Path(tempfile.mkdtemp(prefix=".paycore-new-", dir=folder.absolute().parent))
        try:
            for path, text in files.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.chmod(0o777 & ~_umask())
            made.rename(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        raise ConfigError(f"{folder} can't be written: {error.strerror}") from None
    return tuple(sorted(files))


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _files(name: str, licence: str) -> Iterator[tuple[str, str]]:
    words = _words(name, licence)
    top = resources.files("paycore.cli") / "scaffold"
    for path, file in _below(top, ""):
        if not path.startswith("licenses/"):
            yield _place(path, words), _filled(file.read_text(encoding="utf-8"), words)
    text = (top / "licenses" / f"{licence}{SUFFIX}").read_text(encoding="utf-8")
    yield "LICENSE", _filled(text.lstrip("\n"), words)


def _below(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield path + entry.name.removesuffix(SUFFIX), entry


def _place(path: str, words: Mapping[str, str]) -> str:
    """Where a file goes: names that begin with a dot are kept under `_`, so that no tool takes them for its own."""
    parts = [words["package"] if part == PACKAGE else part for part in path.split("/")]
    return "/".join(re.sub(r"^_(?!_)", ".", part) for part in parts)


def _words(name: str, licence: str) -> dict[str, str]:
    parts = name.split("-")
    return {
        "name": name,
        "distribution": f"paycore-{name}",
        "package": package_of(name),
        "Class": "".join(part.capitalize() for part in parts),
        "Title": " ".join(part.capitalize() for part in parts),
        "ENV": name.replace("-", "_").upper(),
        "license": LICENSES[licence],
        "private": ', "Private :: Do Not Upload"' if licence == "none" else "",
        "year": str(datetime.now(UTC).year),
    }


def _filled(text: str, words: Mapping[str, str]) -> str:
    return _WORD.sub(lambda found: words[found[1]], text)
