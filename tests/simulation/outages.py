"""A provider that is away for an hour, while payers pay, notifications are lost or storm, and workers are killed."""

from __future__ import annotations

from random import Random

import msgspec
from msgspec.structs import replace

from tests.simulation.plan import CALM, CallerPlan, Further, Plan, Purchase, Shared
from tests.simulation.world import Run, run_seed

PAYERS = 40
AWAY_S = (120.0, 3720.0)
KNOWN_WITHIN_S = 15.0
"""Two questions at a time try a provider that was away; then all are asked about, 240 a minute, four in each."""


def plan_outage(seed: int) -> Plan:
    """All orders are made before; most are paid while nobody can be asked, and half of the notifications are lost."""
    rng = Random(f"outage {seed}")
    from_s, until_s = AWAY_S
    return Plan(
        weather=replace(CALM, notification_lost=0.5, notification_repeated=0.5),
        duplicates="same_result",
        two_steps=False,
        notifications_trusted=rng.random() < 0.5,
        timeout_s=6.0,
        proof_s=6.0,
        workers=2,
        applications=1,
        starts_in_s={},
        stops=(),
        clock_set_back=(),
        account_refused_s=None,
        purchases=tuple(_payer(rng, n) for n in range(PAYERS)),
        further=Further(),
        shared=Shared(
            is_crowded=True,
            readers=2,
            per_second=10,
            per_minute=240,
            batch=4,
            list_page=rng.choice((None, 20)),
            outage_s=AWAY_S,
            known_within_s=KNOWN_WITHIN_S,
            storms_s=tuple(rng.uniform(from_s, until_s) for _ in range(4)),
        ),
        kills=tuple(
            (rng.choice(("worker0", "worker1", "reader0", "reader1")), rng.uniform(0, until_s - 60))
            for _ in range(40)
        ),
        faults_end_s=until_s + 60,
    )


def run_outage(seed: int) -> Run:
    """One such hour, and a day until nothing is left to do; without its log."""
    return msgspec.structs.replace(run_seed(seed, plan=plan_outage(seed)), lines=())


def _payer(rng: Random, number: int) -> Purchase:
    caller = CallerPlan(
        application=0, starts_in_s=rng.uniform(0, 60), amount_minor=100 + number, steps=(), refunds=()
    )
    return Purchase(
        reference=f"order-{number}",
        channel="web",
        expires_in_s=7200,
        payer_pays_in_s=None if rng.random() < 0.2 else rng.uniform(100, 3500),
        callers=(caller,),
    )
