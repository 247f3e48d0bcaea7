"""What the source must not contain, where no test of behaviour could show its absence."""

import ast
import hashlib
import hmac
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycore.plugin import Secret
from qfpay_alipay.sandbox.signing import is_request_signed
from qfpay_alipay.signing import is_signed, sign_body

ROOT = Path(__file__).parents[2]
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in ("paycore", "plugins/qfpay_alipay/qfpay_alipay")
    for path in (ROOT / folder).rglob("*.py")
}

FORBIDDEN = re.compile(
    r"(xml|lxml|defusedxml|expat|pyexpat|html\.parser|pickle|marshal|shelve|yaml|decimal)(\.|$)"
)
"""Readers that run code or grow what they read, and the number type whose exponents take minutes."""

REPORT = "paycore/cli/junit.py"
EXPLAINED = {
    REPORT: ["xml.etree.ElementTree"],  # writes a report, and reads none
    "paycore/testing/conformance/other_process.py": ["pickle"],  # between the kit and its own child
}

SECRET_WORD = re.compile(r"sign(ed|ature|s)?$|^sign|mac$|digest|secret|token|password|reveal|client_key")
PLAIN_WORDS = {"sign_type", "signal", "holds_secret"}
CHAIN = ("paycore/ledger/", "paycore/domain/lifecycle.py", "paycore/domain/events.py")
"""Where hashes chain a history: they authenticate nothing, so comparing them needs no constant time."""

OPENERS = {
    "paycore/engine/transport.py",
    "paycore/engine/connections.py",
    "paycore/sandbox/posts.py",
    "paycore/engine/unreachable.py",  # for the names of errors
    "paycore/engine/presence.py",  # for the name of this machine
    "paycore/cli/doctor/reach_checks.py",  # tells DNS, TCP and TLS apart, and sends no request
    "paycore/serving.py",
    "plugins/qfpay_alipay/qfpay_alipay/sandbox/alipay_bridge.py",  # pages of this machine, for a developer
}
OPENING = re.compile(
    r"(urllib\.request|http\.client|socket|httpx2?|httpcore2?|ftplib|smtplib|webbrowser)(\.|$)"
)


def imports_of(source: str) -> Iterator[str]:
    """The dotted names a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def compared_secrets(source: str) -> Iterator[str]:
    """Comparisons by `==`, `!=` or `in` of names for a signature, a digest or a key."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        if not any(isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops):
            continue
        for side in (node.left, *node.comparators):
            words = [named.id for named in ast.walk(side) if isinstance(named, ast.Name)]
            words += [named.attr for named in ast.walk(side) if isinstance(named, ast.Attribute)]
            if any(SECRET_WORD.search(word) and word not in PLAIN_WORDS for word in words):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def reckless(source: str) -> Iterator[str]:
    """Calls that run text as code, or disable certificate checks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("eval", "exec") or "unverified" in name:
                yield name
            yield from (word for word in map(ast.unparse, node.keywords) if word == "verify=False")


def test_source_reads_no_xml_and_runs_no_data() -> None:
    """No XML parser, no pickle, no Decimal amounts."""
    found = {
        name: [one for one in imports_of(text) if FORBIDDEN.match(one)] for name, text in SOURCES.items()
    }
    assert {name: imports for name, imports in found.items() if imports} == EXPLAINED
    assert not re.search(r"ET\.(parse|fromstring|XML|iterparse)", SOURCES[REPORT])
    assert {name: list(reckless(text)) for name, text in SOURCES.items() if list(reckless(text))} == {}


def test_source_compares_no_signature_with_equals() -> None:
    """Signatures and secrets are compared by `hmac.compare_digest`, in constant time."""
    found = {
        name: list(compared_secrets(text)) for name, text in SOURCES.items() if not name.startswith(CHAIN)
    }
    assert {name: compared for name, compared in found.items() if compared} == {}
    users = {name for name, text in SOURCES.items() if "hmac.compare_digest(" in text}
    verifying = {
        "paycore/domain/secret.py",
        "paycore/testing/toy/provider.py",
        "plugins/qfpay_alipay/qfpay_alipay/signing.py",
    }
    assert verifying <= users


def test_source_opens_connections_in_few_places() -> None:
    """Only the sender, and in the sandbox the post queue and the server, open connections."""
    found = {
        name: [one for one in imports_of(text) if OPENING.match(one)]
        for name, text in SOURCES.items()
        if name not in OPENERS
    }
    assert {name: imports for name, imports in found.items() if imports} == {}


PLANTED = [
    (imports_of, "from xml.etree import ElementTree", FORBIDDEN),
    (imports_of, "def f():\n    import decimal", FORBIDDEN),
    (imports_of, "import lxml.etree as x", FORBIDDEN),
]


@pytest.mark.parametrize(("find", "source", "pattern"), PLANTED)
def test_imports_that_are_planted_are_found(find: object, source: str, pattern: re.Pattern[str]) -> None:
    """The check above finds a planted import."""
    assert [name for name in imports_of(source) if pattern.match(name)]


@pytest.mark.parametrize(
    "source",
    [
        "if signature == expected: pass",
        "x = headers['s'] != sign_body(body)",
        "return self._client_key == other",
        "return notification.headers.get('x-sign') == hmac.new(k, b, h).hexdigest()",
        "valid = given in [sign(body, key) for key in keys]",
        "assert digest(a) == b",
        "ok = given.secret != known",
    ],
)
def test_comparisons_that_are_planted_are_found(source: str) -> None:
    """The check above finds a planted comparison."""
    wrapped = f"def f():\n    {source}\n"
    assert list(compared_secrets(wrapped))


def test_nothing_that_reads_xml_is_loaded_by_a_payment() -> None:
    """A client that has made a payment has loaded no XML parser, not even by a dependency."""
    code = """
import sys
from pathlib import Path
from tests.hostile.shops import config_of, plugins
from tests.engine.tills import Till
from tests.hostile.gateway import hostile_gateway
from tests.hostile.shops import carrier
from tests.support.toy_http import KEY
from paycore.testing.toy import ToyGateway
import qfpay_alipay.provider
with hostile_gateway(carrier(ToyGateway(key=KEY))) as gateway:
    till = Till("sync", config_of("toy", gateway.url, Path(sys.argv[1]), key=KEY), plugins())
    till.create()
    till.shutdown()
print([name for name in sys.modules if name.startswith(("xml.", "pyexpat", "lxml", "decimal"))])
"""
    # `statistics` and the like bring `decimal` along; what counts is who asks for it, checked above.
    done = subprocess.run(
        [sys.executable, "-c", code, "ledger.db"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    loaded = ast.literal_eval(done.stdout.splitlines()[-1])
    assert [name for name in loaded if not name.startswith("decimal")] == []


# --- compare_digest on bytes ---------------------------------------------------------------------------

KEY = Secret("0123456789ABCDEF0123456789ABCDEF")
BODY = b'{"respcd": "0000"}'
RIGHT = sign_body(BODY, key=KEY)
ODD = [
    "",
    "0",
    RIGHT[:-1],
    RIGHT + "0",
    RIGHT * 1000,
    "é" * 32,
    "\u0130" * 32,
    "ß" * 16,
    "\udcff",
    "\x00" * 32,
    "٣" * 32,
]


@pytest.mark.parametrize("given", ODD, ids=lambda given: ascii(given)[:16])
def test_signature_of_any_shape_is_compared_and_refused(given: str) -> None:
    """Other lengths, alphabets and types are refused without a TypeError of `compare_digest`."""
    assert not is_signed(BODY, given, keys=[KEY])
    if given.isprintable() and given != "\udcff":
        assert not is_request_signed({"a": "1"}, key=KEY.reveal(), sign_type="MD5", signature=given)


def test_signatures_are_compared_as_bytes_and_under_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys are tried, so the time does not reveal which one fits."""
    seen: list[tuple[object, object]] = []
    compare = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        seen.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    keys = [KEY, Secret("another"), Secret("third")]
    assert is_signed(BODY, RIGHT, keys=keys)
    assert len(seen) == len(keys)
    assert {type(side) for pair in seen for side in pair} == {bytes}
    assert Secret("a") != Secret("b")
    assert {type(side) for side in seen[-1]} == {bytes}


@pytest.mark.parametrize("other", ["", "k", "K" * 1000, "é", "\u212a"])
def test_secrets_are_equal_only_when_they_are(other: str) -> None:
    """Compared as bytes: length, case and look-alikes count."""
    assert Secret(other) != Secret("key")
    assert Secret(other) == Secret(other)
    assert Secret(other) != other
    assert hashlib.md5(BODY + KEY.reveal().encode()).hexdigest().upper() == RIGHT
