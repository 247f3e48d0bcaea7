"""What the core and a provider exchange shows no secret, and can't name a host."""

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from paycore import Money, Status
from paycore.domain.codec import encode
from paycore.domain.observation import PaymentObservation
from paycore.domain.provider import (
    EXPIRES_IN_MAX_S,
    INFORMING_FIELDS,
    OPTIONAL_FIELDS,
    UNSAFE,
    Attempt,
    Capabilities,
    CreateOrder,
    Found,
    Lookup,
    Mention,
    Resend,
    Secret,
    Session,
)
from paycore.domain.wire import NOTIFICATION_MAX, Notification, Request, Response
from tests.domain.histories import capabilities, product

CANARY = "hunter2-canary"


class Settings(msgspec.Struct, frozen=True):
    """An account's settings, as a plugin declares them."""

    key: tuple[Secret, ...]


def test_secret_is_shown_only_by_reveal() -> None:
    """Only `reveal` gives the value; no way of printing does, nested or not."""
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY
    assert repr(secret) == "Secret(***)", "it is seen that something is there"
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr(Settings((secret,)))]
    shown += [repr({"key": secret}), "%s" % secret, repr(CreateOrder(**ORDER, auth_code=secret))]  # noqa: UP031
    assert not [text for text in shown if CANARY in text]


ORDER: dict[str, Any] = {
    "number": "N1",
    "begun_at": datetime(2026, 1, 1, tzinfo=UTC),
    "attempt": Attempt(sent_at=datetime(2026, 1, 1, tzinfo=UTC), nonce="N"),
    "reference": "order-1",
    "amount": Money("88.00", "HKD"),
    "method": "toy",
    "channel": "web",
}


@pytest.mark.parametrize(
    "encoded",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
        encode,
    ],
)
def test_secret_is_refused_by_every_encoder(encoded: Any) -> None:
    """Encoders refuse a secret, alone or inside settings, without showing it."""
    for value in (Secret(CANARY), Settings((Secret(CANARY),)), [Secret(CANARY)]):
        if encoded is copy.copy and not isinstance(value, Secret):
            continue  # a shallow copy of what holds it makes no copy of the secret
        with pytest.raises(TypeError) as caught:
            encoded(value)
        assert CANARY not in str(caught.value)


def _by_slots(value: object) -> object:
    return {name: getattr(value, name) for name in type(value).__slots__}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "hook", [str, repr, vars, _by_slots, lambda value: value.__getstate__(), list, bytes]
)
def test_hook_of_an_encoder_finds_nothing_to_write(hook: Any) -> None:
    """The fallbacks of encoders for unknown types find nothing, or a mask."""
    settings = Settings((Secret(CANARY),))
    for encode_ in (msgspec.json.encode, msgspec.to_builtins):
        try:
            written = encode_(settings, enc_hook=hook)
        except (TypeError, AttributeError) as error:
            written = error
        assert CANARY not in str(written)
    assert CANARY not in json.dumps([Secret(CANARY)], default=str)


def test_secret_has_no_attributes_and_a_constant_hash() -> None:
    """It has no attribute dictionary, and every secret has the same hash."""
    assert not hasattr(Secret(CANARY), "__dict__")
    assert hash(Secret(CANARY)) == hash(Secret("other"))


def test_secret_that_is_no_unicode_is_compared_without_an_error_that_holds_it() -> None:
    """Comparing it raises no encoding error, which would hold the text."""
    assert Secret("\udcff") == Secret("\udcff") != Secret("x")


def test_secret_that_is_pickled_says_why_not() -> None:
    """Settings with a secret can't be pickled, and the error says why."""
    with pytest.raises(TypeError, match="a Secret is never serialised"):
        pickle.dumps(Settings((Secret(CANARY),)))


def test_notification_of_1_mib_is_taken() -> None:
    """The documented maximum size."""
    assert NOTIFICATION_MAX == 1024 * 1024


def test_order_may_live_for_a_year() -> None:
    """The maximum that a product may declare."""
    assert timedelta(days=366).total_seconds() == EXPIRES_IN_MAX_S


def test_secrets_are_compared_by_value() -> None:
    """Equal secrets are equal, in constant time; nothing else equals one."""
    assert Secret(CANARY) == Secret(CANARY) != Secret("other")
    assert Secret("\u00e9") == Secret("\u00e9")
    assert Secret(CANARY) != CANARY


def test_request_repr_shows_neither_query_headers_nor_body() -> None:
    """The repr is safe to log: some gateways have the key in the query."""
    request = Request(
        method="GET", path=f"/pay?key={CANARY}", headers={"x-sign": CANARY}, body=CANARY.encode()
    )
    assert repr(request) == f"Request(GET /pay, {len(CANARY)} bytes)"
    response = Response(status=200, headers={"x-sign": CANARY}, body=CANARY.encode())
    assert repr(response) == f"Response(200, {len(CANARY)} bytes)"
    notification = Notification(body=CANARY.encode(), query=CANARY, received_at=ORDER["begun_at"])
    assert repr(notification) == f"Notification({len(CANARY)} bytes)"


def test_capabilities_find_the_product_by_method_and_channel() -> None:
    """Only a declared pair of both is found."""
    able = capabilities()
    assert able.product("toy", "web") == product()
    assert able.product("toy", "app") is None
    assert able.product("alipay", "web") is None


def test_repr_of_an_attempt_and_of_a_session_has_no_session_in_it() -> None:
    """The token is the provider's own object, which may show itself."""
    attempt = Attempt(
        sent_at=datetime(2026, 1, 1, tzinfo=UTC),
        nonce="N",
        mode="test",
        base_urls={"": CANARY},
        session=CANARY,
    )
    assert repr(attempt) == "Attempt(sent_at=2026-01-01T00:00:00+00:00, nonce='N', mode='test')"
    assert repr(Session(value=CANARY, lasts_s=60.0)) == "Session(lasts_s=60.0)"


def test_mention_has_a_number_or_an_id() -> None:
    """One of them: two could name two payments."""
    assert (Mention(number="N1").id, Mention(id="S1").number) == (None, None)
    for both in ({}, {"number": "N1", "id": "S1"}):
        with pytest.raises(ValueError, match="a number or an id"):
            Mention(**both)


def test_optional_fields_that_only_inform_are_known() -> None:
    """The others change what is paid or who pays, so a product that can't use them refuses them."""
    assert set(OPTIONAL_FIELDS) - INFORMING_FIELDS == {"payer_id", "auth_code"}


# --- what the whole answer to a query says -------------------------------------------------------------


def seen(status: Status, number: str = "N1", **fields: Any) -> PaymentObservation:
    return PaymentObservation(number=number, status=status, provider_id="S1", **fields)


@pytest.mark.parametrize(
    ("found", "authorized"),
    [
        (Found(), set()),
        (Found(observations=(seen(Status.AUTHORIZED),)), {"N1"}),
        (Found(observations=(seen(Status.AUTHORIZED), seen(Status.PENDING))), {"N1"}),
        (Found(observations=(seen(Status.AUTHORIZED), seen(Status.PAID))), set()),
        (Found(observations=(seen(Status.AUTHORIZED), seen(Status.PAID, "N2"))), {"N1"}),
        (Found(observations=(seen(Status.AUTHORIZED),), undecided=frozenset({"N1"})), set()),
        (Found(observations=(seen(Status.AUTHORIZED, is_signed_wrong=True),)), set()),
        (Found(observations=(seen(Status.PENDING),)), set()),
    ],
)
def test_authorized_is_what_the_whole_answer_agrees_on(found: Found, authorized: set[str]) -> None:
    """It proves that a capture never arrived, so an answer in doubt proves nothing."""
    assert found.authorized == authorized


def test_authorization_contradicts_that_nothing_was_taken_or_will_be() -> None:
    """A number that is authorized in one record is not closed for certain in another."""
    found = Found(observations=(seen(Status.CLOSED), seen(Status.AUTHORIZED)), absent=frozenset({"N1"}))
    assert found.agreed() == Found(observations=(seen(Status.AUTHORIZED),))


def test_what_is_not_declared_is_unsafe_and_found_by_our_number() -> None:
    """A plugin that says nothing is never sent to twice on the strength of that."""
    able = Capabilities(products=(), number=capabilities().number, budget=capabilities().budget)
    assert able.create_resend == able.capture_resend == able.refund_resend == UNSAFE == Resend("unsafe")
    assert UNSAFE.window_s is None
    assert (able.lookup, able.query_proves_absence_after_s) == (Lookup.BY_NUMBER, None)
    assert (able.query_batch_max, able.notifications_trusted) == (1, False)
