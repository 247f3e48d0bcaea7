"""Which texts may be names, and which may stand in one line."""

import pytest

from paycore.domain.safe_text import name_problem, printable

UNSEEN = "has characters that are not seen: control, zero-width or text direction characters, or odd spaces"


@pytest.mark.parametrize(
    "name", ["order-1", "Bestellung 7", "n\u00ba 5", "\u8ba2\u5355", "a/b:c", "\U0001f600"]
)
def test_name_of_visible_characters_is_accepted(name: str) -> None:
    """Visible characters of any script, with single spaces inside."""
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "odd",
    [
        "\x00", "\n", "\t", "\x1b", "\x7f", "\x85", "\xa0", "\u200b", "\u200e", "\u202e", "\u2028", "\ufeff",
        "\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180f", "\u2800", "\u3164", "\ufe00",
        "\ufe0f", "\uffa0", "\U000e0100", "\U000e01ef",
    ],
)  # fmt: skip
def test_name_with_invisible_characters_is_refused(odd: str) -> None:
    """Invisible characters are refused: two names could look the same."""
    assert name_problem(f"a{odd}b") == UNSEEN
    assert name_problem(odd) == UNSEEN


@pytest.mark.parametrize("name", [" a", "a ", " "])
def test_name_that_begins_or_ends_with_a_space_is_refused(name: str) -> None:
    """The space would be lost when the name is copied."""
    assert name_problem(name) == "begins or ends with a space"


def test_printable_keeps_visible_characters_and_the_length() -> None:
    """The result is one line of the same length with the visible characters kept."""
    assert printable("a\nb\x1b[31m\u202ec") == "a b [31m c"
    assert printable("n\u00ba 5") == "n\u00ba 5"
