"""The rows of the table, each made by the package that tests it."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import msgspec

from tests.kill import feed, listed
from tests.kill.authorized import race_to_capture
from tests.kill.cases import Database, all_cases
from tests.kill.matrix import Crew, run_mutant, tally
from tests.kill.mutants import MUTANTS
from tests.ledger.races import change_in_a_storm, race_to_create
from tests.simulation import mutants, world
from tests.simulation import outages as outage
from tests.support.postgres import embedded_postgres
from tests.web.flood import flooded


class Row(msgspec.Struct, kw_only=True):
    """
    One line: counts, None where a count makes no sense.

    `mutants`: planted bugs caught, of how many.
    """

    scenario: str
    cases: int | None = None
    doubled: int | None = None
    lost: int | None = None
    stuck: int | None = None
    violations: int | None = None
    mutants: tuple[int, int] | None = None
    problems: list[str] = msgspec.field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether it found no errors, and caught every planted bug."""
        wrong = (self.doubled, self.lost, self.stuck, self.violations)
        caught = self.mutants is None or self.mutants[0] == self.mutants[1]
        return not (self.problems or any(wrong)) and caught


class Size(msgspec.Struct, frozen=True):
    """How much is tried."""

    rounds: int
    seeds: int


CI = Size(rounds=1, seeds=300)
FULL = Size(rounds=10, seeds=10_000)

OUTAGES = 6

FLOOD_S = 5.0
"""Seconds in which a good notification must be answered amid a flood: a provider waits that long."""


def killed(database: Database, size: Size) -> Row:
    """Every step of every operation, with every gateway, on one database."""
    with Crew() as crew:
        cases = all_cases([database], size.rounds)
        if database == "postgres":
            with embedded_postgres() as server:
                counted = tally(crew.run(cases, server))
        else:
            counted = tally(crew.run(cases))
    if counted.not_reached:
        counted.problems.append(f"{counted.not_reached} processes never came to their place")
    return Row(
        scenario=f"killed at every step, {database}",
        cases=counted.cases,
        doubled=counted.doubled,
        lost=counted.lost,
        stuck=counted.stuck,
        violations=counted.violations,
        problems=counted.problems,
    )


def list_killed(database: Database, _size: Size) -> Row:
    """Workers killed while they read a page of the list."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(embedded_postgres()) if database == "postgres" else None
        verdicts = list(listed.kill_at(listed.PLACES, server))
    return Row(
        scenario=f"list read and killed, {database}",
        cases=len(verdicts),
        doubled=sum(verdict.doubled for verdict in verdicts),
        lost=sum(verdict.lost for verdict in verdicts),
        violations=sum(verdict.differences for verdict in verdicts),
        problems=[f"no page was read: {verdict}" for verdict in verdicts if not verdict.pages],
    )


def kill_mutants(_size: Size) -> Row:
    """Planted bugs that the kill matrix must find."""
    with Crew() as crew:
        found = [getattr(run_mutant(crew, name), mutant.shows) > 0 for name, mutant in MUTANTS.items()]
    return Row(scenario="kill matrix, planted bugs", mutants=(sum(found), len(found)))


def feed_killed(database: Database, _size: Size) -> Row:
    """Readers of the change feed killed at every step, and an application's own table judged."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(embedded_postgres()) if database == "postgres" else None
        verdicts = stack.enter_context(feed.Crew(server)).kill_at(database, feed.STEPS)
    wrong = [str(verdict) for verdict in verdicts if not verdict.is_clean]
    return Row(
        scenario=f"feed read and killed, {database}",
        cases=len(verdicts),
        doubled=sum(verdict.doubled for verdict in verdicts),
        lost=sum(verdict.lost for verdict in verdicts),
        violations=sum(verdict.repeated + verdict.disordered for verdict in verdicts),
        problems=wrong,
    )


def feed_mutants(_size: Size) -> Row:
    """Planted bugs that killed and stopped readers of the change feed must find."""
    with feed.Crew() as crew:
        found = [feed.finds(crew, "sqlite", name) for name in feed.MUTANTS]
    return Row(scenario="feed, planted bugs", mutants=(sum(found), len(found)))


def raced(database: Database, _size: Size) -> Row:
    """Eight processes that create the same references at once, at a gateway that charges blindly."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if database == "postgres":
            dsn = stack.enter_context(embedded_postgres()).create_database()
        else:
            dsn = f"sqlite:///{folder}/ledger.db"
        race = race_to_create(dsn)
    return Row(
        scenario=f"8 processes at once, {database}",
        cases=race.references,
        doubled=race.provider_calls - race.references,
        lost=race.references - race.numbers,
        stuck=race.answers_without_link,
        violations=0 if race.holds else 1,
        problems=[] if race.holds else [str(race)],
    )


def seen_by_many(database: Database, _size: Size) -> Row:
    """Eight processes and a notification see the same authorizations at once, at a gateway that charges blindly."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if database == "postgres":
            dsn = stack.enter_context(embedded_postgres()).create_database()
        else:
            dsn = f"sqlite:///{folder}/ledger.db"
        race = race_to_capture(dsn)
    return Row(
        scenario=f"8 see it authorized, {database}",
        cases=race.payments,
        doubled=race.taken_twice,
        lost=max(0, race.payments - race.captures),
        stuck=race.payments - race.paid,
        violations=0 if race.holds else 1,
        problems=[] if race.holds else [str(race)],
    )


def stormed(_size: Size) -> Row:
    """Changes while connections to PostgreSQL are cut every 30 ms and the server crashes."""
    with embedded_postgres() as server:
        storm = change_in_a_storm(server)
    return Row(
        scenario="connections cut, server crashed",
        cases=storm.changes,
        doubled=max(0, storm.applied - storm.changes),
        lost=max(0, storm.changes - storm.applied),
        violations=storm.not_as_often_as_told + storm.differences + len(storm.errors),
        problems=[] if storm.holds else [str(storm)],
    )


def flooded_with_notifications(database: Database, _size: Size) -> Row:
    """Good notifications amid 10,000 duplicates and 10,000 forged ones, over 200 connections."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if database == "postgres":
            dsn = stack.enter_context(embedded_postgres()).create_database()
        else:
            dsn = f"sqlite:///{folder}/ledger.db"
        seen = flooded(dsn, duplicates=10_000, forged=10_000, connections=200, good=20)
    return Row(
        scenario=f"flood of notifications, {database}",
        cases=seen.good + seen.flood,
        lost=seen.good - seen.taken,
        stuck=seen.good - seen.in_time,
        violations=seen.wrong,
        problems=[]
        if seen.slowest_s < FLOOD_S
        else [f"one was answered after {seen.slowest_s:.1f} s: {seen}"],
    )


def simulated(size: Size) -> Row:
    """Seeded runs of callers, workers, crashes and a faulty network, on every core."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(world.run_briefly, range(size.seeds), chunksize=5))
    problems = [f"seed {run.seed}: {violation}" for run in runs for violation in run.violations]
    return Row(scenario="simulated seeds", cases=len(runs), violations=len(problems), problems=problems)


def outages(_size: Size) -> Row:
    """Providers that are away for an hour while workers and readers are killed and notifications storm."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(outage.run_outage, range(OUTAGES)))
    problems = [f"outage {run.seed}: {violation}" for run in runs for violation in run.violations]
    return Row(
        scenario="simulated hours of outage", cases=len(runs), violations=len(problems), problems=problems
    )


def simulation_mutants(_size: Size) -> Row:
    """Planted bugs that a simulated run must find within 20 seeds, and harmless changes that it must not."""
    planted = [*mutants.MUTANTS, *mutants.CONTROLS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        caught = dict(zip(planted, pool.map(mutants.catch, planted), strict=True))
    missed = [name for name in mutants.MUTANTS if caught[name] is None]
    problems = [f"{name} is not caught" for name in missed]
    problems += [
        f"{name} does no harm, and is caught" for name in mutants.CONTROLS if caught[name] is not None
    ]
    count = len(mutants.MUTANTS)
    return Row(scenario="simulation, planted bugs", mutants=(count - len(missed), count), problems=problems)


SCENARIOS: tuple[Callable[[Size], Row], ...] = (
    partial(killed, "sqlite"),
    partial(killed, "postgres"),
    partial(list_killed, "sqlite"),
    partial(list_killed, "postgres"),
    kill_mutants,
    partial(feed_killed, "sqlite"),
    partial(feed_killed, "postgres"),
    feed_mutants,
    partial(raced, "sqlite"),
    partial(raced, "postgres"),
    partial(seen_by_many, "sqlite"),
    partial(seen_by_many, "postgres"),
    stormed,
    partial(flooded_with_notifications, "sqlite"),
    partial(flooded_with_notifications, "postgres"),
    simulated,
    outages,
    simulation_mutants,
)
"""What makes each row, in their order."""
