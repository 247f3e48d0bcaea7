"""How a gateway carries out a scenario: over its clock, a restart, and the requests that name an order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from paycore.sandbox.api import SandboxOptions
from paycore.sandbox.faults import FaultBoard
from paycore.sandbox.scenario import (
    Match,
    NewOrder,
    OpenFault,
    PayerMove,
    Rule,
    RuleFault,
    Scenario,
    read_auto_pay,
)
from paycore.sandbox.scenario_run import ScenarioRun
from paycore.sandbox.scripted import GatewayAnswer, GatewayRequest, ScriptedGateway, ScriptedSandbox
from paycore.sandbox.server import SandboxServer
from paycore.sandbox.state import StateFile
from paycore.sandbox.virtual_clock import SandboxClock


class Shop(ScriptedGateway):
    """`POST /orders/N` makes an order, `GET /orders/N` shows it, `POST /orders/N/refunds/M` refunds it."""

    name = "shop"
    asks_for: Mapping[str, str] = {
        "create": "POST /orders/[^/]*",
        "query": "GET /.*",
        "refund": "POST /orders/.*/refunds/.*",
    }

    def answer(self, asked: GatewayRequest) -> GatewayAnswer:
        """See `ScriptedGateway`."""
        _, _, number, *rest = asked.path.split("/")
        order = self.find(number) or self.place(number, 800, "EUR", id=f"G-{number}", method="card")
        if not rest:
            return GatewayAnswer({"state": order.state})
        refund = self.refund(order, rest[1], 100)
        return GatewayAnswer({"state": "refused" if refund is None else refund.state})


def scenario(**rule: Any) -> Scenario:
    """This happens to orders whose number begins with odd, and nothing to others."""
    return Scenario(rules=(Rule(match=Match(reference="odd"), **rule),))


class Opened:
    """The shop on a socket, and a client of it."""

    def __init__(self, server: SandboxServer, http: httpx2.Client) -> None:
        self.gateway: Any = server.gateway
        self._http = http

    def ask(self, method: str, path: str) -> Any:
        """The state that an answer tells; None where none comes, and the status of an error."""
        try:
            answer = self._http.request(method, path)
        except httpx2.RemoteProtocolError:
            return None
        return answer.json()["state"] if answer.status_code == 200 else answer.status_code

    def control(self, path: str, **body: Any) -> httpx2.Response:
        """A control endpoint."""
        return self._http.post(f"/_sandbox/{path}", json=body)


def open_shop(scenario: Scenario) -> Iterator[Opened]:
    """With this scenario."""
    with (
        SandboxServer(ScriptedSandbox(Shop), scenario=scenario) as server,
        httpx2.Client(base_url=server.url, timeout=2) as http,
    ):
        yield Opened(server, http)


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """With the scenario of the test."""
    yield from open_shop(request.param)


LOST = scenario(faults=(RuleFault(kind="lose_reply", on="create", times=2),))
BROKEN = scenario(faults=(RuleFault(kind="http_500", on="query", times=None, options={"recorded": False}),))


@pytest.mark.parametrize("shop", [LOST], indirect=True)
def test_a_reply_is_lost_that_makes_an_order(shop: Opened) -> None:
    """Also for a repeat, as often as it says; the gateway has the order, and others are answered."""
    assert shop.ask("POST", "/orders/odd1") is None
    assert shop.gateway.find("odd1") is not None
    assert shop.ask("GET", "/orders/odd1") == "pending"
    assert shop.ask("POST", "/orders/even1") == "pending"
    assert [shop.ask("POST", "/orders/odd1") for _ in range(2)] == [None, "pending"]


@pytest.mark.parametrize("shop", [BROKEN], indirect=True)
def test_what_a_request_asks_for_decides(shop: Opened) -> None:
    """Queries fail for good, by the merchant's number and by the gateway's id; the rest works."""
    assert [shop.ask("POST", f"/orders/{number}") for number in ("odd1", "even1")] == ["pending", "pending"]
    assert [shop.ask("GET", f"/orders/{number}") for number in ("odd1", "G-odd1", "even1")] == [
        500,
        500,
        "pending",
    ]
    shop.gateway.pay("odd1")
    assert shop.ask("POST", "/orders/odd1/refunds/R1") == "succeeded"


@pytest.mark.parametrize("shop", [Scenario()], indirect=True)
def test_a_fault_for_one_order_or_request_by_its_control(shop: Opened) -> None:
    """`order` by any number the gateway has, `on` by what is asked; what there is not is refused."""
    for number in ("one1", "two2"):
        shop.ask("POST", f"/orders/{number}")
        shop.gateway.pay(number)
    added = shop.control("faults", kind="refuse_refund", order="one1").json()
    assert (added["order"], "on" in added) == ("G-one1", False)
    assert [shop.ask("POST", f"/orders/{number}/refunds/R-{number}") for number in ("two2", "one1")] == [
        "succeeded",
        "refused",
    ]
    assert shop.gateway.faults.active() == []
    assert shop.control("faults", kind="http_500", on="refund").json()["on"] == "refund"
    assert [shop.ask("GET", "/orders/one1"), shop.ask("POST", "/orders/one1/refunds/R-2")] == ["paid", 500]
    assert shop.control("faults", kind="http_500", order="three3").status_code == 404
    refused = shop.control("faults", kind="http_500", on="capture")
    assert (refused.status_code, "did you mean" in refused.json()["hint"]) == (400, False)


@pytest.mark.parametrize(
    "shop", [scenario(refund=RuleFault(kind="failing_refund", times=None))], indirect=True
)
def test_refunds_of_an_order_fail(shop: Opened) -> None:
    """Each of them, once their time has come."""
    for number in ("odd1", "even1"):
        shop.ask("POST", f"/orders/{number}")
        shop.gateway.pay(number)
        for count in (1, 2):
            shop.ask("POST", f"/orders/{number}/refunds/{number}-{count}")
    shop.gateway.clock.advance(3)
    assert [refund.state for refund in shop.gateway.refunds] == ["failed", "failed", "succeeded", "succeeded"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (scenario(payer=PayerMove(does="decline_capture")), "rule 1: no capture is declined here"),
        (scenario(charge_back_s=1.0), "rule 1: nothing is charged back here; name the provider"),
        (
            scenario(faults=(RuleFault(kind="lose_replay"),)),
            "rule 1: no fault 'lose_replay'; did you mean lose_reply?",
        ),
        (scenario(faults=(RuleFault(kind="stall", on="close"),)), "no request here that asks for 'close'"),
        (scenario(faults=(RuleFault(kind="lose_request"),)), "lose_request comes before the gateway knows"),
        (
            scenario(faults=(RuleFault(kind="http_429", on="create"),)),
            "http_429 comes before the gateway knows",
        ),
        (
            scenario(faults=(RuleFault(kind="delay", options={"secs": 1}),)),
            "no option of delay 'secs'; did you mean seconds?",
        ),
    ],
)
def test_what_a_gateway_does_not_have_is_refused(asked: Scenario, words: str) -> None:
    """When it is opened, with the place; a rule for another provider is nobody's business."""
    (rule,) = asked.rules
    placed = Rule(**{**{name: getattr(rule, name) for name in Rule.__struct_fields__}, "place": "rule 1"})
    with pytest.raises(ValueError, match=re.escape(words)):
        Shop(SandboxOptions(public_url="http://x", scenario=Scenario(rules=(placed,))))
    other = Rule(
        **{**{name: getattr(placed, name) for name in Rule.__struct_fields__}, "match": Match(provider="y")}
    )
    Shop(SandboxOptions(public_url="http://x", scenario=Scenario(rules=(other,)))).clock.close()


def test_a_fault_without_an_order_is_on_the_board_from_the_start() -> None:
    """Those of this provider, with their path."""
    faults = [
        OpenFault(fault=RuleFault(kind="stall", times=3), path="/a", provider=name) for name in ("shop", "x")
    ]
    gateway = Shop(SandboxOptions(public_url="http://x", scenario=Scenario(faults=tuple(faults))))
    (fault,) = gateway.faults.active()
    assert (fault.kind, fault.times, fault.path) == ("stall", 3, "/a")


def test_plans_survive_a_restart(tmp_path: Path) -> None:
    """What was planned happens at its time, whatever the rules are by then; the rest follows the new ones."""

    class Controls:
        def __init__(self) -> None:
            self.paid: list[str] = []

        def pay(self, number: str) -> None:
            self.paid.append(number)

    def reopened(rules: list[str], controls: Any) -> tuple[ScenarioRun, SandboxClock, StateFile]:
        state = StateFile(tmp_path / "state", name="x")
        clock = SandboxClock()
        run = ScenarioRun(
            SandboxOptions(public_url="http://x", scenario=read_auto_pay(rules)),
            provider="x",
            clock=clock,
            state=state,
            faults=FaultBoard([]),
            requests={},
            is_open=lambda _order: True,
        )
        run.start(controls)
        return run, clock, state

    run, clock, state = reopened(["amount:1=60", "amount:2=off"], Controls())
    for number, minor in (("A", 100), ("B", 200), ("C", 300)):
        run.opened(NewOrder(id=number, number=number, minor=minor, currency="EUR", made_ms=clock.now_ms()))
    clock.close()
    state.close()
    controls = Controls()
    _, clock, state = reopened(["amount:3=30"], controls)
    clock.advance(31)
    assert controls.paid == ["C"]
    clock.advance(30)
    assert controls.paid == ["C", "A"]
    clock.close()
    state.close()
