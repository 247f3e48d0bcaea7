"""Each wheel holds its licence, its package and nothing else, and installs anywhere."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(path.parent for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")])


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_wheel_holds_licence_types_and_package(project: Path, tmp_path: Path) -> None:
    """Built without a network, a wheel has the repository's licence, `py.typed`, and no test or stray file."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        licences = [archive.read(name) for name in names if name.endswith("/licenses/LICENSE")]
    package = package_of(project)
    assert licences == [(ROOT / "LICENSE").read_bytes()]
    assert f"{package}/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {package}


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_what_is_imported_is_declared(project: Path) -> None:
    """Each distribution that a project's code imports is a dependency or an extra of that project, and no other is."""
    assert imported_by(project) == declared_by(project) - NOT_IMPORTED


DISTRIBUTIONS = {"opentelemetry": "opentelemetry-api", "prometheus_client": "prometheus-client"}
"""Those that are not called like the module that is imported from them."""

NOT_IMPORTED = {"tzdata"}
"""Data that `zoneinfo` finds by itself."""


def declared_by(project: Path) -> set[str]:
    """The distributions a project names, without their versions and extras."""
    table = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    extras = table["optional-dependencies"].values()
    return {
        re.split(r"[^\w-]", one)[0]
        for one in [*table["dependencies"], *(one for extra in extras for one in extra)]
    }


def imported_by(project: Path) -> set[str]:
    """The top-level modules from elsewhere that a project's package imports, wherever in a module."""
    package = project / package_of(project)
    trees = [ast.parse(path.read_text()) for path in package.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    modules = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {package.name}
    return {DISTRIBUTIONS.get(name, name) for name in modules}


def package_of(project: Path) -> str:
    """The package a project's wheel is made of."""
    table = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    (package,) = table["packages"]
    return str(package)
