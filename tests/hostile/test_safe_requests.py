"""A flow that ends after safe requests has moved nothing, however it ends; after any other it may have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from paycore import PaycoreError, Payment, Status
from paycore.domain.payment import OperationState, RefundStatus
from paycore.engine.plugins import Plugins
from paycore.errors import MaybeSent, NotSent, PluginError
from paycore.plugin import Flow, PaymentObservation, Request, Unknown
from paycore.testing.toy import ToyGateway
from tests.engine.tills import Till
from tests.hostile.gateway import Heard, Honest, HostileGateway, Part, hostile_gateway
from tests.hostile.shops import carrier, config_of
from tests.hostile.test_plugins import Broken, BrokenPlugin, Flawed, broken_till
from tests.support.toy_http import KEY


@pytest.fixture
def gateway() -> Iterator[HostileGateway]:
    """The toy's gateway; it breaks off the answer to every request for `/lost`."""
    truth = ToyGateway(key=KEY)
    honest = carrier(truth)

    def carry_out(heard: Heard) -> Honest:
        return Honest(body=b"{}") if heard.path == "/lost" else honest(heard)

    with hostile_gateway(carry_out) as gateway, gateway.answering(break_off, on="/lost"):
        yield gateway


def break_off(_heard: Heard, _honest: Honest) -> Iterator[Part]:
    """Half a head, and the end."""
    yield b"HTTP/1.1 200"


@pytest.fixture
def till(gateway: HostileGateway, tmp_path: Path) -> Iterator[Till]:
    """A till whose plugin works until a test breaks it."""
    till = broken_till(gateway, tmp_path / "paycore.db")
    yield till
    till.shutdown()


def asked(path: str = "/query", *, safe: bool | None) -> Request:
    return Request(method="POST", path=path, body=b'{"numbers": []}', safe=safe)


def ending(how: str, *, safe: bool | None) -> Flawed:
    """A flow that sends one request, and then ends so."""

    def flow(*_: Any) -> Flow[Any]:
        yield asked("/lost" if how == "no answer" else "/query", safe=safe)
        match how:
            case "raises":
                raise KeyError("access_token")
            case "ends the process":
                raise SystemExit(3)
            case "unknown":
                return Unknown(problem="HTML instead of a token")
            case "returns nothing":
                return None
            case "asks for nonsense":
                yield "/orders"  # type: ignore[misc]
            case "asks for ever":
                while True:
                    yield asked(safe=safe)
            case _:
                pass
        return None

    return flow


ENDINGS: dict[str, type[PaycoreError] | None] = {
    "raises": PluginError,
    "ends the process": PluginError,
    "returns nothing": PluginError,
    "asks for nonsense": PluginError,
    "unknown": None,
    "no answer": None,
    "asks for ever": None,
}
"""With the error of the plugin; None where it is the provider that failed, or so it seems."""

endings = pytest.mark.parametrize("how", ENDINGS)


def do(till: Till, verb: str) -> tuple[Payment, type[PaycoreError] | None, PaycoreError | None]:
    """The payment after the verb, and what it raised."""
    payment = None
    if verb != "create":
        flaws, Broken.flaws = Broken.flaws, {}
        payment = till.create(channel="card" if verb == "refund" else "web")
        Broken.flaws = flaws
    try:
        came = till.create() if payment is None else getattr(till, verb)(payment)
    except PaycoreError as error:
        known = till.get(error.payment_id or (payment.id if payment else ""))
        return known, type(error), error
    return came, None, None


@endings
@pytest.mark.parametrize("verb", ["create", "refund", "close"])
def test_after_safe_requests_nothing_is_unknown(till: Till, how: str, verb: str) -> None:
    """The operation is back where it was, and the next call sends it: once."""
    Broken.flaws = {verb: ending(how, safe=True)}
    payment, kind, error = do(till, verb)
    assert error is not None
    assert (kind, error.money_moved) == (ENDINGS[how] or NotSent, "no")
    assert (payment.uncertain, payment.operations[-1].state) == (False, OperationState.INTENT)
    Broken.flaws = {}
    mended = till.create() if verb == "create" else getattr(till, verb)(payment)
    done = {
        "create": mended.status is Status.PENDING,
        "refund": mended.refunds and mended.refunds[0].status is RefundStatus.SUCCEEDED,
        "close": mended.status is Status.CLOSED,
    }
    assert done[verb]
    assert mended.operations[-1].number == payment.operations[-1].number


@endings
@pytest.mark.parametrize("safe", [False, None])
@pytest.mark.parametrize("verb", ["create", "refund"])
def test_after_any_other_request_it_is(till: Till, how: str, verb: str, safe: bool | None) -> None:
    """Money may have moved: the payment is uncertain until a query says what became of it. A POST is not safe."""
    Broken.flaws = {verb: ending(how, safe=safe)}
    payment, kind, error = do(till, verb)
    assert kind is ENDINGS[how]
    assert error is None or error.money_moved == "maybe"
    assert (payment.uncertain, payment.operations[-1].state) == (True, OperationState.UNKNOWN)


@endings
def test_query_that_fails_changes_nothing(till: Till, how: str) -> None:
    """Safe or not: the payment is as it was, and the error is the flow's."""
    for safe, other in ((True, NotSent), (False, MaybeSent)):
        Broken.flaws = {}
        before = till.create()
        Broken.flaws = {"query": ending(how, safe=safe)}
        with pytest.raises(ENDINGS[how] or other) as raised:
            till.query(before)
        assert raised.value.money_moved == ("no" if safe else "maybe")
        if how == "no answer":
            assert ("what was asked so far can't move money" in str(raised.value)) is safe
        assert till.get(before.id) == before


def test_safe_requests_before_and_after_another_are_forgotten(till: Till) -> None:
    """A flow is as safe as the least safe request it sent."""

    def flow(*_: Any) -> Flow[Any]:
        yield asked(safe=True)
        yield asked(safe=False)
        yield asked(safe=True)
        return Unknown(problem="?")

    Broken.flaws = {"create": flow}
    assert till.create().status is Status.UNKNOWN


def test_order_that_a_safe_request_found_is_taken(till: Till) -> None:
    """`Unknown` with an observation says that the order is there: an earlier send has arrived."""

    def flow(order: Any) -> Flow[Any]:
        yield asked(safe=True)
        seen = PaymentObservation(number=order.number, status=Status.PENDING, provider_id="T1")
        return Unknown(problem="it is there, and its link is not", observation=seen)

    Broken.flaws = {"create": flow}
    with pytest.raises(PaycoreError):
        till.create()
    assert till.find("order-1").provider_id == "T1"


def test_get_is_safe_and_a_get_that_is_not_says_so(till: Till) -> None:
    """The default is by the method."""
    assert [
        Request(method=method, path="/").is_safe for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    ] == [True, False, False, False, False]
    assert not Request(method="GET", path="/", safe=False).is_safe
    assert Request(method="DELETE", path="/", safe=True).is_safe


NO_REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "a method of its own": ({"method": "LINK"}, "by another method than DELETE, GET, PATCH, POST, PUT"),
    "a method in small letters": ({"method": "get"}, "by another method than"),
    "a host that is none": ({"host": None}, "it asked a host it has not declared"),
    "a host in a list": ({"host": []}, "it asked a host it has not declared"),
    "a line in a header": ({"headers": {"x": "a\r\ny: b"}}, "the header 'x' can't be written as HTTP"),
    "a space at its end": ({"headers": {"x": "a "}}, "the header 'x' can't be written as HTTP"),
    "letters of others": ({"headers": {"x": "ü"}}, "the header 'x' can't be written as HTTP"),
    "a header's name of two words": ({"headers": {"x y": "a"}}, "the header 'x y' can't be written as HTTP"),
    "a header without a name": ({"headers": {"": "a"}}, "the header '' can't be written as HTTP"),
    "a host in a header": ({"headers": {"Host": "evil.example"}}, "the header 'Host' is not a plugin's"),
    "a length of its own": ({"headers": {"content-length": "1"}}, "'content-length' is not a plugin's"),
    "a body in pieces": ({"headers": {"Transfer-Encoding": "chunked"}}, "'Transfer-Encoding' is not a plug"),
    "safe in words": ({"safe": "no"}, "whether a request is safe is True, False or None"),
    "safe by number": ({"safe": 1}, "whether a request is safe is True, False or None"),
}


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_request_that_says_nonsense_is_not_sent(till: Till, gateway: HostileGateway, name: str) -> None:
    """The error says what, and where in the plugin."""
    fields, problem = NO_REQUESTS[name]

    def flow(*_: Any) -> Flow[Any]:
        yield Request(**{"method": "POST", "path": "/orders", **fields})

    Broken.flaws = {"create": flow}
    with pytest.raises(PluginError, match=f"{problem}.*in tests.hostile.test_safe_requests, line") as raised:
        till.create()
    assert (raised.value.money_moved, gateway.heard) == ("no", [])


@pytest.mark.parametrize("path", ["/orders?key={}", "/{}/orders", "/orders?a=1&key={}#x"])
def test_secret_in_a_url_is_not_sent(
    gateway: HostileGateway, tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """URLs are logged by everybody on the way; the error does not have it either."""
    key = "CANARY-+/=89"

    def flow(*_: Any) -> Flow[Any]:
        yield Request(method="GET", path=path.format(quote(key, safe="")))

    Broken.flaws = {"create": flow}
    config = config_of("toy", gateway.url, tmp_path / "paycore.db", key=key)
    till = Till("sync", config, Plugins(extra=[("broken", BrokenPlugin())]))
    with pytest.raises(PluginError, match="a request's path has a secret in it") as raised:
        till.create()
    assert raised.value.money_moved == "no"
    assert "CANARY" not in str(raised.value) + caplog.text
    assert gateway.heard == []
    till.shutdown()
