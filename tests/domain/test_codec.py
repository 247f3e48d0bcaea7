"""Domain values as JSON: exact, and without the additions of subclasses."""

import sys
import types
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec
import pytest

from paycore import Money
from paycore.domain import codec
from paycore.domain.codec import decode, encode
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import Status
from paycore.domain.provider import Secret
from tests.support.stopped import StoppedDatetime


class MarkedText(str):
    """A text type like those of template engines."""

    __slots__ = ()

    def __str__(self) -> str:
        return "not what it is"


class Word(StrEnum):
    """An application's own string enumeration."""

    TOP_UP = "top-up"


class Count(int):
    """An application's own number type."""


def seen(**fields: object) -> PaymentObservation:
    """An order that is paid."""
    return PaymentObservation(number="A1", status=Status.PAID, provider_id="T1", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", [UTC, UTC.__class__(timedelta(hours=8))])
def test_subclass_of_datetime_is_written_as_the_moment_it_is(zone: object) -> None:
    """It is encoded byte by byte like a datetime, and decoded as a plain one."""
    moment = datetime(2026, 5, 5, 10, 0, 0, 123000, tzinfo=zone, fold=1)  # type: ignore[arg-type]
    stopped = StoppedDatetime(2026, 5, 5, 10, 0, 0, 123000, tzinfo=zone, fold=1)  # type: ignore[arg-type]
    written = encode(seen(occurred_at=stopped))
    assert written == encode(seen(occurred_at=moment))
    read = decode(written, PaymentObservation)
    assert type(read.occurred_at) is datetime
    assert read.occurred_at == stopped


def test_subclass_of_datetime_in_an_hour_that_comes_twice_is_the_same_moment() -> None:
    """In the hour that repeats when clocks are set back, `fold` tells which is meant."""
    zone = ZoneInfo("Europe/Berlin")
    for fold in (0, 1):
        stopped = StoppedDatetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold)
        assert encode(stopped) == encode(datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold))


def test_moment_is_read_as_a_plain_one_where_datetime_has_been_replaced() -> None:
    """Decoding works while `datetime` is replaced by a stand-in that stops the clock."""
    read = decode(encode(datetime(2026, 5, 5, tzinfo=UTC)), _Replaced)
    assert type(read) is datetime
    assert read == datetime(2026, 5, 5, tzinfo=UTC)


class _AnyDatetime(type):
    """Its `isinstance` accepts every datetime, as the stand-ins of such tools do."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class _Replaced(datetime, metaclass=_AnyDatetime):
    pass


@pytest.mark.parametrize(
    ("given", "written"),
    [(MarkedText("wörds"), '"wörds"'), (Word.TOP_UP, '"top-up"'), (Count(7), "7")],
)
def test_subclass_of_text_or_number_is_written_as_its_value(given: object, written: str) -> None:
    """Its value is encoded, not what its `str` returns."""
    assert encode(given).decode() == written


@pytest.mark.parametrize("value", [Secret("0123456789"), object(), {1, 2, Secret("x" * 9)}, 1j])
def test_what_must_not_be_stored_is_refused(value: object) -> None:
    """Values that must not be stored are refused, above all a secret."""
    with pytest.raises(TypeError):
        encode(value)


def test_what_can_not_be_read_says_why() -> None:
    """Invalid money is refused with paycore's message; types that are never encoded are not decoded."""
    with pytest.raises(msgspec.ValidationError, match="minor units go from 0"):
        decode(b'[-1, "HKD", 2]', Money)
    with pytest.raises(msgspec.ValidationError, match="complex can't be decoded"):
        decode(b"1", complex)


def test_money_is_written_exactly() -> None:
    """Minor units, currency and exponent."""
    assert encode(Money("88.00", "HKD")) == b'[8800,"HKD",2]'


def test_structs_of_a_package_are_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked up any more when the first one is decoded; a package with a longer name is another one."""
    source = """
import msgspec
class Inner(msgspec.Struct):
    x: int
class Outer(msgspec.Struct):
    inner: "Inner"
"""
    outers = []
    for name in ("ahead_probe.messages", "ahead_probes"):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(source, module.__dict__)
        outers.append(module.__dict__["Outer"])
    codec.read_ahead("ahead_probe")
    for outer in outers:
        del sys.modules[outer.__module__].__dict__["Inner"]
    assert msgspec.json.decode(b'{"inner": {"x": 1}}', type=outers[0]).inner.x == 1
    with pytest.raises(NameError):
        msgspec.json.decode(b'{"inner": {"x": 1}}', type=outers[1])
