"""A plugin that passes on hostile input or breaks its contract: a typed error, and nothing unreadable is recorded."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from paycore import Status
from paycore.engine.plugins import Plugins
from paycore.errors import MaybeSent, PluginError
from paycore.plugin import (
    Created,
    CreateOrder,
    Done,
    Flow,
    Found,
    OrderRef,
    PaymentObservation,
    Provider,
    QRCode,
    Redirect,
    RefundObservation,
    RefundStatus,
    Rejected,
    Request,
    Secret,
    Unknown,
    hookimpl,
)
from paycore.plugin import Status as Said
from paycore.testing.toy import ToyGateway, ToyProvider, sign
from tests.engine.tills import Till
from tests.hostile.gateway import HostileGateway, hostile_gateway
from tests.hostile.shops import carrier, config_of
from tests.hostile.shops import plugins as sound_plugins
from tests.support.toy_http import KEY

Flawed = Callable[..., Any]


class Broken(ToyProvider):
    """The toy, of which each test breaks one method."""

    flaws: ClassVar[dict[str, Flawed]] = {}

    def __getattribute__(self, name: str) -> Any:
        flaw = Broken.flaws.get(name)
        if flaw is None:
            return super().__getattribute__(name)
        return flaw() if name == "capabilities" else flaw


class BrokenPlugin:
    """Offers `Broken` in place of the toy."""

    @hookimpl
    def paycore_register_providers(self) -> Sequence[type[Provider]]:
        return [Broken]


def broken_till(gateway: HostileGateway, ledger: Path, **flaws: Flawed) -> Till:
    """A till whose plugin has these methods replaced, once it has registered a sound provider."""
    Broken.flaws = {}
    plugins = Plugins(extra=[("broken", BrokenPlugin())])
    assert "toy" in plugins.providers()
    Broken.flaws = flaws
    config = config_of("toy", gateway.url, ledger, key=KEY, proof_s=0.1)
    return Till("sync", config, plugins)


def flow_of(result: Any, *, asks: bool = True) -> Flawed:
    """A flow that makes the order, and then returns or raises this."""

    def flow(self_or_order: Any, *_: Any) -> Flow[Any]:
        number = getattr(self_or_order, "number", "?")
        if asks:
            body = msgspec.json.encode(
                {"number": number, "reference": "r", "minor": 8800, "currency": "HKD", "channel": "web"}
            )
            yield Request(method="POST", path="/orders", body=body)
        if isinstance(result, BaseException):
            raise result
        return result(number) if callable(result) else result

    return flow


def seen(number: str, **changes: Any) -> PaymentObservation:
    """A valid observation with these changes."""
    fields: dict[str, Any] = {"number": number, "status": Said.PENDING, "provider_id": "T000001", **changes}
    return PaymentObservation(**fields)


def created(**changes: Any) -> Callable[[str], Any]:
    """A creation that was accepted, with an observation like this."""
    return lambda number: Done(Created(observation=seen(number, **changes)))


UNREADABLE: dict[str, Any] = {
    "nothing": None,
    "a text": "ok",
    "True": True,
    "a response": lambda _: Request(method="GET", path="/"),
    "done with nothing": Done(None),
    "done with an observation": lambda number: Done(seen(number)),
    "done with a refund": lambda number: Done(
        RefundObservation(number=number, status=RefundStatus.SUCCEEDED)
    ),
    "done with what was found": Done(Found()),
    "id that is a number": created(provider_id=20260101),
    "id of a MiB": created(provider_id="9" * 2**20),
    "id that is no UTF-8": created(provider_id="\udcff"),
    "number that is none": lambda _: Done(Created(observation=seen(7))),  # type: ignore[arg-type]
    "status of its own": created(status="shipped"),
    "amount as a float": created(amount=88.0),
    "refunded as a float": created(refunded_minor=1.5),
    "refunded as a text": created(refunded_minor="1E+3000000"),
    "refunded by 5,000 digits": created(refunded_minor=10**4999),
    "words that are none": created(words={"a": 1}),
    "words that are a secret": created(words={"a": Secret("0123456789")}),
    "time without a zone": created(occurred_at=datetime(2026, 1, 1)),  # noqa: DTZ001 - the flaw
    "expiry without a zone": lambda number: Done(
        Created(observation=seen(number), expires_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the flaw
    ),
    "time of no seconds": lambda number: Done(Created(observation=seen(number), expires_in_s=0)),
    "time of ten thousand years": lambda number: Done(
        Created(observation=seen(number), expires_in_s=10_000 * 366 * 86_400)
    ),
    "action that is a text": lambda number: Done(
        Created(observation=seen(number), action="https://toy.example/")  # type: ignore[arg-type]
    ),
    "link that is none": lambda number: Done(
        Created(observation=seen(number), action=Redirect(url=None))  # type: ignore[arg-type]
    ),
    "failure that is a text": Rejected(failure="no"),  # type: ignore[arg-type]
    "problem that is an error": Unknown(problem=ValueError("x")),  # type: ignore[arg-type]
    "code of a MiB": lambda number: Done(
        Created(observation=seen(number), action=QRCode(content="9" * 2**20))
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_outcome_that_can_not_be_recorded_is_not(tmp_path: Path, name: str) -> None:
    """An invalid outcome leaves the payment unknown and readable; a corrected plugin resolves it."""
    ledger = tmp_path / "paycore.db"
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, ledger, create=flow_of(UNREADABLE[name]))
        with pytest.raises(PluginError) as raised:
            till.create()
        till.shutdown()
        assert (raised.value.plugin, raised.value.stage) == ("toy", "flow")
        assert len(str(raised.value)) < 400
        mended = Till("sync", config_of("toy", gateway.url, ledger, key=KEY), sound_plugins())
        payment = mended.get(raised.value.payment_id or "")
        assert (payment.status, payment.uncertain) == (Status.UNKNOWN, True)
        assert mended.query(payment).status is Status.PENDING
        mended.shutdown()


RAISED = [
    ValueError("x"),
    KeyError("x"),
    RecursionError(),
    MemoryError(),
    MaybeSent("x"),
    Exception(),
    SystemExit(3),
    GeneratorExit(),
    asyncio.CancelledError(),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_flow_that_raises_is_unknown_and_named(tmp_path: Path, error: BaseException) -> None:
    """Whatever a flow raises, also its own "not sent": the error names the plugin and the place in it."""
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db", create=flow_of(error))
        with pytest.raises(
            PluginError, match=r"provider toy failed: .* in tests\.hostile\.test_plugins, line"
        ) as raised:
            till.create()
        assert raised.value.money_moved == "maybe"
        assert till.get(raised.value.payment_id or "").status is Status.UNKNOWN
        till.shutdown()


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_flow_that_raises_before_it_asks_moved_nothing(tmp_path: Path, error: BaseException) -> None:
    """Nothing was sent, and the error says so; a corrected plugin makes the payment."""
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db", create=flow_of(error, asks=False))
        with pytest.raises(PluginError, match=rf"{type(error).__name__} in tests\.hostile") as raised:
            till.create()
        payment = till.get(raised.value.payment_id or "")
        assert (raised.value.money_moved, gateway.heard) == ("no", [])
        assert (payment.status, payment.uncertain) == (Status.CREATED, False)
        Broken.flaws = {}
        made = till.create()
        assert (made.id, made.status, made.order_number) == (payment.id, Status.PENDING, payment.order_number)
        till.shutdown()


NO_FLOWS: dict[str, Flawed] = {
    "raises at once": lambda *_: (_ for _ in ()).throw(ValueError("x")).__next__(),
    "is no generator": lambda *_: Rejected(failure=None),  # type: ignore[arg-type]
    "is None": lambda *_: None,
    "takes no order": lambda: None,
    "yields text": lambda *_: iter(["/orders"]),
}


@pytest.mark.parametrize("name", NO_FLOWS)
@pytest.mark.parametrize("verb", ["create", "query"])
def test_invalid_flow_is_a_plugin_error(tmp_path: Path, verb: str, name: str) -> None:
    """A flow that is no generator gives the same error, from every verb."""
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db")
        payment = till.create("order-1")
        Broken.flaws = {verb: NO_FLOWS[name]}
        with pytest.raises(PluginError):
            till.create("order-2") if verb == "create" else till.query(payment)
        assert not any(found.uncertain for found in till.list()), "nothing was sent"
        Broken.flaws = {}
        assert till.query(payment).status is Status.PENDING
        till.shutdown()


def endless(*_: Any) -> Flow[Any]:
    """A flow that makes requests without end."""
    while True:
        yield Request(method="POST", path="/query", body=b'{"numbers":[]}')


def test_flow_without_end_is_ended(tmp_path: Path) -> None:
    """After ten requests it counts as no answer."""
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db", create=endless)
        assert till.create().status is Status.UNKNOWN
        assert len(gateway.heard) == 10
        till.shutdown()


def stubborn(order: CreateOrder) -> Flow[Any]:
    """A flow that does not let itself be closed."""
    try:
        yield Request(method="POST", path="/query", body=b'{"numbers": []}')
    finally:
        raise KeyError("cleaning up")


def test_flow_that_fails_while_it_is_ended_changes_nothing(tmp_path: Path) -> None:
    """The outcome is that of the request, which may have been sent: unknown."""
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db", create=stubborn)
        with gateway.answering(lambda _heard, _honest: iter([b"HTTP/1.1 2"]), on="/query"):
            assert till.create().status is Status.UNKNOWN
        till.shutdown()


@pytest.mark.parametrize("name", ["check", "verify", "acknowledge", "capabilities"])
def test_method_that_raises_is_named(tmp_path: Path, name: str) -> None:
    """Other methods too: a `PluginError` with the stage."""

    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    body = b'{"number":"X","kind":"payment","id":"T","status":"paid","minor":1,"currency":"HKD"}'
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db", **{name: fail})
        with pytest.raises(PluginError, match=r"ZeroDivisionError in tests\.hostile\.test_plugins") as raised:
            till.create() if name in ("check", "capabilities") else till.receive(
                body, {"x-toy-signature": sign(body, KEY)}
            )
        assert raised.value.stage == {"capabilities": "settings"}.get(name, name)
        assert till.list() == ()
        assert gateway.heard == []
        till.shutdown()


@pytest.mark.parametrize(
    "told",
    [
        None,
        7,
        "paid",
        [None],
        ["paid"],
        [{"number": "X"}],
        [seen("X", provider_id=7)],
        (_ for _ in [1]),
        repeat(seen("X")),
    ],
    ids=lambda told: repr(told)[:24],
)
def test_verify_that_tells_no_observations_is_a_plugin_error(tmp_path: Path, told: Any) -> None:
    """Invalid observations are not recorded, and the notification is not acknowledged."""
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db", verify=lambda *_: told)
        with pytest.raises(PluginError) as raised:
            till.receive(b"{}", {})
        assert raised.value.stage == "verify"
        till.shutdown()


def in_query(order_to: Callable[[OrderRef], Any]) -> Flawed:
    """A query that reports this for each order."""

    def query(orders: Sequence[OrderRef]) -> Flow[Any]:
        yield Request(method="POST", path="/query", body=b'{"numbers":[]}')
        return Done(Found(observations=tuple(map(order_to, orders))))

    return query


@pytest.mark.parametrize(
    "told",
    [
        lambda order: seen(order.number, provider_id=7),
        lambda order: seen(order.number, occurred_at=datetime(2026, 1, 1)),  # noqa: DTZ001 - the flaw
        lambda order: None,
        lambda order: RefundObservation(number=order.number, status="succeeded", amount=1),  # type: ignore[arg-type]
    ],
)
def test_observation_of_a_query_that_can_not_be_recorded_moves_nothing(tmp_path: Path, told: Any) -> None:
    """One bad observation in a batch is a plugin error and changes no payment."""
    with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
        till = broken_till(gateway, tmp_path / "paycore.db")
        payment = till.create()
        Broken.flaws = {"query": in_query(told)}
        with pytest.raises(PluginError):
            till.query(payment)
        assert till.get(payment.id) == payment
        Broken.flaws = {}
        assert till.query(payment).status is Status.PENDING
        till.shutdown()
