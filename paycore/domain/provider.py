"""
The contract between the core and a provider.

A provider describes: it builds requests, reads responses, verifies notifications. It opens no socket,
reads no clock, draws no randomness, sleeps never, logs nothing and does not touch the ledger. That makes
one implementation serve sync and async callers, and testable without a network.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, NoReturn, Protocol, TypeVar

import msgspec

from paycore.domain.action import Action
from paycore.domain.money import Money
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Failure, RefundStatus, Status
from paycore.domain.wire import Flow, Notification, Reply

T = TypeVar("T")

EXPIRES_IN_MAX_S = 366 * 24 * 3600
"""The longest an order lasts, where a product sets no bound of its own."""

Mode = Literal["sandbox", "test", "live"]


class Secret:
    """
    A value that shows itself only to `reveal()`: masked in repr and str, refused by every encoder.

    Open it where a signature is made and nowhere else. It is neither copied nor pickled, and has no attribute
    that an encoder's hook would find: not in `__dict__`, and not by the names in `__slots__`.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself. Never put it into a message, a log or a URL."""
        return self.__value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes_of(self), _bytes_of(other))

    def __hash__(self) -> int:
        return hash(Secret)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised")

    def __getstate__(self) -> NoReturn:
        self.__reduce__()


def _bytes_of(secret: Secret) -> bytes:
    return secret.reveal().encode("utf-8", "surrogatepass")  # an error of encoding would hold it


# --- what a provider can do --------------------------------------------------------------------------


class CreateResend(StrEnum):
    """What happens when a create is sent again with the same number."""

    SAME_RESULT = "same_result"
    """The provider answers with the order it has."""
    REFUSED_AS_DUPLICATE = "refused_as_duplicate"
    """The provider refuses: the flow returns `Rejected(..., is_duplicate=True)`."""
    UNSAFE = "unsafe"
    """A second order would be made; the core never sends again unless absence is proven."""


OPTIONAL_FIELDS = (
    "subject",
    "return_url",
    "notify_url",
    "expires_in_s",
    "payer_id",
    "auth_code",
    "device_id",
)
"""Fields of `create()` that a product may need or take."""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """
    One (method, channel) pair an account offers, with its bounds.

    Amounts are inclusive minor units per currency. `required` and `optional` name fields of `create()`
    beyond reference, amount, method and channel; any other that is given is refused. `extra` names the
    provider's own fields that are allowed. `expires_in_s` is the inclusive range of the payer's time,
    None where it can't be set. `needs_action` says that a reply without an action leaves the payer stuck.
    """

    method: str
    channel: str
    currencies: Mapping[str, tuple[int, int]]
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()
    expires_in_s: tuple[int, int] | None = None
    needs_action: bool = True
    close: bool = True
    refund: Literal["none", "full", "partial"] = "partial"


class NumberFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Order and refund numbers the provider takes: which characters, how many at most."""

    characters: str
    length_max: int


class RequestBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests an account may make, over all processes."""

    per_second: int
    per_minute: int


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one account can do; the core refuses everything else before any I/O.

    A declaration that makes no sense is refused when the provider is loaded.

    `query_proves_absence_after_s`: seconds after our last request can have arrived from which "not
    found" proves that the order does not exist; None means it never does. `query_batch_max`: orders
    and refunds one query flow takes. `notifications_trusted`: an authentic notification alone is evidence;
    otherwise it only makes the payment due, and the confirming query moves it.
    """

    products: tuple[Product, ...]
    number: NumberFormat
    create_resend: CreateResend
    query_proves_absence_after_s: float | None
    query_batch_max: int
    budget: RequestBudget
    notifications_trusted: bool

    def product(self, method: str, channel: str) -> Product | None:
        """The product for this pair, None when the account does not offer it."""
        return next((p for p in self.products if (p.method, p.channel) == (method, channel)), None)


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who a provider is, before any account exists.

    `name` is what config says; `settings` the msgspec struct an account's keys are decoded into (strict,
    secrets typed `Secret` or `tuple[Secret, ...]`); `base_urls` the default host per mode, without one
    for sandbox; `live_hosts` every host that moves real money of settled accounts.

    `notification_headers` are the headers `verify` reads, the signature's for one; `notification_query` says
    that it reads the query string, and that this is signed. `verify` is given nothing else beside the body,
    and nothing else is kept. One that has the same body, and the same query string where that is read, is a
    repeat whatever its headers say.
    """

    name: str
    title: str
    settings: type[msgspec.Struct]
    base_urls: Mapping[Mode, str]
    live_hosts: frozenset[str]
    notification_headers: frozenset[str] = frozenset()
    notification_query: bool = False


# --- what the core hands to a provider ---------------------------------------------------------------


class CreateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    One order to be made. `number` was committed before; `begun_at` (aware UTC) stays the same on resend.

    The other fields are what the caller gave to `create()`, None where not given.
    """

    number: str
    begun_at: datetime
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


class OrderRef(msgspec.Struct, frozen=True, kw_only=True):
    """
    An order or refund the provider is asked about.

    `kind` says which; `provider_id` when known; `begun_at` (aware UTC) when its number was fixed.
    `amount`, `method` and `channel` are the payment's (a refund's own amount).
    """

    kind: Literal["payment", "refund"]
    number: str
    provider_id: str | None
    begun_at: datetime
    asked_at: datetime
    amount: Money
    method: str
    channel: str


class RefundOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One refund to be made of `order`; `number` was committed before. `amount` is what goes back."""

    number: str
    begun_at: datetime
    amount: Money
    order: OrderRef
    reason: str | None = None


# --- what a provider hands back ----------------------------------------------------------------------


class Done(msgspec.Struct, Generic[T], frozen=True):
    """The provider accepted; `value` says what it told."""

    value: T


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """
    Definite: nothing moved.

    `is_duplicate`: the number is already in use at the provider, so an earlier send of ours may have arrived.
    """

    failure: Failure
    is_duplicate: bool = False


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """
    Money may have moved. `problem` says what was wrong with the answer, in words without secrets.

    `observation` is what the answer told all the same, for instance an order accepted without a URL.
    """

    problem: str
    observation: Observation | None = None


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """
    An accepted order: what it is now, and what the payer must do.

    `expires_at` is when it ends on the provider's clock, None where the provider does not say. `expires_in_s`
    is how many seconds it lasts, None where that is not known or is what the caller asked for. Give both: the
    core counts the order's time on its own clock as well, and lets the order live until the later of the two.
    """

    observation: PaymentObservation
    action: Action | None = None
    expires_at: datetime | None = None
    expires_in_s: Annotated[int, msgspec.Meta(ge=1, le=EXPIRES_IN_MAX_S)] | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """
    The answer to a query: what was found, and which numbers the provider says it does not know.

    A number in neither was not answered. Observations of numbers nobody asked about are ignored. `undecided`
    are numbers of which not everything is known: a record that can't be read, a code nobody lists, a page that was
    not fetched.

    `failed` and `closed` are promises that no money was taken, and a refund's `failed` that none went back. The
    core takes them, and absence, only where the whole answer agrees (`agreed`): one number may have several
    observations, and one that can still be paid, or was, speaks against the others.
    """

    observations: tuple[Observation, ...] = ()
    absent: frozenset[str] = frozenset()
    undecided: frozenset[str] = frozenset()

    def agreed(self) -> Found:
        """The answer without promises of numbers that are undecided, or of which it says something else as well."""
        open_or_taken = {seen.number for seen in self.observations if not _is_promise(seen)}
        doubted = self.undecided | open_or_taken
        told = {seen.number for seen in self.observations}
        return Found(
            observations=tuple(
                seen for seen in self.observations if not (_is_promise(seen) and seen.number in doubted)
            ),
            absent=self.absent - self.undecided - told,
            undecided=self.undecided,
        )


def _is_promise(seen: Observation) -> bool:
    """Whether it says that no money moved, and that none will: what is signed wrong says nothing."""
    is_unmoved = seen.status in (Status.FAILED, Status.CLOSED, RefundStatus.FAILED)
    return is_unmoved and not seen.is_signed_wrong


class Mention(msgspec.Struct, frozen=True, kw_only=True, tag="mention"):
    """
    A hint that something about an order or refund of ours changed, without a word on what.

    It is asked about at once, and only the answer moves anything, whatever the account trusts.
    """

    number: str


Notice = Observation | Mention
"""What a notification says."""

CreateReply = Done[Created] | Rejected | Unknown
QueryReply = Done[Found] | Rejected | Unknown
RefundReply = Done[RefundObservation] | Rejected | Unknown
CloseReply = Done[PaymentObservation] | Rejected | Unknown


class Provider(Protocol):
    """
    How to talk to one payment company, for one account: made from that account's settings.

    Flows return outcomes; anything a flow raises counts as `Unknown` once it has sent a request. Only
    `verify` raises: `NotAuthentic` or `MalformedNotification`.
    """

    info: ClassVar[ProviderInfo]

    def __init__(self, settings: Any) -> None: ...

    @property
    def capabilities(self) -> Capabilities:
        """What this account can do; the same for the lifetime of the object."""
        ...

    def check(self, order: CreateOrder) -> None:
        """Raise `InvalidField` where `order` is outside a documented bound. Called before any I/O."""
        ...

    def create(self, order: CreateOrder) -> Flow[CreateReply]:
        """Make the order. Sent again with the same `order` after a lost reply."""
        ...

    def query(self, orders: Sequence[OrderRef]) -> Flow[QueryReply]:
        """Ask about at most `query_batch_max` orders and refunds, in as few requests as the API takes."""
        ...

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Give money back."""
        ...

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """Cancel an unpaid order; `Done` says what it is now, which may still be pending."""
        ...

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """
        What an authentic notification says: observations, and a `Mention` where it names a number and says no more.

        Empty when it names none. It is given the headers and query string that `info` names.
        """
        ...

    def acknowledge(self) -> Reply:
        """What to answer once a notification is durable."""
        ...
