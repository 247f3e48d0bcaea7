"""Programs performed effect by effect, on clocks set by hand: to stop a process at an exact place."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from paycore import Money, Payment
from paycore.domain.closing import begin_close
from paycore.domain.decisions import Numbering
from paycore.domain.payment import Capture
from paycore.domain.provider import Secret
from paycore.domain.wire import Request, Response
from paycore.engine.accounts import Account, Accounts
from paycore.engine.attempts import Attempts
from paycore.engine.checks import CreateFields, create_request
from paycore.engine.commands import Commands
from paycore.engine.effects import InLedger, OnWire, Pause, Program, UntilChanged
from paycore.engine.orders import product_of
from paycore.engine.recovery import Recovery
from paycore.engine.worker import Everything, Worker
from paycore.errors import MaybeSent
from paycore.ledger.clock import whole_ms
from paycore.ledger.sqlite.ledger import SqliteLedger
from paycore.testing.toy import ToyGateway, ToyProvider, ToySettings

T = TypeVar("T")

TIMEOUT_S = 10.0
PROOF_S = 5.0


class Held:
    """A program stopped before its next request, which is `effect`."""

    def __init__(self, bench: "Bench", program: Program[Any], effect: OnWire) -> None:
        self.effect = effect
        self._bench = bench
        self._program = program

    def succeed(self, response: Response) -> Any:
        """The program's result when its request gets this answer."""
        return self._bench.run(self._program, self._program.send(response))

    def fail(self, error: Exception) -> Any:
        """The program's result when its request fails like this."""
        return self._bench.run(self._program, self._program.throw(error))


class Bench:
    """One account, one ledger, one gateway, and programs that a test performs by hand."""

    def __init__(self, folder: Path, gateway: ToyGateway | None = None, **settings: Any) -> None:
        self.at, self._uptime_s = datetime(2026, 1, 1, 12, tzinfo=UTC), 1000.0
        self.ledger = SqliteLedger(folder / "ledger.db", clock=lambda: whole_ms(self.at), inline=True)
        self.gateway = gateway or ToyGateway()
        self.answer: Callable[[Request], Response] = self.gateway.handle
        provider = ToyProvider(ToySettings(key=(Secret("toy"),), proof_s=PROOF_S, **settings))
        self.account = Account(
            name="toy",
            provider=provider,
            provider_name="toy",
            capabilities=provider.capabilities,
            mode="sandbox",
            base_urls={"": "http://toy.example"},
            deadline=timedelta(seconds=TIMEOUT_S),
        )
        accounts, self._ids = cast("Accounts", _Accounts(self.account)), 0
        attempts = Attempts((), now=self.ledger.now, new_id=self._new_id)
        self.recovery = Recovery(attempts)
        self.commands = Commands(accounts, attempts, self.recovery)
        self.worker = Worker(self.recovery, accounts, now=self.ledger.now, now_for=self.ledger.now_for)

    def _new_id(self) -> str:
        self._ids += 1
        return f"ID{self._ids:024d}"

    def pass_time(self, seconds: float) -> None:
        """Advance all clocks."""
        self.at += timedelta(seconds=seconds)
        self._uptime_s += seconds

    def set_clock_back(self, by: timedelta) -> None:
        """Set the machine's clock back; the monotonic clock is not affected."""
        self.at -= by

    def monotonic(self) -> float:
        """The machine's monotonic clock."""
        return self._uptime_s

    def create(
        self, channel: str = "web", expires_in_s: int | None = None, capture: Capture = "automatic"
    ) -> Program[Payment]:
        """The program that makes the payment `order-1`."""
        request = create_request(
            CreateFields(
                reference="order-1",
                amount=Money("88.00", "HKD"),
                method="toy",
                channel=channel,
                expires_in_s=expires_in_s,
                capture=capture,
            )
        )
        return self.commands.create(request)

    def replace_order(self, payment: Payment) -> Program[Payment]:
        """The program that closes the order in force to replace it, unless the payment was changed meanwhile."""
        close = partial(
            begin_close,
            product=product_of(self.account, payment),
            numbering=Numbering(operation_id=self._new_id(), number=self._new_id()),
            deadline=self.account.deadline,
            replaces=True,
        )
        return self.recovery._change_as_seen(self.account, payment, close)

    def payment(self) -> Payment:
        """`order-1` as it is recorded."""
        (payment,) = self.ledger.find("toy", "order-1").result()
        return payment

    def work(self, seconds: float) -> None:
        """Run a worker that looks every second, for this long."""
        for _ in range(round(seconds)):
            self.look_once()
            self.pass_time(1)

    def look_once(self) -> bool:
        """One question of a worker about what is due; whether there was one."""
        return self.run(self.worker.look_once(Everything(["toy"])))

    def run(self, program: Program[T], effect: Any = None) -> T:
        """The program's result; its waits end at once, without time passing."""
        try:
            effect = effect or program.send(None)
            while True:
                effect = self.perform(program, effect)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def run_in_time(self, program: Program[T], wakes: Iterable[float] = ()) -> T:
        """The program's result, with its waits at their length, the first ones ended after these seconds."""
        early = iter(wakes)
        try:
            effect = program.send(None)
            while True:
                if isinstance(effect, UntilChanged):
                    self.pass_time(min(effect.timeout_s, next(early, effect.timeout_s)))
                effect = self.perform(program, effect)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def hold(self, program: Program[Any]) -> Held:
        """Run the program up to its first request, and stop it there."""
        effect = program.send(None)
        while not isinstance(effect, OnWire):
            effect = self.perform(program, effect)
        return Held(self, program, effect)

    def perform(self, program: Program[Any], effect: Any) -> Any:
        """The program's next effect, once this one is performed."""
        try:
            if isinstance(effect, Pause):
                self.pass_time(effect.seconds)
            if isinstance(effect, InLedger):
                value: Any = effect.verb(self.ledger).result()
            else:
                value = self.answer(effect.request) if isinstance(effect, OnWire) else None
        except Exception as error:
            return program.throw(error)
        return program.send(value)


def lose_requests(_request: Request) -> Response:
    """No request arrives."""
    raise MaybeSent("no answer came")


class _Accounts:
    def __init__(self, account: Account) -> None:
        self._account = account

    def get(self, _name: str | None = None) -> Account:
        return self._account

    def __contains__(self, name: str) -> bool:
        return name == self._account.name
