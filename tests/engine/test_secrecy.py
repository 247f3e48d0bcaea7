"""Secrets in a provider's or plugin's texts are masked, and nothing else is changed."""

from typing import Any, NamedTuple

import msgspec
import pytest

from paycore import Money, Status
from paycore.domain.action import Action, AppCall, QRCode, Redirect, WalletCall
from paycore.domain.observation import PaymentObservation, RefundObservation
from paycore.domain.payment import Failure, RefundStatus
from paycore.domain.provider import Created, Done, Found, Mode, Rejected, Secret, Unknown
from paycore.domain.wire import Flow
from paycore.engine.answers import reading
from paycore.engine.secrecy import Secrets, holds_secret, mask, masked, secrets_in
from paycore.errors import PluginError

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
    """Whole secrets, longer ones first; at the end of a text also a beginning of eight characters."""
    assert mask(said, [KEY, LONGER]) == shown


@pytest.mark.parametrize("word", ["", "k", "toy", "1234567"])
def test_mask_leaves_short_secrets(word: str) -> None:
    """Secrets shorter than eight characters are not masked."""
    assert mask("a toy is a toy: 1234567", [Secret(word)]) == "a toy is a toy: 1234567"
    assert not holds_secret(Unknown(problem=f"a {word} b"), [Secret(word)])


def observation(words: str) -> PaymentObservation:
    """An observation with this text."""
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
    """Only texts change; without a secret the same object is returned."""
    harmless = make("signed with a key")
    assert masked(harmless, [KEY]) is harmless
    assert masked(make(f"signed with {KEY.reveal()}"), [KEY]) == make("signed with ***")
    assert type(masked(observation(KEY.reveal()), [KEY]).status) is Status


def test_action_with_a_secret_is_reported_not_changed() -> None:
    """A link with a secret is reported, not altered: it would not work."""
    action = QRCode(content=f"a {KEY.reveal()}")
    assert holds_secret(action, [KEY])
    assert masked(action, [KEY]) == action
    assert not holds_secret(QRCode(content="a"), [KEY])


@pytest.mark.parametrize("cut", ["01234567", "0123456789abcde", "T01234567"])
def test_ids_and_numbers_are_never_altered(cut: str) -> None:
    """An altered id would never be found again."""
    seen = PaymentObservation(number=cut, status=Status.PAID, provider_id=cut, words={"said": f"see {cut}"})
    refund = RefundObservation(number=cut, status=RefundStatus.PENDING, provider_id=cut)
    told = Found(observations=(seen, refund), absent=frozenset({cut}))
    kept = masked(told, [KEY])
    assert kept.absent == told.absent
    assert [(one.number, one.provider_id) for one in kept.observations] == [(cut, cut)] * 2
    assert kept.observations[0].words == {"said": mask(f"see {cut}", [KEY])} != seen.words


@pytest.mark.parametrize(
    "action",
    [
        Redirect(url="https://pay.example/01234567"),
        QRCode(content="https://pay.example/0123456789abcde"),
        WalletCall(call="tradePay", params={"tradeNO": "01234567"}),
        AppCall(order="sign=0123456789abcde", params={"sign": "0123456789abcde"}),
    ],
)
def test_link_with_the_beginning_of_a_secret_is_handed_out(action: Action) -> None:
    """Only a whole secret makes a link unusable."""
    created = Done(Created(observation=PENDING, action=action))
    assert _told(created, Created) == created


@pytest.mark.parametrize("link", ["?k=0123456789abcdef", "?k=a%2B0123456789%2Fb", "?k=a+0123456789/b"])
def test_link_with_a_whole_secret_is_not_handed_out(link: str) -> None:
    """Plain or URL-encoded; the order stays known."""
    outcome = _told(
        Done(Created(observation=PENDING, action=Redirect(url=f"https://pay.example/{link}"))), Created
    )
    assert isinstance(outcome, Unknown)
    assert outcome.observation == PENDING


@pytest.mark.parametrize("field", ["number", "provider_id"])
def test_id_with_a_whole_secret_is_not_taken(field: str) -> None:
    """Such an id is a plugin error: it can be neither kept nor altered."""
    seen = msgspec.structs.replace(PENDING, **{field: f"T-{KEY.reveal()}"})
    with pytest.raises(PluginError, match="can't be recorded: an id or a number in it has a secret"):
        _told(Done(Found(observations=(seen,))), Found)


@pytest.mark.parametrize(
    "written", ["a+0123456789/b", "a%2B0123456789%2Fb", "a%2B0123456789/b", 'say \\"hi\\" twice']
)
def test_secret_is_masked_in_every_way_it_is_written(written: str) -> None:
    """Plain, URL-encoded, form-encoded and as JSON."""
    secrets = [Secret("a+0123456789/b"), Secret('say "hi" twice')]
    assert masked(Unknown(problem=f"echo of {written}."), secrets) == Unknown(problem="echo of ***.")


PENDING = PaymentObservation(number="A1", status=Status.PENDING, provider_id="T1")


class _Asked(NamedTuple):
    name: str = "shop"
    provider_name: str = "toy"
    mode: Mode = "live"
    secrets: Secrets = Secrets((KEY, Secret("a+0123456789/b")))


def _told(outcome: Any, kind: type[msgspec.Struct]) -> Any:
    """What the core accepts of a flow that returns this."""

    def flow() -> Flow[Any]:
        yield from ()
        return outcome

    read = reading(_Asked(), flow, kind)
    with pytest.raises(StopIteration) as stopped:
        read.send(None)  # type: ignore[arg-type]
    return stopped.value.value


def test_secrets_in_settings_are_found_in_lists_too() -> None:
    """Every field with one secret or several."""

    class Settings(msgspec.Struct):
        name: str
        key: Secret
        old: tuple[Secret, ...]
        more: list[Secret]

    settings = Settings("a", KEY, (LONGER,), [Secret("third")])
    assert [secret.reveal() for secret in secrets_in(settings)] == [KEY.reveal(), LONGER.reveal(), "third"]
