"""A plugin that fails before its first request: nothing was sent, for every operation, and nothing is unknown."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore import Payment, Status
from paycore.domain.payment import OperationState, RefundStatus
from paycore.errors import NotSent, PluginError
from paycore.plugin import Flow, Request
from paycore.testing.toy import ToyGateway
from tests.engine.tills import Till
from tests.hostile.gateway import HostileGateway, hostile_gateway
from tests.hostile.shops import carrier
from tests.hostile.test_plugins import Broken, broken_till
from tests.support.toy_http import KEY


@pytest.fixture
def truth() -> ToyGateway:
    """The gateway's state."""
    return ToyGateway(key=KEY)


@pytest.fixture
def gateway(truth: ToyGateway) -> Iterator[HostileGateway]:
    """The toy's gateway, which counts requests."""
    with hostile_gateway(carrier(truth)) as gateway:
        yield gateway


@pytest.fixture
def till(gateway: HostileGateway, tmp_path: Path) -> Iterator[Till]:
    """A till whose plugin works until a test breaks it."""
    till = broken_till(gateway, tmp_path / "paycore.db")
    yield till
    till.shutdown()


def raising(*_: Any) -> Flow[Any]:
    """A flow that fails before its first request."""
    yield from ()
    raise KeyError("settings")


def asking(**fields: Any) -> Any:
    """A flow whose first request is this one."""

    def flow(*_: Any) -> Flow[Any]:
        yield Request(**{"method": "POST", "path": "/orders", **fields})

    return flow


FLAWS = {
    "raises": raising,
    "is no flow": lambda *_: None,
    "yields a text": lambda *_: iter(["/orders"]),
    "by another method": asking(method="TRACE"),
    "no path": asking(path=b"/orders"),
    "another host": asking(path="//evil.example/"),
    "a text as body": asking(body="{}"),
    "header that is a number": asking(headers={"x": 1}),
    "no headers": asking(headers=None),
}


@pytest.mark.parametrize("flaw", FLAWS.values(), ids=FLAWS)
def test_unsent_refund_is_sent_by_a_corrected_plugin(
    till: Till, gateway: HostileGateway, truth: ToyGateway, flaw: Any
) -> None:
    """The refund is recorded as unsent; after a correction the same reference sends it with the same number."""
    paid = till.create(channel="card")
    Broken.flaws = {"refund": flaw}
    with pytest.raises(PluginError) as raised:
        till.refund(paid)
    assert raised.value.money_moved == "no"
    assert (raised.value.payment_id, gateway.asked("/refunds")) == (paid.id, 0)
    payment = till.get(paid.id)
    assert (payment.uncertain, payment.refunds[0].status) == (False, RefundStatus.CREATED)
    Broken.flaws = {}
    refunded = till.refund(paid)
    assert refunded.refunds[0].status is RefundStatus.SUCCEEDED
    assert refunded.refunds[0].number == payment.refunds[0].number
    assert [order.kind for order in truth.orders] == ["payment", "refund"]


@pytest.mark.parametrize("flaw", FLAWS.values(), ids=FLAWS)
def test_unsent_close_is_sent_by_a_corrected_plugin(till: Till, gateway: HostileGateway, flaw: Any) -> None:
    """The order certainly stays open."""
    pending = till.create()
    Broken.flaws = {"close": flaw}
    with pytest.raises(PluginError) as raised:
        till.close(pending)
    assert (raised.value.money_moved, gateway.asked("/close")) == ("no", 0)
    payment = till.get(pending.id)
    assert (payment.status, payment.uncertain) == (Status.PENDING, False)
    assert payment.operations[-1].state is OperationState.INTENT
    Broken.flaws = {}
    assert till.close(pending).status is Status.CLOSED


@pytest.mark.parametrize("flaw", FLAWS.values(), ids=FLAWS)
def test_query_that_could_not_be_sent_moves_nothing(till: Till, gateway: HostileGateway, flaw: Any) -> None:
    """A failed query changes nothing."""
    pending = till.create()
    Broken.flaws = {"query": flaw}
    with pytest.raises(PluginError) as raised:
        till.query(pending)
    assert (raised.value.money_moved, gateway.asked("/query")) == ("no", 0)
    assert till.get(pending.id) == pending


@pytest.mark.parametrize("flaw", FLAWS.values(), ids=FLAWS)
def test_order_that_could_not_be_sent_is_created(
    till: Till, gateway: HostileGateway, truth: ToyGateway, flaw: Any
) -> None:
    """The next call with its reference sends it."""
    Broken.flaws = {"create": flaw}
    with pytest.raises(PluginError) as raised:
        till.create()
    assert (raised.value.money_moved, gateway.heard) == ("no", [])
    assert till.find("order-1").status is Status.CREATED
    Broken.flaws = {}
    made = till.create()
    assert (made.id, made.status) == (raised.value.payment_id, Status.PENDING)
    assert len(truth.orders) == 1


@pytest.mark.parametrize(
    "path", ["", "orders", "//evil.example/", "http://evil.example/", "?a=1", "\\\\evil"]
)
def test_request_can_not_name_a_host(till: Till, gateway: HostileGateway, path: str) -> None:
    """A path starts with exactly one slash, so the host is always the account's."""
    Broken.flaws = {"create": asking(path=path)}
    with pytest.raises(PluginError, match="never names a host"):
        till.create()
    assert gateway.heard == []


def test_request_that_can_not_be_written_as_http_was_not_sent(till: Till, gateway: HostileGateway) -> None:
    """Errors found by the sender are raised before anything is sent."""
    Broken.flaws = {"create": asking(path="/\x00")}
    with pytest.raises(NotSent, match="can't be written as HTTP"):
        till.create()
    assert gateway.heard == []
    assert _only(till).status is Status.CREATED


@pytest.mark.parametrize("stage", ["check", "verify"])
def test_plugin_that_ends_the_process_does_not(till: Till, stage: str) -> None:
    """`sys.exit()` in a plugin is a plugin error, outside flows too."""

    def leave(*_: Any) -> Any:
        raise SystemExit("good bye")

    Broken.flaws = {stage: leave}
    with pytest.raises(PluginError, match=r"SystemExit in .*: good bye") as raised:
        till.create() if stage == "check" else till.receive(b"{}", {})
    assert (raised.value.stage, raised.value.money_moved) == (stage, "no")
    assert till.list() == ()


def test_error_of_a_plugin_is_repeated_in_one_bounded_line(till: Till) -> None:
    """Control characters and excess length are removed."""

    def fail(*_: Any) -> Any:
        raise ValueError("bad\x1b[2J\r\nfield \u202e\u2028" + "x" * 10_000)

    Broken.flaws = {"create": fail}
    with pytest.raises(
        PluginError, match=r"ValueError in .*, line \d+: bad \[2J  field   x+\.\.\.$"
    ) as raised:
        till.create()
    assert len(str(raised.value)) < 400


def test_error_that_can_not_be_shown_is_named_all_the_same(till: Till) -> None:
    """An error whose `str` fails is a plugin error like any other."""

    class ShyError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fail(*_: Any) -> Any:
        raise ShyError

    Broken.flaws = {"create": fail}
    with pytest.raises(PluginError, match=r"ShyError in .*, line \d+: \(what it says can't be shown\)"):
        till.create()


def test_error_with_a_secret_too_short_to_be_masked_is_not_repeated(till: Till) -> None:
    """A text with a key of three letters can't be masked, so it is not shown."""
    Broken.flaws = {"check": lambda *_: 1 / int(f"0{KEY}".removesuffix(KEY))}
    with pytest.raises(PluginError, match=r"ZeroDivisionError in .*: division by zero"):
        till.create()

    def fail(*_: Any) -> Any:
        raise ValueError(f"can't sign with {KEY}")

    Broken.flaws = {"check": fail}
    with pytest.raises(PluginError, match="what it says may hold a secret, and is left out"):
        till.create()


def _only(till: Till) -> Payment:
    (payment,) = till.list()
    return payment
