"""What goes wrong outside of a check's own words is told in the author's words too."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from paycore.errors import ConfigError
from paycore.plugin import CreateOrder, Flow
from paycore.sandbox.api import NotPossible, SandboxOptions
from paycore.sandbox.scripted import GatewayRequest
from paycore.testing.conformance.running import check_provider, chosen, run_check
from paycore.testing.toy import ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import WinsNothing, toy


class SendsAnotherNumber(ToyProvider):
    """Makes up a number of its own."""

    def create(self, order: CreateOrder) -> Flow[Any]:
        """See `Provider`."""
        renumbered = msgspec.structs.replace(order, number=order.attempt.nonce)
        created: Any = yield from super().create(renumbered)
        seen = msgspec.structs.replace(created.value.observation, number=order.number)
        return msgspec.structs.replace(
            created, value=msgspec.structs.replace(created.value, observation=seen)
        )


def test_order_without_our_number_is_told_as_that() -> None:
    """Not as an error of the sandbox's controls: the author is told which number to send."""
    (check,) = chosen(["refund_returns_what_was_asked"])
    result = run_check(toy(SendsAnotherNumber), check)
    assert result.verdict == "failed"
    assert "does not know it" in result.why
    assert "send `order.number`" in result.advice


class Stubborn(ToySandbox):
    """Lets nobody pay."""

    def open(self, options: SandboxOptions) -> Any:
        """See `Sandbox`."""
        gateway = super().open(options)
        gateway.pay = refuse  # type: ignore[method-assign]
        return gateway


def refuse(number: str) -> Any:
    """No control does anything."""
    raise NotPossible(f"{number} is expired")


def test_sandbox_that_refuses_a_control_is_told_as_that() -> None:
    """The author is told what the sandbox has to be able to do."""
    (check,) = chosen(["refund_returns_what_was_asked"])
    result = run_check(toy(sandbox=Stubborn()), check)
    assert result.verdict == "failed"
    assert "is expired" in result.why
    assert "what is pending can be paid" in result.advice


class Raising(ToySandbox):
    """Its gateway raises."""

    def open(self, options: SandboxOptions) -> Any:
        """See `Sandbox`."""
        gateway = super().open(options)
        gateway.answer = break_down  # type: ignore[method-assign]
        return gateway


def break_down(asked: GatewayRequest) -> Any:
    """No request is answered."""
    raise KeyError(asked.document["number"] and "nummer")


class AnswersADict(ToySandbox):
    """Its gateway returns no answer."""

    def open(self, options: SandboxOptions) -> Any:
        """See `Sandbox`."""
        gateway = super().open(options)
        gateway.answer = cast("Any", lambda asked: {})  # type: ignore[method-assign]
        return gateway


@pytest.mark.parametrize(
    ("sandbox", "told"),
    [
        (Raising(), "POST /orders the sandbox raised KeyError at test_running.py:"),
        (AnswersADict(), "answer() returned dict; return GatewayAnswer(...)"),
    ],
)
def test_gateway_that_raises_is_told_as_that(
    sandbox: ToySandbox, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the author's gateway raised is named with its file, and no traceback of a server is printed."""
    (check,) = chosen(["refund_returns_what_was_asked"])
    result = run_check(toy(sandbox=sandbox), check)
    assert result.verdict == "failed"
    assert told in result.why
    assert result.advice.startswith("let the gateway answer every request")
    assert capfd.readouterr() == ("", "")


def test_sandbox_that_raises_on_every_order_is_told_once() -> None:
    """Not by each check that needs an order, which is nearly all of them; what was raised is named with its file."""
    with pytest.raises(
        ConfigError, match=r"answering POST /orders the sandbox raised KeyError at test_running\.py:"
    ):
        check_provider(toy(sandbox=Raising()))


def test_charge_back_comes_under_review_without_a_control_that_wins_it() -> None:
    """A company may document no winning, and what its bank takes back must come to a person all the same."""
    (check,) = chosen(["charge_back_brings_a_payment_under_review"])
    assert run_check(toy(sandbox=WinsNothing()), check).verdict == "passed"


def test_refunds_that_are_made_at_once_are_told_as_that() -> None:
    """The reason says what was seen, and what a sandbox does whose company takes its time."""
    (check,) = chosen(["refund_is_told_as_far_as_it_got"])
    result = run_check(toy(), check)
    assert result.verdict == "not applicable"
    assert "counted each at once" in result.why


@pytest.mark.parametrize("raised", [SystemExit("enough"), asyncio.CancelledError(), ZeroDivisionError()])
@pytest.mark.parametrize("name", ["refund_returns_what_was_asked", "paid_order_is_paid_once"])
def test_flow_may_raise_whatever_it_likes(raised: BaseException, name: str) -> None:
    """The check fails with the author's line; the kit goes on."""

    class Leaves(ToyProvider):
        def create(self, order: CreateOrder) -> Flow[Any]:
            yield from super().create(order)
            raise raised

    (check,) = chosen([name])
    result = run_check(toy(Leaves), check)
    assert result.verdict == "failed"
    assert type(raised).__name__ in result.why
    assert "test_running" in result.why
