"""What a seed determines: the weather (how likely faults are), the gateway's behaviour, the purchases."""

from __future__ import annotations

from random import Random
from typing import Literal

import msgspec
from msgspec.structs import replace

from paycore.testing.toy import ResendEffect

Duplicates = Literal["refuse", "same_result", "charge_blindly"]
Step = Literal["wait", "query", "close", "refund", "create"]

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

STRUCK_MAX = 0.5

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


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """One payment, and all callers with its reference."""

    reference: str
    channel: Literal["web", "card"]
    expires_in_s: int | None
    payer_pays_in_s: float | None
    callers: tuple[CallerPlan, ...]


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

    @property
    def call_max_s(self) -> float:
        """The longest duration of a call: it joins a sender, waits for proof, and takes at most four steps."""
        return 8 * self.timeout_s + 2 * self.proof_s


def draw_plan(seed: int, *, sets_clock_back: bool = False) -> Plan:
    """The plan of this seed; with `sets_clock_back` the same, and in some runs a clock that is set back."""
    rng = Random(f"plan {seed}")
    applications, workers = rng.randint(1, 3), rng.randint(1, 3)
    refused_from = rng.uniform(0, 120)
    return Plan(
        weather=_draw_weather(rng),
        duplicates=rng.choice(tuple(DECLARED)),
        two_steps=rng.random() < 0.6,
        notifications_trusted=rng.random() < 0.6,
        timeout_s=rng.choice((3.0, 6.0, 12.0)),
        proof_s=rng.choice((3.0, 6.0, 12.0)),
        workers=workers,
        applications=applications,
        starts_in_s=_draw_starts(rng, workers),
        stops=_draw_stops(rng, applications, workers),
        clock_set_back=_draw_clock(Random(f"clock {seed}")) if sets_clock_back else (),
        account_refused_s=(refused_from, refused_from + rng.uniform(5, 60)) if rng.random() < 0.3 else None,
        purchases=_draw_purchases(rng, applications),
    )


def _draw_starts(rng: Random, workers: int) -> dict[str, float]:
    """Sometimes no worker starts before the faults are over, so that waits depend on their callers."""
    late = rng.random() < 0.4
    return {f"worker{n}": FAULTS_END_S if late else rng.uniform(0, 60) for n in range(workers)}


def _draw_clock(rng: Random) -> tuple[tuple[float, float], ...]:
    """In every third run one or two steps of the clock, small or of an hour."""
    steps = rng.choice((0, 0, 0, 0, 1, 2))
    return tuple((rng.uniform(0, FAULTS_END_S), rng.uniform(1, rng.choice((60, 3600)))) for _ in range(steps))


def _draw_stops(rng: Random, applications: int, workers: int) -> tuple[tuple[str, float], ...]:
    """The processes that are stopped orderly, as for a deployment, and when."""
    names = ("web", *(f"app{n}" for n in range(applications)), *(f"worker{n}" for n in range(workers)))
    return tuple((rng.choice(names), rng.uniform(0, FAULTS_END_S)) for _ in range(rng.choice((0, 1, 2, 4))))


def _draw_weather(rng: Random) -> Weather:
    """
    From nearly calm to a storm; which faults are frequent or absent differs for each run.

    So runs differ, and bugs that need one fault often and others never are found too.
    """
    storm = rng.uniform(0.3, 1.1)

    def upto(most: float) -> float:
        return storm * most * rng.choice((0.0, 0.3, 0.8, 2.0))

    return _passable(
        Weather(
            refused=upto(0.1),
            unreachable=upto(0.05),
            lost_request=upto(0.12),
            lost_reply=upto(0.2),
            late=upto(0.15),
            failed_before=upto(0.1),
            failed_after=upto(0.06),
            failed_first=upto(0.06),
            garbage=upto(0.06),
            dripped=upto(0.03),
            too_long=upto(0.02),
            encoded=upto(0.02),
            slow=upto(0.15),
            repeated=upto(0.25),
            gone=rng.uniform(0, 0.8),
            crash=upto(0.025),
            pause=upto(0.06),
            ledger_down=upto(0.02),
            ledger_slow=upto(0.3),
            answer_lost=upto(0.01),
            gives_up=upto(0.4),
            notification_lost=upto(0.5),
            notification_repeated=upto(0.5),
            late_money=rng.uniform(0.2, 0.9),
            late_money_untold=rng.uniform(0.2, 0.8),
            declined=upto(0.15),
            refund_waits=upto(0.6),
            refund_fails=upto(0.4),
        )
    )


def _passable(weather: Weather) -> Weather:
    """The same with few enough network faults that most requests succeed in the end."""
    total = max(STRUCK_MAX, sum(weather.chance(fate) for fate in FATES))
    return replace(weather, **{fate: weather.chance(fate) * STRUCK_MAX / total for fate in FATES})


def _draw_purchases(rng: Random, applications: int) -> tuple[Purchase, ...]:
    """Many payments with a few callers each; or a few with many simultaneous callers."""
    if rng.random() < 0.4:
        return tuple(_draw_purchase(rng, f"order-{n}", applications) for n in range(rng.randint(5, 9)))
    return tuple(_draw_rush(rng, f"order-{n}", applications) for n in range(rng.randint(3, 5)))


def _draw_purchase(rng: Random, reference: str, applications: int, callers: int = 3) -> Purchase:
    channel: Literal["web", "card"] = rng.choice(("web", "web", "card"))
    amount = rng.randint(100, 9_999)
    refunds = _draw_refunds(rng, reference, amount)
    expires_in_s = rng.randint(20, 300) if channel == "web" else None
    pays = None if rng.random() < 0.35 else rng.uniform(1, 1.1 * (expires_in_s or 60))
    drawn = [_draw_caller(rng, amount, applications, refunds) for _ in range(rng.randint(1, callers))]
    if rng.random() < 0.2:
        drawn.append(replace(_draw_caller(rng, amount, applications, ()), amount_minor=amount + 1))
    return Purchase(
        reference=reference,
        channel=channel,
        expires_in_s=expires_in_s,
        payer_pays_in_s=pays,
        callers=tuple(drawn),
    )


def _draw_rush(rng: Random, reference: str, applications: int) -> Purchase:
    """Up to six callers, most of them from the start, who refund as soon as it is paid."""
    purchase = _draw_purchase(rng, reference, applications, callers=6)
    amount = purchase.callers[0].amount_minor
    refunds = tuple(
        replace(refund, amount_minor=rng.randint(amount // 2, amount))
        for refund in _draw_refunds(rng, reference, amount, least=1)
    )
    callers = (
        replace(
            caller,
            starts_in_s=rng.choice((0.0, caller.starts_in_s)),
            refunds=tuple(rng.sample(refunds, len(refunds))),
            steps=("wait", "refund"),
        )
        for caller in purchase.callers
    )
    return replace(purchase, callers=tuple(callers))


def _draw_refunds(rng: Random, reference: str, amount: int, least: int = 0) -> tuple[RefundPlan, ...]:
    """Sometimes more than was paid, so that some must be refused."""
    return tuple(
        RefundPlan(
            reference=f"{reference}-refund-{n}",
            amount_minor=None if rng.random() < 0.2 else rng.randint(1, amount * 2 // 3),
        )
        for n in range(rng.randint(least, 3))
    )


def _draw_caller(rng: Random, amount: int, applications: int, refunds: tuple[RefundPlan, ...]) -> CallerPlan:
    steps: list[Step] = ["wait"] if rng.random() < 0.8 else []
    if rng.random() < 0.25:
        steps.insert(0, "close")
    if rng.random() < 0.3:
        steps.append(rng.choice(("query", "create")))
    own = tuple(rng.sample(refunds, rng.randint(0, len(refunds))))
    return CallerPlan(
        application=rng.randrange(applications),
        starts_in_s=rng.choice((0.0, rng.uniform(0, 0.5), rng.uniform(0, 90))),
        amount_minor=amount,
        steps=(*steps, *(("refund",) if own else ())),
        refunds=own,
    )
