"""Durations on the command line."""

import pytest

from paycore.cli.durations import MOST_S, seconds, typed, whole_seconds
from paycore.cli.endings import UsageProblem
from tests.cli.conftest import Cli


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("0", 0),
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("5m", 300),
        ("5 min", 300),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1h30s", 3630),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1d2h3m4s", 93_784),
        ("5M", 300),
        (" 5m ", 300),
        ("3650d", MOST_S),
    ],
)
def test_duration_is_read(text: str, expected_s: float) -> None:
    """A number is in seconds; units are days, hours, minutes and seconds, from large to small."""
    assert seconds("--timeout", text) == expected_s


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "m",
        "-5",
        "-5m",
        "5x",
        "5m5",
        "30m1h",
        "5m5m",
        "5m1min",
        "1:30",
        "1e3",
        "inf",
        "nan",
        ".5",
        "٣",
        "5ms",
        "1" * 33,
    ],
)
def test_other_text_is_refused(text: str) -> None:
    """Anything else is refused by an error that names the option and says what is taken."""
    with pytest.raises(
        UsageProblem, match=r"^--timeout: .* is not a duration such as 90, 90s, 5m, 1h30m or 2d$"
    ):
        seconds("--timeout", text)


def test_duration_out_of_bounds_is_refused() -> None:
    """The bounds are of the range, and are named as they are typed."""
    assert seconds("--every", "2s", least_s=2, most_s=60) == 2
    assert seconds("--every", "1m", least_s=2, most_s=60) == 60
    with pytest.raises(UsageProblem, match=r"--every: 1\.9s is less than 2s"):
        seconds("--every", "1.9s", least_s=2)
    with pytest.raises(UsageProblem, match="--every: 61 is more than 1m, the most"):
        seconds("--every", "61", most_s=60)
    with pytest.raises(UsageProblem, match="more than 3650d"):
        seconds("--every", "9" * 20)


def test_parts_of_a_second_where_only_whole_ones_count() -> None:
    """`whole_seconds` takes decimals of a larger unit, and no part of a second."""
    assert whole_seconds("--expires-in", "1.5m") == 90
    assert whole_seconds("--expires-in", "90.0") == 90
    with pytest.raises(UsageProblem, match=r"90\.5 is not a whole number of seconds"):
        whole_seconds("--expires-in", "90.5")


@pytest.mark.parametrize(
    ("duration_s", "text"), [(0, "0s"), (0.5, "0.5s"), (90, "1m30s"), (300, "5m"), (93_784, "1d2h3m4s")]
)
def test_duration_is_typed_back(duration_s: float, text: str) -> None:
    """What is printed as typed is read as the same."""
    assert typed(duration_s) == text
    assert seconds("--timeout", text) == duration_s


def test_bad_duration_of_a_command_is_a_usage_error(cli: Cli) -> None:
    """A command refuses it before it opens anything."""
    ran = cli("await", "an-id", "--timeout", "5 parsecs")
    assert (ran.code, ran.out) == (2, "")
    assert "--timeout: '5 parsecs' is not a duration" in ran.err
