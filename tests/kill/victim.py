"""The process that is killed: one command through the public client, or one pass of a worker."""

import itertools
import os
import sys
import traceback
from collections.abc import Mapping
from typing import NoReturn

import msgspec
import pytest

from paycore import Client, Config, Event, Money, Payment
from paycore.engine.plugins import Plugins
from paycore.engine.worker import Everything
from paycore.errors import ProviderError
from paycore.plugin import hookimpl
from paycore.testing.toy import ResendEffect
from tests.kill.cases import PATIENCE_S, PROOF_S, TIMEOUT_S, Operation
from tests.kill.dying import Death, lie_in_wait
from tests.kill.mutants import MUTANTS
from tests.support.toy_http import ToyPlugin, toy_config, toy_plugins

AMOUNT = Money("88.00", "HKD")
PART = Money("20.00", "HKD")
REFERENCE = "order-1"
REFUND_REFERENCE = "back-1"
LIST_PAGE = 4
"""The records of a page, where the provider is asked by its list."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, where to die, the gateway's notification if any, and the planted bug."""

    operation: Operation
    place: str
    url: str
    ledger: str
    declares: ResendEffect
    body: bytes = b""
    headers: Mapping[str, str] = {}
    mutant: str = ""

    def config(self, timeout_s: float) -> Config:
        """One account at the gateway, on the ledger."""
        return toy_config(
            self.url,
            self.ledger,
            timeout_s=timeout_s,
            proof_s=PROOF_S,
            create_resend=self.declares,
            capture_resend=self.declares,
            captures="partial",
            list_page=LIST_PAGE if self.operation == "list" else None,
            batch=1 if self.operation == "list" else 50,
        )


class _Observer:
    """A plugin in whose hook the process may die."""

    def __init__(self, death: Death) -> None:
        self._death = death
        self._numbers = itertools.count(1)

    @hookimpl
    def paycore_after_commit(self, event: Event) -> None:
        self._death(f"hook {next(self._numbers)}")


def do(client: Client, job: Job) -> Payment | None:
    """Run the command as an application does."""
    if job.operation in ("create by link", "create at once", "recovery"):
        channel = "card" if job.operation == "create at once" else "web"
        return client.create(reference=REFERENCE, amount=AMOUNT, method="toy", channel=channel)
    if job.operation == "notification":
        client.receive("toy", body=job.body, headers=job.headers)
        return None
    return _go_on(client, client.find(REFERENCE).id, job.operation)


def _go_on(client: Client, payment_id: str, operation: Operation) -> Payment:
    """A command for a payment that is there."""
    match operation:
        case "capture":
            return client.capture(payment_id)
        case "capture once seen":
            return client.query(payment_id)
        case "refund":
            return client.refund(payment_id, reference=REFUND_REFERENCE, amount=PART)
        case _:
            return client.close(payment_id)


def look_after(client: Client) -> None:
    """One pass of a worker over everything that is due."""
    client._runner.run(client._core.worker.look_once(Everything(list(client._core.config.accounts))))


def run(job: Job) -> None:
    """Do the job, and die at its place."""
    death = Death(job.place)
    plugins = Plugins(extra=[("toy", ToyPlugin()), ("observer", _Observer(death))])
    client = Client(job.config(TIMEOUT_S), plugins=plugins)
    with pytest.MonkeyPatch.context() as patch:
        if job.mutant:
            MUTANTS[job.mutant].plant(patch)
        lie_in_wait(death, patch)
        if job.operation in ("recovery", "list"):
            look_after(client)
        else:
            do(client, job)
        death("end")
    client.shutdown()


def survivor(job: Job) -> Client:
    """A client on the same ledger that is never killed and has long timeouts."""
    return Client(job.config(PATIENCE_S), plugins=toy_plugins())


def main() -> None:
    """
    Fork a process for every job that comes in as a line of JSON; answer with how it ended.

    Importing once and forking makes a process in milliseconds. Before the fork only lines are read, so the forked
    process is like a new one.
    """
    for line in sys.stdin.buffer:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            _run_and_exit(msgspec.json.decode(line, type=Job))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run_and_exit(job: Job) -> NoReturn:
    """Do the job in this process; the exit code distinguishes a failure from a kill."""
    try:
        run(job)
    except ProviderError:
        os._exit(0)  # on a busy machine even this command can miss its deadline: nobody was killed
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
