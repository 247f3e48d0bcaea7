"""Draws the plan of a seed."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from tests.simulation.plan import (
    DECLARED,
    FATES,
    FAULTS_END_S,
    CallerPlan,
    Capture,
    Channel,
    Further,
    Plan,
    Purchase,
    RefundPlan,
    Shared,
    Step,
    Weather,
)

CROWD = 30
"""Payers at once, each asked about every two seconds."""

STRUCK_MAX = 0.5
"""The sum of all network faults of a request, at most."""


def draw_plan(seed: int, *, sets_clock_back: bool = False) -> Plan:
    """The plan of this seed; with `sets_clock_back` the same, and in some runs a clock that is set back."""
    rng = Random(f"plan {seed}")
    applications, workers = rng.randint(1, 3), rng.randint(1, 3)
    refused_from = rng.uniform(0, 120)
    plan = Plan(
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
        further=Further(),
    )
    plan = _with_further(Random(f"further {seed}"), plan)
    return _with_shared(Random(f"shared {seed}"), plan)


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
            late_money=rng.uniform(0.5, 0.95),
            late_money_untold=rng.uniform(0.2, 0.8),
            declined=upto(0.15),
            refund_waits=upto(0.6),
            refund_fails=upto(0.4),
            not_now=0.0,
            capture_declined=0.0,
            payer_agrees_again=0.0,
            charged_back=0.0,
            refund_reversed=0.0,
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
    channel: Channel = rng.choice(("web", "web", "card"))
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


# --- what only some providers have ---------------------------------------------------------------------


def _with_further(rng: Random, plan: Plan) -> Plan:
    """The plan with orders that are captured, and with what this provider has beyond the smallest one."""
    further = _draw_further(rng, plan)
    is_found_by_resend = not further.proves_absence
    held = [_draw_held(rng, f"held-{n}", plan.applications) for n in range(rng.randint(4, 7))]
    purchases = tuple(
        replace(purchase, account=rng.choice(further.accounts)) for purchase in (*plan.purchases, *held)
    )
    refused_from_s = rng.uniform(2, 20)
    is_refused = is_found_by_resend and rng.random() < 0.8
    return replace(
        plan,
        account_refused_s=(refused_from_s, refused_from_s + rng.uniform(20, 60))
        if is_refused
        else plan.account_refused_s,
        # Where nothing but a second send finds an order, a provider that makes a second one is out of reach.
        duplicates=rng.choice(("same_result", "same_result", "refuse"))
        if is_found_by_resend
        else plan.duplicates,
        weather=_draw_further_weather(rng, plan.weather),
        purchases=purchases,
        further=further,
    )


def _draw_further(rng: Random, plan: Plan) -> Further:
    # A window is measured on the ledger's clock; a clock that is set back makes it longer than the provider's.
    is_by_id = rng.random() < 0.2 and not plan.clock_set_back
    proves_absence = not is_by_id and (rng.random() < 0.85 or bool(plan.clock_set_back))
    has_window = not proves_absence or (rng.random() < 0.3 and not plan.clock_set_back)
    has_session = rng.random() < 0.5
    lasts_s = rng.choice((None, rng.uniform(5, 60)))
    return Further(
        is_found_by_id=is_by_id,
        proves_absence=proves_absence,
        window_s=plan.timeout_s * rng.uniform(1.5, 12) if has_window else None,
        accounts=("main", "second") if has_session else ("main",),
        token_lasts_s=lasts_s if has_session else None,
        # The last time when nobody is killed any more, and so begins without a token.
        tokens_refused_s=(*(rng.uniform(0, 150) for _ in range(rng.randint(0, 7))), FAULTS_END_S + 3),
        mentions=rng.random() < 0.25,
        counts_reversed=rng.random() < 0.5,
    )


def _draw_further_weather(rng: Random, weather: Weather) -> Weather:
    return replace(
        weather,
        not_now=rng.choice((0.0, 0.2, 0.4)),
        capture_declined=rng.choice((0.0, 0.2, 0.5)),
        payer_agrees_again=rng.uniform(0.2, 0.9),
        charged_back=rng.choice((0.0, 0.4, 0.7)),
        refund_reversed=rng.choice((0.3, 0.7)),
    )


def _draw_held(rng: Random, reference: str, applications: int) -> Purchase:
    """An order whose money is captured, at once or by one of its callers, who may close it instead."""
    purchase = _draw_purchase(rng, reference, applications, callers=4)
    channel: Channel = rng.choice(("hold", "tab"))
    capture: Capture = rng.choice(("automatic", "manual"))
    expires_in_s = rng.randint(60, 300) if channel == "hold" else None
    amount = purchase.callers[0].amount_minor
    part = rng.choice((None, None, rng.randint(1, amount)))
    return replace(
        purchase,
        channel=channel,
        capture=capture,
        expires_in_s=expires_in_s,
        payer_pays_in_s=rng.choice((None, rng.uniform(1, 40), rng.uniform(1, 40))),
        authorized_for_s=rng.choice((rng.uniform(20, 200), 6 * 3600.0)),
        callers=tuple(_capturing(rng, caller, capture, part) for caller in purchase.callers),
    )


def _capturing(rng: Random, caller: CallerPlan, capture: Capture, part: int | None) -> CallerPlan:
    """This caller once it also captures, or closes at any moment, around its other steps."""
    steps: list[Step] = [step for step in caller.steps if step != "close"]
    if capture == "manual" and rng.random() < 0.9:
        steps.insert(min(len(steps), 1), "capture")
    if rng.random() < 0.6:
        steps.insert(rng.randint(0, min(1, len(steps))), "close")
    if rng.random() < 0.3:
        steps.insert(0, "return")
    return replace(caller, steps=tuple(steps), capture_minor=part)


# --- what an account shares ----------------------------------------------------------------------------


def _with_shared(rng: Random, plan: Plan) -> Plan:
    """The plan with what others do, and in every fifth run with a crowd of payers."""
    shared = _draw_shared(rng, is_crowded=rng.random() < 0.2)
    crowd = [
        Purchase(
            reference=f"crowd-{n}",
            channel="web",
            expires_in_s=300,
            payer_pays_in_s=rng.choice((None, *(rng.uniform(5, 250) for _ in range(5)))),
            callers=(
                CallerPlan(
                    application=rng.randrange(plan.applications),
                    starts_in_s=rng.uniform(0, 90),
                    amount_minor=100 + n,
                    steps=("wait",),
                    refunds=(),
                ),
            ),
            account=rng.choice(plan.further.accounts),
        )
        for n in range(CROWD if shared.is_crowded else 0)
    ]
    return replace(plan, shared=shared, purchases=(*plan.purchases, *crowd))


def _draw_shared(rng: Random, *, is_crowded: bool) -> Shared:
    """A budget that binds in two of three runs, a list in most of them, and others who make use of the account."""
    used_up_from, outage_from = rng.uniform(20, 300), rng.uniform(20, 250)
    return Shared(
        is_crowded=is_crowded,
        per_second=rng.choice((5, 10, 100)),
        per_minute=rng.choice((90, 150) if is_crowded else (6000, 90, 240)),
        batch=rng.choice((1, 2) if is_crowded else (4, 50)),
        list_page=rng.choice((None, None, 5, 20) if is_crowded else (None, 5, 20)),
        foreign_s=tuple(rng.uniform(0, FAULTS_END_S) for _ in range(rng.choice((0, 10, 80)))),
        used_up_s=(used_up_from, used_up_from + rng.uniform(10, 50)) if rng.random() < 0.3 else None,
        outage_s=(outage_from, outage_from + rng.uniform(10, 120)) if rng.random() < 0.3 else None,
        readers=rng.choice((0, 1, 2)),
    )
