"""Replies made to exhaust memory or time, read in a separate process that is measured."""

import functools
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from paycore.sandbox.server import SandboxServer
from tests.engine.tills import Kind
from tests.hostile.appetite import TIMEOUT_S, eater
from tests.hostile.gateway import Answer, Heard, Honest, Part, hostile_gateway
from tests.hostile.replies import CHUNKED, Body, body, chunk, raw, whole
from tests.hostile.shops import carrier

MIB = 1024 * 1024
GROWTH_MAX_MIB = 20.0
"""What one account's replies may cost in all; the bombs are of 256 MiB each."""


def repeated(head: bytes, part: bytes, times: int) -> Answer:
    """A head, and then the same bytes repeated."""

    def answer(_heard: Heard, _honest: Honest) -> Iterator[Part]:
        yield head
        for _ in range(times):
            yield part

    return answer


@functools.cache
def bomb(pack: str) -> bytes:
    """256 MiB of spaces, compressed."""
    packer = zlib.compressobj(level=1, wbits={"gzip": 31, "deflate": 15, "raw": -15}[pack])
    spaces = b" " * MIB
    return b"".join([*(packer.compress(spaces) for _ in range(256)), packer.flush()])


def packed_bomb(encoding: str, pack: str = "gzip", *, chunked: bool = False) -> Answer:
    """A bomb with its Content-Encoding."""

    def make(_honest: bytes) -> bytes:
        if not chunked:
            return whole(bomb(pack), content_encoding=encoding)
        head = CHUNKED.replace(b"\r\n\r\n", f"\r\ncontent-encoding: {encoding}\r\n\r\n".encode())
        return head + chunk(bomb(pack)) + b"0\r\n\r\n"

    return raw(make)


def filled(start: bytes, part: Callable[[int], bytes], end: bytes, size: int) -> Body:
    """A JSON document of as many parts as fit into `size` bytes."""
    count = (size - len(start) - len(end)) // len(part(99_999))
    return lambda _: start + b"".join(map(part, range(count))) + end


FILLINGS: dict[str, tuple[bytes, Callable[[int], bytes], bytes]] = {
    "brackets": (b"", lambda _: b"[[[[[[[[", b""),
    "digits": (b'{"respcd":"0000","txamt":"', lambda _: b"99999999", b'"}'),
    "exponents": (b'{"respcd":"0000","x":[', lambda _: b"1E+3000000,", b"1]}"),
    "names": (b'{"respcd":"0000",', lambda number: b'"%05d":1,' % number, b'"x":1}'),
    "one name": (b'{"respcd":"0000",', lambda _: b'"a":1,', b'"a":1}'),
    "records": (b'{"respcd":"0000","data":[', lambda _: b"{},", b"{}]}"),
    "escapes": (b'{"respcd":"0000","resperr":"', lambda _: b"\\u0001\\ud83d\\ude00", b'"}'),
}
"""How a document begins, what it is filled with, and how it ends."""

BOMBS: dict[str, Answer] = {
    "gzip": packed_bomb("gzip"),
    "deflate": packed_bomb("deflate", "deflate"),
    "raw deflate": packed_bomb("deflate", "raw"),
    "br": packed_bomb("br"),
    "identity, gzip": packed_bomb("identity, gzip"),
    "gzip, gzip": raw(
        lambda _: whole(gzip.compress(bomb("gzip")), content_encoding="gzip, gzip"),
    ),
    "gzip in chunks": packed_bomb("gzip", chunked=True),
    "gzip unannounced": raw(lambda _: whole(bomb("gzip"))),
    "body without end": repeated(b"HTTP/1.1 200 OK\r\n\r\n", b" " * MIB, 512),
    "chunks without end": repeated(CHUNKED, chunk(b" " * MIB), 512),
    "body of 256 MiB, announced": repeated(
        b"HTTP/1.1 200 OK\r\ncontent-length: 268435456\r\n\r\n", b" " * MIB, 256
    ),
    "chunks of a byte": repeated(CHUNKED, chunk(b" ") * 10_000, 100),
    "chunk extensions without end": repeated(CHUNKED + b"1;a=", b"x" * MIB, 256),
    "trailers without end": repeated(CHUNKED + b"0\r\n", b"x: y\r\n" * 100_000, 256),
    "headers without end": repeated(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 100_000, 256),
    "header without end": repeated(b"HTTP/1.1 200 OK\r\nx: ", b"x" * MIB, 256),
    "status line without end": repeated(b"HTTP/1.1 200 ", b"x" * MIB, 256),
    "100 Continue without end": repeated(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, 1000),
    **{f"a MiB of {name}": body(filled(*parts, MIB)) for name, parts in FILLINGS.items()},
    **{f"200 KiB of {name}": body(filled(*parts, 200 * 1024)) for name, parts in FILLINGS.items()},
}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_bombs_cost_neither_memory_nor_time(kind: Kind, sandbox: SandboxServer, tmp_path: Path) -> None:
    """As replies to creations and queries: no answer, at most 20 MiB more, each in its time."""
    costs = {}
    with ExitStack() as stack:
        gateway = stack.enter_context(hostile_gateway(carrier(sandbox)))
        child = stack.enter_context(eater(kind, gateway, sandbox, tmp_path))
        for name, answer in BOMBS.items():
            for verb, path in (("create", "/trade/v1/payment"), ("query", "/trade/v1/query")):
                with gateway.answering(answer, path):
                    costs[f"{name}, to a {verb}"] = child.ask(verb)
    expected = {"create": ("unknown", "IncompleteReply"), "query": ("NotSent", "pending")}
    believed = {
        name: cost for name, cost in costs.items() if cost["came_to"] not in expected[name.split()[-1]]
    }
    assert not believed
    too_much = {name: cost for name, cost in costs.items() if cost["grew_mib"] > GROWTH_MAX_MIB}
    assert not too_much
    too_long = {name: cost for name, cost in costs.items() if cost["took_s"] > TIMEOUT_S + 2}
    assert not too_long


def test_measure_notices_a_bomb_that_goes_off(sandbox: SandboxServer, tmp_path: Path) -> None:
    """The control: 32 MiB that are kept are measured."""
    with (
        hostile_gateway(carrier(sandbox)) as gateway,
        eater("sync", gateway, sandbox, tmp_path) as child,
    ):
        assert child.ask("query")["grew_mib"] < GROWTH_MAX_MIB
        assert child.ask("eat 32 MiB")["grew_mib"] > GROWTH_MAX_MIB
