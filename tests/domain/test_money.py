"""Money is exact or refused, and a refusal is cheap."""

import pickle
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycore.domain import money as money_module
from paycore.domain.currencies import EXPONENTS
from paycore.domain.money import MINOR_MAX, Money, currency_exponent
from paycore.errors import InvalidMoney

MEGABYTE = "9" * 1024 * 1024


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("88.00", "HKD", 8800),
        ("88", "HKD", 8800),
        ("88.5", "HKD", 8850),
        ("0", "HKD", 0),
        ("0.01", "HKD", 1),
        ("007", "HKD", 700),
        ("1", "JPY", 1),
        ("1.234", "BHD", 1234),
        ("1.2", "BHD", 1200),
        ("9999999999999.99", "HKD", MINOR_MAX),
        ("999999999999999", "JPY", MINOR_MAX),
    ],
)
def test_money_exact_text_is_taken(text: str, currency: str, minor: int) -> None:
    """Digits with at most the currency's decimals are converted to minor units exactly."""
    money = Money(text, currency)
    assert (money.minor, money.currency, money.exponent) == (minor, currency, EXPONENTS[currency])


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".5",
        "5.",
        "1,000.00",
        "1_000",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "-1",
        "-0",
        "1e3",
        "1E3",
        "1E+3000000",
        "0x10",
        "NaN",
        "Infinity",
        "\uff11\uff12.\uff13\uff14",  # full-width digits
        "\u0661\u0662",  # Arabic-Indic digits
        "\u00b2",  # superscript two
        "12\u066b34",  # Arabic decimal separator
        "1.00\x00",
        "1.2.3",
        "1.00000",
        "1" * 16,
        pytest.param(MEGABYTE, id="1 MB"),
        pytest.param(f"1.{MEGABYTE}", id="1 MB of decimals"),
    ],
)
def test_money_anything_else_is_refused(text: str) -> None:
    """Anything but ASCII digits with one point is refused in a short message that shows its beginning."""
    with pytest.raises(InvalidMoney, match="is not an amount") as caught:
        Money(text, "HKD")
    assert len(str(caught.value)) < 200
    assert caught.value.field == "amount"


def test_money_refusal_looks_at_a_bounded_piece_of_the_text() -> None:
    """Text of unknown length is only matched by an expression without unbounded repetition."""
    pattern = money_module._TEXT.pattern
    assert not re.search(r"[*+]|\{\d*,\}", pattern)
    assert [int(bound) for bound in re.findall(r"\{1,(\d+)\}", pattern)] == [15, 4]


@pytest.mark.parametrize(
    ("text", "currency", "allowed"),
    [
        ("88.001", "HKD", "at most 2 decimals"),
        ("88.000", "HKD", "at most 2 decimals"),
        ("1.5", "JPY", "no decimals"),
        ("1.0", "JPY", "no decimals"),
        ("1.2345", "BHD", "at most 3 decimals"),
    ],
)
def test_money_more_decimals_than_the_currency_has_is_refused(text: str, currency: str, allowed: str) -> None:
    """More decimals than the currency has, zeros included, are refused with the allowed number."""
    with pytest.raises(InvalidMoney, match=f"{currency} has {allowed}"):
        Money(text, currency)


@pytest.mark.parametrize(
    ("text", "currency", "largest"),
    [("10000000000000.00", "HKD", "9999999999999.99"), ("1000000000000.000", "BHD", "999999999999.999")],
)
def test_money_above_the_upper_bound_is_refused(text: str, currency: str, largest: str) -> None:
    """One minor unit above `MINOR_MAX` is refused with the largest amount."""
    with pytest.raises(InvalidMoney, match=rf"more than paycore can hold \({re.escape(largest)}\)"):
        Money(text, currency)


@pytest.mark.parametrize("amount", [88, 88.0, Decimal(88), b"88", None, True])
def test_money_other_types_are_refused(amount: Any) -> None:
    """Floats, integers and Decimals are refused by name: only text is accepted."""
    with pytest.raises(InvalidMoney, match=type(amount).__name__):
        Money(amount, "HKD")


@pytest.mark.parametrize(
    "currency", ["hkd", "HK", "XAU", "XXX", "XTS", "", "HKD ", "€", pytest.param("A" * 100_000, id="long")]
)
def test_money_unknown_currency_is_refused(currency: str) -> None:
    """A code not in ISO 4217, or without minor units, is refused; a long one is cut in the message."""
    with pytest.raises(InvalidMoney, match="ISO 4217") as caught:
        Money("1", currency)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1", "ABCDEFGH", "'ABCDEFGH'"),
        ("1", "ABCDEFGHI", "'ABCDEFGH…'"),
        ("1" * 24, "HKD", repr("1" * 24)),
        ("1" * 25, "HKD", repr("1" * 24 + "…")),
    ],
)
def test_money_refusal_shows_what_was_given(amount: str, currency: str, shown: str) -> None:
    """The value is shown whole up to a generous length, and cut with a mark beyond it."""
    with pytest.raises(InvalidMoney, match=re.escape(shown)):
        Money(amount, currency)


def test_money_currency_of_another_type_is_refused() -> None:
    """A currency that is not text is a typed error, not a crash."""
    with pytest.raises(InvalidMoney, match="ISO 4217 code"):
        Money("1", 344)  # type: ignore[arg-type]


@pytest.mark.parametrize("minor", [-1, MINOR_MAX + 1, 10**100])
def test_money_minor_units_out_of_bounds_are_refused(minor: int) -> None:
    """Minor units go from 0 to `MINOR_MAX`."""
    with pytest.raises(InvalidMoney, match="minor units go from 0"):
        Money.from_minor(minor, "HKD")


@pytest.mark.parametrize("minor", [1.0, "1", True, None])
def test_money_minor_units_of_another_type_are_refused(minor: Any) -> None:
    """Only `int` is accepted, not `bool` or other number types."""
    with pytest.raises(InvalidMoney, match=f"integer, not {type(minor).__name__}"):
        Money.from_minor(minor, "HKD")


def test_money_bounds_themselves_are_taken() -> None:
    """0 and `MINOR_MAX` minor units, with zero to four decimals."""
    assert Money.from_minor(MINOR_MAX, "HKD").minor == MINOR_MAX
    assert Money.from_minor(0, "HKD").text == "0.00"
    assert Money.from_minor(12345, "CLF", exponent=4).text == "1.2345"
    assert Money.from_minor(12345, "JPY", exponent=0).text == "12345"


@pytest.mark.parametrize("exponent", [-1, 5, 10**9, 2.0, True])
def test_money_exponent_out_of_bounds_is_refused(exponent: Any) -> None:
    """A stored amount's exponent is 0 to 4, so that rendering it is bounded work."""
    with pytest.raises(InvalidMoney, match="exponent"):
        Money.from_minor(1, "HKD", exponent=exponent)


def test_money_stored_exponent_is_kept() -> None:
    """An amount stored when its currency had another exponent keeps its value."""
    stored = Money.from_minor(150, "JPY", exponent=2)
    assert stored.text == "1.50"
    assert pickle.loads(pickle.dumps(stored)).text == "1.50"


@given(st.integers(0, MINOR_MAX), st.sampled_from(sorted(EXPONENTS)))
def test_money_text_reads_back_exactly(minor: int, currency: str) -> None:
    """Rendered text parses to the same money, for every currency."""
    money = Money.from_minor(minor, currency)
    assert Money(money.text, currency) == money
    assert pickle.loads(pickle.dumps(money)) == money
    assert len(money.text.partition(".")[2]) == currency_exponent(currency)


def test_money_is_a_value() -> None:
    """Equal by content, hashable, immutable, readable."""
    money = Money("88.00", "HKD")
    assert money == Money("88", "HKD") != Money("88", "USD")
    assert hash(money) == hash(Money("88", "HKD"))
    assert len({hash(Money.from_minor(minor, "HKD")) for minor in range(100)}) > 50, "a set of them is quick"
    assert (str(money), repr(money)) == ("88.00 HKD", "Money('88.00', 'HKD')")
    assert money != 8800
    with pytest.raises(AttributeError, match="immutable"):
        money.minor = 1


def test_money_is_ordered_within_one_currency() -> None:
    """All four comparisons work within one currency and are refused between two."""
    less, more = Money("1", "HKD"), Money("2", "HKD")
    assert less < more
    assert less <= more
    assert less <= Money("1", "HKD")
    assert not less < Money("1", "HKD")
    assert more > less
    assert more >= less
    assert sorted([more, less]) == [less, more]
    with pytest.raises(InvalidMoney, match="can't be compared"):
        _ = less < Money("2", "USD")
    with pytest.raises(TypeError):
        _ = less < 2  # type: ignore[operator]


def test_currencies_are_those_of_the_iso4217_package() -> None:
    """The generated table equals the package's data."""
    iso4217 = pytest.importorskip("iso4217")
    from_package = {
        currency.code: int(currency.exponent)
        for currency in iso4217.Currency
        if currency.exponent is not None
    }
    assert dict(EXPONENTS) == from_package
