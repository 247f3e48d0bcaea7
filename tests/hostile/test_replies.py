"""Hostile replies to requests that were carried out."""

import time
from collections.abc import Iterator

import pytest

from paycore import Payment, RefundStatus, Status
from paycore.errors import NotSent, RefundTooLarge
from tests.engine.tills import HKD_88, Kind
from tests.hostile.conftest import OpenShop
from tests.hostile.gateway import STAY, Answer, Heard, Honest, Part, whole
from tests.hostile.replies import BODIES, HTTP, SLOW, raw
from tests.hostile.shops import UNANSWERED, Provider, Shop

# What is wrong with a body is found by the plugin, what is wrong with HTTP by the sender: two of each.
plugins = pytest.mark.parametrize(("provider", "kind"), [("toy", "sync"), ("qfpay-alipay", "async")])
senders = pytest.mark.parametrize(("provider", "kind"), [("toy", "async"), ("qfpay-alipay", "sync")])


@plugins
@pytest.mark.parametrize("name", BODIES)
def test_hostile_body_leaves_every_verb_unknown_and_loses_nothing(
    open_shop: OpenShop, provider: Provider, kind: Kind, name: str
) -> None:
    """No such body counts as an answer; correct ones resolve everything, and nothing happens twice."""
    go_through(open_shop(provider, kind), BODIES[name])


@senders
@pytest.mark.parametrize("name", HTTP)
def test_hostile_http_leaves_every_verb_unknown_and_loses_nothing(
    open_shop: OpenShop, provider: Provider, kind: Kind, name: str
) -> None:
    """No such HTTP is an answer, or "not sent" unless that is documented; correct answers resolve everything."""
    check = put_off_creation if name == "429" else go_through
    check(open_shop(provider, kind), HTTP[name])


def test_request_that_is_put_off_and_carried_out_is_not_doubled(open_shop: OpenShop) -> None:
    """A gateway that says "not now" of what it does all the same: the number is the same, so it is done once."""
    shop = open_shop("qfpay-alipay", "sync")
    put_off = raw(lambda honest: whole(honest, status="429 Too Many Requests", retry_after="1"))
    with shop.gateway.answering(put_off, "/trade/v1/"), pytest.raises(NotSent) as raised:
        shop.create()
    payment = shop.till.find("order-1")
    assert (payment.status, payment.uncertain) == (Status.CREATED, False)
    assert raised.value.retry_after_s is not None
    shop.till.sleep(raised.value.retry_after_s)
    payment = shop.create()
    assert payment.status is Status.UNKNOWN, "the number was refused as a duplicate: it is there"
    payment = shop.till.query(payment)
    assert payment.status is Status.PENDING
    assert shop.states(payment).count("pending") == 1, "never two orders that can be paid"
    shop.pay(payment)
    assert shop.till.query(payment).status is Status.PAID
    with shop.gateway.answering(put_off, "/trade/v1/refund"), pytest.raises(NotSent):
        shop.till.refund(payment)
    shop.till.sleep(raised.value.retry_after_s)
    shop.till.refund(payment)
    settled = shop.till.query(payment)
    assert [refund.status for refund in settled.refunds] == [RefundStatus.SUCCEEDED]
    assert shop.refunded_minor(settled.order_number) == 8800
    shop.check_ledger()


@senders
@pytest.mark.parametrize("name", SLOW)
def test_reply_without_end_is_ended_by_the_deadline(
    open_shop: OpenShop, provider: Provider, kind: Kind, name: str
) -> None:
    """Single bytes do not extend a call: each verb ends soon after its `timeout_s`, and nothing is lost."""
    shop = open_shop(provider, kind, timeout_s=5.0, hasty_s=0.4)
    begun = time.monotonic()
    if name in ("dripped body", "half a head, then silence"):
        go_through(shop, SLOW[name])
    else:
        unknown_creation(shop, SLOW[name])
    assert time.monotonic() - begun < 10, "three calls of 0.4 s; a timeout for each read would never end them"


def go_through(shop: Shop, answer: Answer) -> None:
    """Create, query and refund, each answered like this and then resolved by a correct answer."""
    payment = unknown_creation(shop, answer)
    shop.pay(payment)
    payment = unanswered_query(shop, payment, answer)
    unknown_refund(shop, payment, answer)
    shop.check_ledger()


def unknown_creation(shop: Shop, answer: Answer) -> Payment:
    with shop.gateway.answering(answer, shop.paths["create"]):
        payment = shop.create(till=shop.hasty)
    assert (payment.status, payment.uncertain, payment.action) == (Status.UNKNOWN, True, None)
    assert shop.till.get(payment.id) == payment
    assert shop.gateway.asked(shop.paths["create"]) == 1
    found = shop.till.query(payment)
    assert (found.id, found.status, found.uncertain) == (payment.id, Status.PENDING, False)
    assert found.action is not None, "the link was in the answer nobody could read; it is recovered"
    assert shop.states(found).count("pending") == 1, "never two orders that can be paid"
    return found


RETRY_AFTER_S = {"qfpay-alipay": 5, "toy": 0}
"""What each says where the answer does not."""


def put_off_creation(shop: Shop, answer: Answer) -> None:
    """Of 429 nothing was done, whatever else the answer says, and the same call makes the order."""
    with shop.gateway.answering(answer, shop.paths["create"]), pytest.raises(NotSent) as put_off:
        shop.create()
    assert (put_off.value.money_moved, put_off.value.retry_after_s) == ("no", RETRY_AFTER_S[shop.provider])
    assert put_off.value.payment_id is not None
    assert shop.till.get(put_off.value.payment_id).status is Status.CREATED
    shop.check_ledger()


def unanswered_query(shop: Shop, payment: Payment, answer: Answer) -> Payment:
    before = shop.till.get(payment.id)
    with shop.gateway.answering(answer, shop.paths["query"]), pytest.raises(UNANSWERED[shop.provider]):
        shop.hasty.query(payment)
    assert shop.till.get(payment.id) == before, "a query without an answer moves nothing"
    paid = shop.till.query(payment)
    assert (paid.status, paid.paid_minor, paid.review) == (Status.PAID, 8800, False)
    assert shop.states(paid).count("paid") == 1
    return paid


def unknown_refund(shop: Shop, payment: Payment, answer: Answer) -> None:
    with shop.gateway.answering(answer, shop.paths["refund"]):
        payment = shop.hasty.refund(payment)
    (refund,) = payment.refunds
    assert (payment.status, refund.status, payment.uncertain) == (Status.PAID, RefundStatus.UNKNOWN, True)
    with pytest.raises(RefundTooLarge):
        shop.till.refund(payment, "back-2", amount=HKD_88)
    settled = shop.till.query(payment)
    assert [refund.status for refund in settled.refunds] == [RefundStatus.SUCCEEDED]
    assert not settled.uncertain
    assert shop.refunded_minor(payment.order_number) == 8800
    assert shop.gateway.asked(shop.paths["refund"]) == 1


@senders
def test_surplus_answer_is_not_the_next_requests(open_shop: OpenShop, provider: Provider, kind: Kind) -> None:
    """Of two answers to one request the second does not count for another payment."""
    shop = open_shop(provider, kind)
    first = shop.create("order-1")
    with shop.gateway.answering(twice, shop.paths["create"]):
        assert shop.create("order-2").status is Status.PENDING
        third = shop.create("order-3")
    assert (third.status, third.action) == (Status.UNKNOWN, None)
    shop.pay(first)
    assert shop.till.query(first).status is Status.PAID
    assert shop.till.query(third).status is Status.PENDING
    shop.check_ledger()


def twice(_heard: Heard, honest: Honest) -> Iterator[Part]:
    """The honest answer, sent twice on a connection that stays."""
    yield whole(honest.body) * 2
    yield STAY
