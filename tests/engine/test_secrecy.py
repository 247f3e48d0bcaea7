"""Secrets in what a provider or a plugin says: masked wherever words are, and nothing else is touched."""

from typing import Any

import msgspec
import pytest

from paycore import Money, Status
from paycore.domain.payment import Failure, PaymentObservation, QRCode, Redirect
from paycore.domain.provider import Created, Found, Rejected, Secret, Unknown
from paycore.engine.secrecy import holds_secret, mask, masked, secrets_in

KEY = Secret("0123456789abcdef")
LONGER = Secret("0123456789abcdef-and-more")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("", ""),
        ("nothing to see", "nothing to see"),
        ("with 0123456789abcdef.", "with ***."),
        ("0123456789abcdef0123456789abcdef", "******"),
        ("with 0123456789abcdef-and-more.", "with ***."),
        ("cut off at 0123456789ab", "cut off at ***"),
        ("cut off at 01234567", "cut off at ***"),
        ("too short to tell: 0123456", "too short to tell: 0123456"),
        ("01234567 in the middle", "01234567 in the middle"),
    ],
)
def test_mask_hides_every_secret_and_what_was_cut_off(said: str, shown: str) -> None:
    """Whole, the longer one first; at the end of a text also its beginning, from eight characters on."""
    assert mask(said, [KEY, LONGER]) == shown


@pytest.mark.parametrize("word", ["", "k", "toy", "1234567"])
def test_mask_leaves_words_alone(word: str) -> None:
    """What is shorter than eight characters can't be told from a word, and does not garble others."""
    assert mask("a toy is a toy: 1234567", [Secret(word)]) == "a toy is a toy: 1234567"
    assert not holds_secret(Unknown(problem=f"a {word} b"), [Secret(word)])


def observation(words: str) -> PaymentObservation:
    """An observation that says this."""
    return PaymentObservation(
        number="A1",
        status=Status.PAID,
        provider_id="T1",
        amount=Money("88.00", "HKD"),
        failure=Failure(code="no", message=words, advice=words),
        words={"said": words},
    )


@pytest.mark.parametrize(
    "make",
    [
        observation,
        lambda words: Found(observations=(observation(words), observation("harmless"))),
        lambda words: Unknown(problem=words, observation=observation(words)),
        lambda words: Rejected(failure=Failure(code="no", message=words)),
        lambda words: Created(observation=observation(words), action=Redirect(url="https://a.example/")),
    ],
)
def test_masked_hides_secrets_anywhere_and_keeps_the_rest(make: Any) -> None:
    """Texts only: statuses stay statuses, amounts amounts; without a secret it is the very same object."""
    harmless = make("signed with a key")
    assert masked(harmless, [KEY]) is harmless
    assert masked(make(f"signed with {KEY.reveal()}"), [KEY]) == make("signed with ***")
    assert type(masked(observation(KEY.reveal()), [KEY]).status) is Status


def test_action_is_told_apart_not_changed() -> None:
    """A link with a secret is no link without it: whoever hands it out must know."""
    action = QRCode(content=f"a {KEY.reveal()}")
    assert holds_secret(action, [KEY])
    assert masked(action, [KEY]) is action
    assert not holds_secret(QRCode(content="a"), [KEY])


def test_secrets_in_settings_are_found_in_lists_too() -> None:
    """Every field that holds one, or several."""

    class Settings(msgspec.Struct):
        name: str
        key: Secret
        old: tuple[Secret, ...]
        more: list[Secret]

    settings = Settings("a", KEY, (LONGER,), [Secret("third")])
    assert [secret.reveal() for secret in secrets_in(settings)] == [KEY.reveal(), LONGER.reveal(), "third"]
