"""
The contract between the core and a provider, version 1.

A provider builds requests, reads responses and verifies notifications. It does no I/O, reads no clock, uses no
randomness, never sleeps, logs nothing and does not use the ledger. So one implementation serves sync and async
callers and can be tested without a network.

Everything beyond `create` and `query` is there for the APIs that need it: a provider declares it and has the method
for it, or does neither.
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
from paycore.domain.payment import Capture, Failure, RefundStatus, Status
from paycore.domain.wire import Flow, Notification, Reply

T = TypeVar("T")

EXPIRES_IN_MAX_S = 366 * 24 * 3600
"""The longest lifetime of an order, in seconds, where a product sets no bound of its own."""

RETRY_AFTER_MAX_S = 24 * 3600
"""The longest a provider can put a request off, in seconds."""

API_VERSION = 1
"""The version of this contract. It grows when a provider written for the one before could do harm."""

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


class Resend(msgspec.Struct, frozen=True):
    """
    What the provider does when a request is sent again with the same number and content.

    - `same_result`: it answers with what the first one made.
    - `refused_as_duplicate`: it refuses; the flow returns `Rejected(..., is_duplicate=True)`.
    - `unsafe`: it would do it a second time. The core sends again only what is proven never to have arrived.

    `window_s`: seconds after the first send for which that holds, None for ever. After it the core never sends that
    number again.
    """

    effect: Literal["same_result", "refused_as_duplicate", "unsafe"]
    window_s: float | None = None


UNSAFE = Resend("unsafe")


class Lookup(StrEnum):
    """By what a query finds an order."""

    BY_NUMBER = "by_number"
    """By our own number, whether or not a reply has come."""
    BY_PROVIDER_ID = "by_provider_id"
    """By the provider's ids only: an order whose reply was lost is found by sending it again."""


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

INFORMING_FIELDS = frozenset({"subject", "notify_url", "expires_in_s", "device_id"})
"""Those that only inform or limit: a product that does not use one ignores it, and the payment says so."""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """
    One (method, channel) pair an account offers, with its bounds.

    `currencies` has the least and the largest amount per currency, inclusive, in minor units. `required` and
    `optional` name fields of `create()` beyond reference, amount, method and channel that the product uses. Any other
    one is ignored if it is one of `INFORMING_FIELDS`, else refused. `extra` names the provider's own fields that are
    allowed. `expires_in_s` is the inclusive range of the order's lifetime, None where it can't be set.
    `needs_action`: the payer can't pay unless the reply has an action. `close`: an unpaid order can be cancelled, and
    an authorized one voided. `refund` and `capture` say how much can be refunded or captured; `capture` other than
    `none` means that the payer may agree before the money is taken.
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
    capture: Literal["none", "full", "partial"] = "none"


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

    `lookup`: how an order is found again. `query_proves_absence_after_s`: seconds after the last moment at which a
    request of ours can arrive, from which "not found" proves that the order does not exist; None if it never does,
    as without a lookup by number. `query_batch_max`: orders and refunds per query flow. `create_resend`,
    `capture_resend`, `refund_resend`: what sending again does. `notifications_trusted`: an authentic notification
    alone is evidence; otherwise it only makes the payment due, and the query that follows is the evidence.
    """

    products: tuple[Product, ...]
    number: NumberFormat
    budget: RequestBudget
    lookup: Lookup = Lookup.BY_NUMBER
    query_proves_absence_after_s: float | None = None
    query_batch_max: int = 1
    create_resend: Resend = UNSAFE
    capture_resend: Resend = UNSAFE
    refund_resend: Resend = UNSAFE
    notifications_trusted: bool = False

    def product(self, method: str, channel: str) -> Product | None:
        """The product for this pair, None when the account does not offer it."""
        return next((p for p in self.products if (p.method, p.channel) == (method, channel)), None)


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who a provider is, before any account exists.

    `api_version` is the version of the contract it was written for: `API_VERSION` as it was then. `name` is the
    provider's name in the configuration; `settings` the msgspec struct an account's keys are decoded into (strict,
    secrets typed `Secret` or `tuple[Secret, ...]`). `sample` has settings to try the provider with when it is
    loaded, where values made up by their type won't do.

    `base_urls` is the default base URL per mode, none for sandbox; `hosts` has further ones by the name a `Request`
    calls them. `live_hosts` is every host that moves real money; one that begins with a dot stands for all hosts
    that end with it.

    `notification_headers` are the headers `verify` reads, such as the signature's; `notification_query`: it reads the
    query string, and that is signed. `verify` receives only these and the body, and only these are stored. A
    notification with the same body (and query string, where that is read) is a repeat, whatever its headers.
    """

    api_version: int
    name: str
    title: str
    settings: type[msgspec.Struct]
    base_urls: Mapping[Mode, str]
    live_hosts: frozenset[str]
    hosts: Mapping[str, Mapping[Mode, str]] = {}
    sample: Mapping[str, Any] = {}
    notification_headers: frozenset[str] = frozenset()
    notification_query: bool = False


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
    """One refund of `order` to make; `number` is already committed. `amount` is what is returned to the payer."""

    number: str
    begun_at: datetime
    attempt: Attempt
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


class NotNow(msgspec.Struct, frozen=True, kw_only=True):
    """
    Definite: nothing moved by this request, and the same request may be sent again later.

    For a full request budget (HTTP 429), or "a refund is in progress". `retry_after_s`: not before so many seconds
    from now. `is_session_refused`: the session does not hold any more; the core opens another and tries again at once.
    """

    problem: str
    retry_after_s: Annotated[float, msgspec.Meta(ge=0, le=RETRY_AFTER_MAX_S)] = 0.0
    is_session_refused: bool = False


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


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the provider's flows need beyond its settings: an access token, certificates.

    `value` is any object; it is kept in memory only, and handed to flows (`Attempt.session`) and to `verify`
    (`Notification.session`). Put what is secret in it into `Secret`s. `lasts_s`: seconds for which it holds, counted
    from before it was asked for; None until it is refused.
    """

    value: Any
    lasts_s: float | None = None

    def __repr__(self) -> str:
        return f"Session(lasts_s={self.lasts_s})"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """
    One order or refund in the provider's own list.

    `observation.number` is empty where the list has no number of ours. `reference` is the caller's, where the
    provider carries it.
    """

    observation: Observation
    reference: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the provider's own list; `cursor` asks for the next one, None after the last."""

    items: tuple[Listed, ...]
    cursor: str | None = None


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

    @property
    def authorized(self) -> frozenset[str]:
        """Orders that are still only authorized, by their numbers: no capture of them has arrived."""
        seen = {seen.number for seen in self.observations if seen.status is Status.AUTHORIZED}
        doubted = {
            seen.number for seen in self.observations if seen.status is Status.PAID or seen.is_signed_wrong
        }
        return frozenset(seen - doubted - self.undecided)


def _is_promise(seen: Observation) -> bool:
    """Whether it promises that no money moved or will move. A wrong signature promises nothing."""
    is_unmoved = seen.status in (Status.FAILED, Status.CLOSED, RefundStatus.FAILED)
    return is_unmoved and not seen.is_signed_wrong


class Mention(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="mention"):
    """
    A hint that an order or refund of ours changed, without saying how: by our `number`, or by an `id` of it.

    `id` is its `provider_id` or any of its `ids`. It is queried at once, and only the answer is evidence, whether or
    not notifications are trusted.
    """

    number: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        if (self.number is None) is (self.id is None):
            raise ValueError("a mention has a number or an id")


Notice = Observation | Mention
"""One item of a notification."""

CreateReply = Done[Created] | Rejected | NotNow | Unknown
CaptureReply = Done[PaymentObservation] | Rejected | NotNow | Unknown
QueryReply = Done[Found] | Rejected | NotNow | Unknown
RefundReply = Done[RefundObservation] | Rejected | NotNow | Unknown
CloseReply = Done[PaymentObservation] | Rejected | NotNow | Unknown
SessionReply = Done[Session] | Rejected | NotNow | Unknown
ListReply = Done[Page] | Rejected | NotNow | Unknown


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
