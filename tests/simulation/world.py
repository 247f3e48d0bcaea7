"""One run of one seed: everything wired together, run until nothing is left to do, then audited."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from unittest import mock

import msgspec

from paycore.domain import recovery
from paycore.domain.observation import Observation
from paycore.domain.payment import Status
from paycore.engine import core, timing, transport
from paycore.engine.config import AccountConfig, Config
from paycore.engine.plugins import Plugins
from paycore.errors import PaycoreError
from paycore.plugin import hookimpl
from paycore.testing import toy
from paycore.testing.toy import SessionToyProvider, ToyProvider
from tests.simulation.applications import Caller, tend
from tests.simulation.audit import audit
from tests.simulation.delivery import Deliveries, deliver
from tests.simulation.drawing import draw_plan
from tests.simulation.gateway import SimGateway, TwoStepProvider, TwoStepSessionProvider
from tests.simulation.ledgers import Door, SimLedger
from tests.simulation.loop import SpinningError
from tests.simulation.office import work
from tests.simulation.outside import Outside
from tests.simulation.plan import CALM, Plan
from tests.simulation.processes import Observer, Process, here
from tests.simulation.rules import is_left_to_operator
from tests.simulation.scheduler import Scheduler
from tests.simulation.sends import Sends
from tests.simulation.traffic import Traffic
from tests.simulation.waits import Waits
from tests.simulation.wire import Cable, Wire
from tests.simulation.witness import Witness
from tests.support.due import next_due

END_S = 60 * 3600.0
LOOK_EVERY_S = 600.0
CALLS_MAX = 150_000
"""Many times what a run takes; more means an endless loop."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one seed: violations (none is good), and the log by which runs are compared."""

    seed: int
    violations: tuple[str, ...]
    events: int
    elapsed_s: float
    digest: str
    lines: tuple[str, ...]


class World:
    """Everything in one run."""

    def __init__(
        self, seed: int, folder: Path, *, sets_clock_back: bool = False, plan: Plan | None = None
    ) -> None:
        self._seed = seed
        self.plan: Plan = plan or draw_plan(seed, sets_clock_back=sets_clock_back)
        self.weather = self.plan.weather
        self.scheduler = Scheduler()
        self._set_back_by = timedelta()
        self.to_query: set[str] = set()
        """The payments that the operator has recorded something of, and not queried since."""
        self.witness = Witness(self)
        self.sends = Sends(self)
        self.waits = Waits(self)
        self.traffic = Traffic(self)
        self.deliveries = Deliveries(self)
        self.config = _config(self.plan)
        self.plugins = _plugins()
        self.ledger = SimLedger(folder / "ledger.db", clock=self.machine_now, broken=self.witness.violated)
        self.gateway = SimGateway(self)
        self.wire = Wire(self)
        self.outside = Outside(self)
        self.callers = self._make_callers()
        self.web = Process(self, "web", lambda _: None)
        office = Process(self, "office", lambda process: process.spawn("operator", work(process)))
        self.processes = [
            self.web,
            *self._make_applications(),
            *self._make_workers(),
            *self._make_readers(),
            office,
        ]
        self.ledger.watch(self._notice)

    def machine_now(self) -> datetime:
        """The time of the machine's clock, which may have been set back."""
        return self.scheduler.now() - self._set_back_by

    def _set_back(self, by_s: float) -> None:
        self.scheduler.log("machine", f"its clock is set back by {by_s:.3f} s")
        self._set_back_by += timedelta(seconds=round(by_s, 3))

    def rng(self, purpose: str) -> Random:
        """A random generator for one purpose, so that actors do not influence each other's."""
        return Random(f"{self._seed} {purpose}")

    def said_by(self, body: bytes) -> Sequence[Observation]:
        """What a notification proves: nothing where it isn't trusted, nor of an authorization, which is asked about."""
        seen = toy.read_record(body) if self.plan.notifications_prove else None
        return [] if seen is None or seen.status is Status.AUTHORIZED else [seen]

    def key_of(self, account: str) -> str:
        """The key of this account."""
        return KEYS[account]

    def account_with(self, key: str) -> str:
        """The account with this key; the main one where the gateway tells none."""
        return next((account for account, own in KEYS.items() if own == key), "main")

    def held_for_s(self, reference: str) -> float:
        """How long the gateway holds the authorization of this purchase."""
        return next(p.authorized_for_s for p in self.plan.purchases if p.reference == reference)

    @property
    def is_busy(self) -> bool:
        """Whether faults may still happen, or callers are active."""
        is_faulty = self.scheduler.monotonic() < self.plan.faults_end_s
        return is_faulty or not all(caller.is_finished for caller in self.callers)

    # --- running -------------------------------------------------------------------------------------

    def run(self) -> Run:
        """Faults first; then calm until nothing is left to do; then the audit."""
        try:
            self._run()
        except SpinningError as error:
            self.witness.violated("everything ends", str(error))
        if not self._has_failed():
            audit(self)
        for process in self.processes:
            process.bury()
        return Run(
            seed=self._seed,
            violations=tuple(self.witness.violations),
            events=self.scheduler.calls_made,
            elapsed_s=self.scheduler.monotonic(),
            digest=self.scheduler.digest,
            lines=tuple(self.scheduler.lines),
        )

    def _run(self) -> None:
        for process in self.processes:
            self.scheduler.after(self.plan.starts_in_s.get(process.name, 0.0), process.restart)
        self.outside.start()
        for name, at_s in self.plan.stops:
            self.scheduler.after(at_s, next(p for p in self.processes if p.name == name).stop)
        for at_s, by_s in self.plan.clock_set_back:
            self.scheduler.after(at_s, self._set_back, by_s)
        for name, at_s in self.plan.kills:
            self.scheduler.after(at_s, next(p for p in self.processes if p.name == name).kill)
        shared = self.plan.shared
        if shared.outage_s is not None and shared.known_within_s is not None:
            self.scheduler.after(shared.outage_s[1] + shared.known_within_s, self._look_after_outage)
        self.scheduler.run(self.plan.faults_end_s, self._has_failed)
        self.weather = CALM
        for process in self.processes:
            process.restart()
        self._is_quiet = False
        self._look_for_quiet()
        self.scheduler.run(END_S, lambda: self._is_quiet or self._has_failed())
        if not self._is_quiet and not self._has_failed():
            self.witness.violated("everything ends", "something is still to be done")

    def _look_after_outage(self) -> None:
        """What the gateway knows must be known."""
        for payment in self.witness.payments.values():
            taken = {order.status for order in self.gateway.with_number(payment.order_number)}
            if taken != {payment.status.value}:
                what = f"{payment.id} is {payment.status}, at the gateway {sorted(taken)}"
                self.witness.violated("all is known soon after an outage", what)

    def _has_failed(self) -> bool:
        if self.scheduler.calls_made > CALLS_MAX and not self.witness.violations:
            self.witness.violated("everything ends", f"more than {CALLS_MAX} events")
        return bool(self.witness.violations)

    def _look_for_quiet(self) -> None:
        is_stopping = any(process.is_stopping for process in self.processes)
        is_still = self.gateway.is_quiet and self.outside.is_quiet and not self.is_busy and not is_stopping
        is_told = self.deliveries.is_complete or not self.plan.shared.readers
        is_over = is_still and is_told and not self._is_left_to_operator()
        self._is_quiet = is_over and next_due(self.ledger) is None
        self.scheduler.after(LOOK_EVERY_S, self._look_for_quiet)

    def _is_left_to_operator(self) -> bool:
        return bool(self.to_query) or any(map(is_left_to_operator, self.witness.payments.values()))

    # --- who is there --------------------------------------------------------------------------------

    def _make_callers(self) -> list[Caller]:
        return [
            Caller(self, purchase, plan, f"{purchase.reference}/{n}")
            for purchase in self.plan.purchases
            for n, plan in enumerate(purchase.callers)
        ]

    def _make_applications(self) -> list[Process]:
        return [Process(self, f"app{n}", self._boot_application) for n in range(self.plan.applications)]

    def _make_workers(self) -> list[Process]:
        boot = lambda process: process.spawn("tend", tend(process))  # noqa: E731
        return [Process(self, f"worker{n}", boot) for n in range(self.plan.workers)]

    def _make_readers(self) -> list[Process]:
        boot = lambda process: process.spawn("deliver", deliver(process))  # noqa: E731
        return [Process(self, f"reader{n}", boot) for n in range(self.plan.shared.readers)]

    def _boot_application(self, process: Process) -> None:
        for caller in self.callers:
            if not caller.is_finished and process.name == f"app{caller.plan.application}":
                process.spawn(caller.name, caller.script(process))

    def _notice(self, changed: Collection[str]) -> None:
        for process in self.processes:
            process.notice(changed)


class _Plugin(Observer):
    """The installed plugin: the toys, and an observer."""

    @hookimpl
    def paycore_register_providers(self) -> list[type[ToyProvider]]:
        """See the hook."""
        return [*PROVIDERS.values()]

    paycore_after_commit = hookimpl(Observer.paycore_after_commit)


@cache
def _plugins() -> Plugins:
    return Plugins(extra=[("simulation", _Plugin())])


PROVIDERS: dict[tuple[bool, bool], type[ToyProvider]] = {
    (False, False): ToyProvider,
    (True, False): TwoStepProvider,
    (False, True): SessionToyProvider,
    (True, True): TwoStepSessionProvider,
}
"""By whether it creates in two steps, and whether it needs a token."""

KEYS = {"main": "toy", "second": "toy-2"}


def _config(plan: Plan) -> Config:
    accounts = {name: _account(plan, name) for name in plan.further.accounts}
    return Config(path=Path("paycore.toml"), ledger="simulated", default_account="main", accounts=accounts)


def _account(plan: Plan, name: str) -> AccountConfig:
    further = plan.further
    return AccountConfig(
        name=name,
        provider=PROVIDERS[plan.two_steps, further.needs_token].info.name,
        mode="sandbox",
        base_url="http://127.0.0.1:8700",
        timeout_s=plan.timeout_s,
        settings={
            # The second account's keys verify what the first one is told, so that it may arrive there.
            "key": [*dict.fromkeys((KEYS[name], KEYS["main"]))],
            "create_resend": plan.declared,
            "capture_resend": plan.declared,
            "refund_resend": plan.declared,
            "window_s": further.window_s,
            "proof_s": plan.proof_s if further.proves_absence else None,
            "lookup": "by_provider_id" if further.is_found_by_id else "by_number",
            "notifications_trusted": plan.notifications_trusted,
            "captures": "partial",
            "mentions": further.mentions,
            "batch": plan.shared.batch,
            "list_page": plan.shared.list_page,
            "per_second": plan.shared.per_second,
            "per_minute": plan.shared.per_minute,
        },
    )


# --- in the place of what is outside paycore -----------------------------------------------------------


class _Listener(logging.Handler):
    """Errors logged by programs that catch everything are violations too."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, PaycoreError):
            self._world.witness.violated("no program fails", f"{record.getMessage()}: {error!r}")


def _open_ledger(_dsn: str) -> Door:
    return here().door


def _new_id() -> str:
    return here().new_id()


@contextmanager
def inside(world: World) -> Iterator[None]:
    """
    The engine in this world, with simulated clock, network, ledger and ids.

    Everything above is the real code: client, runner, waiter, worker, sender, commands, rules.
    """
    logger, listener = logging.getLogger("paycore"), _Listener(world)
    with ExitStack() as stack:
        for patch in (
            mock.patch.object(timing, "time", world.scheduler),
            # A day of queries, every minute, would be most of every run in which nothing proves absence.
            mock.patch.object(recovery, "LOOKED_FOR", timedelta(minutes=30)),
            mock.patch.object(transport, "AsyncTransport", Cable),
            mock.patch.object(core, "open_ledger", _open_ledger),
            mock.patch.object(core, "new_id", _new_id),
            mock.patch.multiple(logger, propagate=False, handlers=[listener]),
        ):
            stack.enter_context(patch)
        yield


def run_seed(seed: int, *, sets_clock_back: bool = False, plan: Plan | None = None) -> Run:
    """
    One run; the same seed gives the same log. `sets_clock_back`: the machine's clock may be set back.

    `plan`: what happens in it, in place of what the seed determines.
    """
    with tempfile.TemporaryDirectory() as folder:
        world = World(seed, Path(folder), sets_clock_back=sets_clock_back, plan=plan)
        try:
            with inside(world):
                return world.run()
        finally:
            world.ledger.close()


def run_briefly(seed: int, *, sets_clock_back: bool = False) -> Run:
    """One run without its log, which is too long to pass between processes."""
    return msgspec.structs.replace(run_seed(seed, sets_clock_back=sets_clock_back), lines=())
