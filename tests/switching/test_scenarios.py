"""Rules of a sandbox reach the orders of every provider: told once by each gateway, carried out in one place."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from examples.providers import bank_transfer
from paycore import Client, Config, Money, Payment, RefundStatus, Status
from paycore.engine.config import AccountConfig
from paycore.engine.plugins import Plugins
from paycore.errors import NotSent
from paycore.sandbox.scenario import read_auto_pay
from paycore.sandbox.scenario_files import read_scenario
from paycore.sandbox.server import SandboxServer
from tests.switching.conftest import METHODS

PLUGINS = Plugins(extra=[("bank-transfer", bank_transfer)])


@pytest.fixture(params=sorted(METHODS))
def provider(request: pytest.FixtureRequest) -> str:
    """Each provider there is."""
    found: str = request.param
    return found


def opened(provider: str, folder: Path, **options: Any) -> tuple[SandboxServer, Client]:
    """A sandbox, and a shop that has an account at it."""
    server = SandboxServer(PLUGINS.sandboxes()[provider], **options)
    server.start()
    account = AccountConfig(
        name="shop",
        provider=provider,
        mode="sandbox",
        base_url=server.url,
        timeout_s=5.0,
        default_method=METHODS[provider],
        settings=dict(server.settings),
    )
    config = Config(
        path=folder / "paycore.toml",
        ledger=f"sqlite:///{folder / 'paycore.db'}",
        default_account="shop",
        accounts={"shop": account},
    )
    return server, Client(config, plugins=PLUGINS)


@pytest.fixture
def shop(provider: str, tmp_path: Path) -> Iterator[tuple[SandboxServer, Client]]:
    """Every order is paid after ten seconds, but for some."""
    rules = ["10", "reference:close-=off", "amount:9.99=off", f"method:{METHODS[provider]},amount:7=2"]
    server, pay = opened(provider, tmp_path, scenario=read_auto_pay(rules))
    with pay:
        yield server, pay
    server.stop()


def test_rules_by_reference_amount_and_method(provider: str, shop: tuple[SandboxServer, Client]) -> None:
    """Where an order does not carry the reference, what it is for says the same; a transfer carries neither."""
    server, pay = shop
    wanted = {"order-1": "8.00", "close-1": "8.00", "order-2": "9.99", "order-3": "7.00"}
    numbers = {
        reference: pay.create(
            reference=reference,
            amount=Money(amount, "EUR"),
            channel="web",
            subject=reference,
            return_url="https://shop.example/",
        ).order_number
        for reference, amount in wanted.items()
    }
    controls = server.gateway.controls

    def states() -> dict[str, str]:
        return {reference: controls.show_order(number)["state"] for reference, number in numbers.items()}

    before = states()
    changed = []
    for seconds in (3, 8):
        server.gateway.clock.advance(seconds)
        now = states()
        changed.append({reference for reference in wanted if now[reference] != before[reference]})
    unnamed = {"close-1"} if provider == "bank-transfer" else set()
    assert changed == [{"order-3"}, {"order-1", "order-3"} | unnamed]


SCENARIO = """
[[rule]]
match.amount = "1.01"
decline = 1
[[rule]]
match.amount = "1.02"
expire = 1
[[rule]]
match = { amount = "1.03", provider = "PROVIDER" }
charge_back = 5
[[rule]]
match.amount = "1.04"
fault = [{ on = "create", kind = "lose_reply" }]
[[rule]]
match.amount = "1.05"
refund = "refused"
[[rule]]
match.amount = "1.06"
refund = { fails_after = 2 }
[[rule]]
match.amount = "1.07"
fault = [{ on = "query", kind = "http_500", times = "always" }]
[[rule]]
pay = 1
"""
NO_CHARGE_BACK = {"qfpay-alipay"}
NO_END = {"bank-transfer"}
"""A transfer is neither declined nor refunded, and the statement is asked for no order in particular."""
EXPIRY_IS_NO_ANSWER = {"paypal-orders"}
"""An order that is gone is not found, which proves nothing at once."""


def test_a_scenario_file_holds_for_every_provider(provider: str, tmp_path: Path) -> None:
    """Declined, expired, charged back, a reply lost, refunds refused and failing, queries that fail: for its orders."""
    text = SCENARIO.replace("PROVIDER", "stripe-checkout" if provider in NO_CHARGE_BACK else provider)
    (tmp_path / "scenario.toml").write_text(text, encoding="utf-8")
    server, pay = opened(provider, tmp_path, scenario=read_scenario(tmp_path / "scenario.toml"))
    with pay:
        made = {f"1.0{place}": create(pay, f"1.0{place}") for place in range(1, 9)}
        rules = httpx2.get(f"{server.url}/_sandbox/scenario").json()["rules"]
        assert rules[0]["match"] == {"amount": "1.01"}
        assert rules[0]["place"].endswith("scenario.toml: rule[1]")
        back = [] if provider in NO_CHARGE_BACK else [1]
        assert [rule["orders"] for rule in rules] == [1, 1, *back, 1, 1, 1, 1, 8]
        assert [amount for amount, one in made.items() if one.status is Status.UNKNOWN] == ["1.04"]
        server.gateway.clock.advance(2)
        assert pay.query(made["1.08"].id).status is Status.PAID
        if provider not in NO_END:
            assert pay.query(made["1.01"].id).status in (Status.FAILED, Status.CLOSED)
            with pytest.raises(NotSent):
                pay.query(made["1.07"].id)
        if provider not in NO_END | EXPIRY_IS_NO_ANSWER:
            assert pay.query(made["1.02"].id).status is Status.CLOSED
        assert pay.query(made["1.03"].id).charged_back_minor == 0
        server.gateway.clock.advance(5)
        charged_back = pay.query(made["1.03"].id).charged_back_minor
        assert charged_back == (0 if provider in NO_CHARGE_BACK else 103)
        if provider not in NO_END:
            refunds = {amount: refunded(server, pay, made[amount]) for amount in ("1.05", "1.06", "1.08")}
            assert refunds["1.05"] is RefundStatus.FAILED
            assert refunds["1.06"] in (RefundStatus.FAILED, RefundStatus.REVERSED)
            assert refunds["1.08"] is RefundStatus.SUCCEEDED
    server.stop()


def create(pay: Client, amount: str) -> Payment:
    """A payment with its amount for a reference."""
    return pay.create(
        reference=amount, amount=Money(amount, "EUR"), channel="web", return_url="https://shop.example/"
    )


def refunded(server: SandboxServer, pay: Client, payment: Payment) -> RefundStatus:
    """What became of a refund of a half of it."""
    pay.query(payment.id)
    pay.refund(payment.id, reference=f"r-{payment.reference}", amount=Money("0.50", "EUR"))
    server.gateway.clock.advance(3)
    (refund,) = pay.query(payment.id).refunds
    return refund.status


@pytest.mark.parametrize("provider", sorted(set(METHODS) - {"bank-transfer"}))
def test_notifications_of_some_orders_only(provider: str, tmp_path: Path) -> None:
    """Lost for one, doubled for another, as they are for the third; a bank notifies of nothing."""
    (tmp_path / "scenario.toml").write_text(
        """
        [[rule]]
        match.amount = "1.01"
        notification = "lost"
        [[rule]]
        match.amount = "1.02"
        notification = "repeated"
        """,
        encoding="utf-8",
    )
    with Arrivals() as arrivals:
        scenario = read_scenario(tmp_path / "scenario.toml")
        server, pay = opened(provider, tmp_path, scenario=scenario, notify_url=arrivals.url)
        with pay:
            counts = []
            for amount in ("1.01", "1.02", "1.03"):
                arrivals.count = 0
                server.gateway.controls.pay(create(pay, amount).order_number)
                counts.append(arrivals.settled())
        server.stop()
    lost, doubled, plain = counts
    assert (lost, doubled) == (0, 2 * plain)
    assert plain > 0


class Arrivals:
    """Counts what is posted to it."""

    def __init__(self) -> None:
        self.count = 0
        arrivals = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                arrivals.count += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"SUCCESS")

            def log_message(self, *_words: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def settled(self) -> int:
        """How many have come, once none has for a while."""
        before = -1
        while self.count != before:
            before = self.count
            time.sleep(0.15)
        return self.count
