"""What a plugin tells of an order beside its status: ids by name, a new action, an authorization, a time to wait."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from paycore import Payment, QRCode, Redirect, Status
from paycore.domain.action import Action, ClientCall, Instructions
from paycore.domain.bounds import ID_MAX
from paycore.domain.observation import PaymentObservation
from paycore.domain.payment import OperationState
from paycore.domain.provider import RETRY_AFTER_MAX_S, Created, Done, Found, Mention, NotNow, Secret
from paycore.engine.answers import IDS_MAX, counted_notices, read_told
from paycore.engine.secrecy import Secrets
from paycore.errors import NotSent, PluginError
from paycore.testing.toy import ToyProvider, ToySettings
from tests.engine.by_hand import Bench
from tests.engine.conftest import NewBench
from tests.engine.test_answers import let_say

LONG_KEY = "a-key-that-is-long-enough"


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """A bench whose account has a secret that can be looked for."""
    bench = new_bench()
    bench.account = msgspec.structs.replace(bench.account, secrets=Secrets((Secret(LONG_KEY),)))
    bench.commands._accounts._account = bench.account  # type: ignore[attr-defined]
    return bench


def seen_with(**fields: Any) -> Callable[[Any], Any]:
    """The same outcome, with these fields in its first observation."""

    def told(outcome: Any) -> Any:
        if isinstance(outcome.value, Created):
            seen = msgspec.structs.replace(outcome.value.observation, **fields)
            return Done(msgspec.structs.replace(outcome.value, observation=seen))
        (seen,) = outcome.value.observations
        return Done(Found(observations=(msgspec.structs.replace(seen, **fields),)))

    return told


def asked(bench: Bench, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Payment:
    """`order-1`, pending, after a query that told these fields of it."""
    payment = bench.run(bench.create())
    let_say(bench, monkeypatch, "query", seen_with(**fields))
    return bench.run(bench.commands.query(payment.id))


# --- ids -----------------------------------------------------------------------------------------------


def test_ids_by_name_are_kept_as_they_are(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never masked, shortened or reordered; a name that comes later is added."""
    ids = {"intent": "pi_1/ä~", "charge": "x" * ID_MAX}
    payment = asked(bench, monkeypatch, ids=ids)
    assert payment.ids == ids
    let_say(bench, monkeypatch, "query", seen_with(ids={"dispute": "dp_1"}))
    assert bench.run(bench.commands.query(payment.id)).ids == ids | {"dispute": "dp_1"}


@pytest.mark.parametrize(
    "ids",
    [
        {"charge": ""},
        {"charge": "x" * (ID_MAX + 1)},
        {"charge": " x"},
        {"charge\n": "x"},
        {"": "x"},
        {"charge": "x\u202e"},
        {f"name{n}": "x" for n in range(IDS_MAX + 1)},
    ],
)
def test_observation_with_an_odd_id_is_not_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ids: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """An id that can't be written down or told from another proves nothing: the order stays as it was."""
    payment = asked(bench, monkeypatch, ids=ids, status=Status.PAID)
    assert (payment.status, payment.ids) == (Status.PENDING, {})
    assert "is not taken" in caplog.text


def test_secret_in_an_id_is_the_plugins_fault(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't be masked, so the answer is refused, and nothing of it is recorded."""
    payment = bench.run(bench.create())
    let_say(bench, monkeypatch, "query", seen_with(ids={"token": f"x-{LONG_KEY}"}))
    with pytest.raises(PluginError, match="has a secret") as caught:
        bench.run(bench.commands.query(payment.id))
    assert LONG_KEY not in str(caught.value)
    assert bench.payment().ids == {}


def test_mention_by_an_odd_id_names_nothing(bench: Bench) -> None:
    """Whoever sends an unsigned mention can write anything into it."""
    told = [Mention(id="x\x00"), Mention(id="x" * (ID_MAX + 1)), Mention(id="S1"), Mention(number="N")]
    assert read_told(bench.account, told) == (Mention(id="S1"), Mention(number="N"))


# --- actions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        Redirect(url="https://toy.example/agree-again"),
        ClientCall(script="https://toy.example/drop-in.js", params={"session": "s1"}),
        Instructions(fields={"iban": "DE00", "reference": "RF18"}),
        QRCode(content="0002"),
    ],
)
def test_query_can_bring_a_new_action(bench: Bench, monkeypatch: pytest.MonkeyPatch, action: Action) -> None:
    """The payer must do something else by now: that is what the caller shows."""
    assert asked(bench, monkeypatch, action=action).action == action


@pytest.mark.parametrize(
    "action",
    [
        Redirect(url="javascript:alert(1)"),
        ClientCall(script="http://elsewhere.example/x.js", params={}),
        ClientCall(script="https://toy.example/x.js", params={"key": LONG_KEY}),
        Instructions(fields={"note": LONG_KEY}),
    ],
)
def test_action_that_must_not_be_shown_is_left_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, action: Action, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest of the observation counts, and the action before stays; neither is a secret in the log."""
    payment = asked(bench, monkeypatch, action=action, ids={"intent": "pi_1"})
    assert isinstance(payment.action, Redirect)
    assert payment.action.url.startswith("https://toy.example/pay/")
    assert payment.ids == {"intent": "pi_1"}
    assert "what the payer of" in caplog.text
    assert LONG_KEY not in caplog.text


def test_order_accepted_with_its_action_in_the_observation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the payer needs may stand in the observation, as a query has it."""
    action = Instructions(fields={"account": "001"})

    def told(outcome: Any) -> Any:
        bare = msgspec.structs.replace(outcome.value, action=None)
        return seen_with(action=action)(Done(bare))

    let_say(bench, monkeypatch, "create", told)
    payment = bench.run(bench.create())
    assert (payment.status, payment.action) == (Status.PENDING, action)


# --- authorized without a capture ------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["create", "query"])
def test_authorized_counts_only_where_a_capture_is_declared(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """Nobody could take the money, so it is no answer: what was known stays."""
    let_say(bench, monkeypatch, operation, seen_with(status=Status.AUTHORIZED))
    payment = bench.run(bench.create())
    if operation == "create":
        assert payment.status is Status.UNKNOWN
    else:
        assert bench.run(bench.commands.query(payment.id)).status is Status.PENDING


def test_authorized_by_a_notification_is_asked_about_where_not_all_capture() -> None:
    """A query knows of which product the order is; where all of them capture, it is evidence."""
    seen = PaymentObservation(number="N", status=Status.AUTHORIZED)
    settings = ToySettings(key=(Secret("toy"),), captures="full")
    some = ToyProvider(settings).capabilities
    all_of_them = msgspec.structs.replace(
        some, products=tuple(product for product in some.products if product.capture != "none")
    )
    assert counted_notices([seen], some) == (Mention(number="N"),)
    assert counted_notices([seen], all_of_them) == (seen,)


# --- how long to wait ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_s", "kept_s"),
    [(-5.0, 0.0), (1e9, RETRY_AFTER_MAX_S), (math.inf, RETRY_AFTER_MAX_S), (math.nan, 0.0), (3, 3.0)],
)
def test_time_to_wait_is_kept_within_its_bounds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, given_s: float, kept_s: float
) -> None:
    """Whatever a header said, nothing has moved, and the payment is not put off for ever."""
    let_say(bench, monkeypatch, "create", lambda _: NotNow(problem="busy", retry_after_s=given_s))
    with pytest.raises(NotSent) as caught:
        bench.run(bench.create())
    assert caught.value.retry_after_s == kept_s
    assert bench.payment().creation.state is OperationState.INTENT


def test_secret_in_the_words_of_a_provider_that_puts_off_is_masked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider may repeat what it was sent."""
    let_say(bench, monkeypatch, "create", lambda _: NotNow(problem=f"key {LONG_KEY}\nlimit"))
    with pytest.raises(NotSent) as caught:
        bench.run(bench.create())
    assert "key *** limit" in str(caught.value)
    assert bench.payment().creation.problem == "key *** limit"
