"""The recipe for a CI job: a workflow whose steps are run as GitHub's runner does."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.recipes.conftest import COMMANDS, Ran, Shop, recipe

WORKFLOW: dict[str, Any] = yaml.safe_load(recipe("ci/payments.yml"))
SECRET = re.compile(r"\$\{\{ secrets\.(\w+) \}\}")


class Runner:
    """
    Runs the `run` steps of a job one after the other: `bash -e` on a file, in the checkout, with the job's variables.

    What a step leaves running goes on until the job ends. `pip` does nothing: what it would install is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left_running: list[int] = []
        (folder / "bin").mkdir()
        pip = folder / "bin" / "pip"
        pip.write_text("#!/bin/sh\n")
        pip.chmod(0o755)

    def job(
        self, name: str, *, port: int = 0, secrets: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Ran]:
        """What each step did, by its name; after a failure only those run that are for always."""
        job = WORKFLOW["jobs"][name]
        given = {key: SECRET.sub(lambda found: secrets[found[1]], text) for key, text in job["env"].items()}
        path = f"{self._folder}/bin:{COMMANDS}:{os.environ['PATH']}"
        done: dict[str, Ran] = {}
        for step in job["steps"]:
            failed = any(ran.returncode for ran in done.values())
            if "run" in step and (not failed or step.get("if") == "always()"):
                text = step["run"].replace("8700", str(port))
                done[step["name"]] = self._run(text, {**os.environ, **given, "PATH": path})
        return done

    def _run(self, text: str, environment: Mapping[str, str]) -> Ran:
        script = self._folder / "bin" / "step.sh"
        script.write_text(text)
        words = ["bash", "-e", str(script)]
        with subprocess.Popen(
            words,
            cwd=self._folder,
            env=environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as step:
            self._left_running.append(step.pid)
            out, err = step.communicate(timeout=60)
        return Ran(words, step.returncode, out, err)

    def end(self) -> None:
        """End what the steps left running: each step was a process group of its own."""
        for group in self._left_running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)


@pytest.fixture
def runner(shop: Shop) -> Iterator[Runner]:
    """A machine with a checkout of the shop."""
    found = Runner(shop.folder)
    yield found
    found.end()


def test_change_is_tried_at_the_sandbox(shop: Shop, runner: Runner) -> None:
    """The job serves the sandbox, pays, refunds and closes at it, and leaves a report and a ledger that holds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = recipe("ci/paycore.ci.toml").replace("8700", str(port))
    (shop.folder / "paycore.ci.toml").write_text(text)
    done = runner.job("sandbox", port=port)
    assert {name: ran.returncode for name, ran in done.items()} == {
        "Install": 0,
        "Serve the sandbox": 0,
        "Smoke": 0,
        "What the ledger holds": 0,
    }, done
    cases = list(ElementTree.parse(shop.folder / "smoke.xml").iter("testcase"))
    assert "refund" in " ".join(case.get("name", "") for case in cases)
    assert not [case.get("name") for case in cases if case.find("failure") is not None]
    assert "everything holds: 2 payments" in done["What the ledger holds"].stdout


@pytest.mark.proof
def test_job_fails_where_the_sandbox_does_not_open(shop: Shop, runner: Runner) -> None:
    """Without a sandbox the job ends at that step, says why, and shows what the ledger holds all the same."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (shop.folder / "paycore.ci.toml").write_text(recipe("ci/paycore.ci.toml"))
        done = runner.job("sandbox", port=port)
    assert list(done) == ["Install", "Serve the sandbox", "What the ledger holds"]
    assert done["Serve the sandbox"].returncode == 1
    assert str(port) in done["Serve the sandbox"].stdout


def test_test_mode_is_tried_without_a_payer(shop: Shop, runner: Runner) -> None:
    """By night the job gets as far as a payment that waits for its payer, and closes it."""
    shop.configure(recipe("ci/paycore.test.toml"), to="paycore.test.toml")
    gateway = shop.sandbox("qfpay-alipay").gateway
    secrets = {f"QFPAY_{key.upper()}": str(value) for key, value in gateway.settings.items()}
    done = runner.job("test-mode", secrets=secrets)
    assert [ran.returncode for ran in done.values()] == [0, 0], done
    assert {order["state"] for order in gateway.controls.list_orders(10)} == {"closed"}
