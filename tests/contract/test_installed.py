"""The distributions work as they are installed: wheels of all of them beside each other, and nothing of this tree."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of all distributions installed in it."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    for project in PROJECTS:
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
        subprocess.run(build, cwd=project, check=True, capture_output=True)
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, *map(str, wheels.glob("*.whl"))], check=True, capture_output=True)
    return site


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run paycore from those wheels; the dependencies come from the environment of the tests."""
    # Given so, and not as a site folder, the environment's own editable installs are not followed.
    path = os.pathsep.join([str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    start = "import sys; from paycore.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-S", "-c", start, *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_installed_wheels_offer_every_provider_and_sandbox(site: Path, tmp_path: Path) -> None:
    """Each plugin of this repository registers its provider and its sandbox, and nothing fails."""
    done = run(site, tmp_path, "--json", "plugins", "list")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    projects = [tomllib.loads((path / "pyproject.toml").read_text())["project"] for path in PROJECTS[1:]]
    names = {name for project in projects for name in project["entry-points"]["paycore"]}
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["plugin"] for row in rows} == names
    for row in rows:
        assert {(offer["kind"], offer["name"]) for offer in row["offers"]} == {
            ("provider", row["plugin"]),
            ("sandbox", row["plugin"]),
        }
        assert row["failures"] == []


def test_installed_wheels_are_what_runs(site: Path, tmp_path: Path) -> None:
    """The code comes from the wheels, not from this tree."""
    code = "import paycore, qfpay_alipay; print(paycore.__file__); print(qfpay_alipay.__file__)"
    path = os.pathsep.join([str(site), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(line.startswith(str(site)) for line in done.stdout.split())
