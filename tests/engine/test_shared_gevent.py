"""`shared_client` among greenlets, whether gevent patches the standard library before or after paycore is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox
from tests.engine import test_shared

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("order", "database"),
    [
        ("after", "sqlite"),
        pytest.param("before", "sqlite", marks=pytest.mark.proof),
        pytest.param("after", "postgres", marks=pytest.mark.proof),
        pytest.param("before", "postgres", marks=pytest.mark.proof),
    ],
)
def test_shared_serves_greenlets(
    order: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Greenlets race for it, wait at once without stopping the others, keep their own deadlines, and fork on SQLite."""
    forks = "fork" if database == "sqlite" else "stay"
    with SandboxServer(QFPaySandbox(), auto_pay_s=0.1) as sandbox:
        config = test_shared.CONFIG.format(url=sandbox.url, **sandbox.settings)
        if database == "postgres":
            config = config.replace("sqlite:///paycore.db", request.getfixturevalue("postgres_dsn"))
        (tmp_path / "paycore.toml").write_text(config)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.engine.greenlets", order, forks],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told.pop("turns") > 10
    assert told == {
        "clients": 1,
        "are_made": True,
        "deadlines_s": [50, 5],
        "child": 0,
        "found": 20 if forks == "fork" else 10,
    }
