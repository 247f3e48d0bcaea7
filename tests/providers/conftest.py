"""Serves scripted gateways, and opens clients of both kinds that pay there by a miniature provider."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from unittest import mock

import pytest

from paycore import Payment
from paycore.engine.config import parse_config
from paycore.engine.plugins import Plugins
from paycore.ledger.clock import utc_now
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.plugin import hookimpl
from paycore.testing.twins import TWINS
from tests.providers.gateway import Gateway, served

GatewayT = TypeVar("GatewayT", bound=Gateway)


class Serve(Protocol[GatewayT]):
    """Serves a gateway until the end of the test, by TLS where a context is given."""

    def __call__(self, gateway: GatewayT, tls: ssl.SSLContext | None = None) -> GatewayT: ...


OpenShop = Callable[..., Any]
"""
Opens a client: `open_shop(Provider, gateway, settings...)`.

`accounts` has the settings of several accounts by name; without it there is one, called "shop". `mode` is sandbox
unless said otherwise. `later` sets its clock ahead: a client of some time later, on the same `ledger`.
"""


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Runs every test that opens a shop with both clients."""
    kind: str = request.param
    return kind


@pytest.fixture
def serve() -> Iterator[Serve[Any]]:
    """Serves gateways."""
    with ExitStack() as stack:

        def serve(gateway: GatewayT, tls: ssl.SSLContext | None = None) -> GatewayT:
            stack.enter_context(served(gateway, tls))
            return gateway

        yield serve


@pytest.fixture
def open_shop(kind: str, tmp_path: Path) -> Iterator[OpenShop]:
    """Opens shops, all on one ledger unless said otherwise."""
    with ExitStack() as stack:

        def open_shop(
            provider: type,
            gateway: Gateway | None = None,
            *,
            accounts: dict[str, dict[str, Any]] | None = None,
            mode: str = "sandbox",
            later: timedelta = timedelta(0),
            ledger: str = "shop.db",
            **settings: Any,
        ) -> Any:
            common = {"provider": provider.info.name, "mode": mode, "timeout_s": 2.0}  # type: ignore[attr-defined]
            common |= {} if gateway is None else {"base_url": gateway.url}
            tables = {name: common | table for name, table in (accounts or {"shop": settings}).items()}
            config = parse_config(
                {"ledger": f"sqlite:///{ledger}", "default_account": next(iter(tables)), "accounts": tables},
                tmp_path / "paycore.toml",
            )
            clock = mock.patch.dict(SqliteLedger.__init__.__kwdefaults__, clock=lambda: utc_now() + later)
            with clock:
                shop: Any = TWINS[kind](config, Plugins(extra=[("minis", Offering(provider))]))
            stack.callback(shop.shutdown)
            return shop

        yield open_shop


def eventually(shop: Any, payment: Payment, is_so: Callable[[Payment], bool]) -> Payment:
    """
    The payment once the shop's worker has made it so; AssertionError after thirty seconds.

    Nobody waits for the payment meanwhile, so the worker asks about it only where a notification made it due; and
    where a busy machine lets its question time out, again when its claim of ten seconds has ended.
    """
    for _ in range(600):
        payment = shop.get(payment.id)
        if is_so(payment):
            return payment
        shop.sleep(0.05)
    raise AssertionError(f"it stayed as it was: {payment}")


class Offering:
    """A plugin that offers one provider."""

    def __init__(self, provider: type) -> None:
        self._provider = provider

    @hookimpl
    def paycore_register_providers(self) -> list[Any]:
        return [self._provider]
