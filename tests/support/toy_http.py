"""
The toy gateway over real HTTP: in a thread of the test, or in a separate process that outlives its clients.

    with toy_server(ToyGateway(duplicates="charge_blindly")) as server:      # a thread; server.gateway is its object
    with toy_process(duplicates="refuse", state=folder / "toy.json") as server:      # a process; talk by HTTP
        client = Client(toy_config(server.url, ledger), plugins=toy_plugins())

    python -m tests.support.toy_http --port 0 --duplicates refuse --state FILE       # prints one JSON line: {"url"}

Besides the gateway's own paths:

    GET  /_counts         what was asked and charged, by path and by number (see `Counts`)
    POST /_faults         {lose_request, lose_reply, not_now: how many of the next requests; delay_s; retry_after_s;
                          path: only on this one}
    POST /_pay            {number}: the payer pays, or agrees
    POST /_happens        {what, number, ...}: a method of the gateway, such as `charge_back`, with these arguments
    POST /_notification   {number}  ->  {body, headers} of a genuine notification
    POST /_mention        {number}  ->  {body, headers} of an unsigned one, which has an id only

With a state file the gateway remembers what it was asked and charged when it is started again.
"""

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

import msgspec

from paycore.domain.provider import Mode
from paycore.engine.config import AccountConfig, Config
from paycore.engine.plugins import Plugins
from paycore.plugin import Request, hookimpl
from paycore.testing.toy import SessionToyProvider, ToyCapture, ToyGateway, ToyOrder, ToyProvider

Duplicates = Literal["refuse", "same_result", "charge_blindly"]

KEY = "toy"
ACCOUNT = "toy"


class Counts(msgspec.Struct, kw_only=True):
    """
    What the gateway was asked and did.

    `requests` by path, lost replies included and lost requests not. By number: `creates` asked for,
    `orders` made, `charges` (orders that took money), `captures` (by the number of their order), `refunds` made.
    `records` is every order and refund.
    """

    requests: dict[str, int]
    creates: dict[str, int]
    orders: dict[str, int]
    charges: dict[str, int]
    captures: dict[str, int]
    refunds: dict[str, int]
    records: list[dict[str, Any]]


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """
    The next faults.

    The next `not_now` requests are put off by `retry_after_s` seconds, the next `lose_request` vanish unhandled, then
    the next `lose_reply` are handled and not answered; each of the others is answered after `delay_s` seconds. Only
    on `path` when it is given.
    """

    not_now: int = 0
    retry_after_s: float = 0.0
    lose_request: int = 0
    lose_reply: int = 0
    delay_s: float = 0.0
    path: str | None = None


class ToyPlugin:
    """The plugin that offers the toy provider."""

    @hookimpl
    def paycore_register_providers(self) -> list[type[ToyProvider]]:
        """`toy`, and `toy-session`, whose gateway wants a token."""
        return [ToyProvider, SessionToyProvider]


def toy_plugins() -> Plugins:
    """For a `Client`: the toy, beside the installed plugins."""
    return Plugins(extra=[("toy", ToyPlugin())])


def toy_config(
    url: str,
    ledger: str,
    *,
    timeout_s: float = 10.0,
    mode: Mode = "sandbox",
    provider: str = "toy",
    **settings: Any,
) -> Config:
    """For a `Client`: one account called `toy` at the gateway at `url`; `settings` are `ToySettings`."""
    account = AccountConfig(
        name=ACCOUNT,
        provider=provider,
        mode=mode,
        base_url=url,
        timeout_s=timeout_s,
        settings={"key": KEY, **settings},
    )
    return Config(
        path=Path("paycore.toml"), ledger=ledger, default_account=ACCOUNT, accounts={ACCOUNT: account}
    )


# --- talking to a gateway, wherever it runs ----------------------------------------------------------


class ToyRemote:
    """A gateway at `url`: its counts, its faults, its payers."""

    def __init__(self, url: str) -> None:
        self.url = url

    def counts(self) -> Counts:
        """What it was asked and did so far."""
        return msgspec.convert(self._call("/_counts"), Counts)

    def set_faults(self, **faults: Any) -> None:
        """Replace what goes wrong next; see `Faults`."""
        self._call("/_faults", faults)

    def pay(self, number: str) -> None:
        """The payer pays the newest open order with this number."""
        self._call("/_pay", {"number": number})

    def notification(self, number: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a genuine notification about this number."""
        answer = self._call("/_notification", {"number": number})
        return answer["body"].encode(), answer["headers"]

    def mention(self, number: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of an unsigned notification with the id of this number."""
        answer = self._call("/_mention", {"number": number})
        return answer["body"].encode(), answer["headers"]

    def happens(self, what: str, **arguments: Any) -> None:
        """Something without a request, by the gateway's own method: `charge_back`, `reverse`, `refuse_tokens`."""
        self._call("/_happens", {"what": what, **arguments})

    def _call(self, path: str, fields: dict[str, Any] | None = None) -> Any:
        body = None if fields is None else json.dumps(fields).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=body), timeout=30) as reply:
            return json.load(reply)


class ToyServer(ToyRemote):
    """A gateway served by threads of this process; `gateway` may be read while no request is under way."""

    def __init__(self, gateway: ToyGateway, *, port: int = 0, state: Path | None = None) -> None:
        self.gateway = gateway
        self.faults = Faults()
        self._state = state
        self._lock = threading.Lock()
        if state is not None and state.exists():
            _restore(gateway, json.loads(state.read_bytes()))
        self._http = _Http(("127.0.0.1", port), _handler(self))
        super().__init__(f"http://127.0.0.1:{self._http.server_address[1]}")

    def serve(self) -> None:
        """Answer until `stop`."""
        self._http.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """End `serve`, and the connections with it."""
        self._http.shutdown()
        self._http.server_close()

    def answer(
        self, path: str, body: bytes, headers: Mapping[str, str] = MappingProxyType({})
    ) -> bytes | None:
        """The reply to one request; None when it gets none."""
        if path.startswith("/_"):
            with self._lock:
                return json.dumps(self._control(path, json.loads(body or b"{}"))).encode()
        with self._lock:
            faults = self.faults if self.faults.path in (None, path) else Faults()
            if faults.not_now > 0:
                faults.not_now -= 1
                return json.dumps({"error": "not_now", "retry_after_s": faults.retry_after_s}).encode()
            if faults.lose_request > 0:
                faults.lose_request -= 1
                return None
            request = Request(method="POST", path=path, body=body, headers=headers)
            reply = self.gateway.handle(request).body
            self._save()
            is_lost = faults.lose_reply > 0
            faults.lose_reply -= is_lost
        time.sleep(faults.delay_s)
        return None if is_lost else reply

    def _control(self, path: str, fields: dict[str, Any]) -> Any:
        match path:
            case "/_counts":
                return msgspec.to_builtins(count(self.gateway))
            case "/_faults":
                self.faults = msgspec.convert(fields, Faults)
            case "/_pay":
                self.gateway.pay(fields["number"])
                self._save()
            case "/_happens":
                getattr(self.gateway, fields.pop("what"))(**fields)
                self._save()
            case "/_notification" | "/_mention":
                make = self.gateway.mention if path == "/_mention" else self.gateway.notification
                body, headers = make(fields["number"])
                return {"body": body.decode(), "headers": headers}
            case _:
                raise ValueError(f"no such path: {path}")
        return {}

    def _save(self) -> None:
        if self._state is not None:
            new = self._state.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(_kept(self.gateway)))
            new.replace(self._state)


def count(gateway: ToyGateway) -> Counts:
    """What a gateway was asked and did."""
    payments = [order for order in gateway.orders if order.kind == "payment"]
    return Counts(
        requests=Counter(path for path, _ in gateway.requests),
        creates=Counter(fields["number"] for path, fields in gateway.requests if path == "/orders"),
        orders=Counter(order.number for order in payments),
        charges=Counter(order.number for order in payments if order.status == "paid"),
        captures=Counter(_number_of(gateway, capture.order_id) for capture in gateway.captures),
        refunds=Counter(order.number for order in gateway.orders if order.kind == "refund"),
        records=[order.record() for order in gateway.orders],
    )


def _number_of(gateway: ToyGateway, order_id: str) -> str:
    return next(order.number for order in gateway.orders if order.id == order_id)


def _kept(gateway: ToyGateway) -> dict[str, Any]:
    """What a gateway with a state file remembers when it is started again."""
    return {
        "orders": [vars(order) for order in gateway.orders],
        "captures": gateway.captures,
        "requests": gateway.requests,
        "tokens": gateway.tokens,
    }


def _restore(gateway: ToyGateway, kept: dict[str, Any]) -> None:
    gateway.requests = [(path, fields) for path, fields in kept["requests"]]
    gateway.captures = msgspec.convert(kept["captures"], list[ToyCapture])
    gateway.tokens, gateway.tokens_made = kept["tokens"], len(kept["tokens"])
    for known in kept["orders"]:
        order = ToyOrder(known["number"], known["kind"], known["minor"], known["currency"])
        for name, value in known.items():
            is_time = name.endswith("_at") and value is not None
            setattr(order, name, datetime.fromisoformat(value) if is_time else value)
        gateway.orders.append(order)


# --- HTTP --------------------------------------------------------------------------------------------


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client's kept-alive connection must not hold up the end of a test
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Killed clients and closed connections are expected: print no traceback."""


class _Answers(Protocol):
    def answer(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes | None: ...


def _handler(answers: _Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            reply = answers.answer(self.path, body, {k.lower(): v for k, v in self.headers.items()})
            if reply is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            head = (
                f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(reply)}\r\n\r\n"
            )
            self.wfile.write(head.encode() + reply)

        do_GET = do_POST  # noqa: N815 - the name http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler


@contextlib.contextmanager
def toy_server(gateway: ToyGateway | None = None) -> Iterator[ToyServer]:
    """Serve a gateway from threads of this process, on a free port."""
    server = ToyServer(gateway or ToyGateway(key=KEY))
    thread = threading.Thread(target=server.serve, name="toy-gateway", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


@contextlib.contextmanager
def toy_process(*, duplicates: Duplicates = "refuse", state: Path | None = None) -> Iterator[ToyRemote]:
    """Serve a gateway from a separate process, on a free port; it ends with the block, or with this process."""
    command = [sys.executable, "-m", "tests.support.toy_http", "--duplicates", duplicates]
    command += [] if state is None else ["--state", str(state)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the gateway has no pipes")
        try:
            yield ToyRemote(json.loads(process.stdout.readline())["url"])
        finally:
            process.stdin.close()  # it ends when its standard input does


def main() -> None:
    """Serve a gateway, print its URL, and end when standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--duplicates", choices=get_args(Duplicates), default="refuse")
    parser.add_argument("--state", type=Path)
    options = parser.parse_args()
    gateway = ToyGateway(duplicates=options.duplicates, key=KEY)
    server = ToyServer(gateway, port=options.port, state=options.state)
    print(json.dumps({"url": server.url, "key": KEY}), flush=True)
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
