"""
The contract between the core and a provider, version 1.

A provider builds requests, reads responses and verifies notifications. It does no I/O, reads no clock, uses no
randomness, never sleeps, logs nothing and does not use the ledger. So one implementation serves sync and async
callers and can be tested without a network.

Everything beyond `create` and `query` is there for the APIs that need it: a provider declares it and has the method
for it, or does neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from paycore.domain.capabilities import (
    API_VERSION,
    EXPIRES_IN_MAX_S,
    INFORMING_FIELDS,
    OPTIONAL_FIELDS,
    UNSAFE,
    Capabilities,
    ListByTime,
    Lookup,
    Mode,
    NumberFormat,
    Product,
    ProviderInfo,
    RequestBudget,
    Resend,
)
from paycore.domain.money import Money
from paycore.domain.payment import Capture
from paycore.domain.results import (
    RETRY_AFTER_MAX_S,
    CaptureReply,
    CloseReply,
    Created,
    CreateReply,
    Done,
    Found,
    Listed,
    ListReply,
    Mention,
    Notice,
    NotNow,
    Page,
    QueryReply,
    RefundReply,
    Rejected,
    Session,
    SessionReply,
    Unknown,
)
from paycore.domain.secret import Secret
from paycore.domain.wire import Flow, Notification, Reply

__all__ = [
    "API_VERSION",
    "EXPIRES_IN_MAX_S",
    "INFORMING_FIELDS",
    "OPTIONAL_FIELDS",
    "RETRY_AFTER_MAX_S",
    "UNSAFE",
    "Attempt",
    "Capabilities",
    "CaptureOrder",
    "CaptureReply",
    "CloseReply",
    "CreateOrder",
    "CreateReply",
    "Created",
    "Done",
    "Found",
    "FullProvider",
    "ListByTime",
    "ListReply",
    "Listed",
    "Lookup",
    "Mention",
    "Mode",
    "NotNow",
    "Notice",
    "NumberFormat",
    "OrderRef",
    "Page",
    "Product",
    "Provider",
    "ProviderInfo",
    "QueryReply",
    "RefundOrder",
    "RefundReply",
    "Rejected",
    "RequestBudget",
    "Resend",
    "Secret",
    "Session",
    "SessionReply",
    "Unknown",
]


# --- what the core gives to a provider ---------------------------------------------------------------


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """
    One attempt to send a flow: all that differs when the same thing is sent again.

    `sent_at` (aware UTC) and `nonce` (26 letters and digits, random) are recorded before the send. `mode` and
    `base_urls` (by host name; the main one is called "") are the account's. `session` is the value of the provider's
    own `Session`, None without one.
    """

    sent_at: datetime
    nonce: str
    mode: Mode = "sandbox"
    base_urls: Mapping[str, str] = {}
    session: Any = None

    def __repr__(self) -> str:
        return f"Attempt(sent_at={self.sent_at.isoformat()}, nonce={self.nonce!r}, mode={self.mode!r})"


class CreateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    One order to create. `number` is already committed; `begun_at` (aware UTC) is the same on a resend.

    `capture` says whether the money is taken as soon as the payer agrees, or only by a capture. The other fields are
    the arguments of `create()`, None where not given, or where the product does not use them.
    """

    number: str
    begun_at: datetime
    attempt: Attempt
    reference: str
    amount: Money
    method: str
    channel: str
    subject: str | None = None
    return_url: str | None = None
    notify_url: str | None = None
    expires_in_s: int | None = None
    payer_id: str | None = None
    device_id: str | None = None
    auth_code: Secret | None = None
    extra: Mapping[str, str] = {}
    capture: Capture = "automatic"


class OrderRef(msgspec.Struct, frozen=True, kw_only=True):
    """
    An order or refund to query, or an order to close.

    `provider_id` is None while it is unknown; `ids` are the further ids that were reported, by name. `begun_at` (aware
    UTC) is when its number was fixed. `method` and `channel` are the payment's; `amount` is the payment's, or the
    refund's own. `payment` is the order a refund goes back from. `returned` is what the payer came back with.
    """

    kind: Literal["payment", "refund"]
    number: str
    provider_id: str | None
    begun_at: datetime
    attempt: Attempt
    amount: Money
    method: str
    channel: str
    ids: Mapping[str, str] = {}
    payment: OrderRef | None = None
    returned: Mapping[str, str] = {}


class CaptureOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    Take the money of an authorized `order`; `number` is already committed, and the capture's own.

    `amount` is at most the order's. It is the only capture of this order: the rest is released.
    """

    number: str
    begun_at: datetime
    attempt: Attempt
    amount: Money
    order: OrderRef


class RefundOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    One refund of `order` to make; `number` is already committed. `amount` is what is returned to the payer.

    `reference` is the caller's for this refund: where the API carries it, a lost ledger can have it back.
    """

    number: str
    begun_at: datetime
    attempt: Attempt
    amount: Money
    order: OrderRef
    reference: str = ""
    reason: str | None = None


# --- what a provider is --------------------------------------------------------------------------------


class Provider(Protocol):
    """
    How to talk to one payment company, for one account: made from that account's settings.

    These members every provider has. The further ones are in `FullProvider`; each is needed only where it says.
    Flows return outcomes. What a flow raises counts as `Unknown` once it has sent a request that is not safe, and
    before that as nothing sent.
    """

    info: ClassVar[ProviderInfo]

    def __init__(self, settings: Any) -> None: ...

    @property
    def capabilities(self) -> Capabilities:
        """What this account can do; the same for the lifetime of the object."""
        ...

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """Make the order. Sent again with the same `order` but for its `attempt` after a lost reply."""
        ...

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """Query at most `query_batch_max` orders and refunds, in as few requests as the API allows."""
        ...


class FullProvider(Provider, Protocol):
    """Every member a provider may have."""

    @staticmethod
    def mode_of(settings: Any) -> Mode | None:
        """
        The mode these credentials are for, None where they don't show it.

        Needed where test and live share a host (`sk_test_`, `sk_live_`). The core refuses an account in another mode.
        """
        ...

    @staticmethod
    def base_urls_of(settings: Any, mode: Mode) -> Mapping[str, str]:
        """Base URLs that depend on the settings, by host name ("": the main one): a host per merchant."""
        ...

    def check(self, order: CreateOrder) -> None:
        """Raise `InvalidField` where `order` is outside a documented bound. Called before any I/O."""
        ...

    def capture(self, capture: CaptureOrder) -> Flow[CaptureReply]:
        """Take the money of an authorized order. Needed where a product's `capture` is not `none`."""
        ...

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Return money to the payer. Needed where a product's `refund` is not `none`."""
        ...

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """
        Cancel an unpaid order, or void an authorized one; `Done` has its present state, which may still be pending.

        Needed where a product's `close` is true.
        """
        ...

    def open_session(self, attempt: Attempt) -> Flow[SessionReply]:
        """Get what the other flows need and the settings don't have. Every request of it counts as safe."""
        ...

    def list(self, since: datetime, until: datetime, cursor: str | None, attempt: Attempt) -> Flow[ListReply]:
        """A page of the orders and refunds made in [since, until), for reconciling; `cursor` None is the first."""
        ...

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """
        The items of an authentic notification: observations, and a `Mention` where it has only a number or an id.

        Raises `NotAuthentic` or `MalformedNotification`, and nothing else. Empty when it names no order.
        `notification` has the headers and query string that `info` names. Needed, with `acknowledge`, where there
        are notifications.
        """
        ...

    def acknowledge(self) -> Reply:
        """The HTTP answer to a notification once it is stored."""
        ...
