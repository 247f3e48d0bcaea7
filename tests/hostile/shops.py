"""
Two shops at a hostile gateway: one uses the toy, one the QFPay plugin.

The toy's gateway is an object in this process; QFPay's is its sandbox, reached over HTTP. The
hostile gateway is between it and the shop's till.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from paycore import Payment
from paycore.domain.payment import OperationKind
from paycore.engine.config import AccountConfig, Config
from paycore.engine.plugins import Plugins
from paycore.errors import MaybeSent, NotSent, ProviderError
from paycore.ledger import audit, open_ledger
from paycore.plugin import Request
from paycore.sandbox.server import SandboxServer
from paycore.testing.toy import ToyGateway
from tests.engine.tills import Kind, Till
from tests.hostile.gateway import Heard, Honest, HostileGateway, forward
from tests.support.toy_http import KEY, ToyPlugin

Provider = Literal["toy", "qfpay-alipay"]
Verb = Literal["create", "query", "refund"]

PATHS: dict[Provider, dict[Verb, str]] = {
    "toy": {"create": "/orders", "query": "/query", "refund": "/refunds"},
    "qfpay-alipay": {
        "create": "/trade/v1/payment",
        "query": "/trade/v1/query",
        "refund": "/trade/v1/refund",
    },
}
UNANSWERED: dict[Provider, type[ProviderError]] = {"toy": MaybeSent, "qfpay-alipay": NotSent}
"""A query without a usable answer: the toy does not say that its query is safe, QFPay's plugin does."""

TIMEOUT_S = 2.0


class Shop:
    """
    A till, its hostile gateway, and the honest gateway behind it.

    `hasty` is a second till whose calls end after `hasty_s`; without that, the same till.
    """

    def __init__(
        self,
        provider: Provider,
        kind: Kind,
        gateway: HostileGateway,
        truth: ToyGateway | SandboxServer,
        folder: Path,
        hasty_s: float | None = None,
        **account: Any,
    ) -> None:
        self.provider = provider
        self.gateway = gateway
        self.truth = truth
        self.paths = PATHS[provider]
        own = truth.settings if isinstance(truth, SandboxServer) else {"key": KEY, "proof_s": 0.1}
        region = {"region": "hk"} if provider == "qfpay-alipay" else {}
        self.config = config_of(provider, gateway.url, folder / "paycore.db", **{**own, **region, **account})
        self.till = self.hasty = Till(kind, self.config, plugins())
        if hasty_s is not None:
            known = self.config.accounts[provider]
            accounts = {provider: structs.replace(known, timeout_s=hasty_s)}
            self.hasty = Till(kind, structs.replace(self.config, accounts=accounts), plugins())

    def create(self, reference: str = "order-1", *, till: Till | None = None, **fields: Any) -> Payment:
        """A payment by link."""
        method = "toy" if self.provider == "toy" else "alipay"
        return (till or self.till).create(reference, **{"method": method, "channel": "web", **fields})

    def pay(self, payment: Payment) -> None:
        """The payer pays."""
        if isinstance(self.truth, ToyGateway):
            self.truth.pay(payment.order_number)
        else:
            self.truth.gateway.controls.pay(payment.order_number)

    def paid(self, reference: str = "order-1") -> Payment:
        """A payment that is paid, and known to be."""
        payment = self.create(reference)
        self.pay(payment)
        return self.till.query(payment)

    def states(self, payment: Payment) -> list[str]:
        """The true state of every order made for this payment: pending, paid, closed."""
        numbers = {op.number for op in payment.operations if op.kind is OperationKind.CREATE}
        if isinstance(self.truth, ToyGateway):
            return [o.status for o in self.truth.orders if o.number in numbers and o.kind == "payment"]
        show = self.truth.gateway.controls.show_order
        return ["pending" if (state := show(number)["state"]) == "unpaid" else state for number in numbers]

    def refunded_minor(self, number: str) -> int:
        """How much of this order was refunded."""
        if isinstance(self.truth, ToyGateway):
            return sum(order.refunded for order in self.truth.orders if order.number == number)
        refunds = self.truth.gateway.controls.show_order(number)["refunds"]
        return sum(int(refund["txamt"]) for refund in refunds)

    def check_ledger(self) -> None:
        """Every payment follows from its events."""
        ledger = open_ledger(self.config.ledger)
        try:
            wrong = [verdict for verdict in audit.verify(ledger) if verdict.difference is not None]
        finally:
            ledger.close()
        assert not wrong

    def close(self) -> None:
        self.till.shutdown()
        if self.hasty is not self.till:
            self.hasty.shutdown()


def plugins() -> Plugins:
    """The toy beside what is installed."""
    return Plugins(extra=[("toy", ToyPlugin())])


def config_of(
    provider: Provider,
    url: str,
    ledger: Path,
    *,
    timeout_s: float = TIMEOUT_S,
    **settings: Any,
) -> Config:
    """One account, named like its provider."""
    account = AccountConfig(
        name=provider, provider=provider, mode="sandbox", base_url=url, timeout_s=timeout_s, settings=settings
    )
    return Config(
        path=Path("paycore.toml"),
        ledger=f"sqlite:///{ledger}",
        default_account=provider,
        accounts={provider: account},
    )


def carrier(truth: ToyGateway | SandboxServer) -> Callable[[Heard], Honest]:
    """Carries out requests at the gateway behind the hostile one."""
    if isinstance(truth, SandboxServer):
        return forward(truth.url)

    def carry_out(heard: Heard) -> Honest:
        request = Request(method="POST", path=heard.path.partition("?")[0], body=heard.body)
        return Honest(body=truth.handle(request).body)

    return carry_out
