"""
2,000 payments over PostgreSQL, made and paid at random, by processes that share the work and are killed meanwhile.

Four accounts at four QFPay sandboxes on this machine, each of which takes 400 requests a minute and loses one
notification in five. `paycore serve` receives the others, two `paycore worker` ask for what is not heard of, and two
processes deliver every paid order once. A worker and a process that delivers are killed in the middle, and others
started.

    python examples/at_scale.py                                      # an embedded PostgreSQL, from a checkout
    python examples/at_scale.py --ledger postgresql://... --payments 500
"""

import argparse
import contextlib
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

import paycore
from paycore.sandbox.server import SandboxServer
from qfpay_alipay.sandbox import QFPaySandbox

ACCOUNTS = ("hk1", "hk2", "hk3", "hk4")
AT_ONCE = 16
PAYER_TAKES_S = 30.0
LOST = 0.2
KNOWN_WITHIN_S = 60.0

CONFIG = """
default_account = "hk1"
ledger = "{ledger}"
"""
ACCOUNT = """
[accounts.{name}]
provider = "qfpay-alipay"
mode = "sandbox"
base_url = "{url}"
region = "hk"
app_code = "{app_code}"
client_key = "{client_key}"
"""


class Payers:
    """They pay each order after a while, or not at all; and the gateways lose some of the notifications."""

    def __init__(self, sandboxes: dict[str, SandboxServer]) -> None:
        self._sandboxes = sandboxes
        self.paid_at: dict[str, float] = {}
        self.lost = 0
        self._timers: list[threading.Timer] = []

    def take(self, payment: paycore.Payment) -> None:
        """Have this order paid at some time."""
        timer = threading.Timer(random.uniform(0.0, PAYER_TAKES_S), self._pay, (payment,))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _pay(self, payment: paycore.Payment) -> None:
        url = self._sandboxes[payment.account].url
        if random.random() < LOST:
            self.lost += 1
            _post(f"{url}/_sandbox/faults", {"kind": "drop_notification"})
        _post(f"{url}/_sandbox/orders/{payment.order_number}/pay", {})
        self.paid_at[payment.id] = time.time()

    def wait(self) -> None:
        """Until every order is paid."""
        for timer in self._timers:
            timer.join()


def _post(url: str, document: dict[str, object]) -> None:
    body = json.dumps(document).encode()
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        reply.read()


def main() -> None:
    """Make, pay, know and deliver; then say what was seen, and fail where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--ledger", help="an empty PostgreSQL database; without it one from a checkout's tests"
    )
    parser.add_argument("--payments", type=int, default=2_000)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = options.ledger or stack.enter_context(_embedded())
        sandboxes = {name: stack.enter_context(SandboxServer(QFPaySandbox())) for name in ACCOUNTS}
        config = folder / "paycore.toml"
        config.write_text(
            CONFIG.format(ledger=ledger)
            + "".join(
                ACCOUNT.format(name=name, url=sandbox.url, **sandbox.settings)
                for name, sandbox in sandboxes.items()
            ),
            encoding="utf-8",
        )
        sys.exit(run(config, ledger, sandboxes, options.payments))


@contextlib.contextmanager
def _embedded() -> Iterator[str]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.support.postgres import embedded_postgres

    with embedded_postgres() as server:
        yield server.create_database()


def run(config: Path, ledger: str, sandboxes: dict[str, SandboxServer], count: int) -> int:
    """0 where every payment was known and delivered once, and no create refused; else 1."""
    with paycore.Client(config) as pay, psycopg.connect(ledger, autocommit=True) as shop:
        shop.execute("CREATE TABLE delivered (key text PRIMARY KEY, reference text NOT NULL)")
        list(pay.changes("delivery", follow=False))  # from now on
        processes = Processes(config, ledger)
        payers = Payers(sandboxes)
        try:
            print(f"{count} payments at {len(ACCOUNTS)} accounts; receiving at {processes.url}", flush=True)
            refused = sell(pay, payers, processes, count)
            payers.wait()
            known = until_known(pay, shop, count)
        finally:
            processes.end()
        return report(pay, shop, payers, sandboxes, refused=refused, known_s=known)


def sell(pay: paycore.Client, payers: Payers, processes: "Processes", count: int) -> int:
    """Make the payments, several at once; how many creates were refused for the budget and made again."""
    refused = 0

    def create(number: int) -> None:
        nonlocal refused
        account = ACCOUNTS[number % len(ACCOUNTS)]
        while True:
            try:
                payment = pay.create(
                    reference=f"order-{number}",
                    amount=paycore.Money.from_minor(1_000 + number, "HKD"),
                    method="alipay",
                    channel="web",
                    account=account,
                    notify_url=f"{processes.url}/{account}",
                )
            except paycore.errors.NotSent as error:
                refused += 1
                time.sleep(error.retry_after_s or 1.0)
            else:
                payers.take(payment)
                return

    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done, _ in enumerate(pool.map(create, range(count)), start=1):
            if done == count // 2:
                processes.kill_one_of_each()
                print(f"{done} made; a worker and a delivery were killed, and others started", flush=True)
    print(f"{count} made in {time.monotonic() - begun:.0f} s, {refused} calls told to come back", flush=True)
    return refused


class Processes:
    """`paycore serve`, two `paycore worker`, and two processes that deliver."""

    def __init__(self, config: Path, ledger: str) -> None:
        self._config, self._ledger = config, ledger
        self._serve = self._paycore("serve", "--port", "0", "--json")
        self.url = json.loads(self._serve.stdout.readline())["url"] if self._serve.stdout else ""
        self._workers = [self._worker(), self._worker()]
        self._deliveries = [self._delivery(), self._delivery()]

    def _paycore(self, *command: str) -> subprocess.Popen[str]:
        line = [str(Path(sys.executable).with_name("paycore")), "--config", str(self._config), *command]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def _worker(self) -> subprocess.Popen[str]:
        return self._paycore("worker", "--json")

    def _delivery(self) -> multiprocessing.process.BaseProcess:
        spawn = multiprocessing.get_context("spawn")
        process = spawn.Process(target=deliver, args=(self._config, self._ledger), daemon=True)
        process.start()
        return process

    def kill_one_of_each(self) -> None:
        """Kill a worker and a process that delivers, whatever they are doing, and start others."""
        self._workers[0].kill()
        self._deliveries[0].kill()
        self._workers[0].wait()
        self._deliveries[0].join()
        self._workers[0], self._deliveries[0] = self._worker(), self._delivery()

    def end(self) -> None:
        """End all: the server and the workers by SIGTERM, as an operator would."""
        for process in (self._serve, *self._workers):
            process.send_signal(signal.SIGTERM)
        for process in (self._serve, *self._workers):
            process.wait(timeout=10)
        for delivery in self._deliveries:
            delivery.kill()
            delivery.join()


def deliver(config: Path, ledger: str) -> None:
    """Deliver each paid order: the goods and the key of the change in one transaction of the shop's database."""
    with paycore.Client(config) as pay, psycopg.connect(ledger) as shop:
        for change in pay.changes("delivery", kinds=("paid",)):
            shop.execute(
                "INSERT INTO delivered VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (change.key, change.payment.reference),
            )
            shop.commit()


def until_known(pay: paycore.Client, shop: psycopg.Connection, count: int) -> float:
    """Seconds until everything was known and delivered, once the last order was paid."""
    begun = time.monotonic()
    while time.monotonic() - begun < KNOWN_WITHIN_S:
        delivered = shop.execute("SELECT count(*) FROM delivered").fetchone()
        if delivered is not None and delivered[0] >= count and not pay.list(status="pending", limit=1):
            break
        time.sleep(0.2)
    return time.monotonic() - begun


def report(
    pay: paycore.Client,
    shop: psycopg.Connection,
    payers: Payers,
    sandboxes: dict[str, SandboxServer],
    *,
    refused: int,
    known_s: float,
) -> int:
    """Print what was seen; 0 where every promise was kept."""
    paid = {payment.id: payment for payment in pay.list_all(status="paid")}
    delivered = Counter(row[0] for row in shop.execute("SELECT reference FROM delivered").fetchall())
    late = sorted(
        payment.paid_at.timestamp() - payers.paid_at[payment.id]
        for payment in paid.values()
        if payment.paid_at
    )
    turned_away = sum(_refused(sandbox) for sandbox in sandboxes.values())
    print(f"paid {len(payers.paid_at)}, known as paid {len(paid)}; notifications lost {payers.lost}")
    print(
        f"from paid to known: p50 {_part(late, 0.5):.1f} s, p99 {_part(late, 0.99):.1f} s; all {known_s:.0f} s after"
    )
    print(f"delivered {sum(delivered.values())} times for {len(delivered)} orders")
    print(f"requests refused by the gateways: {turned_away}; creates told to come back: {refused}")
    kept = len(paid) == len(payers.paid_at) == len(delivered) == sum(delivered.values()) and turned_away == 0
    print("every payment was known and delivered once" if kept else "A PROMISE WAS BROKEN")
    return 0 if kept else 1


def _refused(sandbox: SandboxServer) -> int:
    """How many requests this gateway answered with 429."""
    with urllib.request.urlopen(f"{sandbox.url}/_sandbox/stats", timeout=30) as reply:
        return int(json.load(reply)["limited"])


def _part(values: Sequence[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


if __name__ == "__main__":
    main()
