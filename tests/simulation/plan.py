"""What is determined before a run: the weather (how likely faults are), the gateway's behaviour, the purchases."""

from __future__ import annotations

from typing import Literal

import msgspec

from paycore.testing.toy import ResendEffect

Duplicates = Literal["refuse", "same_result", "charge_blindly"]
Step = Literal["wait", "query", "close", "refund", "create", "capture", "return"]
Channel = Literal["web", "card", "hold", "tab"]
Capture = Literal["automatic", "manual"]

DECLARED: dict[Duplicates, ResendEffect] = {
    "refuse": "refused_as_duplicate",
    "same_result": "same_result",
    "charge_blindly": "unsafe",
}

FAULTS_END_S = 400.0
"""No faults from here on: whatever is open must now be finished without help."""


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """The probability of each fault: of a request, an effect or a notification; all from 0 to 1."""

    refused: float
    unreachable: float
    lost_request: float
    lost_reply: float
    late: float
    failed_before: float
    failed_after: float
    failed_first: float
    garbage: float
    dripped: float
    too_long: float
    encoded: float
    slow: float
    repeated: float
    gone: float
    crash: float
    pause: float
    ledger_down: float
    ledger_slow: float
    answer_lost: float
    gives_up: float
    notification_lost: float
    notification_repeated: float
    late_money: float
    late_money_untold: float
    declined: float
    refund_waits: float
    refund_fails: float
    not_now: float
    capture_declined: float
    payer_agrees_again: float
    charged_back: float
    refund_reversed: float

    def chance(self, fault: str) -> float:
        """The probability of this fault; 0 for an unknown one."""
        chance: float = getattr(self, fault, 0.0)
        return chance


FATES = (
    "refused",
    "unreachable",
    "lost_request",
    "lost_reply",
    "late",
    "failed_before",
    "failed_after",
    "failed_first",
    "garbage",
    "dripped",
    "too_long",
    "encoded",
    "slow",
    "repeated",
)
"""The fates of a request, beside success."""

CALM = Weather(**dict.fromkeys(Weather.__struct_fields__, 0.0))


class RefundPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's refund; None is the whole rest."""

    reference: str
    amount_minor: int | None


class CallerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One caller: its application, its arguments, and its steps after creating."""

    application: int
    starts_in_s: float
    amount_minor: int
    steps: tuple[Step, ...]
    refunds: tuple[RefundPlan, ...]
    capture_minor: int | None = None
    """What a manual capture takes, None for all."""


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """One payment, and all callers with its reference."""

    reference: str
    channel: Channel
    expires_in_s: int | None
    payer_pays_in_s: float | None
    callers: tuple[CallerPlan, ...]
    account: str = "main"
    capture: Capture = "automatic"
    authorized_for_s: float = 0.0
    """How long the gateway holds an authorization that is not captured."""


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an account shares with the merchant's other systems, and what its provider's list has.

    `per_second`, `per_minute`: the requests that are taken of an account, by all who use it. `batch` is how many orders
    a query asks about, `list_page` the records of a page of the list by time, None without one.
    `foreign_s`: when others make orders of their own. `used_up_s`: from when until when others leave nothing of the
    budget. `outage_s`: from when until when the provider does not answer, and `known_within_s` after it all must be
    known that happened meanwhile, None where that depends on chance. `storms_s`: when all notifications are sent again.
    `is_crowded`: there are so many payments that the budget binds, and workers that look after all of them without a
    nap. `readers`: processes that read the change feed for one consumer.
    """

    is_crowded: bool = False
    readers: int = 0

    per_second: int = 100
    per_minute: int = 6000
    batch: int = 50
    list_page: int | None = None
    foreign_s: tuple[float, ...] = ()
    used_up_s: tuple[float, float] | None = None
    outage_s: tuple[float, float] | None = None
    known_within_s: float | None = None
    storms_s: tuple[float, ...] = ()


class Further(msgspec.Struct, frozen=True, kw_only=True):
    """
    What only some providers have.

    `is_found_by_id`: orders are found by the provider's id only. `proves_absence`: "not found" proves, in the end,
    that an order is not there. `window_s` is how long a number is remembered.
    `accounts` are two where each needs a token, which lasts `token_lasts_s`, and may be refused before that at
    `tokens_refused_s`. `mentions`: notifications are unsigned ids. `counts_reversed`: the total that is told as
    refunded has refunds that came back in it.
    """

    is_found_by_id: bool = False
    proves_absence: bool = True
    window_s: float | None = None
    accounts: tuple[str, ...] = ("main",)
    token_lasts_s: float | None = None
    tokens_refused_s: tuple[float, ...] = ()
    mentions: bool = False
    counts_reversed: bool = False

    @property
    def needs_token(self) -> bool:
        """Whether the gateway wants a token with every request."""
        return len(self.accounts) > 1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything determined before a run starts."""

    weather: Weather
    duplicates: Duplicates
    two_steps: bool
    notifications_trusted: bool
    timeout_s: float
    proof_s: float
    workers: int
    applications: int
    starts_in_s: dict[str, float]
    stops: tuple[tuple[str, float], ...]
    clock_set_back: tuple[tuple[float, float], ...]
    """When the machine's clock is set back, and by how many seconds."""
    account_refused_s: tuple[float, float] | None
    purchases: tuple[Purchase, ...]
    further: Further
    shared: Shared = Shared()
    kills: tuple[tuple[str, float], ...] = ()
    """The processes that are killed at a given time, beside those that die by chance."""
    faults_end_s: float = FAULTS_END_S

    @property
    def declared(self) -> ResendEffect:
        """What the provider declares of a number that is sent again."""
        return DECLARED[self.duplicates]

    @property
    def notifications_prove(self) -> bool:
        """Whether a notification is evidence."""
        return self.notifications_trusted and not self.further.mentions

    @property
    def call_max_s(self) -> float:
        """The longest duration of a call: it joins a sender, waits for proof, and takes at most four steps."""
        return 8 * self.timeout_s + 2 * self.proof_s
