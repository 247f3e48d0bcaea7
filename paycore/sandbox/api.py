"""The contract between the host and a plugin's sandbox."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from paycore.sandbox.faults import FaultBoard
    from paycore.sandbox.virtual_clock import SandboxClock

Document = MutableMapping[str, Any]
"""One JSON object as the control endpoints show it."""


class SandboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a sandbox is opened with.

    `public_url` is where payers and clients reach it, without a trailing slash. `state` is the file that outlives the
    process, `None` keeps everything in memory. `auto_pay_s` is how many seconds after creation a simulated payer pays,
    `None` for never. `speed` is how many sandbox seconds pass in one real second. `settings` are the provider's own.
    """

    public_url: str
    state: Path | None = None
    auto_pay_s: float | None = None
    speed: float = 1.0
    settings: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"speed must be above 0, not {self.speed}")
        if self.auto_pay_s is not None and self.auto_pay_s < 0:
            raise ValueError(f"auto_pay_s must not be negative, not {self.auto_pay_s}")


class UnknownOrder(LookupError):
    """No order with this number; the message is the hint the control endpoint answers with 404."""


class NotPossible(Exception):
    """The order's state does not allow what was asked; the control endpoint answers 409."""


class Controls(Protocol):
    """
    What the person (or test) at the sandbox may do. Every method may be called from any thread.

    A `number` is any number the provider knows the order by. `UnknownOrder` when there is none.
    """

    def list_orders(self, limit: int) -> Sequence[Document]:
        """The newest `limit` orders, newest first."""

    def show_order(self, number: str) -> Document:
        """
        One order.

        At least with `state`, `charges` (how often money was taken under this number, 2 means a payer paid twice) and
        `requests` (how often a payment with this number was asked for, refused repeats included).
        """

    def pay(self, number: str) -> Document:
        """Let the payer pay. `NotPossible` when the order can no longer be paid."""

    def decline(self, number: str) -> Document:
        """Let the payer refuse for good."""

    def expire(self, number: str) -> Document:
        """Let the order's time run out now."""

    def notify(self, number: str, *, kind: str, seconds: float) -> Document:
        """Send a notification about the order: `kind` is `repeat`, `late` (after `seconds`) or `forged`."""

    def stats(self) -> Document:
        """Counts since the start: requests by path, refusals by the request limit, orders, charges."""


class Gateway(Protocol):
    """An open sandbox."""

    @property
    def app(self) -> ASGIApp:
        """Everything over HTTP: the provider's API, wallet pages, control endpoints."""

    @property
    def open_paths(self) -> Sequence[str]:
        """
        Starts of the paths that pages of other origins may post to, as long as this machine served them.

        For what runs inside a merchant's page. The host refuses what else a page of another origin posts.
        """

    @property
    def settings(self) -> Mapping[str, str]:
        """What an account in paycore.toml needs to reach it."""

    @property
    def controls(self) -> Controls:
        """The same as the control endpoints, for Python."""

    @property
    def faults(self) -> FaultBoard:
        """What goes wrong next."""

    @property
    def clock(self) -> SandboxClock:
        """The one clock everything in the gateway goes by."""

    async def aclose(self) -> None:
        """Stop the clock and the notifications and close the state file. Nothing else may be called after it."""


class Sandbox(Protocol):
    """What a plugin registers through the hook `paycore_register_sandboxes`."""

    @property
    def name(self) -> str:
        """The provider's name, for instance `qfpay-alipay`."""

    def open(self, options: SandboxOptions) -> Gateway:
        """Open the gateway. `ValueError` for a setting unknown or out of range, and for a foreign state file."""
