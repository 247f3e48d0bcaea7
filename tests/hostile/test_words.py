"""Texts, ids and numbers that could forge a log line or look like others: cleaned where they enter, or refused."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from paycore import Money, Status
from paycore.cli.render.documents import encode
from paycore.domain.safe_text import name_problem
from paycore.errors import ConfigError, InvalidField, NotAuthentic, PaycoreError, PluginError
from paycore.ledger import audit, open_ledger
from paycore.plugin import (
    Created,
    Done,
    Failure,
    Found,
    Mention,
    PaymentObservation,
    Redirect,
    RefundObservation,
    RefundStatus,
    Rejected,
    Request,
    Unknown,
)
from paycore.testing.toy import ToyGateway, ToyProvider
from tests.engine.tills import Till
from tests.hostile.conftest import OpenShop
from tests.hostile.gateway import hostile_gateway
from tests.hostile.shops import carrier, config_of, plugins
from tests.hostile.test_plugins import Flawed, broken_till, flow_of
from tests.support.toy_http import KEY

FORGED = "no\r\n2026-11-28 12:00:00 INFO paid, deliver\x1b[2J\x9b2J\u2028\u202e\u200b\ufeff\x7f"
"""A new line, an escape, a C1 control, a line separator, a change of direction, two zero-width characters, and DEL."""

ODD_IDS = ["T1\n", "T\x1b[2J", "T\u202e1", "T\u200b1", " T1", "T1 ", "T\u00a01", "T\u30641\ufe0f", "9" * 257]
HKD_88 = Money("88.00", "HKD")
LINK = Redirect(url="https://toy.example/pay/1")


def seen(number: str, status: Status = Status.PENDING, **changes: Any) -> PaymentObservation:
    fields: dict[str, Any] = {"number": number, "status": status, "provider_id": "T000001", **changes}
    return PaymentObservation(**fields)


class Broken:
    """A till whose plugin returns a test's texts, and everything it logged."""

    def __init__(self, folder: Path, log: pytest.LogCaptureFixture, **flaws: Flawed) -> None:
        self.ledger, self._log = folder / "paycore.db", log
        log.set_level(logging.DEBUG, "paycore")
        self._gateway = hostile_gateway(carrier(ToyGateway(key=KEY)))
        self.till = broken_till(self._gateway.__enter__(), self.ledger, **flaws)

    def close(self) -> list[str]:
        """Close it; return the logged lines, after checking that they and everything recorded are harmless."""
        self.till.shutdown()
        self._gateway.__exit__(None, None, None)
        lines = self._log.messages
        assert all(line.isprintable() for line in lines), lines
        ledger = open_ledger(f"sqlite:///{self.ledger}")
        exported = "".join(audit.export(ledger))
        ledger.close()
        assert exported.isprintable()
        assert "\\u00" not in exported
        return lines


def harmless(error: PaycoreError) -> bool:
    return str(error).isprintable() and error.message.isprintable()


# --- words -------------------------------------------------------------------------------------------

OUTCOMES: dict[str, Any] = {
    "a refusal": Rejected(failure=Failure(code=FORGED, message=FORGED, advice=FORGED)),
    "a refusal of the account": Rejected(failure=Failure(code=FORGED, message=FORGED, who_acts="operator")),
    "an unknown outcome": Unknown(problem=FORGED),
    "words beside an order": lambda number: Done(
        Created(observation=seen(number, words={FORGED: FORGED}), action=LINK)
    ),
    "an error": ValueError(FORGED),
    "an error of two": ValueError(FORGED, FORGED),
    "no outcome, in words": FORGED,
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_text_of_a_plugin_is_one_harmless_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """In what is raised, logged and recorded; that the order may exist is not lost."""
    broken = Broken(tmp_path, caplog, create=flow_of(OUTCOMES[name]))
    raised: list[PaycoreError] = []
    try:
        broken.till.create()
    except PaycoreError as error:
        raised.append(error)
    assert all(map(harmless, raised))
    payment = broken.till.find("order-1")
    assert payment.failure is None or payment.failure.message.isprintable()
    lines = broken.close()
    assert any(line.startswith("create: account toy, reference 'order-1'") for line in lines)


@pytest.mark.parametrize("kind", [NotAuthentic, ValueError])
def test_text_about_a_notification_is_one_harmless_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    """A plugin's text about a refused notification, and its errors."""

    def verify(*_: Any) -> Any:
        raise kind(FORGED)

    broken = Broken(tmp_path, caplog, verify=verify)
    broken.till.create()
    with pytest.raises(PaycoreError) as raised:
        broken.till.receive(b"{}", {})
    assert harmless(raised.value)
    broken.close()


def test_unknown_number_of_a_notification_is_one_harmless_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An unknown number is logged cleaned."""
    broken = Broken(tmp_path, caplog, verify=lambda *_: [Mention(number=FORGED)])
    broken.till.receive(b"{}", {})
    assert any("which no payment here has" in line for line in broken.close())


def test_text_about_settings_is_one_harmless_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The errors of a plugin's own check of settings."""

    def refuse(*_: Any) -> None:
        raise ValueError(FORGED)

    monkeypatch.setattr(ToyProvider, "__init__", refuse)
    till = Till("sync", config_of("toy", "http://127.0.0.1:1", tmp_path / "p.db", key=KEY), plugins())
    with pytest.raises((ConfigError, PluginError)) as raised:
        till.create()
    assert harmless(raised.value)
    till.shutdown()


def test_json_for_a_terminal_has_nothing_that_moves_it() -> None:
    """`--json` escapes control, bidi and separator characters of old records and callers."""
    said = {"subject": FORGED + "é測\U000e0001"}
    written = encode(said).decode()
    assert written.isprintable()
    assert json.loads(written) == said
    assert "é測" in written


# --- ids of the provider -----------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ODD_IDS)
def test_answer_with_an_odd_id_is_not_taken_and_proves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, odd: str
) -> None:
    """The payment is unknown until an answer is usable: not paid, failed or sent again."""
    answers: list[Found] = []

    def query(orders: Any) -> Any:
        yield from ()
        number = orders[0].number
        paid = seen(number, Status.PAID, provider_id=odd, amount=HKD_88)
        beside = seen(number, Status.FAILED, failure=Failure(code="x", message="no"))
        answers.append(Found(observations=(paid, beside)))
        return Done(answers[-1])

    made = flow_of(lambda number: Done(Created(observation=seen(number, provider_id=odd), action=LINK)))
    broken = Broken(tmp_path, caplog, create=made, query=query)
    payment = broken.till.create()
    assert (payment.status, payment.provider_id, payment.action) == (Status.UNKNOWN, None, None)
    asked = broken.till.query(payment)
    assert (asked.status, asked.paid_minor, len(asked.operations)) == (Status.UNKNOWN, 0, 1)
    assert len(answers) >= 1
    lines = broken.close()
    assert any(f"of number {payment.order_number} its id" in line for line in lines)


def test_refund_with_an_odd_id_is_unknown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It may have been made: it is queried, and not repeated."""

    def refund(order: Any) -> Any:
        yield Request(method="POST", path="/query", body=b'{"numbers":[]}')
        return Done(
            RefundObservation(number=order.number, status=RefundStatus.SUCCEEDED, provider_id="R\u202e1")
        )

    broken = Broken(tmp_path, caplog, refund=refund)
    payment = broken.till.create(channel="card")
    assert payment.status is Status.PAID
    (refunded,) = broken.till.refund(payment).refunds
    assert refunded.status is RefundStatus.UNKNOWN
    broken.close()


def test_notification_with_an_odd_id_is_a_mention(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its number is queried, and it changes nothing itself."""
    told: list[Any] = []
    broken = Broken(tmp_path, caplog, verify=lambda *_: told)
    payment = broken.till.create()
    told.append(seen(payment.order_number, Status.PAID, provider_id="T\u202e1", amount=HKD_88))
    broken.till.receive(b"{}", {})
    assert broken.till.get(payment.id) == payment
    broken.close()


# --- what callers give -------------------------------------------------------------------------------

ODD_NAMES = [
    "a\x00",
    "a\nb",
    "a\x85b",
    "a\u2028b",
    "a\u202eb",
    "a\u200bb",
    "a\ufeffb",
    " a",
    "a ",
    "a\u3000b",
    "\u2066a",
    "a\u115f",
]


@pytest.mark.parametrize("odd", ODD_NAMES)
@pytest.mark.parametrize("field", ["reference", "payer_id", "device_id", "auth_code"])
def test_names_that_look_like_others_are_refused(till: Till, field: str, odd: str) -> None:
    """Before anything is recorded or sent; the error names the field and does not repeat the value."""
    given: dict[str, Any] = {field: odd}
    with pytest.raises(InvalidField) as refused:
        till.create(**given)
    assert refused.value.field == field
    assert harmless(refused.value)
    assert till.list() == ()


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_refund_references_and_payment_ids_that_look_like_others_are_refused(till: Till, odd: str) -> None:
    """The same rules for refund references and payment ids."""
    payment = till.create(channel="card")
    for call in (
        lambda: till.refund(payment, odd),
        lambda: till.get(odd),
        lambda: till.do("query", odd),
        lambda: till.do("wait", odd, 0),
        lambda: till.do("close", odd),
        lambda: till.do("events", odd),
    ):
        with pytest.raises(InvalidField, match=r"reference|payment_id"):
            call()


@pytest.mark.parametrize("name", ["order 1001", "訂單-1001", "Bestellung-ä", "a" * 128, "№ 1", "order/1?x=1"])
def test_names_that_can_be_read_are_taken(till: Till, name: str) -> None:
    """Any script, and spaces inside."""
    assert name_problem(name) is None
    assert till.create(name).reference == name
    assert till.find(name).reference == name


@pytest.fixture
def till(open_shop: OpenShop) -> Till:
    """A till at an honest toy."""
    return open_shop("toy").till
