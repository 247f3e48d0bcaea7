"""`paycore serve`: a process that receives notifications until a signal."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from paycore import Client, Money, Status
from paycore.serving import HEAD_S
from tests.cli.conftest import Cli, ToyShop, toy_order
from tests.support.postgres import PostgresServer

SERVE = [sys.executable, "-m", "paycore.cli", "serve"]
"""As a module, which finds the toy's plugin in the working folder."""

DRAINED_S = 5.0


class Serving:
    """A running `paycore serve --json`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.ready: Any = json.loads(process.stdout.readline())
        self.url: str = self.ready["url"]

    def post(self, body: bytes, headers: dict[str, str], path: str = "/toy") -> httpx2.Response:
        """Send a notification."""
        return httpx2.post(self.url + path, content=body, headers=headers, trust_env=False, timeout=20)

    def health(self) -> tuple[int, Any]:
        """Status and document of /healthz."""
        answer = httpx2.get(f"{self.url}/healthz", trust_env=False, timeout=20)
        return answer.status_code, answer.json()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """End it; how many seconds that took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(timeout=20) == 0
        return time.monotonic() - begun


@contextmanager
def serving(*options: str, files_max: int = 0) -> Iterator[Serving]:
    """`paycore serve` in the working folder, on a free port; `files_max`: how many files it may open at first."""
    words = [*SERVE, "--port", "0", "--json", *options]
    if files_max:
        words = ["/bin/sh", "-c", f'ulimit -Sn {files_max}; exec "$@"', "sh", *words]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Serving(process)
        finally:
            process.kill()


def paid(toy_shop: ToyShop, cli: Cli, reference: str = "order-1") -> tuple[Any, bytes, dict[str, str]]:
    """A payment that was paid at the gateway, and the notification of it."""
    payment = cli(*toy_order("web", reference), "--json").json
    toy_shop.server.pay(payment["order_number"])
    return payment, *toy_shop.server.notification(payment["order_number"])


def status_of(cli: Cli, payment: Any) -> str:
    """The payment's status in the ledger."""
    status: str = cli("show", payment["id"], "--json").json["status"]
    return status


def test_serve_receives_and_acknowledges(cli: Cli, toy_shop: ToyShop) -> None:
    """One JSON line with the URL, and what each account's provider is to be given; then notifications are taken."""
    payment, body, headers = paid(toy_shop, cli)
    with serving() as served:
        assert served.ready == {"url": served.url, "notify_urls": {"toy": f"{served.url}/toy"}}
        assert urlsplit(served.url).hostname == "127.0.0.1"
        answer = served.post(body, headers)
        assert (answer.status_code, answer.content) == (200, b"ok")
        assert status_of(cli, payment) == "paid"
        assert served.post(body, {}).status_code == 400
        assert served.post(body, headers, "/nobody").status_code == 404
        assert served.health() == (200, {"status": "ok"})
        assert served.stop() < DRAINED_S


def test_serve_asks_the_provider_where_notifications_are_hints(cli: Cli, toy_shop: ToyShop) -> None:
    """What arrived is looked after by the process itself."""
    toy_shop.configure(notifications_trusted=False)
    payment, body, headers = paid(toy_shop, cli)
    with serving() as served:
        assert served.post(body, headers).status_code == 200
        give_up_at = time.monotonic() + 20
        while status_of(cli, payment) != "paid":
            assert time.monotonic() < give_up_at
            time.sleep(0.05)


def test_serve_for_one_account(cli: Cli, toy_shop: ToyShop) -> None:
    """With --account the others are unknown; a name that is not configured is refused at the start."""
    config = Path("paycore.toml")
    text = config.read_text()
    config.write_text(
        f"default_account = 'toy'\n{text}\n{text[text.index('[acc') :].replace('.toy]', '.two]')}"
    )
    _, body, headers = paid(toy_shop, cli)
    with serving("--account", "two") as served:
        assert list(served.ready["notify_urls"]) == ["two"]
        assert served.post(body, headers).status_code == 404
        assert served.post(body, headers, "/two").status_code == 200
    ran = cli("serve", "--port", "0", "--account", "tow")
    assert (ran.code, "no account is called 'tow'" in ran.err, ran.err.count("\n")) == (6, True, 1), ran


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_drains_in_time_whatever_is_under_way(
    cli: Cli, toy_shop: ToyShop, number: signal.Signals
) -> None:
    """A body that does not come and a provider that does not answer hold nobody up."""
    toy_shop.configure(notifications_trusted=False, timeout_s=30)
    _, body, headers = paid(toy_shop, cli)
    toy_shop.server.set_faults(delay_s=8.0)
    with serving() as served:
        parts = urlsplit(served.url)
        with closing(socket.create_connection((str(parts.hostname), parts.port or 0))) as half:
            half.sendall(b"POST /toy HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert served.post(body, headers).status_code == 200
            time.sleep(0.5)  # it asks the provider meanwhile
            assert served.stop(number) < DRAINED_S
    toy_shop.server.set_faults()


def test_serve_takes_more_connections_than_the_usual_limit(cli: Cli, toy_shop: ToyShop) -> None:
    """Strangers that connect and send nothing do not use up what the process may open."""
    _, body, headers = paid(toy_shop, cli)
    with serving(files_max=100) as served, ExitStack() as stack:
        parts = urlsplit(served.url)
        for _ in range(200):
            stack.enter_context(socket.create_connection((str(parts.hostname), parts.port or 0)))
        begun = time.monotonic()
        assert served.post(body, headers).status_code == 200
        assert time.monotonic() - begun < HEAD_S / 2  # and not once the strangers have been dropped


def test_serve_answers_what_had_arrived(cli: Cli, toy_shop: ToyShop) -> None:
    """A notification whose last byte comes after the signal is recorded and acknowledged."""
    payment, body, headers = paid(toy_shop, cli)
    with serving() as served:
        parts = urlsplit(served.url)
        with closing(socket.create_connection((str(parts.hostname), parts.port or 0))) as connection:
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = f"POST /toy HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:-1])
            time.sleep(0.5)
            stopping = threading.Thread(target=served.stop)
            stopping.start()
            time.sleep(0.3)
            connection.sendall(body[-1:])
            assert b" 200 OK" in connection.recv(4096)
            stopping.join()
    assert status_of(cli, payment) == "paid"


def test_serve_health_follows_the_database(
    cli: Cli, toy_shop: ToyShop, postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    """503 while the database is away, with no word of where it is; 200 again afterwards; and it ends all the same."""
    config = Path("paycore.toml")
    config.write_text(config.read_text().replace("sqlite:///paycore.db", postgres_dsn))
    with serving() as served:
        assert served.health()[0] == 200
        postgres_server.stop("immediate")
        try:
            code, document = served.health()
            assert (code, document["status"]) == (503, "unavailable")
            assert str(postgres_server.folder) not in json.dumps(document)
        finally:
            postgres_server.start()
        give_up_at = time.monotonic() + 20
        while served.health()[0] != 200:
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        postgres_server.stop("immediate")
        try:
            assert served.stop() < DRAINED_S
        finally:
            postgres_server.start()


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_killed_nothing_acknowledged_is_lost(
    cli: Cli, toy_shop: ToyShop, database: str, request: pytest.FixtureRequest
) -> None:
    """SIGKILL amid a hundred notifications: each that was acknowledged is recorded; the others are taken later."""
    if database == "postgres":
        config = Path("paycore.toml")
        dsn = request.getfixturevalue("postgres_dsn")
        config.write_text(config.read_text().replace("sqlite:///paycore.db", dsn))
    with Client("paycore.toml") as pay:
        payments = [
            pay.create(reference=f"order-{nth}", amount=Money("88.00", "HKD"), method="toy", channel="web")
            for nth in range(100)
        ]
        for payment in payments:
            toy_shop.server.pay(payment.order_number)
        told = {payment.id: toy_shop.server.notification(payment.order_number) for payment in payments}
        acknowledged: list[str] = []
        with serving() as served:

            def send(some: list[str]) -> None:
                with suppress(httpx2.HTTPError), httpx2.Client(trust_env=False, timeout=20) as http:
                    for payment_id in some:
                        body, headers = told[payment_id]
                        if http.post(f"{served.url}/toy", content=body, headers=headers).status_code == 200:
                            acknowledged.append(payment_id)

            ids = list(told)
            senders = [threading.Thread(target=send, args=(ids[nth::10],)) for nth in range(10)]
            for sender in senders:
                sender.start()
            while len(acknowledged) < 30 and any(sender.is_alive() for sender in senders):
                time.sleep(0.001)
            served.process.kill()
            for sender in senders:
                sender.join()
        assert 30 <= len(acknowledged) < 100
        assert {pay.get(payment_id).status for payment_id in acknowledged} == {Status.PAID}
        with serving() as served:
            for body, headers in told.values():
                assert served.post(body, headers).status_code == 200
        assert {pay.get(payment.id).status for payment in payments} == {Status.PAID}


def test_serve_port_taken_6(cli: Cli, toy_shop: ToyShop) -> None:
    """An address in use is named, with what to do; so is one that is not this machine's."""
    port = urlsplit(toy_shop.server.url).port
    ran = cli("serve", "--port", port)
    assert (ran.code, f"127.0.0.1 port {port}" in ran.err, "--port 0" in ran.err) == (6, True, True), ran
    ran = cli("serve", "--host", "192.0.2.1", "--port", "0")
    assert (ran.code, ran.err.count("\n"), "192.0.2.1" in ran.err) == (6, 1, True), ran


def test_serve_without_the_extra_says_how_to_get_it(toy_shop: ToyShop) -> None:
    """Without the extra, one line says what to install."""
    for missing in ("uvicorn", "starlette"):
        code = (
            f"import sys; sys.modules[{missing!r}] = None\n"
            "from paycore.cli.main import main\n"
            "sys.exit(main(['serve', '--port', '0']))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (6, 1), done
        assert "pip install 'paycore[web]'" in done.stderr


def test_serve_without_json_prints_the_addresses(toy_shop: ToyShop) -> None:
    """Lines for a person, on stdout as soon as requests are served."""
    words = [*SERVE, "--port", "0", "--no-color"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline().split(), process.stdout.readline().split()
        process.send_signal(signal.SIGINT)
        _, words_said = process.communicate(timeout=20)
    assert (first[0], second) == ("url:", ["toy:", f"{first[1]}/toy"])
    assert words_said.splitlines()[-1] == "no notifications are received any more"
