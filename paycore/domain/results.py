"""What a provider's flows return: statements about money, and what was reported with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from paycore.domain.action import Action
from paycore.domain.capabilities import EXPIRES_IN_MAX_S
from paycore.domain.observation import Observation, PaymentObservation, RefundObservation
from paycore.domain.payment import Capture, Failure, RefundStatus, Status

T = TypeVar("T")

RETRY_AFTER_MAX_S = 24 * 3600
"""The longest a provider can put a request off, in seconds."""


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
    provider carries it: of an order the payment's, of a refund its own.

    What follows is None where it is not told. `made_at` (aware UTC): when it was made; else the time in our number
    counts. Of an order: `method`, `channel` and `capture` as they were given to `create`,
    `expires_at` (aware UTC). Of a refund: `payment_number` is our number of the order it goes back from, `payment_id`
    any id that the provider has for that order.
    """

    observation: Observation
    reference: str | None = None
    made_at: datetime | None = None
    method: str | None = None
    channel: str | None = None
    capture: Capture | None = None
    expires_at: datetime | None = None
    payment_number: str | None = None
    payment_id: str | None = None


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
