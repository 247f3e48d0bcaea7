"""A shop whose ledger is restored from a backup: at the sandbox of each provider that has a list."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from paycore import Client, Money
from paycore.domain.reconciliation import Reconciliation
from paycore.engine.config import Config, parse_config
from paycore.engine.plugins import Plugins
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.sandbox.server import SandboxServer
from paypal_orders.sandbox import PayPalSandbox
from qfpay_alipay.sandbox import QFPaySandbox
from stripe_checkout.sandbox import StripeSandbox

URL = "https://shop.example/ok"
SANDBOXES: dict[str, Any] = {
    "stripe-checkout": (StripeSandbox, {"rate_per_s": "0"}),
    "paypal-orders": (PayPalSandbox, {}),
    "qfpay-alipay": (QFPaySandbox, {"rate_per_s": "0", "rate_per_min": "0"}),
}
ORDERS: dict[str, dict[str, Any]] = {
    "stripe-checkout": {
        "amount": Money("25.99", "EUR"),
        "method": "card",
        "channel": "web",
        "return_url": URL,
    },
    "paypal-orders": {
        "amount": Money("25.99", "EUR"),
        "method": "paypal",
        "channel": "web",
        "return_url": URL,
    },
    "qfpay-alipay": {
        "amount": Money("25.99", "HKD"),
        "method": "alipay",
        "channel": "web",
        "return_url": URL,
    },
}


class Shop:
    """An account at a sandbox, and its ledger with a backup; `dsn` is that of a ledger in no file."""

    def __init__(self, provider: str, sandbox: SandboxServer, folder: Path) -> None:
        self.provider = provider
        self.sandbox = sandbox
        self._folder = folder
        self._files = 0
        self.dsn = ""
        self.file = folder / "ledger-0.db"

    def config(self, accounts: Mapping[str, dict[str, Any]] | None = None, **settings: Any) -> Config:
        """The configuration, on the ledger as it is now; `accounts` have further settings, or are further ones."""
        own = {"provider": self.provider, "mode": "sandbox", "base_url": self.sandbox.url, "timeout_s": 5.0}
        own |= {**self.sandbox.settings, **settings}
        document = {
            "ledger": self.dsn or f"sqlite:///{self.file.name}",
            "default_account": "shop",
            "accounts": {"shop": own} | {name: own | more for name, more in (accounts or {}).items()},
        }
        return parse_config(document, self._folder / "paycore.toml")

    @contextmanager
    def open(
        self,
        accounts: Mapping[str, dict[str, Any]] | None = None,
        *,
        now: Callable[[], datetime] | None = None,
        **settings: Any,
    ) -> Iterator[Client]:
        """A client with that configuration; its ledger has the clock `now`, or the machine's."""
        ledger = None if now is None else SqliteLedger(self.file, clock=now)
        with Client(self.config(accounts, **settings), plugins=Plugins(), ledger=ledger) as pay:
            yield pay

    @contextmanager
    def elsewhere(self) -> Iterator[Client]:
        """A client whose account is another one of the provider's, which knows nothing of this."""
        kind, settings = SANDBOXES[self.provider]
        with SandboxServer(kind(), settings=settings) as other:
            theirs: dict[str, Any] = {"base_url": other.url, **other.settings}
            with self.open(**theirs) as pay:
                yield pay

    @property
    def empty(self) -> Path:
        """A backup of a ledger without payments."""
        return self._folder / "no-such-backup.db"

    def backup(self) -> Path:
        """A copy of the ledger as it is; no client is open."""
        copy = self._folder / f"backup-{self._files}.db"
        shutil.copy(self.file, copy)
        return copy

    def restore(self, backup: Path) -> None:
        """Go on with a copy of the backup."""
        self._files += 1
        self.file = self._folder / f"ledger-{self._files}.db"
        if backup.exists():
            shutil.copy(backup, self.file)

    def paid(self, pay: Client, reference: str, **changes: Any) -> Any:
        """A payment that its payer has paid, and that is known to be."""
        payment = pay.create(reference=reference, **ORDERS[self.provider] | changes)
        self.pay(payment.order_number)
        return pay.query(payment.id)

    def pay(self, number: str) -> None:
        """The payer pays this order."""
        self.sandbox.gateway.controls.pay(number)

    @property
    def carries(self) -> bool:
        """Whether the provider carries our reference."""
        return self.provider != "qfpay-alipay"

    @property
    def has_capture(self) -> bool:
        """Whether its product takes a capture of its own."""
        return self.provider != "qfpay-alipay"

    @property
    def lists_unpaid(self) -> bool:
        """Whether its list has orders that nobody paid; PayPal's has transactions."""
        return self.provider != "paypal-orders"

    def captured(self, pay: Client) -> list[Any]:
        """An authorized payment, where the list has such, and one that is captured in part."""
        order = ORDERS[self.provider] | {"capture": "manual"}
        made = []
        for reference in ("lost-authorized", "lost-captured"):
            payment = pay.create(reference=reference, **order)
            self.pay(payment.order_number)
            made.append(pay.query(payment.id))
        made[1] = pay.capture(made[1].id, amount=self.price("10.00"))
        return made if self.lists_unpaid else made[1:]

    def told_amount(self, payment: Any) -> Money:
        """The amount of an order that was captured in part, as the list has it: PayPal's has what was taken."""
        return payment.amount if self.lists_unpaid else self.price(f"{payment.paid_minor / 100:.2f}")

    def price(self, text: str) -> Money:
        """Money in the currency of its orders."""
        return Money(text, ORDERS[self.provider]["amount"].currency)

    def requests(self) -> int:
        """How many requests the gateway has had."""
        stats = self.sandbox.gateway.controls.stats()
        return int(sum(stats["requests"].values()))

    def raw(self, path: str, **form: str) -> Any:
        """What other software of the same merchant sends."""
        head = {"authorization": f"Bearer {self.sandbox.settings['api_key']}"}
        answer = httpx2.post(f"{self.sandbox.url}{path}", headers=head, data=form)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def foreign_order(self) -> None:
        """An order that is not paycore's."""
        price = "line_items[0][price_data]"
        product = {f"{price}[currency]": "eur", f"{price}[unit_amount]": "500"}
        product |= {f"{price}[product_data][name]": "Not ours", "line_items[0][quantity]": "1"}
        self.raw("/v1/checkout/sessions", mode="payment", success_url=URL, **product)

    def refund_elsewhere(self, intent: str, minor: int) -> None:
        """A refund made in the portal."""
        self.raw("/v1/refunds", payment_intent=intent, amount=str(minor))

    def lose_next_reply(self) -> None:
        """The gateway makes the next order, and its answer does not arrive."""
        self.sandbox.gateway.faults.add("lose_reply", path="/v1/checkout/sessions")

    def orders(self) -> int:
        """How many orders the gateway has."""
        return len(self.sandbox.gateway.controls.list_orders(10_000))


@contextmanager
def shop_at(provider: str, folder: Path) -> Iterator[Shop]:
    """A shop with an empty ledger, at a new sandbox of this provider."""
    kind, settings = SANDBOXES[provider]
    with SandboxServer(kind(), settings=settings) as sandbox:
        yield Shop(provider, sandbox, folder)


def reconcile(pay: Client, **which: Any) -> Reconciliation:
    """Reconcile the last hours."""
    now = datetime.now(UTC)
    return pay.reconcile(**{"since": now - timedelta(hours=2), "until": now + timedelta(minutes=2), **which})
