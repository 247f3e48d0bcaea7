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
from tests.hostile.gateway import hostile_gateway
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
    """QFPay's sandbox without request limits, for all tests: their orders have numbers of their own."""
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
