"""`demo`: runs the commands from create to refund against a sandbox served on this machine."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Never

import typer

from paycore.cli.app import options_of
from paycore.cli.endings import Exit, UsageProblem, on_ctrl_c
from paycore.cli.lookup import open_recorded
from paycore.cli.options import GlobalOptions
from paycore.cli.output import Output
from paycore.cli.sandboxes.account_text import snippet
from paycore.cli.sandboxes.control_calls import order_path, post
from paycore.cli.sandboxes.registered import KnownSandboxes, explain_import
from paycore.domain.money import render_minor
from paycore.errors import PaycoreError

if TYPE_CHECKING:
    from paycore.domain.events import Event
    from paycore.domain.payment import Payment

PROVIDER = "qfpay-alipay"
CONFIG, LEDGER = "paycore.toml", "demo.db"
REFERENCE = "order-1001"
PAYER_TAKES_S = 0.7
STEP_MAX_S = 60.0

_CREATE = (
    "create --reference order-1001 --amount 88.00 --currency HKD --method alipay --channel web --subject Tea"
)


class DemoFailed(PaycoreError):
    """A step had an unexpected result; the message names it."""

    who_acts = "author"


def demo(
    context: typer.Context,
    *,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Work in this folder and keep its files.")
    ] = None,
) -> int:
    """
    Pay, query and refund at a gateway on this machine.

    Every step prints the command that it runs, and is checked in the ledger.
    """
    options = options_of(context)
    _refuse_configuration(options)
    if keep is not None:
        _make_folder(keep)
    output = Output(options)
    sandbox = KnownSandboxes(GlobalOptions(), output).named(PROVIDER)
    try:
        from paycore.sandbox.server import SandboxServer
    except ImportError as error:
        explain_import(error)
    with (
        _sigterm_ends(),
        on_ctrl_c("nothing of the demo is left" if keep is None else f"what was done so far is in {keep}"),
        tempfile.TemporaryDirectory(prefix="paycore-demo-") as temporary,
        SandboxServer(sandbox) as server,
    ):
        config = _write_config(keep or Path(temporary), {"url": server.url, **server.settings})
        steps = _Demo(config, server.url, output)
        steps.tell(f"A {PROVIDER} gateway serves {server.url}; the commands below use {config}.")
        steps.run()
    return Exit.DONE


def _refuse_configuration(options: GlobalOptions) -> None:
    for name, given in (("--config", options.config), ("--account", options.account)):
        if given is not None:
            raise UsageProblem(f"{name} has no meaning here: the demo has a configuration of its own")


def _make_folder(keep: Path) -> None:
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageProblem(f"--keep: {keep} can't be made: {error.strerror}") from None
    for name in (CONFIG, LEDGER):
        if (keep / name).exists():
            raise UsageProblem(f"--keep: {keep} has a {name}, which stays as it is; name another folder")


@contextmanager
def _sigterm_ends() -> Iterator[None]:
    """Clean up on SIGTERM too."""

    def end(number: int, _frame: object) -> Never:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_config(folder: Path, ready: Mapping[str, str]) -> Path:
    config = (folder / CONFIG).absolute()
    lines = [f'ledger = "sqlite:///{LEDGER}"', "", *snippet("demo", PROVIDER, ready)]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return config


class _Demo:
    """The steps: each runs a command as a subprocess and checks the ledger that it wrote."""

    def __init__(self, config: Path, url: str, output: Output) -> None:
        self._config = config
        self._url = url
        self._output = output
        self._events: Sequence[Event] = ()

    def run(self) -> None:
        """Run all steps in order; the first that fails ends the demo."""
        self._step("A shop asks for 88.00 HKD.", shlex.split(_CREATE))
        payment = self._expect("pending", refunded_minor=0)
        self._step("Nobody has paid yet, says the provider.", ["query", payment.id])
        self._expect("pending", refunded_minor=0)
        payer = threading.Timer(PAYER_TAKES_S, post, [self._url, order_path(payment.order_number, "pay")])
        payer.start()
        try:
            self._step(
                "The shop waits. The payer takes a moment, then taps Pay.",
                ["await", payment.id, "--timeout", "30"],
            )
        finally:
            payer.cancel()
            payer.join()
        self._expect("paid", refunded_minor=0)
        self._step(
            "A part goes back.", ["refund", payment.id, "--amount", "20.00", "--reference", "refund-1"]
        )
        self._expect("paid", refunded_minor=2000)
        self._step("What happened, and how we know.", ["show", payment.id])
        self.tell("", f"In short: {self._path()}.")

    def tell(self, *lines: str) -> None:
        """Print the text between the steps on stdout; not with `--json` or `--quiet`."""
        if self._output.has_words:
            self._output.data(*lines)

    def _step(self, words: str, command: Sequence[str]) -> None:
        style = self._output.style
        self.tell("", f"{style('#', 'dim')} {words}")
        self.tell(style(f"$ paycore {shlex.join(command)}", "bold"))
        given = self._output.options
        flags = (("--json", given.json), ("--quiet", given.quiet), ("--no-color", given.no_color))
        # -P: do not import modules from the working folder.
        paycore = [sys.executable, "-P", "-m", "paycore.cli"]
        try:
            code = subprocess.run(  # noqa: S603 - our own command, with our own words
                [*paycore, *command, *(flag for flag, is_on in flags if is_on)],
                env={**os.environ, "PAYCORE_CONFIG": str(self._config)},
                timeout=STEP_MAX_S,
                check=False,
                # Ctrl-C ends the demo; the command's own advice on how to go on would be wrong here.
                start_new_session=True,
            ).returncode
        except KeyboardInterrupt:
            self._output.clear_line()
            raise
        if code != Exit.DONE:
            raise DemoFailed(f"`paycore {command[0]}` ended with exit code {code}")

    def _expect(self, status: str, *, refunded_minor: int) -> Payment:
        payment = self._recorded()
        facts = (str(payment.status), payment.refunded_minor, payment.review, payment.uncertain)
        if facts != (status, refunded_minor, False, False):
            found = f"{payment.status}, refunded {payment.refunded_minor}, review {payment.review}"
            raise DemoFailed(f"the ledger says {found}; expected {status}, refunded {refunded_minor}")
        return payment

    def _path(self) -> str:
        """Return the statuses that the events went through."""
        payment = self._recorded()
        states = [str(event.status_to) for event in self._events if event.status_to != event.status_from]
        if payment.refunded_minor:
            states.append(f"refunded {render_minor(payment.refunded_minor, payment.amount.exponent)}")
        return " -> ".join(states)

    def _recorded(self) -> Payment:
        with open_recorded(GlobalOptions(config=str(self._config)), None, REFERENCE) as (ledger, payment):
            self._events = ledger.events(payment.id).result()
        return payment
