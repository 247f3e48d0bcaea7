"""
Hostile answers of a gateway by name: wrong bodies, wrong HTTP, and endless bytes.

Each is made from the honest answer, so that the rest of it is right.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.hostile import gateway
from tests.hostile.gateway import HOLD, Answer, Heard, Honest, Part

Body = Callable[[bytes], bytes]

DEEP = 100_000


def whole(content: bytes, *, status: str = "200 OK", **headers: str) -> bytes:
    """The last answer on its connection, which is closed afterwards."""
    return gateway.whole(content, status=status, **{"connection": "close", **headers})


def body(make: Body, **head: str) -> Answer:
    """Valid HTTP around a wrong body."""

    def answer(_heard: Heard, honest: Honest) -> Iterator[Part]:
        yield whole(make(honest.body), **head)

    return answer


def raw(make: Callable[[bytes], bytes]) -> Answer:
    """These bytes, after which the connection closes."""

    def answer(_heard: Heard, honest: Honest) -> Iterator[Part]:
        yield make(honest.body)

    return answer


def fields(**changes: Any) -> Body:
    """The honest JSON with other values; a `bytes` value is inserted as it is."""

    def make(honest: bytes) -> bytes:
        document = json.loads(honest)
        marks = {}
        for name, value in changes.items():
            marks[name] = value if isinstance(value, bytes) else json.dumps(value).encode()
            document[name] = f"@{name}@"
        text = json.dumps(document).encode()
        for name, value in marks.items():
            text = text.replace(f'"@{name}@"'.encode(), value)
        return text

    return make


def more(fragment: bytes) -> Body:
    """The honest JSON with something added at its end."""
    return lambda honest: honest.rstrip()[:-1] + b"," + fragment + b"}"


def packed(encoding: str, pack: Callable[[bytes], bytes], *, chunked: bool = False) -> Answer:
    """The correct body, compressed though that was not requested."""

    def make(honest: bytes) -> bytes:
        content = pack(honest)
        if not chunked:
            return whole(content, content_encoding=encoding)
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)

    return raw(make)


def chunk(content: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(content), content)


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

BODIES: dict[str, Answer] = {
    "empty": body(lambda _: b""),
    "null": body(lambda _: b"null"),
    "list": body(lambda _: b"[]"),
    "text": body(lambda _: b'"0000"'),
    "HTML": body(lambda _: b"<html><h1>502 Bad Gateway</h1></html>", content_type="text/html"),
    "XML with entities": body(lambda _: b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    "half of it": body(lambda honest: honest[: len(honest) // 2]),
    "and more": body(lambda honest: honest + honest),
    "nothing but 100k of [": body(lambda _: b"[" * DEEP),
    "100k nested in a field": body(more(b'"x":' + b"[" * DEEP + b"]" * DEEP)),
    "100k nested objects": body(more(b'"x":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP)),
    "bad UTF-8": body(more(b'"x":"\xff\xfe"')),
    "overlong UTF-8": body(more(b'"x":"\xc0\xaf"')),
    "lone surrogate in UTF-8": body(more(b'"x":"\xed\xa0\x80"')),
    "lone surrogate, escaped": body(more(b'"x":"\\ud800"')),
    "NUL in a text": body(more(b'"x":"a\x00b"')),
    "NUL after it": body(lambda honest: honest + b"\x00"),
    "byte order mark": body(lambda honest: b"\xef\xbb\xbf" + honest),
    "UTF-16": body(lambda honest: honest.decode().encode("utf-16")),
    "NaN": body(more(b'"x":NaN')),
    "Infinity": body(more(b'"x":-Infinity')),
    "comment": body(more(b'/* */"x":1')),
}
"""Valid HTTP with a body that is no JSON, or that parsers read differently."""

HTTP: dict[str, Answer] = {
    "nothing": raw(lambda _: b""),
    "TLS": raw(lambda _: b"\x16\x03\x01\x02\x00\x01"),
    "SSH": raw(lambda _: b"SSH-2.0-OpenSSH_9.6\r\n"),
    "body without a head": raw(lambda honest: honest),
    "half a head": raw(lambda _: b"HTTP/1.1 200 OK\r\ncontent-le"),
    "shorter than it says": raw(lambda honest: whole(honest)[:-1]),
    "two lengths": raw(lambda honest: whole(honest).replace(b"\r\n", b"\r\ncontent-length: 1\r\n", 1)),
    "negative length": raw(lambda honest: b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n" + honest),
    "length of 5,000 digits": raw(
        lambda honest: b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n" + honest
    ),
    "chunk of no size": raw(lambda honest: CHUNKED + b"zz\r\n" + honest),
    "chunk of 5,000 digits": raw(lambda _: CHUNKED + b"f" * 5000 + b"\r\n"),
    "chunks without an end": raw(lambda honest: CHUNKED + chunk(honest)),
    "header with a NUL": raw(lambda honest: whole(honest, x="a\x00b")),
    "header of 200 KiB": raw(lambda honest: whole(honest, x="y" * 200 * 1024)),
    "headers of 200 KiB": raw(lambda honest: whole(honest, **{f"x{i}": "y" * 100 for i in range(2000)})),
    "status 000": raw(lambda honest: whole(honest, status="000 ?")),
    "status of letters": raw(lambda honest: whole(honest, status="abc")),
    "100 and no more": raw(lambda _: b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "101": raw(lambda honest: whole(honest, status="101 Switching", upgrade="x", connection="upgrade")),
    "302": raw(lambda honest: whole(honest, status="302 Found", location="http://169.254.169.254/latest/")),
    "302 to a script": raw(lambda honest: whole(honest, status="302 Found", location="javascript:alert(1)")),
    "302 to no host": raw(lambda honest: whole(honest, status="302 Found", location="http://xn--a/")),
    "304": raw(lambda _: b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n"),
    "204": raw(lambda _: b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
    "401": raw(lambda honest: whole(honest, status="401 Unauthorized", www_authenticate="Digest \xff")),
    "407": raw(lambda honest: whole(honest, status="407 Proxy", proxy_authenticate="Basic")),
    "429": raw(lambda honest: whole(honest, status="429 Too Many Requests", retry_after="9" * 400)),
    "500": raw(lambda honest: whole(honest, status="500 Internal Server Error")),
    "999": raw(lambda honest: whole(honest, status="999 What")),
    "gzip": packed("gzip", gzip.compress),
    "GZIP": packed("GZIP", gzip.compress),
    "x-gzip": packed("x-gzip", gzip.compress),
    "deflate": packed("deflate", zlib.compress),
    "br": packed("br", lambda content: content),
    "zstd": packed("zstd", lambda content: content),
    "identity, gzip": packed("identity, gzip", gzip.compress),
    "gzip in chunks": packed("gzip", gzip.compress, chunked=True),
    "gzip as transfer encoding": raw(
        lambda honest: (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n" + chunk(gzip.compress(honest))
        )
    ),
    "an encoding of plain text": packed("gzip", lambda content: content),
}
"""A valid body in HTTP that is no answer, or none to the request."""


def drip(parts: Callable[[bytes], tuple[bytes, bytes]], every_s: float) -> Answer:
    """The first part at once, then the second repeated for ever, byte by byte."""

    def answer(_heard: Heard, honest: Honest) -> Iterator[Part]:
        at_once, slowly = parts(honest.body)
        yield at_once
        while True:
            for byte in slowly:
                yield bytes([byte])
                yield every_s

    return answer


def stop_after(make: Callable[[bytes], bytes]) -> Answer:
    """This part, and then nothing more."""

    def answer(_heard: Heard, honest: Honest) -> Iterator[Part]:
        yield make(honest.body)
        yield HOLD

    return answer


SLOW: dict[str, Answer] = {
    "silence": stop_after(lambda _: b""),
    "half a head, then silence": stop_after(lambda _: b"HTTP/1.1 200 OK\r\ncontent-"),
    "half a body, then silence": stop_after(lambda honest: whole(honest)[:-1]),
    "dripped head": drip(lambda _: (b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), 0.02),
    "dripped body": drip(lambda _: (b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b" "), 0.02),
    "dripped chunks": drip(lambda _: (CHUNKED, b"1\r\n \r\n"), 0.02),
    "100 Continue for ever": drip(lambda _: (b"", b"HTTP/1.1 100 Continue\r\n\r\n"), 0.002),
}
"""Endless answers, which only a total deadline ends."""
