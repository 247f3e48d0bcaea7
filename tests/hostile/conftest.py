"""Shops of both kinds at hostile gateways."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from paycore.sandbox.server import SandboxServer
from paycore.testing.toy import ToyGateway
from qfpay_alipay.sandbox import QFPaySandbox
from tests.cli.conftest import Cli
from tests.engine.tills import Kind
from tests.hostile.canary import CANARIES, Witness, listening
from tests.hostile.gateway import HostileGateway, hostile_gateway
from tests.hostile.leaky import LeakyToy
from tests.hostile.scenes import Scene, SetScene, write_config
from tests.hostile.shops import Provider, Shop, carrier
from tests.support.toy_http import KEY


class OpenShop(Protocol):
    """Opens a shop on the test's ledger; settings are the account's."""

    def __call__(self, provider: Provider, kind: Kind = "sync", **settings: Any) -> Shop: ...


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line, in this process."""
    return Cli(capsys)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxServer]:
    """QFPay's sandbox without request limits, shared by all tests: their orders have different numbers."""
    with SandboxServer(QFPaySandbox(), settings={"rate_per_s": "0", "rate_per_min": "0"}) as server:
        yield server


@pytest.fixture
def open_shop(sandbox: SandboxServer, tmp_path: Path) -> Iterator[OpenShop]:
    """Opens shops; all are closed after the test."""
    with ExitStack() as stack:

        def open_shop(provider: Provider, kind: Kind = "sync", **settings: Any) -> Shop:
            truth = sandbox if provider == "qfpay-alipay" else ToyGateway(key=KEY)
            gateway = stack.enter_context(hostile_gateway(carrier(truth)))
            shop = Shop(provider, kind, gateway, truth, tmp_path, **settings)
            stack.callback(shop.close)
            return shop

        yield open_shop


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    """Collects everything; at the end no secret may be in it."""
    monkeypatch.setenv("CANARY_CLIENT_KEY", CANARIES["key"])
    with listening() as witness:
        yield witness
    assert witness.heard, "something was said"
    assert witness.leaks() == set()


@pytest.fixture(scope="module")
def truth() -> Iterator[SandboxServer]:
    """QFPay's sandbox, with the planted key."""
    settings = {"client_key": CANARIES["key"], "rate_per_s": "0", "rate_per_min": "0"}
    with SandboxServer(QFPaySandbox(), settings=settings) as server:
        yield server


@pytest.fixture
def set_scene(truth: SandboxServer, witness: Witness, tmp_path: Path) -> Iterator[SetScene]:
    """Opens one scene, which is searched for secrets when the test is over."""
    scenes: list[tuple[Scene, Any]] = []

    def set_scene(kind: Kind, *, toy: bool = False, **changes: str) -> Scene:
        gateway = HostileGateway(carrier(ToyGateway(key=CANARIES["key"]) if toy else truth))
        config = write_config(tmp_path, gateway.url, truth, **changes)
        scenes.append((Scene(kind, gateway, config, witness), gateway))
        return scenes[-1][0]

    LeakyToy.leaks, LeakyToy.how = "", "raise"
    yield set_scene
    LeakyToy.leaks, LeakyToy.how = "", "raise"
    for scene, gateway in scenes:
        scene.end()
        gateway.stop()
