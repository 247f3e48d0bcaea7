"""`plugins new`: a distribution that passes the kit as it is, and that says what has to be replaced."""

import importlib
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from paycore.cli.scaffolding import NAME_LENGTH_MAX
from paycore.sandbox.api import SandboxOptions
from paycore.sandbox.scenario import Rule, RuleFault, Scenario
from tests.cli.conftest import PAYCORE, Cli

BIN = Path(sys.executable).parent
SHORTEST, LONGEST = "a", "abcdefghij-abcdefghij-ab"
SIGNATURE = {
    "source": "https://docs.acme.test/signing, read 2026-01-31",
    "key": "k",
    "method": "POST",
    "path": "/v1/orders",
    "body": "{}",
    "signature": "as the manual has it",
}
REPLY = {
    "source": "https://docs.acme.test/orders, read 2026-01-31",
    "flow": "create",
    "status": 200,
    "body": {"number": "N1", "id": "1", "state": "open", "amount": 8800, "currency": "HKD", "refunded": 0},
    "outcome": "Done",
    "payment": "pending",
}


def run(words: list[str | Path], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )


def installed(project: Path) -> Path:
    """The project's wheel, in a folder of its own; that folder."""
    done = run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"], project)
    assert done.returncode == 0, done.stderr
    (wheel,) = (project / "dist").iterdir()
    site = project.parent / f"site-{project.name}"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def suite_of(project: Path, *words: str) -> str:
    """What the project's own suite prints; it is imported as it is in its folder."""
    with_plugin = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    done = run([*with_plugin], project, PYTHONPATH=str(project))
    return done.stdout + done.stderr


@pytest.mark.slow
def test_new_plugin_passes_as_generated(cli: Cli) -> None:
    """Built, installed beside the others, its own suite and the kit pass; what it can't prove yet is skipped."""
    assert cli("plugins", "new", "acme-pay").code == 0
    project = Path("paycore-acme-pay")
    site = installed(project.absolute())
    done = run([sys.executable, "-m", "pytest"], project, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stdout
    assert "tests/vectors.json has no signatures" in done.stdout
    listed = run([PAYCORE, "plugins", "list", "--json"], project, PYTHONPATH=str(site))
    (ours,) = [one for one in map(json.loads, listed.stdout.splitlines()) if one["plugin"] == "acme-pay"]
    assert (ours["failures"], [one["kind"] for one in ours["offers"]]) == ([], ["provider", "sandbox"])
    check = run(
        [PAYCORE, "plugins", "check", "acme-pay", "--only", "paid_order_is_paid_once"],
        project,
        PYTHONPATH=str(site),
    )  # its suite has run them all
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("name", [SHORTEST, "acme", LONGEST])
def test_new_plugin_is_clean(cli: Cli, name: str) -> None:
    """Formatted, without findings of the linter, and no name is left out, whatever it is called."""
    assert len(LONGEST) == NAME_LENGTH_MAX
    assert cli("plugins", "new", name).code == 0
    project = Path(f"paycore-{name}")
    for words in (["ruff", "check", "--no-cache"], ["ruff", "format", "--check", "--no-cache"]):
        done = run([BIN / words[0], *words[1:]], project)
        assert done.returncode == 0, done.stdout + done.stderr
    texts = [path.read_text() for path in project.rglob("*") if path.is_file()]
    assert not [text for text in texts if re.search(r"@\w+@|PACKAGE", text)]


@pytest.mark.slow
def test_new_plugin_is_typed(cli: Cli) -> None:
    """Mypy finds nothing, strict, tests included."""
    assert cli("plugins", "new", "acme").code == 0
    done = run([BIN / "mypy", "--no-incremental"], Path("paycore-acme"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "vector", "told"),
    [
        ("signatures", SIGNATURE, "the manual signs otherwise; replace `sign` and `content_of`"),
        ("signatures", SIGNATURE, "replace https://api.test.acme.example, https://api.acme.example"),
        ("signatures", SIGNATURE | {"source": "a friend"}, "say where this is published"),
        ("signatures", SIGNATURE, "write https://docs.acme.test/signing into SOURCES.md"),
        ("replies", REPLY, "create makes Unknown(problem='accepted without a link'"),
        ("replies", REPLY | {"outcome": "Unknown", "payment": "paid"}, "write https://docs.acme.test/orders"),
    ],
)
def test_real_vectors_fail_until_the_placeholders_are_replaced(
    cli: Cli, kind: str, vector: dict[str, object], told: str
) -> None:
    """A vector from the company's documentation fails with what to replace."""
    assert cli("plugins", "new", "acme").code == 0
    project = Path("paycore-acme")
    vectors = json.loads((project / "tests/vectors.json").read_text()) | {kind: [vector]}
    (project / "tests/vectors.json").write_text(json.dumps(vectors))
    assert told in suite_of(project, "tests/test_vectors.py", "-vv")


def test_vectors_that_agree_pass(cli: Cli) -> None:
    """The vector tests pass what is right: they do not only fail."""
    assert cli("plugins", "new", "acme").code == 0
    project = Path("paycore-acme")
    signing = "from paycore_acme.sandbox.signing import request_signature"
    sign = f"{signing}; print(request_signature('POST', '/v1/orders', b'{{}}', 'k'))"
    made = run([sys.executable, "-c", sign], project)
    link = REPLY["body"] | {"pay_url": "https://pay.acme.test/1"}  # type: ignore[operator]
    vectors = {
        "signatures": [SIGNATURE | {"signature": made.stdout.strip()}],
        "replies": [REPLY | {"body": link}],
    }
    (project / "tests/vectors.json").write_text(json.dumps(vectors))
    with (project / "SOURCES.md").open("a") as file:
        file.write("https://docs.acme.test/signing https://docs.acme.test/orders\n")
    provider = project / "paycore_acme/provider.py"
    provider.write_text(provider.read_text().replace("acme.example", "acme.test"))
    assert "4 passed" in suite_of(project, "tests/test_vectors.py")


def test_scenarios_know_what_a_new_sandbox_is_asked_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault `on` each kind of request there is; each pattern is of a path that the generated API has."""
    assert cli("plugins", "new", "tern").code == 0
    monkeypatch.syspath_prepend("paycore-tern")
    gateway_module = importlib.import_module("paycore_tern.sandbox.gateway")
    faults = tuple(RuleFault(kind="stall", on=word) for word in ("create", "query", "refund", "close"))
    options = SandboxOptions(public_url="http://x", scenario=Scenario(rules=(Rule(faults=faults),)))
    gateway = gateway_module.TernGateway(options)
    documented = [" ".join(line.split()[:2]) for line in (gateway_module.__doc__ or "").splitlines()]
    for pattern in gateway.asks_for.values():
        assert any(re.fullmatch(pattern, request) for request in documented), pattern
    gateway.clock.close()


def test_nothing_is_overwritten(cli: Cli) -> None:
    """A folder with something in it stays as it is; an empty one is filled; a link is not followed."""
    Path("paycore-acme").mkdir()
    Path("paycore-acme/mine").touch()
    ran = cli("plugins", "new", "acme")
    assert (ran.code, ran.out) == (6, "")
    assert "stays as it is" in ran.err
    assert [path.name for path in Path("paycore-acme").iterdir()] == ["mine"]
    Path("empty").mkdir()
    assert cli("plugins", "new", "acme", "--dir", "empty").code == 0
    assert Path("empty/pyproject.toml").is_file()
    Path("elsewhere").mkdir()
    Path("linked").symlink_to("elsewhere")
    assert cli("plugins", "new", "acme", "--dir", "linked").code == 6
    assert not list(Path("elsewhere").iterdir())
    Path("file").write_text("mine")
    assert cli("plugins", "new", "acme", "--dir", "file").code == 6
    assert Path("file").read_text() == "mine"


def test_folder_is_made_whole_or_not_at_all(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle leaves no half plugin behind."""
    write_text = Path.write_text

    def write(path: Path, *arguments: object, **options: object) -> int:
        if path.name == "provider.py":
            raise OSError(28, "No space left on device")
        return write_text(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", write)
    ran = cli("plugins", "new", "acme")
    assert ran.code == 6
    assert "No space left on device" in ran.err
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["Acme"], 2, "lower-case letters"),
        (["9pay"], 2, "lower-case letters"),
        (["acme_pay"], 2, "lower-case letters"),
        (["../acme"], 2, "lower-case letters"),
        (["acme-"], 2, "lower-case letters"),
        (["a" * (NAME_LENGTH_MAX + 1)], 2, f"at most {NAME_LENGTH_MAX} characters"),
        (["paycore-acme"], 2, "leave 'paycore' out"),
        (["qfpay-alipay"], 2, "is taken here, by paycore-qfpay-alipay"),
        (["acme", "--license", "GPL"], 2, "is not one of Apache-2.0, MIT, none"),
        (["acme", "--dir", "there/is/none"], 6, "there is no folder"),
    ],
)
def test_what_can_not_be_is_refused(cli: Cli, words: list[str], code: int, told: str) -> None:
    """Nothing is written, and one line says why."""
    ran = cli("plugins", "new", *words)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    ("licence", "text", "declared"),
    [
        ("MIT", "MIT License", "MIT"),
        ("Apache-2.0", "Apache License", "Apache-2.0"),
        ("none", "All rights reserved", None),
    ],
)
def test_licence_is_chosen(cli: Cli, licence: str, text: str, declared: str | None) -> None:
    """The text is in LICENSE, and pyproject.toml declares the same; without one no index takes it."""
    assert cli("plugins", "new", "acme", "--license", licence).code == 0
    project = tomllib.loads(Path("paycore-acme/pyproject.toml").read_text())["project"]
    assert text in Path("paycore-acme/LICENSE").read_text()
    assert project.get("license") == declared
    assert ("Private :: Do Not Upload" in project["classifiers"]) == (declared is None)


def test_json_names_what_was_written(cli: Cli) -> None:
    """One object: the folder, the provider, the package and every file; permissions are the user's own."""
    ran = cli("plugins", "new", "acme-pay", "--json")
    assert {key: ran.json[key] for key in ("folder", "provider", "package")} == {
        "folder": "paycore-acme-pay",
        "provider": "acme-pay",
        "package": "paycore_acme_pay",
    }
    folder = Path("paycore-acme-pay")
    assert set(ran.json["files"]) == {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    }
    Path("other").mkdir()
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(Path("other").stat().st_mode)
