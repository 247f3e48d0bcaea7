"""The contract between the host and a plugin's sandbox."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from paycore.sandbox.scenario import Scenario

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from paycore.sandbox.faults import FaultBoard
    from paycore.sandbox.virtual_clock import SandboxClock

Document = MutableMapping[str, Any]
"""One JSON object as the control endpoints show it."""


class SandboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    Options of a sandbox.

    `public_url` is where payers and clients reach it, without a trailing slash. `state` is the file that keeps its
    state over restarts; `None` keeps everything in memory. `auto_pay_s` is how many seconds after creation a
    simulated payer pays, `None` for never; the rules of `scenario` go before it. `speed` is how many sandbox seconds
    pass in one real second. `notify_url` is where notifications go that no order names a URL for: what a merchant
    enters in the provider's portal. `settings` are the provider's own.
    """

    public_url: str
    state: Path | None = None
    auto_pay_s: float | None = None
    scenario: Scenario = Scenario()
    speed: float = 1.0
    notify_url: str | None = None
    settings: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError(f"speed must be above 0, not {self.speed}")
        if self.auto_pay_s is not None and self.auto_pay_s < 0:
            raise ValueError(f"auto_pay_s must not be negative, not {self.auto_pay_s}")


class UnknownOrder(LookupError):
    """No order has this number; the control endpoint answers 404 with the message as hint."""


class NotPossible(Exception):
    """The order's state does not allow the command; the control endpoint answers 409."""


class Controls(Protocol):
    """
    The commands of a person or test that controls the sandbox. All methods are thread-safe.

    A `number` is any number that the provider has for the order. `UnknownOrder` when no order has it.
    """

    def list_orders(self, limit: int) -> Sequence[Document]:
        """The newest `limit` orders, newest first."""

    def show_order(self, number: str) -> Document:
        """
        One order.

        It has at least `state`, `orders` (the provider's ids of the orders made for this number: two are two that
        can be paid), `charges` (how often money was taken for it: 2 means that a payer paid twice), `requests` (how
        often an order with this number was requested, refused repeats included), `paid_minor` and `refunded_minor`
        (what was taken and returned in all, in minor units as ISO 4217 has them).
        """

    def pay(self, number: str) -> Document:
        """Let the payer pay. `NotPossible` when the order can no longer be paid."""

    def decline(self, number: str) -> Document:
        """Let the payer decline; the order can't be paid afterwards."""

    def expire(self, number: str) -> Document:
        """Let the order expire now."""

    def notify(self, number: str, *, kind: str, seconds: float) -> Document:
        """Send a notification about the order: `kind` is `repeat`, `late` (after `seconds`) or `forged`."""

    def stats(self) -> Document:
        """Counts since the start: requests by path, requests over the rate limit, orders, charges."""


class FullControls(Controls, Protocol):
    """
    Every control a sandbox may have: what else can become of a payment, where the provider has it.

    The conformance kit uses those that are there, and says which checks need one that is missing.
    """

    def decline_capture(self, number: str) -> Document:
        """The payer agrees, and the capture that follows is refused: they may agree again, by `pay`."""

    def charge_back(self, number: str, minor: int | None) -> Document:
        """The payer's bank takes `minor` (None: all) back: a dispute that was lost, or a debit that was returned."""

    def win_charge_back(self, number: str, minor: int | None) -> Document:
        """The merchant gets `minor` (None: all) of what was taken back."""

    def fail_refund(self, number: str) -> Document:
        """The refund with this number fails, after it was accepted; if it had succeeded, its money comes back."""


class Gateway(Protocol):
    """An open sandbox."""

    @property
    def app(self) -> ASGIApp:
        """The ASGI app: the provider's API, wallet pages, control endpoints."""

    @property
    def open_paths(self) -> Sequence[str]:
        """
        Prefixes of the paths that pages of other origins may post to, if this machine served the page.

        For scripts inside a merchant's page. The host refuses all other posts from pages of another origin.
        """

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of an account in paycore.toml that uses this sandbox."""

    @property
    def controls(self) -> Controls:
        """The control endpoints as a Python object."""

    @property
    def faults(self) -> FaultBoard:
        """The faults that apply to the next requests."""

    @property
    def clock(self) -> SandboxClock:
        """The clock of everything in the gateway."""

    async def aclose(self) -> None:
        """Stop the clock and the notifications, and close the state file. The gateway can't be used afterwards."""


class FullGateway(Gateway, Protocol):
    """Every member a gateway may have. The conformance kit uses those that are there."""

    def order_arguments(self, method: str, channel: str) -> Mapping[str, Any]:
        """Arguments of `create()` that this product needs and nobody can make up: `auth_code`, `extra`, an amount."""

    def sign_reply(self, body: bytes) -> Mapping[str, str]:
        """Headers of a reply with this body, where replies are signed: so that an altered one is authentic."""

    def sign_notification(self, body: bytes) -> Mapping[str, str]:
        """Headers of a notification with this body, signed now: so that an altered one is authentic."""


class Sandbox(Protocol):
    """
    What a plugin registers through the hook `paycore_register_sandboxes`.

    One whose gateways keep their orders in memory only says so by an attribute `keeps_state = False`.
    """

    @property
    def name(self) -> str:
        """The provider's name, for instance `qfpay-alipay`."""

    def open(self, options: SandboxOptions) -> Gateway:
        """Open the gateway. `ValueError` for an invalid setting, and for a state file of another sandbox."""
