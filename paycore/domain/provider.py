"""
The contract between the core and a provider.

A provider builds requests, reads responses and verifies notifications. It does no I/O, reads no clock, uses no
randomness, never sleeps, logs nothing and does not use the ledger. So one implementation serves sync and async
callers and can be tested without a network.
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
"""The longest lifetime of an order, in seconds, where a product sets no bound of its own."""

Mode = Literal["sandbox", "test", "live"]


class Secret:
    """
    A value that only `reveal()` returns: masked in repr and str, refused by every encoder.

    Reveal it only to make a signature. It can be neither copied nor pickled, and has no attribute that an encoder
    would find through `__dict__` or `__slots__`.
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
    return secret.reveal().encode("utf-8", "surrogatepass")  # a UnicodeEncodeError would contain it


# --- what a provider can do --------------------------------------------------------------------------


class CreateResend(StrEnum):
    """What happens when a create is sent again with the same number."""

    SAME_RESULT = "same_result"
    """The provider answers with the existing order."""
    REFUSED_AS_DUPLICATE = "refused_as_duplicate"
    """The provider refuses: the flow returns `Rejected(..., is_duplicate=True)`."""
    UNSAFE = "unsafe"
    """A second order would be made; the core sends again only if absence is proven."""


OPTIONAL_FIELDS = (
    "subject",
    "return_url",
    "notify_url",
    "expires_in_s",
    "payer_id",
    "auth_code",
    "device_id",
)
"""Fields of `create()` that a product may require or use."""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """
    One (method, channel) pair an account offers, with its bounds.

    `currencies` has the least and the largest amount per currency, inclusive, in minor units. `required` and
    `optional` name fields of `create()` beyond reference, amount, method and channel; any other one is refused.
    `extra` names the provider's own fields that are allowed. `expires_in_s` is the inclusive range of the order's
    lifetime, None where it can't be set. `needs_action`: the payer can't pay unless the reply has an action.
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
    """The order and refund numbers a provider accepts: which characters, how many at most."""

    characters: str
    length_max: int


class RequestBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests an account may make, over all processes."""

    per_second: int
    per_minute: int


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one account can do; the core refuses everything else before any I/O.

    A contradictory declaration is refused when the provider is loaded.

    `query_proves_absence_after_s`: seconds after the last moment at which a request of ours can arrive, from which
    "not found" proves that the order does not exist; None if it never does. `query_batch_max`: orders and refunds
    per query flow. `notifications_trusted`: an authentic notification alone is evidence; otherwise it only makes
    the payment due, and the query that follows is the evidence.
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

    `name` is the provider's name in the configuration; `settings` the msgspec struct an account's keys are decoded
    into (strict, secrets typed `Secret` or `tuple[Secret, ...]`); `base_urls` the default base URL per mode, none for
    sandbox; `live_hosts` every host that moves real money.

    `notification_headers` are the headers `verify` reads, such as the signature's; `notification_query`: it reads the
    query string, and that is signed. `verify` receives only these and the body, and only these are stored. A
    notification with the same body (and query string, where that is read) is a repeat, whatever its headers.
    """

    name: str
    title: str
    settings: type[msgspec.Struct]
    base_urls: Mapping[Mode, str]
    live_hosts: frozenset[str]
    notification_headers: frozenset[str] = frozenset()
    notification_query: bool = False


# --- what the core gives to a provider ---------------------------------------------------------------


class CreateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """
    One order to create. `number` is already committed; `begun_at` (aware UTC) is the same on a resend.

    The other fields are the arguments of `create()`, None where not given.
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
    An order or refund to query, or an order to close.

    `provider_id` is None while it is unknown; `begun_at` (aware UTC) is when its number was fixed. `method` and
    `channel` are the payment's; `amount` is the payment's, or the refund's own.
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
    """One refund of `order` to make; `number` is already committed. `amount` is what is returned to the payer."""

    number: str
    begun_at: datetime
    amount: Money
    order: OrderRef
    reason: str | None = None


# --- what a provider returns -------------------------------------------------------------------------


class Done(msgspec.Struct, Generic[T], frozen=True):
    """The provider accepted; `value` is what it reported."""

    value: T


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """
    Definite: nothing moved.

    `is_duplicate`: the provider already has the number, so an earlier send may have arrived.
    """

    failure: Failure
    is_duplicate: bool = False


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """
    Money may have moved. `problem` says what was wrong with the answer, without secrets.

    `observation` is what the answer reported nevertheless, for instance an order accepted without a URL.
    """

    problem: str
    observation: Observation | None = None


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """
    An accepted order: its present state, and what the payer must do.

    `expires_at` is when it expires by the provider's clock, None where that is not reported. `expires_in_s` is its
    lifetime in seconds, None where that is unknown or is what the caller asked for. Give both: the core measures the
    lifetime on its own clock as well, and the later of the two counts.
    """

    observation: PaymentObservation
    action: Action | None = None
    expires_at: datetime | None = None
    expires_in_s: Annotated[int, msgspec.Meta(ge=1, le=EXPIRES_IN_MAX_S)] | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """
    The answer to a query: what was found, and which numbers the provider does not know.

    A number in neither was not answered. Observations of numbers that were not asked for are ignored. `undecided`
    are numbers whose answer is incomplete: an unreadable record, an undocumented code, a page that was not fetched.

    `failed` and `closed` promise that no money was taken, and a refund's `failed` that none was returned. The core
    accepts these, and absence, only where the whole answer agrees (`agreed`): a number may have several
    observations, and one that was paid or can still be paid contradicts such a promise.
    """

    observations: tuple[Observation, ...] = ()
    absent: frozenset[str] = frozenset()
    undecided: frozenset[str] = frozenset()

    def agreed(self) -> Found:
        """The answer without promises for numbers that are undecided or have a contradicting observation."""
        open_or_taken = {seen.number for seen in self.observations if not _is_promise(seen)}
        doubted = self.undecided | open_or_taken
        reported = {seen.number for seen in self.observations}
        return Found(
            observations=tuple(
                seen for seen in self.observations if not (_is_promise(seen) and seen.number in doubted)
            ),
            absent=self.absent - self.undecided - reported,
            undecided=self.undecided,
        )


def _is_promise(seen: Observation) -> bool:
    """Whether it promises that no money moved or will move. A wrong signature promises nothing."""
    is_unmoved = seen.status in (Status.FAILED, Status.CLOSED, RefundStatus.FAILED)
    return is_unmoved and not seen.is_signed_wrong


class Mention(msgspec.Struct, frozen=True, kw_only=True, tag="mention"):
    """
    A hint that an order or refund of ours changed, without saying how.

    It is queried at once, and only the answer is evidence, whether or not notifications are trusted.
    """

    number: str


Notice = Observation | Mention
"""One item of a notification."""

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
        """Query at most `query_batch_max` orders and refunds, in as few requests as the API allows."""
        ...

    def refund(self, refund: RefundOrder) -> Flow[RefundReply]:
        """Return money to the payer."""
        ...

    def close(self, order: OrderRef) -> Flow[CloseReply]:
        """Cancel an unpaid order; `Done` has its present state, which may still be pending."""
        ...

    def verify(self, notification: Notification) -> Sequence[Notice]:
        """
        The items of an authentic notification: observations, and a `Mention` where it has only a number.

        Empty when it has no number. `notification` has the headers and query string that `info` names.
        """
        ...

    def acknowledge(self) -> Reply:
        """The HTTP answer to a notification once it is stored."""
        ...
