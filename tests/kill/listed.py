"""Workers killed between the claim of a page of the list and the reschedule, and in the middle of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from paycore import Client, Payment, Status
from paycore.ledger.audit import verify
from paycore.testing.toy import ToyGateway
from tests.kill.matrix import Processes, make_due
from tests.kill.victim import AMOUNT, LIST_PAGE, Job, look_after, survivor
from tests.support.postgres import PostgresServer
from tests.support.toy_http import KEY, ToyServer, toy_server

PAYMENTS = 6
"""More than a page shows."""
PAID = 4
PASSES = 6

PLACES = (
    *(f"effect {number} {when}" for number in range(1, 5) for when in ("before", "after")),
    *(f"send {when}" for when in ("before", "half", "written", "answered", "after")),
    *(f"write {number} {when}" for number in (1, 2, 3) for when in ("before", "inside", "after")),
    "hook 1",
    "hook 2",
    "",
)
"""Where the worker dies, empty: nowhere."""


class ListVerdict(msgspec.Struct, kw_only=True):
    """Whether the worker was killed and a list was read, and what is wrong after others have looked."""

    place: str
    died: bool
    pages: int
    lost: int
    doubled: int
    differences: int

    @property
    def is_clean(self) -> bool:
        """Nothing is wrong."""
        return not (self.lost or self.doubled or self.differences)


def kill_at(places: Sequence[str], server: PostgresServer | None = None) -> Iterator[ListVerdict]:
    """Kill a worker at each place, on SQLite or on this server; one after another."""
    processes = Processes()
    try:
        for place in places:
            with TemporaryDirectory() as folder:
                file = f"sqlite:///{Path(folder) / 'ledger.db'}"
                yield _kill(place, file if server is None else server.create_database(), processes)
    finally:
        processes.close()


def _kill(place: str, dsn: str, processes: Processes) -> ListVerdict:
    with toy_server(ToyGateway(key=KEY, page=LIST_PAGE)) as server:
        job = Job(operation="list", place=place, url=server.url, ledger=dsn, declares="refused_as_duplicate")
        with survivor(job) as client:
            payments = [_create(client, number) for number in range(PAYMENTS)]
        for payment in payments[:PAID]:
            server.pay(payment.order_number)
        make_due(job)
        died = processes.run(job)
        make_due(job)  # as once the lease of the dead worker has ended
        with survivor(job) as client:
            for _ in range(PASSES):
                look_after(client)
            return _judge(place, client, payments, server, died=died)


def _create(client: Client, number: int) -> Payment:
    return client.create(reference=f"order-{number}", amount=AMOUNT, method="toy", channel="web")


def _judge(
    place: str, client: Client, payments: Sequence[Payment], server: ToyServer, *, died: bool
) -> ListVerdict:
    known = [client.get(payment.id) for payment in payments]
    return ListVerdict(
        place=place,
        died=died,
        pages=sum(path == "/list" for path, _ in server.gateway.requests),
        lost=sum(payment.status is not Status.PAID for payment in known[:PAID]),
        doubled=sum(payment.status is not Status.PENDING for payment in known[PAID:])
        + sum(len(payment.charges) != 1 for payment in known[:PAID]),
        differences=sum(verdict.difference is not None for verdict in verify(client._core.ledger)),
    )
