"""For every seed nothing is doubled, lost or stuck; a run is reproducible."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paycore import AsyncClient
from paycore.engine.bridge import Bridge
from paycore.engine.runner import AsyncRunner
from paycore.engine.transport import AsyncSender
from paycore.engine.waiter import AsyncWaiter
from paycore.engine.worker import Worker
from tests.simulation.__main__ import main
from tests.simulation.world import World, inside, run_seed

REPOSITORY = Path(__file__).parents[2]
SEEDS, CHUNK = 10, 5
"""`make proof` runs 300."""


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_seed_ends_without_a_violation(first: int) -> None:
    """With all faults, ledger, gateway, callers and observers agree, at every moment and at the end."""
    violations = {run.seed: run.violations for run in map(run_seed, range(first, first + CHUNK))}
    assert violations == dict.fromkeys(range(first, first + CHUNK), ())


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS // 2, CHUNK))
def test_seed_whose_clock_is_set_back_ends_without_a_violation(first: int) -> None:
    """The same with steps back of the machine's clock of up to an hour, in every third run."""
    runs = (run_seed(seed, sets_clock_back=True) for seed in range(first, first + CHUNK))
    assert {run.seed: run.violations for run in runs if run.violations} == {}


def replay(seed: int, hash_seed: int) -> bytes:
    """The output of `--seed` in a process with this hash seed."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=True)
    return done.stdout


def test_seed_replays_byte_for_byte_in_another_process() -> None:
    """A seed gives the same log in any process; another seed gives another one."""
    first = replay(seed=3, hash_seed=1)
    assert len(first.splitlines()) > 100
    assert replay(seed=3, hash_seed=2) == first
    assert replay(seed=4, hash_seed=1) != first


def test_command_line_replays_a_seed_with_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    """The log, then the verdict and the digest by which runs are compared."""
    run = run_seed(7)
    assert main(["--seed", "7"]) == 0
    *lines, verdict = capsys.readouterr().out.splitlines()
    assert tuple(lines) == run.lines
    assert verdict == f"seed 7: 0 violations, log {run.digest}"


def test_command_line_fails_where_there_is_a_violation(capsys: pytest.CaptureFixture[str]) -> None:
    """By exit code and message, also with seeds spread over processes."""
    assert main(["--seed", "0", "--mutant", "no_intent"]) == 1
    assert "intent before request" in capsys.readouterr().out
    assert main(["--seeds", "0-2", "--mutant", "no_intent", "--jobs", "2"]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("2 seeds, ")
    assert "2 with violations" in printed.out
    for seed in (0, 1):
        assert f"seed {seed}: intent before request" in printed.err


def test_engine_inside_is_the_real_one(tmp_path: Path) -> None:
    """Client, runner, waiter, worker and sender are the real classes, and are used."""
    world = World(0, tmp_path)
    with inside(world):
        world.run()
    parts = [
        (client, client._runner, client._waiter, client._bridge, client._core.worker)
        for client in (process.client for process in world.processes)
    ]
    kinds = (AsyncClient, AsyncRunner, AsyncWaiter, Bridge, Worker)
    assert {tuple(map(type, own)) for own in parts} == {kinds}
    senders = [sender for _, runner, *_ in parts for sender in runner._senders.values()]
    assert senders
    assert {type(sender) for sender in senders} == {AsyncSender}
    world.ledger.close()
