"""What goes wrong outside of a check's own words is told in the author's words too."""

from typing import Any

import msgspec

from paycore.plugin import CreateOrder, Flow
from paycore.sandbox.api import NotPossible, SandboxOptions
from paycore.testing.conformance.running import chosen, run_check
from paycore.testing.toy import ToyProvider
from paycore.testing.toy.toy_sandbox import ToySandbox
from tests.conformance.good import toy


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
