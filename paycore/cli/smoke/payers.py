"""Who pays the payment of a smoke run: the sandbox's payer by its control, or a person who is shown the link."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from paycore.cli.endings import Exit, UsageProblem
from paycore.cli.smoke.problems import StepFailed
from paycore.domain.payment import Status
from paycore.errors import ConfigError, PaycoreError

if TYPE_CHECKING:
    from paycore.domain.payment import Payment
    from paycore.engine.client import Client


class Payer(Protocol):
    """Has a payment paid, or asks for it; returns what was done."""

    def __call__(self, payment: Payment) -> str: ...


class SandboxPayer:
    """The payer of the paycore sandbox at `url`."""

    def __init__(self, pay: Client, url: str) -> None:
        self._pay = pay
        self._url = url

    def __call__(self, payment: Payment) -> str:
        from paycore.cli.sandboxes.control_calls import order_path, post

        try:
            post(self._url, order_path(payment.order_number, "pay"))
        except UsageProblem as refusal:
            return self._despite(payment, str(refusal), Exit.FAILED)
        except PaycoreError as error:
            is_missing = isinstance(error, ConfigError)
            return self._despite(payment, error.message, Exit.CONFIG if is_missing else Exit.NOT_SENT)
        return f"by the control of the sandbox at {self._url}"

    def _despite(self, payment: Payment, problem: str, code: Exit) -> str:
        """Nothing failed where it is paid all the same: a sandbox with --auto-pay has a payer of its own."""
        if self._pay.query(payment.id).status in (Status.PAID, Status.AUTHORIZED):
            return "the sandbox's own payer had paid already"
        raise StepFailed(
            problem,
            advice="serve the account's sandbox by `paycore sandbox serve` at its base_url, or leave paying out"
            " with --no-pay",
            code=code,
        )


class PersonAsked:
    """A person at the terminal: `show` prints what they need to pay."""

    def __init__(self, show: Callable[[Payment], None]) -> None:
        self._show = show

    def __call__(self, payment: Payment) -> str:
        self._show(payment)
        return "a person was shown how to pay"
