"""The ledger fails while a request is under way: the error says that money may have moved."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from paycore import Payment, Status
from paycore.domain.events import Source
from paycore.domain.wire import Request, Response
from paycore.errors import InvalidField, LedgerError, LedgerTooNew, MaybeSent
from paycore.ledger import verbs
from tests.engine.conftest import OpenTill
from tests.support.toy_http import ToyServer

NEWER = "INSERT INTO meta VALUES (9999, 'x', 0)"
AS_BEFORE = "DELETE FROM meta WHERE schema = 9999"


def run_sql(folder: Path, statement: str) -> None:
    """Run SQL as another process on the ledger."""
    with closing(sqlite3.connect(folder / "paycore.db", isolation_level=None)) as shell:
        shell.execute(statement)


@pytest.fixture
def upgraded_meanwhile(gateway: ToyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While the gateway takes the first order, a newer paycore upgrades the ledger."""
    handle = gateway.gateway.handle

    def handle_and_upgrade(request: Request) -> Response:
        if request.path == "/orders" and len(gateway.gateway.requests) == 0:
            run_sql(tmp_path, NEWER)
        return handle(request)

    monkeypatch.setattr(gateway.gateway, "handle", handle_and_upgrade)
    return tmp_path


def test_error_after_sending_says_that_money_may_have_moved(
    open_till: OpenTill, upgraded_meanwhile: Path
) -> None:
    """The same error before sending says that no money moved."""
    with pytest.raises(LedgerError) as caught:
        open_till().create()
    assert isinstance(caught.value, LedgerTooNew)
    assert caught.value.money_moved == "maybe"
    assert caught.value.payment_id is not None


def test_what_could_not_be_recorded_is_asked_for(
    open_till: OpenTill, gateway: ToyServer, upgraded_meanwhile: Path
) -> None:
    """With the ledger working again, the same reference is the same payment, with one order at the provider."""
    till = open_till()
    with pytest.raises(LedgerTooNew):
        till.create()
    run_sql(upgraded_meanwhile, AS_BEFORE)
    payment: Payment = till.create()
    assert payment.status is Status.PENDING
    assert payment.action is not None
    assert [record["status"] for record in gateway.counts().records].count("pending") == 1


def test_reply_that_can_not_be_stored_says_that_money_may_have_moved(
    open_till: OpenTill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every kind of ledger error: the order was sent."""
    till = open_till()
    change = verbs.change

    def refuse(session: Any, **arguments: Any) -> Any:
        if arguments["source"] is Source.REPLY:
            raise InvalidField("change", "can't be stored")
        return change(session, **arguments)

    monkeypatch.setattr(verbs, "change", refuse)
    with pytest.raises(InvalidField) as caught:
        till.create()
    assert caught.value.money_moved == "maybe"
    assert caught.value.payment_id is not None


def test_error_before_sending_says_that_nothing_moved(
    open_till: OpenTill, gateway: ToyServer, tmp_path: Path
) -> None:
    """The intent can't be recorded, so nothing is sent."""
    till = open_till()
    run_sql(tmp_path, NEWER)
    with pytest.raises(LedgerTooNew) as caught:
        till.create()
    assert caught.value.money_moved == "no"
    assert gateway.counts().requests == {}


@pytest.mark.parametrize("refunded", [2**63, 10**30, -1])
def test_impossible_total_is_never_recorded(open_till: OpenTill, gateway: ToyServer, refunded: int) -> None:
    """A refunded total outside the bounds is no answer; the payment is unchanged."""
    till = open_till()
    payment = till.create()
    gateway.pay(payment.order_number)
    gateway.gateway.orders[0].refunded = refunded
    with pytest.raises(MaybeSent, match="no usable answer"):
        till.query(payment)
    assert till.get(payment.id) == payment
    gateway.gateway.orders[0].refunded = 0
    assert till.query(payment).status is Status.PAID
