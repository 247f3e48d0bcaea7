"""Senders of notifications over bare sockets, as fast as one event loop writes them."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from urllib.parse import urlsplit

import msgspec

from paycore import Payment, Status
from paycore.domain.events import Source
from paycore.ledger import open_ledger
from paycore.ledger.api import Ledger
from paycore.testing.toy import SIGNATURE_HEADER, sign
from tests.ledger.workload import accepted, answered, begun
from tests.support.toy_http import ACCOUNT, KEY
from tests.web.process import receiver_process


def notice(number: str, provider_id: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a genuine notification that this order of the toy's is paid."""
    fields = {"number": number, "kind": "payment", "id": provider_id, "status": "paid"}
    body = json.dumps({**fields, "minor": 8800, "currency": "HKD"}).encode()
    return body, {SIGNATURE_HEADER: sign(body, KEY)}


def request(body: bytes, headers: dict[str, str], path: str = "/toy") -> bytes:
    """The whole request."""
    lines = [f"POST {path} HTTP/1.1", "Host: receiver", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Sender:
    """One connection, kept open."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, whole: bytes) -> int:
        """The status of the answer to a request."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        reader, writer = self._streams
        writer.write(whole)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        return int(head.split(b" ")[1])

    async def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()
            await self._streams[1].wait_closed()


class Flood:
    """Requests sent over so many connections at once; counts what is answered."""

    def __init__(self, url: str, requests: Sequence[bytes], *, connections: int) -> None:
        self.answers: Counter[int] = Counter()
        self.under_way = asyncio.Event()
        self._url = url
        self._left: Iterator[bytes] = iter(requests)
        self._connections = connections

    async def run(self) -> None:
        """Send them all."""
        await asyncio.gather(*(self._send() for _ in range(self._connections)))

    async def _send(self) -> None:
        sender = Sender(self._url)
        for whole in self._left:
            self.answers[await sender.send(whole)] += 1
            self.under_way.set()
        await sender.close()


class Flooded(msgspec.Struct, kw_only=True):
    """
    What became of good notifications amid a flood.

    `good` were sent one after the other; `taken` of them were acknowledged and are paid, `in_time` were answered while
    the flood lasted, the slowest in `slowest_s` seconds. `wrong` counts answers of the flood, of `flood` requests in
    `spent_s` seconds, that are not what they should be.
    """

    good: int
    taken: int
    in_time: int
    wrong: int
    flood: int
    spent_s: float
    slowest_s: float


def flooded(dsn: str, *, duplicates: int, forged: int, connections: int, good: int) -> Flooded:
    """Send a receiver so many duplicates and forged ones, and good notifications meanwhile."""
    with closing(open_ledger(dsn)) as ledger:
        payments = pending(ledger, good + 1)
        with receiver_process(dsn) as url:
            told = [notice(payment.order_number, f"C1-{payment.order_number}") for payment in payments]
            seen = asyncio.run(_flooded(url, told, duplicates, forged, connections))
        paid = [ledger.get(payment.id).result().status is Status.PAID for payment in payments[1:]]
    return msgspec.structs.replace(seen, taken=min(seen.taken, sum(paid)))


def pending(ledger: Ledger, count: int) -> list[Payment]:
    """So many pending payments, made without the gateway."""
    made = [ledger.begin(*begun(f"order-{nth}", account=ACCOUNT)) for nth in range(count)]
    payments = [future.result().payment for future in made]
    answers = [(payment.id, answered(accepted(payment.order_number))) for payment in payments]
    changed = [ledger.change(payment_id, answer, Source.REPLY) for payment_id, answer in answers]
    return [future.result().payment for future in changed]


async def _flooded(
    url: str, told: list[tuple[bytes, dict[str, str]]], duplicates: int, forged: int, connections: int
) -> Flooded:
    body, headers = told[0]
    sent = [request(body, headers)] * duplicates
    sent += [request(b'{"nth":%d}' % nth, {SIGNATURE_HEADER: "0" * 64}) for nth in range(forged)]
    random.Random(7).shuffle(sent)
    flood = Flood(url, sent, connections=connections)
    begun_at = time.monotonic()
    running = asyncio.create_task(flood.run())
    await flood.under_way.wait()
    taken, in_time, slowest_s = 0, 0, 0.0
    for one in told[1:]:
        sender, asked_at = Sender(url), time.monotonic()
        taken += await sender.send(request(*one)) == 200
        slowest_s = max(slowest_s, time.monotonic() - asked_at)
        in_time += not running.done()
        await sender.close()
    await running
    wrong = abs(flood.answers[200] - duplicates) + abs(flood.answers[400] - forged)
    return Flooded(
        good=len(told) - 1,
        taken=taken,
        in_time=in_time,
        wrong=wrong,
        flood=len(sent),
        spent_s=time.monotonic() - begun_at,
        slowest_s=slowest_s,
    )
