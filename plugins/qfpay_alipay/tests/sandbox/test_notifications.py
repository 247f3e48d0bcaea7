"""Notifications. Source: G4/G5 "Asynchronous Notifications", G2 section 3.5 (SOURCES.md §7)."""

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plugins.qfpay_alipay.tests.sandbox.merchant import Merchant
from plugins.qfpay_alipay.tests.sandbox.test_life import wait_until

ALWAYS = {
    "status", "notify_type", "pay_type", "syssn", "out_trade_no", "txamt", "txcurrcd", "txdtm", "sysdtm", "paydtm",
    "cancel", "respcd",
}  # fmt: skip


class Receiver:
    """A merchant's notification address; `answers` are given in turn, the last one repeatedly."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = [(200, b"SUCCESS")]
        self.bodies: list[bytes] = []
        self.signatures: list[str] = []
        self.kinds: list[str] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.signatures.append(self.headers["X-QF-SIGN"])
                receiver.kinds.append(self.headers["Content-Type"])
                status, body = receiver.answers[0] if len(receiver.answers) == 1 else receiver.answers.pop(0)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", receiver.url + "elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def got(self, count: int) -> list[dict[str, Any]]:
        wait_until(lambda: len(self.bodies) >= count)
        assert len(self.bodies) == count
        return [json.loads(body) for body in self.bodies]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def is_signed(body: bytes, signature: str, key: str) -> bool:
    return hashlib.md5(body + key.encode()).hexdigest().upper() == signature


def attempts(merchant: Merchant, order: dict[str, Any]) -> list[int]:
    shown = merchant.control("GET", f"orders/{order['syssn']}").json()
    return [len(notice["attempts"]) for notice in shown["notifications"]]


def test_payment_is_notified_when_paid(merchant: Merchant, receiver: Receiver) -> None:
    """Nothing on creation; once paid all fields as strings, Python layout, MD5 over the raw body and the key."""
    order = merchant.payment(notify_url=receiver.url, goods_name="測試")
    assert receiver.bodies == []
    merchant.gateway.orders.pay(order["syssn"])
    (fields,) = receiver.got(1)
    assert fields.keys() >= ALWAYS
    assert all(isinstance(value, str) for value in fields.values())
    assert (fields["status"], fields["notify_type"], fields["respcd"]) == ("1", "payment", "0000")
    assert (fields["syssn"], fields["out_trade_no"]) == (order["syssn"], order["out_trade_no"])
    assert (fields["txamt"], fields["txcurrcd"], fields["cancel"]) == ("8800", "HKD", "0")
    assert receiver.kinds == ["application/json"]
    assert json.dumps(fields).encode() == receiver.bodies[0]
    assert rb"\u6e2c" in receiver.bodies[0]
    assert is_signed(receiver.bodies[0], receiver.signatures[0], merchant.key)
    assert not is_signed(receiver.bodies[0], receiver.signatures[0], "another key")


def test_refund_is_notified_with_its_own_numbers(merchant: Merchant, receiver: Receiver) -> None:
    """notify_type refund, the refund's syssn and out_trade_no, nothing of the original's. Source: G5-zh-live."""
    order = merchant.paid(notify_url=receiver.url)
    refund = merchant.refund(order, "800")
    notices = {fields["notify_type"]: fields for fields in receiver.got(2)}
    assert notices["refund"]["syssn"] == refund["syssn"]
    assert (notices["refund"]["out_trade_no"], notices["refund"]["txamt"]) == (refund["out_trade_no"], "800")
    assert order["syssn"] not in notices["refund"].values()


def test_failures_are_not_notified(merchant: Merchant, receiver: Receiver) -> None:
    """Only successes are sent: none for declined, closed and expired orders and failed refunds."""
    for end in ("decline", "expire"):
        getattr(merchant.gateway.orders, end)(merchant.payment(notify_url=receiver.url)["syssn"])
    merchant.close(merchant.payment(notify_url=receiver.url))
    merchant.refund(merchant.payment(notify_url=receiver.url), "1")
    merchant.paid(notify_url=receiver.url, goods_name="last")
    assert [fields["goods_name"] for fields in receiver.got(1)] == ["last"]


def test_pending_refund_is_notified_when_done(
    open_merchant: Callable[..., Merchant], receiver: Receiver
) -> None:
    """Not at 1143, but at 0000."""
    merchant = open_merchant()
    merchant.gateway.faults.add("pending_refund", seconds=60.0)
    order = merchant.paid()
    merchant.gateway.faults.clear()
    order = merchant.paid(notify_url=receiver.url)
    receiver.got(1)
    merchant.gateway.faults.add("pending_refund", seconds=60.0)
    merchant.refund(order, "100")
    assert len(receiver.bodies) == 1
    merchant.gateway.clock.advance(61)
    assert receiver.got(2)[1]["notify_type"] == "refund"


def test_account_url_is_used_when_the_payment_has_none(
    open_merchant: Callable[..., Merchant], receiver: Receiver
) -> None:
    """A payment's own notify_url has precedence over the registered URL. An mchid is included."""
    merchant = open_merchant({"notify_url": receiver.url + "account", "mchid": "M1"})
    merchant.paid(mchid="M1")
    assert receiver.got(1)[0]["mchid"] == "M1"
    merchant.paid(mchid="M1", notify_url="http://127.0.0.1:9/")
    merchant.paid(mchid="M1", goods_name="third")
    assert receiver.got(2)[1]["goods_name"] == "third"


def test_notification_is_repeated_at_the_documented_gaps(
    open_merchant: Callable[..., Merchant], receiver: Receiver
) -> None:
    """After 2 m, 10 m, 10 m, 60 m, 2 h, 6 h, 15 h, not before, then never again. Source: G4/G5."""
    receiver.answers = [(200, b"OK")]
    merchant = open_merchant()
    order = merchant.paid(notify_url=receiver.url)
    wait_until(lambda: attempts(merchant, order) == [1])
    for count, gap in enumerate((120, 600, 600, 3600, 7200, 21600, 54000), start=1):
        merchant.gateway.clock.advance(gap - 5)
        assert attempts(merchant, order) == [count]
        merchant.gateway.clock.advance(5)
        wait_until(lambda count=count: attempts(merchant, order) == [count + 1])  # type: ignore[misc]
    merchant.gateway.clock.advance(10 * 86400)
    assert attempts(merchant, order) == [8]
    assert len(set(receiver.bodies)) == 1


@pytest.mark.parametrize(
    "refusal", [(200, b"success"), (200, b""), (201, b"SUCCESS"), (500, b"SUCCESS"), (302, b"SUCCESS")]
)
def test_notification_stops_at_success_alone(
    open_merchant: Callable[..., Merchant], receiver: Receiver, refusal: tuple[int, bytes]
) -> None:
    """Only HTTP 200 with SUCCESS ends it; after any other answer, also a redirect, it is sent again."""
    receiver.answers = [refusal, (200, b"SUCCESS")]
    merchant = open_merchant()
    order = merchant.paid(notify_url=receiver.url)
    wait_until(lambda: attempts(merchant, order) == [1])
    merchant.gateway.clock.advance(121)
    wait_until(lambda: attempts(merchant, order) == [2])
    merchant.gateway.clock.advance(86400)
    (notice,) = merchant.control("GET", f"orders/{order['syssn']}").json()["notifications"]
    assert (notice["is_accepted"], notice["next_at"], len(notice["attempts"])) == (True, None, 2)


def test_notification_to_nobody_is_kept_as_an_error(merchant: Merchant) -> None:
    """An unreachable address gives an attempt with an error and a time for the next."""
    order = merchant.paid(notify_url="http://127.0.0.1:9/")
    wait_until(lambda: attempts(merchant, order) == [1])
    (notice,) = merchant.control("GET", f"orders/{order['syssn']}").json()["notifications"]
    assert notice["attempts"][0]["status"] is None
    assert "refused" in notice["attempts"][0]["error"]
    assert notice["next_at"] is not None


def test_notification_dropped_late_doubled_and_forged(
    open_merchant: Callable[..., Merchant], receiver: Receiver
) -> None:
    """The four notification faults, each for the next notification only."""
    merchant = open_merchant({"notify_url": receiver.url})
    merchant.gateway.faults.add("drop_notification")
    assert attempts(merchant, merchant.paid()) == []
    merchant.gateway.faults.add("late_notification", seconds=300.0)
    late = merchant.paid()
    assert attempts(merchant, late) == [0]
    merchant.gateway.clock.advance(301)
    wait_until(lambda: attempts(merchant, late) == [1])
    merchant.gateway.faults.add("duplicate_notification", copies=3)
    doubled = merchant.paid()
    wait_until(lambda: attempts(merchant, doubled) == [1, 1, 1])
    merchant.gateway.faults.add("forged_notification")
    before = len(receiver.bodies)
    forged = merchant.paid()
    wait_until(lambda: attempts(merchant, forged) == [1, 1])
    pairs = list(zip(receiver.bodies[before:], receiver.signatures[before:], strict=True))
    assert sorted(is_signed(body, signature, merchant.key) for body, signature in pairs) == [False, True]


def test_notification_with_a_wrong_amount_is_well_signed(merchant: Merchant, receiver: Receiver) -> None:
    """wrong_amount and wrong_currency on the path "notification" have a valid signature."""
    order = merchant.payment(notify_url=receiver.url)
    merchant.gateway.faults.add("wrong_amount", path="notification", by=5)
    merchant.gateway.faults.add("wrong_currency", path="notification")
    assert merchant.record(order["out_trade_no"])["txamt"] == "8800"
    merchant.gateway.orders.pay(order["syssn"])
    (fields,) = receiver.got(1)
    assert (fields["txamt"], fields["txcurrcd"]) == ("8805", "USD")
    assert is_signed(receiver.bodies[0], receiver.signatures[0], merchant.key)


def test_notify_on_request(open_merchant: Callable[..., Merchant], receiver: Receiver) -> None:
    """POST /_sandbox/notify: repeat at once, late after its seconds, forged even for unpaid orders."""
    merchant = open_merchant({"notify_url": receiver.url})
    order, unpaid = merchant.paid(), merchant.payment()
    refund = merchant.refund(order, "100")
    receiver.got(2)

    def notify(number: str, **body: Any) -> int:
        return merchant.control("POST", "notify", {"number": number, **body}).status_code

    assert notify(order["out_trade_no"]) == 200
    assert notify(refund["out_trade_no"], kind="repeat") == 200
    assert receiver.got(4)[3]["notify_type"] in ("payment", "refund")
    assert notify(order["syssn"], kind="late", seconds=60) == 200
    assert len(receiver.bodies) == 4
    merchant.gateway.clock.advance(61)
    receiver.got(5)
    assert notify(unpaid["syssn"], kind="repeat") == 409
    assert notify(unpaid["syssn"], kind="forged") == 200
    lie = receiver.got(6)[5]
    assert (lie["out_trade_no"], lie["respcd"]) == (unpaid["out_trade_no"], "0000")
    assert not is_signed(receiver.bodies[5], receiver.signatures[5], merchant.key)
    assert notify("nobody") == 404
    assert notify(order["syssn"], kind="loud") == 400


def test_notify_without_an_address_is_409(merchant: Merchant) -> None:
    """The error says that there is no address."""
    order = merchant.paid()
    reply = merchant.control("POST", "notify", {"number": order["syssn"]})
    assert (reply.status_code, "notify_url" in reply.json()["hint"]) == (409, True)
