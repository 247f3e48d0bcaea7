"""The repository's files agree with each other, and hold nothing specific to one machine."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
PACKAGES = (Path("paycore"), *(plugin / plugin.name for plugin in PLUGINS))
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# Written in pieces, so that this file is not its own finding.
PLACES = [
    "py" + "pi.org",
    "files.python" + "hosted",
    "registry.npm" + "js.org",
    "deb.deb" + "ian.org",
    "/wo" + "rk/",
    "/ro" + "ot/",
]


def tracked_files() -> list[Path]:
    """Return the files git knows of; skip where this is not a git checkout, as in a source archive."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def make_targets() -> set[str]:
    """Return the phony targets of the Makefile."""
    phony = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    return set(phony.group(1).split())


def test_repository_names_no_machine() -> None:
    """No tracked file has a path of one machine or the host of a package registry."""
    found = [
        f"{path.relative_to(ROOT)}: {place}"
        for path in tracked_files()
        for place in PLACES
        if place.encode() in path.read_bytes()
    ]
    assert not found


def test_repository_requirements_are_pinned_with_hashes() -> None:
    """Each requirement is one exact version with hashes, without the address of an index."""
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        for entry in path.read_text().replace("\\\n", " ").splitlines():
            assert re.match(
                r"[a-z0-9._-]+(\[[a-z,]+\])?==[^ ]+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+$", entry
            ), entry


def test_repository_run_set_is_part_of_development_set() -> None:
    """`make demo` runs the same versions as `make test`."""
    pins = [
        set(
            re.findall(
                r"^([a-z0-9._-]+==[^ ]+)", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE
            )
        )
        for name in ("run", "dev")
    ]
    assert pins[0] < pins[1]


def test_repository_versions_agree() -> None:
    """All distributions, the installed package and the newest entry of the changelog have one version."""
    import paycore

    projects = [ROOT / "pyproject.toml", *(plugin / "pyproject.toml" for plugin in PLUGINS)]
    versions = {tomllib.loads(path.read_text())["project"]["version"] for path in projects}
    newest = re.search(
        r"^## \[?v?(\d+\.\d+\.\d+\S*?)\]?(\s|$)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    assert versions == {paycore.__version__} == {newest.group(1)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_repository_module_says_what_it_is_for(path: Path) -> None:
    """Each module and package starts with a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_repository_documented_make_targets_exist(name: str) -> None:
    """Each `make ...` a reader is told to run is a target of the Makefile."""
    text = (ROOT / name).read_text()
    named = set(re.findall(r"(?:^\$? *|`|&& )make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= make_targets()


def test_repository_recipes_run_what_exists() -> None:
    """Each module a recipe runs with `python -m`, and each script it calls, is there."""
    makefile = (ROOT / "Makefile").read_text()
    for module in set(re.findall(r"python -m (benchmarks|tests\.\w+)", makefile)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    for script in set(re.findall(r"scripts/[\w-]+", makefile)):
        assert (ROOT / script).is_file(), script
